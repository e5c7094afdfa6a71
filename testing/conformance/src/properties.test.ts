/**
 * Every property in every packet that a client sends: those of table 2-4 of 5.0 are taken, all others refused, and none but
 * user properties may come twice. AUTH is left to `auth.test.ts`, since it is refused anyway without a method in CONNECT.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { RawClient } from '../../testkit/src/raw-client.ts'
import { connect, opened } from '../../testkit/src/raw-client.ts'
import type { Property, PropertyName } from '../../testkit/src/wire.ts'
import * as wire from '../../testkit/src/wire.ts'
import { unique, useBroker } from './target.ts'

const target = useBroker()

const samples: Record<PropertyName, Property> = {
  payloadFormatIndicator: ['payloadFormatIndicator', 1],
  messageExpiryInterval: ['messageExpiryInterval', 1],
  contentType: ['contentType', 'x'],
  responseTopic: ['responseTopic', 'x'],
  correlationData: ['correlationData', 'x'],
  subscriptionIdentifier: ['subscriptionIdentifier', 1],
  sessionExpiryInterval: ['sessionExpiryInterval', 1],
  assignedClientIdentifier: ['assignedClientIdentifier', 'x'],
  serverKeepAlive: ['serverKeepAlive', 1],
  authenticationMethod: ['authenticationMethod', 'x'],
  authenticationData: ['authenticationData', 'x'],
  requestProblemInformation: ['requestProblemInformation', 1],
  willDelayInterval: ['willDelayInterval', 1],
  requestResponseInformation: ['requestResponseInformation', 1],
  responseInformation: ['responseInformation', 'x'],
  serverReference: ['serverReference', 'x'],
  reasonString: ['reasonString', 'x'],
  receiveMaximum: ['receiveMaximum', 1],
  topicAliasMaximum: ['topicAliasMaximum', 1],
  topicAlias: ['topicAlias', 1],
  maximumQoS: ['maximumQoS', 1],
  retainAvailable: ['retainAvailable', 1],
  userProperty: ['userProperty', ['a', 'b']],
  maximumPacketSize: ['maximumPacketSize', 1_000],
  wildcardSubscriptionAvailable: ['wildcardSubscriptionAvailable', 1],
  subscriptionIdentifierAvailable: ['subscriptionIdentifierAvailable', 1],
  sharedSubscriptionAvailable: ['sharedSubscriptionAvailable', 1],
}
const names = Object.keys(samples) as PropertyName[]

/** What describes a message, in PUBLISH and in a will. */
const ofMessage: readonly PropertyName[] = [
  'payloadFormatIndicator',
  'messageExpiryInterval',
  'contentType',
  'responseTopic',
  'correlationData',
]

interface Place {
  readonly packet: (list: readonly Property[]) => Buffer
  readonly allowed: readonly PropertyName[]
  /** Properties about which the standard is not clear when a client sends them here. */
  readonly unclear?: readonly PropertyName[]
  /** Shows that the packet was taken. */
  readonly taken: (client: RawClient) => Promise<unknown>
}

const connecting: Record<string, Place> = {
  CONNECT: {
    packet: (properties) => wire.connect(5, { clientId: unique('c'), properties }),
    allowed: [
      'sessionExpiryInterval',
      'receiveMaximum',
      'maximumPacketSize',
      'topicAliasMaximum',
      'requestResponseInformation',
      'requestProblemInformation',
    ],
    // Well-formed, and then refused for what they say.
    unclear: ['authenticationMethod', 'authenticationData'],
    taken: (client) => client.expectPacket('CONNACK', { reason: 0 }),
  },
  'a will': {
    packet: (properties) => wire.connect(5, { clientId: unique('c'), will: { topic: unique('w'), properties } }),
    allowed: ['willDelayInterval', ...ofMessage],
    taken: (client) => client.expectPacket('CONNACK', { reason: 0 }),
  },
}

const connected: Record<string, Place> = {
  PUBLISH: {
    packet: (properties) => wire.publish(5, unique('t'), 'x', { properties }),
    allowed: [...ofMessage, 'topicAlias'],
    taken: (client) => client.ping(),
  },
  PUBACK: {
    packet: (properties) => wire.acknowledge('PUBACK', 9, 0x80, properties),
    allowed: ['reasonString'],
    taken: (client) => client.ping(),
  },
  PUBREC: {
    packet: (properties) => wire.acknowledge('PUBREC', 9, 0, properties),
    allowed: ['reasonString'],
    taken: (client) => client.expectPacket('PUBREL', { id: 9 }),
  },
  PUBREL: {
    packet: (properties) => wire.acknowledge('PUBREL', 9, 0, properties),
    allowed: ['reasonString'],
    taken: (client) => client.expectPacket('PUBCOMP', { id: 9 }),
  },
  PUBCOMP: {
    packet: (properties) => wire.acknowledge('PUBCOMP', 9, 0, properties),
    allowed: ['reasonString'],
    taken: (client) => client.ping(),
  },
  SUBSCRIBE: {
    packet: (properties) => wire.subscribe(5, 9, [[unique('t'), 0]], properties),
    allowed: ['subscriptionIdentifier'],
    taken: (client) => client.expectPacket('SUBACK', { id: 9, reasons: [0] }),
  },
  UNSUBSCRIBE: {
    packet: (properties) => wire.unsubscribe(5, 9, [unique('t')], properties),
    allowed: [],
    taken: (client) => client.expectPacket('UNSUBACK', { id: 9, reasons: [0x11] }),
  },
  DISCONNECT: {
    packet: (properties) => wire.disconnect(0, properties),
    allowed: ['sessionExpiryInterval', 'reasonString'],
    // The table lists it for DISCONNECT without saying of whom.
    unclear: ['serverReference'],
    taken: (client) => client.expectClosed(),
  },
}

async function opening(place: Place, list: readonly Property[]): Promise<RawClient> {
  if (Object.values(connecting).includes(place)) return opened(target, 5, place.packet(list))
  const client = await connect(target, 5, {
    clientId: unique('c'),
    properties: [['sessionExpiryInterval', 5]],
  })
  client.send(place.packet(list))
  return client
}

describe('properties of version 5', { concurrency: 8 }, () => {
  for (const [name, place] of Object.entries({ ...connecting, ...connected })) {
    const taken = names.filter((property) => property === 'userProperty' || place.allowed.includes(property))
    const refused = names.filter((property) => !taken.includes(property) && !place.unclear?.includes(property))

    test(`${name} is taken with every property that it may have [MQTT-3.1.4-5] [MQTT-3.3.4-1] [MQTT-3.8.4-1] [MQTT-3.10.4-4]`, async () => {
      for (const property of taken) {
        using client = await opening(place, [samples[property]])
        await place.taken(client).catch(because(property))
      }
      using client = await opening(
        place,
        [...taken, 'userProperty' as const].map((property) => samples[property]),
      )
      await place.taken(client).catch(because(taken.join()))
    })

    test(`${name} is refused with any other property, and with one twice [MQTT-4.13.1-1] [MQTT-3.1.4-1]`, async () => {
      const lists = [
        ...refused.map((property) => [samples[property]]),
        ...taken
          .filter((property) => property !== 'userProperty')
          .map((property) => [samples[property], samples[property]]),
      ]
      for (const list of lists) {
        using client = await opening(place, list)
        const ended = name in connecting ? client.expectConnectError(0x81, 0x82) : client.expectRefusal(0x81, 0x82)
        await ended.catch(because(JSON.stringify(list)))
      }
    })
  }

  test('PUBACK, PUBREC, PUBREL and PUBCOMP with a reason code that is not theirs are refused [MQTT-4.13.1-1]', async () => {
    for (const [type, reasons] of [
      ['PUBACK', [0x01, 0x92, 0xff]],
      ['PUBREC', [0x01, 0x92, 0xff]],
      ['PUBREL', [0x01, 0x80, 0x10]],
      ['PUBCOMP', [0x01, 0x80, 0x10]],
    ] as const) {
      for (const reason of reasons) {
        using client = await connect(target, 5, { clientId: unique('c') })
        client.send(wire.acknowledge(type, 9, reason))
        await client.expectRefusal(0x81, 0x82).catch(because(`${type} ${reason}`))
      }
    }
    assert.equal(names.length, 27)
  })
})

function because(what: string): (error: Error) => never {
  return (error) => {
    throw new Error(what, { cause: error })
  }
}
