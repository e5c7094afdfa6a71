/**
 * Random packets that are right, for every packet of every version: what the encoder must take and the decoder must give
 * back. Properties come from the table, so a new row is tested without a new line here.
 */
import fc, { type Arbitrary } from 'fast-check'
import { acknowledgementReasonCodes } from '../../../packages/protocol/src/packets/acknowledgement.ts'
import { authReasonCodes } from '../../../packages/protocol/src/packets/auth.ts'
import { connackReasonCodes } from '../../../packages/protocol/src/packets/connack.ts'
import { disconnectReasonCodes } from '../../../packages/protocol/src/packets/disconnect.ts'
import { subackReasonCodes, subackReturnCodes } from '../../../packages/protocol/src/packets/suback.ts'
import type {
  AckPacket,
  Packet,
  PacketType,
  ProtocolVersion,
  PublishPacket,
  QoS,
  SubscriptionRequest,
} from '../../../packages/protocol/src/packets/types.ts'
import { unsubackReasonCodes } from '../../../packages/protocol/src/packets/unsuback.ts'
import {
  mayRepeat,
  type PropertyContext,
  type PropertyRow,
  propertyTable,
} from '../../../packages/protocol/src/properties/table.ts'
import type { Properties } from '../../../packages/protocol/src/properties/types.ts'

export type PacketOf<T extends PacketType> = Extract<Packet, { readonly type: T }>

export const anyVersion: Arbitrary<ProtocolVersion> = fc.constantFrom(3, 4, 5)

const text = fc.string({ unit: 'binary', maxLength: 12 }).map((s) => s.replaceAll('\0', 'o'))
const bytes = fc.uint8Array({ maxLength: 12 })
const payload = fc.oneof(
  { weight: 9, arbitrary: bytes },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 20_000 }) },
)
const level = fc.oneof(fc.constantFrom('a', 'b', '', 'sensors', '$SYS'), text).map((s) => s.replaceAll(/[+#/]/g, '-'))
const topic = fc.array(level, { minLength: 1, maxLength: 5 }).map((levels) => levels.join('/') || '/')
const filter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 5 }), fc.boolean())
  .map(([levels, all]) => (all ? [...levels, '#'] : levels).join('/') || '/')
const share = fc.tuple(level, filter).map(([name, inner]) => `$share/${name || 'g'}/${inner}`)
const qos: Arbitrary<QoS> = fc.constantFrom(0, 1, 2)
const packetId = fc.integer({ min: 1, max: 65_535 })
const uint16 = fc.integer({ min: 0, max: 65_535 })

/** A valid packet of every type that `version` has. */
export function anyPacket(version: ProtocolVersion): Arbitrary<Packet> {
  return fc.oneof(...Object.values(packetArbitraries(version)))
}

/** The arbitraries by name of packet. */
export function packetArbitraries(version: ProtocolVersion): Readonly<Record<string, Arbitrary<Packet>>> {
  return {
    CONNECT: connect(version),
    CONNACK: connack(version),
    PUBLISH: publish(version),
    PUBACK: acknowledgement(4, 'puback', version),
    PUBREC: acknowledgement(5, 'pubrec', version),
    PUBREL: acknowledgement(6, 'pubrel', version),
    PUBCOMP: acknowledgement(7, 'pubcomp', version),
    SUBSCRIBE: subscribe(version),
    SUBACK: suback(version),
    UNSUBSCRIBE: unsubscribe(version),
    UNSUBACK: unsuback(version),
    PINGREQ: fc.constant<Packet>({ type: 12 }),
    PINGRESP: fc.constant<Packet>({ type: 13 }),
    DISCONNECT: disconnect(version),
    ...(version === 5 ? { AUTH: auth() } : {}),
  }
}

function connect(version: ProtocolVersion): Arbitrary<PacketOf<1>> {
  const will = record(
    { topic, payload: bytes, qos, retain: fc.boolean(), properties: propertiesOf('will') },
    version === 5 ? ['properties'] : [],
    ['properties'],
  )
  const fields = {
    type: fc.constant(1 as const),
    version: fc.constant(version),
    clientId: text,
    cleanStart: fc.boolean(),
    keepAlive: uint16,
    username: text,
    password: bytes,
    will,
    properties: propertiesOf('connect').filter(
      (p) => p.authenticationData === undefined || p.authenticationMethod !== undefined,
    ),
    bridge: fc.constant(true),
  }
  const optional = ['username', 'password', 'will', version === 5 ? 'properties' : 'bridge'] as const
  return (
    record(fields, optional, ['username', 'password', 'will', 'properties', 'bridge']) as Arbitrary<PacketOf<1>>
  ).map((packet) => {
    if (version === 5 || packet.username !== undefined) return packet
    const { password: _, ...rest } = packet
    return rest
  })
}

function connack(version: ProtocolVersion): Arbitrary<Packet> {
  const code = version === 5 ? oneOf(connackReasonCodes) : fc.integer({ min: 0, max: 5 })
  return withProperties(version, 'connack', {
    type: fc.constant(2 as const),
    sessionPresent: fc.boolean(),
    reasonCode: code,
  }).map((packet) => ({ ...packet, sessionPresent: packet.sessionPresent && version !== 3 && packet.reasonCode === 0 }))
}

function publish(version: ProtocolVersion): Arbitrary<PublishPacket> {
  const fields = {
    type: fc.constant(3 as const),
    topic,
    payload,
    qos,
    retain: fc.boolean(),
    dup: fc.boolean(),
    packetId,
  }
  return fc.tuple(withProperties(version, 'publish', fields), fc.boolean()).map(([packet, byAlias]) => {
    const { packetId: id, ...rest } = packet
    const name = byAlias && packet.properties?.topicAlias !== undefined ? '' : packet.topic
    if (packet.qos === 0) return { ...rest, topic: name, dup: false }
    return { ...rest, topic: name, packetId: id }
  })
}

function acknowledgement(type: AckPacket['type'], where: PropertyContext, version: ProtocolVersion): Arbitrary<Packet> {
  const reasonCode = version === 5 ? oneOf(acknowledgementReasonCodes(type)) : fc.constant(0)
  return withProperties(version, where, { type: fc.constant(type), packetId, reasonCode })
}

function subscribe(version: ProtocolVersion): Arbitrary<Packet> {
  const five = version === 5
  const request: Arbitrary<SubscriptionRequest> = plainRecord({
    filter: five ? fc.oneof(filter, share) : filter,
    qos,
    noLocal: five ? fc.boolean() : fc.constant(false),
    retainAsPublished: five ? fc.boolean() : fc.constant(false),
    retainHandling: five ? fc.constantFrom(0 as const, 1 as const, 2 as const) : fc.constant(0 as const),
  }).map((r) => ({ ...r, noLocal: r.noLocal && !r.filter.startsWith('$share/') }))
  return withProperties(version, 'subscribe', {
    type: fc.constant(8 as const),
    packetId,
    subscriptions: fc.array(request, { minLength: 1, maxLength: 5 }),
  })
}

function suback(version: ProtocolVersion): Arbitrary<Packet> {
  const codes = oneOf(version === 5 ? subackReasonCodes : subackReturnCodes)
  return withProperties(version, 'suback', {
    type: fc.constant(9 as const),
    packetId,
    reasonCodes: fc.array(codes, { minLength: 1, maxLength: 5 }),
  })
}

function unsubscribe(version: ProtocolVersion): Arbitrary<Packet> {
  return withProperties(version, 'unsubscribe', {
    type: fc.constant(10 as const),
    packetId,
    filters: fc.array(version === 5 ? fc.oneof(filter, share) : filter, { minLength: 1, maxLength: 5 }),
  })
}

function unsuback(version: ProtocolVersion): Arbitrary<Packet> {
  return withProperties(version, 'unsuback', {
    type: fc.constant(11 as const),
    packetId,
    reasonCodes: version === 5 ? fc.array(oneOf(unsubackReasonCodes), { minLength: 1, maxLength: 5 }) : fc.constant([]),
  })
}

function disconnect(version: ProtocolVersion): Arbitrary<Packet> {
  const reasonCode = version === 5 ? oneOf(disconnectReasonCodes) : fc.constant(0)
  return withProperties(version, 'disconnect', { type: fc.constant(14 as const), reasonCode })
}

function auth(): Arbitrary<Packet> {
  const properties = fc
    .tuple(propertiesOf('auth'), text)
    .map(([rest, method]) => ({ ...rest, authenticationMethod: method }))
  return fc.oneof(
    fc.constant<Packet>({ type: 15, reasonCode: 0 }),
    plainRecord({ type: fc.constant(15 as const), reasonCode: oneOf(authReasonCodes), properties }),
  )
}

/** Some of the properties that may stand in `where`, one at least. */
function propertiesOf(where: PropertyContext): Arbitrary<Properties> {
  const model: Record<string, Arbitrary<unknown>> = {}
  for (const row of propertyTable) if (row.sections[where] !== undefined) model[row.name] = valuesOf(row, where)
  return fc
    .record(model, { requiredKeys: [], noNullPrototype: true })
    .filter((properties) => Object.keys(properties).length > 0) as Arbitrary<Properties>
}

function valuesOf(row: PropertyRow, where: PropertyContext): Arbitrary<unknown> {
  const single = singleValueOf(row)
  return row.list ? fc.array(single, { minLength: 1, maxLength: mayRepeat(row, where) ? 3 : 1 }) : single
}

function singleValueOf(row: PropertyRow): Arbitrary<unknown> {
  switch (row.type) {
    case 'byte':
      return fc.integer({ min: row.min, max: row.max })
    case 'uint16':
      return fc.integer({ min: row.min, max: Math.min(row.max, 65_535) })
    case 'uint32':
    case 'varint':
      return fc.integer({ min: row.min, max: row.max })
    case 'binary':
      return bytes
    case 'string':
      return row.name === 'responseTopic' ? topic : text
    case 'pair':
      return fc.tuple(text, text)
  }
}

/** Fields, and in 5.0 properties or none. */
function withProperties<T extends object>(
  version: ProtocolVersion,
  where: PropertyContext,
  model: { [K in keyof T]: Arbitrary<T[K]> },
): Arbitrary<T & { readonly properties?: Properties }> {
  if (version !== 5) return plainRecord(model)
  return fc
    .tuple(plainRecord(model), fc.option(propertiesOf(where), { nil: undefined }))
    .map(([fields, properties]) => (properties === undefined ? fields : { ...fields, properties }))
}

function plainRecord<T extends object>(model: { [K in keyof T]: Arbitrary<T[K]> }): Arbitrary<T> {
  return fc.record(model, { noNullPrototype: true }) as Arbitrary<T>
}

/** A record of which `optional` keys may be missing and the other `conditional` ones always are. */
function record<T extends object>(
  model: { [K in keyof T]: Arbitrary<T[K]> },
  optional: readonly (keyof T)[],
  conditional: readonly (keyof T)[],
): Arbitrary<T> {
  const kept = Object.entries(model).filter(
    ([key]) => !conditional.includes(key as keyof T) || optional.includes(key as keyof T),
  )
  const requiredKeys = kept.map(([key]) => key).filter((key) => !optional.includes(key as keyof T))
  return fc.record(Object.fromEntries(kept) as Record<string, Arbitrary<unknown>>, {
    requiredKeys,
    noNullPrototype: true,
  }) as unknown as Arbitrary<T>
}

function oneOf(codes: ReadonlySet<number>): Arbitrary<number> {
  return fc.constantFrom(...codes)
}
