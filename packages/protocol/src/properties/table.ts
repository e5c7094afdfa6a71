/**
 * The one table of the 27 properties of MQTT 5.0 (section 2.2.2.2, table 2-4).
 *
 * A row says in which packets a property may stand by naming the section that describes it there; a refusal cites that
 * section, since the rules about a property's range and number ("it is a Protocol Error …") carry no statement number.
 * Decoder, encoder and the arbitraries of the tests all read this table; nothing about a property is written elsewhere,
 * except what concerns several fields together.
 */
import { remainingLengthMax } from '../framing/fixed-header.ts'
import type { Properties } from './types.ts'

/** Where properties stand: a packet, or the will inside CONNECT. */
export type PropertyContext =
  | 'connect'
  | 'will'
  | 'connack'
  | 'publish'
  | 'puback'
  | 'pubrec'
  | 'pubrel'
  | 'pubcomp'
  | 'subscribe'
  | 'suback'
  | 'unsubscribe'
  | 'unsuback'
  | 'disconnect'
  | 'auth'

export type PropertyType = 'byte' | 'uint16' | 'uint32' | 'varint' | 'string' | 'binary' | 'pair'

export interface PropertyRow {
  readonly id: number
  readonly name: keyof Properties
  readonly type: PropertyType
  /** Packets it may stand in, each with the section that describes it there. */
  readonly sections: Readonly<Partial<Record<PropertyContext, string>>>
  /** Range of a number. */
  readonly min: number
  readonly max: number
  /** The value is a list, one element for each occurrence. */
  readonly list: boolean
}

const flag = { min: 0, max: 1, list: false } as const
const any = { min: 0, max: 0xffff_ffff, list: false } as const
const positive = { min: 1, max: 0xffff_ffff, list: false } as const

/** In the order of their identifiers. */
export const propertyTable: readonly PropertyRow[] = [
  row(0x01, 'payloadFormatIndicator', 'byte', flag, { publish: '3.3.2.3.2', will: '3.1.3.2.3' }),
  row(0x02, 'messageExpiryInterval', 'uint32', any, { publish: '3.3.2.3.3', will: '3.1.3.2.4' }),
  row(0x03, 'contentType', 'string', any, { publish: '3.3.2.3.9', will: '3.1.3.2.5' }),
  row(0x08, 'responseTopic', 'string', any, { publish: '3.3.2.3.5', will: '3.1.3.2.6' }),
  row(0x09, 'correlationData', 'binary', any, { publish: '3.3.2.3.6', will: '3.1.3.2.7' }),
  row(
    0x0b,
    'subscriptionIdentifiers',
    'varint',
    { min: 1, max: remainingLengthMax, list: true },
    { publish: '3.3.2.3.8', subscribe: '3.8.2.1.2' },
  ),
  row(0x11, 'sessionExpiryInterval', 'uint32', any, {
    connect: '3.1.2.11.2',
    connack: '3.2.2.3.2',
    disconnect: '3.14.2.2.2',
  }),
  row(0x12, 'assignedClientIdentifier', 'string', any, { connack: '3.2.2.3.7' }),
  row(0x13, 'serverKeepAlive', 'uint16', any, { connack: '3.2.2.3.14' }),
  row(0x15, 'authenticationMethod', 'string', any, {
    connect: '3.1.2.11.9',
    connack: '3.2.2.3.17',
    auth: '3.15.2.2.2',
  }),
  row(0x16, 'authenticationData', 'binary', any, {
    connect: '3.1.2.11.10',
    connack: '3.2.2.3.18',
    auth: '3.15.2.2.3',
  }),
  row(0x17, 'requestProblemInformation', 'byte', flag, { connect: '3.1.2.11.7' }),
  row(0x18, 'willDelayInterval', 'uint32', any, { will: '3.1.3.2.2' }),
  row(0x19, 'requestResponseInformation', 'byte', flag, { connect: '3.1.2.11.6' }),
  row(0x1a, 'responseInformation', 'string', any, { connack: '3.2.2.3.15' }),
  row(0x1c, 'serverReference', 'string', any, { connack: '3.2.2.3.16', disconnect: '3.14.2.2.5' }),
  row(0x1f, 'reasonString', 'string', any, {
    connack: '3.2.2.3.9',
    puback: '3.4.2.2.2',
    pubrec: '3.5.2.2.2',
    pubrel: '3.6.2.2.2',
    pubcomp: '3.7.2.2.2',
    suback: '3.9.2.1.2',
    unsuback: '3.11.2.1.2',
    disconnect: '3.14.2.2.3',
    auth: '3.15.2.2.4',
  }),
  row(0x21, 'receiveMaximum', 'uint16', positive, { connect: '3.1.2.11.3', connack: '3.2.2.3.3' }),
  row(0x22, 'topicAliasMaximum', 'uint16', any, { connect: '3.1.2.11.5', connack: '3.2.2.3.8' }),
  row(0x23, 'topicAlias', 'uint16', positive, { publish: '3.3.2.3.4' }),
  row(0x24, 'maximumQoS', 'byte', flag, { connack: '3.2.2.3.4' }),
  row(0x25, 'retainAvailable', 'byte', flag, { connack: '3.2.2.3.5' }),
  row(
    0x26,
    'userProperties',
    'pair',
    { min: 0, max: 0, list: true },
    {
      connect: '3.1.2.11.8',
      will: '3.1.3.2.8',
      connack: '3.2.2.3.10',
      publish: '3.3.2.3.7',
      puback: '3.4.2.2.3',
      pubrec: '3.5.2.2.3',
      pubrel: '3.6.2.2.3',
      pubcomp: '3.7.2.2.3',
      subscribe: '3.8.2.1.3',
      suback: '3.9.2.1.3',
      unsubscribe: '3.10.2.1.2',
      unsuback: '3.11.2.1.3',
      disconnect: '3.14.2.2.4',
      auth: '3.15.2.2.5',
    },
  ),
  row(0x27, 'maximumPacketSize', 'uint32', positive, { connect: '3.1.2.11.4', connack: '3.2.2.3.6' }),
  row(0x28, 'wildcardSubscriptionAvailable', 'byte', flag, { connack: '3.2.2.3.11' }),
  row(0x29, 'subscriptionIdentifierAvailable', 'byte', flag, { connack: '3.2.2.3.12' }),
  row(0x2a, 'sharedSubscriptionAvailable', 'byte', flag, { connack: '3.2.2.3.13' }),
]

const byId: readonly (PropertyRow | undefined)[] = Array.from({ length: 0x2b }, (_, id) =>
  propertyTable.find((entry) => entry.id === id),
)
const byName: ReadonlyMap<string, PropertyRow> = new Map(propertyTable.map((entry) => [entry.name, entry]))

/** The row of a property identifier. */
export function propertyById(id: number): PropertyRow | undefined {
  return byId[id]
}

/** The row of a key of `Properties`. */
export function propertyByName(name: string): PropertyRow | undefined {
  return byName.get(name)
}

/** Whether a property may stand more than once: user properties everywhere, subscription identifiers in PUBLISH only. */
export function mayRepeat(entry: PropertyRow, where: PropertyContext): boolean {
  return entry.type === 'pair' || (entry.list && where === 'publish')
}

function row(
  id: number,
  name: keyof Properties,
  type: PropertyType,
  range: { readonly min: number; readonly max: number; readonly list: boolean },
  sections: PropertyRow['sections'],
): PropertyRow {
  return { id, name, type, sections, ...range }
}
