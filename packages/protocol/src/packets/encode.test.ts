/** What the encoder does not send: the mistakes of a program, each with a message that names value, rule and remedy. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ProtocolEncodeError } from '../encode-error.ts'
import type { Properties } from '../properties/types.ts'
import { encodePacket } from './encode.ts'
import type { ConnectPacket, Packet, ProtocolVersion, PublishPacket, SubscribePacket } from './types.ts'

const publish: PublishPacket = { type: 3, topic: 'a', payload: new Uint8Array(), qos: 0, retain: false, dup: false }
const connect: ConnectPacket = { type: 1, version: 4, clientId: 'c', cleanStart: true, keepAlive: 0 }
const request = { filter: 'a', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
const subscribe: SubscribePacket = { type: 8, packetId: 1, subscriptions: [request] }
const will = { topic: 'w', payload: new Uint8Array(), qos: 0, retain: false } as const
const long = 'x'.repeat(65_536)
/** Values that the types would not let through, as a JavaScript program may give them. */
const wrong = (value: unknown) => value as never

const cases: readonly (readonly [name: string, version: ProtocolVersion, packet: Packet, message: RegExp])[] = [
  [
    'a topic with a wildcard',
    4,
    { ...publish, topic: 'a/#' },
    /PUBLISH topic "a\/#": contains a wildcard \[MQTT-3.3.2-2\]; publish to/,
  ],
  ['an empty topic', 5, { ...publish, topic: '' }, /topic "": is empty/],
  ['an empty topic with alias before 5.0', 4, { ...publish, topic: '', properties: { topicAlias: 1 } }, /is empty/],
  ['a topic of 65,536 bytes', 4, { ...publish, topic: long }, /longer than 65,535 bytes/],
  ['a lone surrogate', 4, { ...publish, topic: '\ud800' }, /lone surrogate/],
  ['QoS 3', 4, { ...publish, qos: wrong(3), packetId: 1 }, /QoS 3: is not an integer from 0 to 2/],
  [
    'QoS 1 without packet identifier',
    4,
    { ...publish, qos: 1 },
    /packet identifier 0: is not an integer from 1 to 65535/,
  ],
  ['packet identifier 65,536', 4, { ...publish, qos: 1, packetId: 65_536 }, /packet identifier 65536/],
  ['packet identifier 1.5', 4, { ...publish, qos: 1, packetId: 1.5 }, /packet identifier 1.5/],
  ['a packet identifier at QoS 0', 4, { ...publish, packetId: 1 }, /given at QoS 0 \[MQTT-2.2.1-2\]/],
  ['DUP at QoS 0', 4, { ...publish, dup: true }, /DUP: is set at QoS 0 \[MQTT-3.3.1-2\]/],
  [
    'properties before 5.0',
    4,
    { ...publish, properties: { contentType: 'x' } },
    /properties: exist in MQTT 5.0 only; leave them out/,
  ],
  ['topic alias 0', 5, { ...publish, properties: { topicAlias: 0 } }, /topicAlias 0: is not an integer from 1/],
  ['topic alias 65,536', 5, { ...publish, properties: { topicAlias: 65_536 } }, /topicAlias 65536/],
  [
    'a property without a place here',
    5,
    { ...publish, properties: { receiveMaximum: 1 } },
    /receiveMaximum: has no place in publish \[2.2.2.2\]/,
  ],
  ['an unknown property', 5, { ...publish, properties: wrong({ colour: 1 }) }, /property colour: does not exist/],
  [
    'an object key that is no property',
    5,
    { ...publish, properties: wrong({ constructor: 1 }) },
    /constructor: does not exist/,
  ],
  ['an empty response topic', 5, { ...publish, properties: { responseTopic: '' } }, /\[MQTT-4.7.3-1\]/],
  ['a wildcard in the response topic', 5, { ...publish, properties: { responseTopic: '#' } }, /\[MQTT-3.3.2-14\]/],
  [
    'a property of 65,536 bytes',
    5,
    { ...publish, properties: { contentType: long } },
    /has 65536 bytes, 65535 are possible/,
  ],
  ['correlation data that is text', 5, { ...publish, properties: { correlationData: wrong('x') } }, /not a Uint8Array/],
  [
    'subscription identifiers that are no list',
    5,
    { ...publish, properties: { subscriptionIdentifiers: wrong(1) } },
    /is not a list/,
  ],
  [
    'two subscription identifiers to subscribe',
    5,
    { ...subscribe, properties: { subscriptionIdentifiers: [1, 2] } },
    /takes one/,
  ],
  ['a filter that is none', 5, { ...subscribe, subscriptions: [{ ...request, filter: 'a#' }] }, /\[MQTT-4.7.1-1\]/],
  ['a subscription to nothing', 5, { ...subscribe, subscriptions: [] }, /\[MQTT-3.8.3-2\]/],
  [
    'no local before 5.0',
    4,
    { ...subscribe, subscriptions: [{ ...request, noLocal: true }] },
    /exist in MQTT 5.0 only/,
  ],
  [
    'no local on a shared subscription',
    5,
    { ...subscribe, subscriptions: [{ ...request, filter: '$share/g/a', noLocal: true }] },
    /\[MQTT-3.8.3-4\]/,
  ],
  [
    'retain handling 3',
    5,
    { ...subscribe, subscriptions: [{ ...request, retainHandling: wrong(3) }] },
    /retain handling 3/,
  ],
  ['an unsubscription from nothing', 4, { type: 10, packetId: 1, filters: [] }, /\[MQTT-3.10.3-2\]/],
  ['an unsubscription from a bad filter', 4, { type: 10, packetId: 1, filters: ['+a'] }, /\[MQTT3-4.7.1-3\]/],
  ['a version that does not exist', 4, { ...connect, version: wrong(6) }, /version 6: does not exist/],
  ['a password alone before 5.0', 4, { ...connect, password: new Uint8Array() }, /\[MQTT3-3.1.2-22\]/],
  ['the bridge bit in 5.0', 5, { ...connect, version: 5, bridge: true }, /bridge/],
  ['keep alive of 65,536 s', 4, { ...connect, keepAlive: 65_536 }, /keep alive 65536/],
  ['a will to a wildcard', 4, { ...connect, will: { ...will, topic: '+' } }, /will topic "\+": contains a wildcard/],
  [
    'a will of 65,536 bytes',
    4,
    { ...connect, will: { ...will, payload: new Uint8Array(65_536) } },
    /will payload: has 65536 bytes/,
  ],
  ['will QoS 3', 4, { ...connect, will: { ...will, qos: wrong(3) } }, /will QoS 3/],
  [
    'authentication data alone',
    5,
    { ...connect, version: 5, properties: { authenticationData: new Uint8Array() } },
    /\[3.1.2.11.10\]/,
  ],
  ['a return code of 5.0 before it', 4, { type: 2, sessionPresent: false, reasonCode: 0x87 }, /CONNACK code 135/],
  ['session present in a refusal', 5, { type: 2, sessionPresent: true, reasonCode: 0x87 }, /\[MQTT-3.2.2-6\]/],
  ['session present in 3.1', 3, { type: 2, sessionPresent: true, reasonCode: 0 }, /does not exist in MQTT 3.1/],
  [
    'a reason code before 5.0',
    4,
    { type: 5, packetId: 1, reasonCode: 0x87 },
    /PUBREC reason code 135: exists in MQTT 5.0 only/,
  ],
  ['a reason code of another packet', 5, { type: 6, packetId: 1, reasonCode: 0x87 }, /\[MQTT-3.6.2-1\]/],
  ['an acknowledgement of nothing', 4, { type: 4, packetId: 0, reasonCode: 0 }, /packet identifier 0/],
  ['SUBACK without code', 4, { type: 9, packetId: 1, reasonCodes: [] }, /SUBACK codes: are empty/],
  ['SUBACK with a code of 5.0 before it', 4, { type: 9, packetId: 1, reasonCodes: [0x87] }, /\[MQTT-3.9.3-2\]/],
  ['UNSUBACK without code', 5, { type: 11, packetId: 1, reasonCodes: [] }, /UNSUBACK codes: are empty/],
  ['UNSUBACK with a granted QoS', 5, { type: 11, packetId: 1, reasonCodes: [1] }, /\[MQTT-3.11.3-2\]/],
  ['DISCONNECT with a reason before 5.0', 4, { type: 14, reasonCode: 0x8e }, /exists in MQTT 5.0 only/],
  ['DISCONNECT with success of AUTH', 5, { type: 14, reasonCode: 0x18 }, /\[MQTT-3.14.2-1\]/],
  ['AUTH before 5.0', 4, { type: 15, reasonCode: 0 }, /AUTH packet: exists in MQTT 5.0 only/],
  ['AUTH without method', 5, { type: 15, reasonCode: 0x18 }, /\[3.15.2.2.2\]/],
  [
    'AUTH with a refusal',
    5,
    { type: 15, reasonCode: 0x87, properties: { authenticationMethod: 'm' } },
    /\[MQTT-3.15.2-1\]/,
  ],
]

for (const [name, version, packet, message] of cases) {
  test(`encodePacket() does not send ${name}`, () => {
    assert.throws(
      () => encodePacket(packet, version),
      (error) => {
        assert.ok(error instanceof ProtocolEncodeError)
        assert.equal(error.code, 'CMQ_ENCODE')
        assert.match(error.message, /^Cannot encode [A-Z]+ .+: .+; .+$/s)
        assert.match(error.message, message)
        return true
      },
    )
  })
}

test('encodePacket() leaves out properties that are undefined or empty lists', () => {
  const properties = { contentType: undefined, userProperties: [] } as unknown as Properties
  assert.deepEqual(encodePacket({ ...publish, properties }, 5), encodePacket(publish, 5))
  assert.deepEqual(encodePacket({ type: 4, packetId: 1, reasonCode: 0, properties }, 5), Uint8Array.of(0x40, 2, 0, 1))
})

test('encodePacket() writes properties of more than 127 bytes with a longer length', () => {
  const bytes = encodePacket({ ...publish, properties: { contentType: 'x'.repeat(200) } }, 5)
  // 2 + 1 topic, 2 property length, 203 properties
  assert.deepEqual([...bytes.subarray(0, 9)], [0x30, 0xd0, 0x01, 0, 1, 0x61, 0xcb, 0x01, 0x03])
})
