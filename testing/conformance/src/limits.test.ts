/** DISCONNECT, wrong packets, sizes, and features that a broker announces as missing. Sections 3.2.2, 3.14 and 4.13. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { connect, opened } from '../../testkit/src/raw-client.ts'
import type { Property, PropertyName, Received } from '../../testkit/src/wire.ts'
import * as wire from '../../testkit/src/wire.ts'
import { kept, outside, unique, useBroker } from './target.ts'

const target = useBroker()
const access = { allowAnonymous: true }
const small = useBroker('tcp', { access, limits: { packetBytesMax: 1_000 } })
const lowQoS = useBroker('tcp', { access, limits: { maximumQoS: 1 } })
const noQoS = useBroker('tcp', { access, limits: { maximumQoS: 0 } })
const bare = useBroker('tcp', {
  access,
  limits: {
    retainAvailable: false,
    wildcardSubscriptionAvailable: false,
    subscriptionIdentifierAvailable: false,
    sharedSubscriptionAvailable: false,
    topicAliasMaximum: 0,
  },
})

describe('limits and errors', { concurrency: 12 }, () => {
  for (const version of [3, 4, 5] as const) {
    test(`version ${version}: packets that only a server sends, and reserved types, close the connection [MQTT-4.13.1-1] [MQTT-2.1.3-1] [MQTT3-4.8.0-1]`, async () => {
      for (const packet of [
        wire.bytes(0x00, 0x00),
        wire.bytes(0x20, 0x02, 0x00, 0x00),
        wire.bytes(0x90, 0x03, 0x00, 0x01, 0x00),
        wire.bytes(0xb0, 0x02, 0x00, 0x01),
        wire.bytes(0xd0, 0x00),
        ...(version < 5 ? [wire.bytes(0xf0, 0x00)] : []),
      ]) {
        using client = await connect(target, version, { clientId: unique('c') })
        client.send(packet)
        await client.expectRefusal(0x81, 0x82)
      }
    })

    test(`version ${version}: DISCONNECT of the client closes, and nothing after it is processed [MQTT-3.14.4-1] [MQTT-3.14.4-2] [MQTT3-3.14.4-3]`, async () => {
      const topic = unique('t')
      using watcher = await connect(target, version, { clientId: unique('w') })
      await watcher.subscribe(topic)
      using client = await connect(target, version, { clientId: unique('c') })
      client.send(wire.disconnect(), wire.publish(version, topic, 'late'), wire.pingreq)
      await client.expectClosed()
      await watcher.expectNothing()
    })
  }

  for (const version of [4, 5] as const) {
    test(`version ${version}: reserved flags of DISCONNECT and PINGREQ are checked [MQTT-3.14.1-1] [MQTT-2.1.3-1] [MQTT3-3.14.1-1] [MQTT3-2.2.2-1] [MQTT3-2.2.2-2]`, async () => {
      const topic = unique('will')
      using watcher = await connect(target, version, { clientId: unique('w') })
      await watcher.subscribe(topic)
      for (const first of [0xe1, 0xe2, 0xe8, 0xc1, 0xc2]) {
        using client = await connect(target, version, { clientId: unique('c'), will: { topic, payload: 'x' } })
        client.send(wire.bytes(first, 0))
        await client.expectRefusal(0x81)
        // Not a DISCONNECT, so the will is not withdrawn.
        await watcher.receive({ payload: 'x' })
      }
    })
  }

  test('version 4: DISCONNECT and PINGREQ with a body close the connection [MQTT3-4.8.0-1]', async () => {
    for (const packet of [wire.bytes(0xe0, 1, 0), wire.bytes(0xc0, 1, 0)]) {
      using client = await connect(target, 4, { clientId: unique('c') })
      client.send(packet)
      await client.expectClosed()
    }
  })

  test('version 5: a DISCONNECT that no client may send is refused [MQTT-3.14.2-1] [MQTT-4.13.1-1]', async () => {
    const lists: readonly (readonly Property[])[] = [
      [['topicAlias', 1]],
      [
        ['reasonString', 'x'],
        ['reasonString', 'x'],
      ],
    ]
    for (const packet of [
      ...lists.map((list) => wire.disconnect(0, list)),
      wire.disconnect(0x01),
      wire.disconnect(0x05),
      wire.disconnect(0xff),
      wire.packet('DISCONNECT', 0, wire.bytes(0, 3, 0x1f)),
    ]) {
      using client = await connect(target, 5, { clientId: unique('c') })
      client.send(packet)
      await client.expectRefusal(0x81, 0x82).catch((error: Error) => {
        throw new Error(packet.toString('hex'), { cause: error })
      })
    }
  })

  test('version 5: DISCONNECT may carry reason string and user properties [MQTT-3.14.4-3]', async () => {
    const topic = unique('will')
    using watcher = await connect(target, 5, { clientId: unique('w') })
    await watcher.subscribe(topic)
    using client = await connect(target, 5, { clientId: unique('c'), will: { topic } })
    client.send(
      wire.disconnect(0, [
        ['reasonString', 'bye'],
        ['userProperty', ['a', 'b']],
        ['userProperty', ['a', 'c']],
      ]),
    )
    await client.expectClosed()
    await watcher.expectNothing()
  })

  test('a packet above the maximum packet size of the broker closes the connection, one of that size does not [MQTT-4.13.1-1] [MQTT-3.14.2-1] [MQTT3-4.8.0-1]', {
    skip: outside,
  }, async () => {
    for (const version of [4, 5] as const) {
      const topic = unique('t')
      const head = 3 + 2 + topic.length + (version === 5 ? 1 : 0)
      using client = await connect(small, version, { clientId: unique('c') })
      if (version === 5) assert.equal(valueIn(client.connack, 'maximumPacketSize'), 1_000)
      const fits = wire.publish(version, topic, 'x'.repeat(1_000 - head))
      assert.equal(fits.length, 1_000)
      client.send(fits)
      await client.ping()
      client.send(wire.publish(version, topic, 'x'.repeat(1_001 - head)))
      await client.expectRefusal(0x95)
    }
  })

  test('version 5: the head of a packet that is too large is enough to refuse it [MQTT-4.13.1-1]', {
    skip: outside,
  }, async () => {
    using client = await connect(small, 5, { clientId: unique('c') })
    client.send(wire.bytes(0x30, 0xff, 0xff, 0xff, 0x7f))
    await client.expectRefusal(0x95)
  })

  test('version 5: a message too large for the client is dropped as if it had been delivered [MQTT-3.1.2-24] [MQTT-3.1.2-25]', async () => {
    const topic = unique('t')
    const options = kept(5, unique('s'), { properties: [['maximumPacketSize', 100]] })
    const first = await connect(target, 5, options)
    await first.subscribe(topic, 2)
    using publisher = await connect(target, 5, { clientId: unique('p') })
    for (const qos of [0, 1, 2]) {
      await publisher.publish(topic, 'x'.repeat(200), { qos })
      await publisher.publish(topic, `fits ${qos}`, { qos })
      const message = await first.receive({ payload: `fits ${qos}`, qos })
      assert.ok(message.length <= 100)
    }
    await first.drop()
    await publisher.publish(topic, 'x'.repeat(200), { qos: 1 })
    await publisher.publish(topic, 'queued', { qos: 1 })
    using second = await connect(target, 5, options)
    await second.receive({ payload: 'queued' })
    await second.expectNothing()
  })

  test('version 5: a message of exactly the maximum packet size is sent [MQTT-3.1.2-24]', async () => {
    const topic = unique('t')
    using client = await connect(target, 5, { clientId: unique('s'), properties: [['maximumPacketSize', 100]] })
    await client.subscribe(topic)
    const largest = wire.publish(5, topic, 'x'.repeat(100 - 2 - 2 - topic.length - 1))
    assert.equal(largest.length, 100)
    client.send(wire.publish(5, topic, 'x'.repeat(101 - 2 - 2 - topic.length - 1)), largest)
    assert.equal((await client.receive()).length, 100)
  })

  test('version 5: answers stay within the maximum packet size of the client, whatever they might explain [MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3] [MQTT-3.6.2-2] [MQTT-3.6.2-3] [MQTT-3.7.2-2] [MQTT-3.7.2-3] [MQTT-3.9.2-1] [MQTT-3.9.2-2] [MQTT-3.11.2-1] [MQTT-3.11.2-2] [MQTT-3.14.2-3] [MQTT-3.14.2-4] [MQTT-3.2.2-19] [MQTT-3.2.2-20] [MQTT-3.1.2-24]', async () => {
    for (const answer of await answers([['maximumPacketSize', 44]])) {
      assert.ok(answer.length <= 44, `${answer.type} of ${answer.length} bytes`)
    }
  })

  test('version 5: without problem information only CONNACK and DISCONNECT may explain [MQTT-3.1.2-29] [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1] [MQTT-3.9.3-2] [MQTT-3.11.3-2]', async () => {
    for (const answer of await answers([['requestProblemInformation', 0]])) {
      if (answer.type === 'CONNACK' || answer.type === 'DISCONNECT') continue
      assert.deepEqual(answer.properties, [], answer.type)
    }
  })

  test('version 5: every DISCONNECT of the broker has a listed reason and no session expiry interval [MQTT-3.14.2-1] [MQTT-3.14.2-2] [MQTT-4.13.2-1]', async () => {
    // The decoder of this suite refuses a session expiry interval in DISCONNECT.
    const last = (await answers([['sessionExpiryInterval', 60]])).at(-1)
    assert.equal(last?.type, 'DISCONNECT')
    assert.ok([0x81, 0x82].includes(last?.reason ?? 0))
  })

  test('version 5: a broker without QoS 2 says so, grants less, and refuses more [MQTT-3.2.2-9] [MQTT-3.2.2-10] [MQTT-3.2.2-12] [MQTT-4.13.1-1]', {
    skip: outside,
  }, async () => {
    for (const [broker, maximum] of [
      [lowQoS, 1],
      [noQoS, 0],
    ] as const) {
      using client = await connect(broker, 5, { clientId: unique('c') })
      assert.equal(valueIn(client.connack, 'maximumQoS'), maximum)
      client.send(
        wire.subscribe(5, 1, [
          ['a', 2],
          ['b', 1],
          ['c', 0],
        ]),
      )
      const { reasons } = await client.expectPacket('SUBACK', { id: 1 })
      // It grants what was asked for or its own maximum; messages above that never exist.
      for (const [index, asked] of [2, 1, 0].entries()) assert.ok((reasons[index] ?? 9) <= asked)
      client.send(wire.publish(5, 't', 'x', { qos: maximum + 1, id: 1 }))
      await client.expectRefusal(0x9b)
      using willing = await opened(
        broker,
        5,
        wire.connect(5, { clientId: unique('c'), will: { topic: 'w', qos: maximum + 1 } }),
      )
      await willing.expectConnectRefused(0x9b)
    }
    using full = await connect(target, 5, { clientId: unique('c') })
    assert.equal(valueIn(full.connack, 'maximumQoS'), undefined)
  })

  test('version 5: a broker without retained messages says so, and refuses them [MQTT-3.2.2-13] [MQTT-4.13.1-1]', {
    skip: outside,
  }, async () => {
    using client = await connect(bare, 5, { clientId: unique('c') })
    assert.equal(valueIn(client.connack, 'retainAvailable'), 0)
    client.send(wire.publish(5, 't', 'x', { retain: true }))
    await client.expectRefusal(0x9a)
    const will = { topic: 'w', retain: true }
    using willing = await opened(bare, 5, wire.connect(5, { clientId: unique('c'), will }))
    await willing.expectConnectRefused(0x9a)
  })

  test('a broker without wildcards, shared subscriptions or identifiers says so, and refuses them [MQTT-3.8.4-7] [MQTT-3.9.3-2] [MQTT-4.13.1-1] [MQTT3-3.8.3-2] [MQTT3-3.9.3-2]', {
    skip: outside,
  }, async () => {
    const cases: readonly (readonly [PropertyName, string, readonly Property[], number])[] = [
      ['wildcardSubscriptionAvailable', 'a/#', [], 0xa2],
      ['sharedSubscriptionAvailable', '$share/g/a', [], 0x9e],
      ['subscriptionIdentifierAvailable', 'a', [['subscriptionIdentifier', 1]], 0xa1],
    ]
    for (const [announced, filter, list, reason] of cases) {
      using client = await connect(bare, 5, { clientId: unique('c') })
      assert.equal(valueIn(client.connack, announced), 0)
      client.send(wire.subscribe(5, 1, [[filter, 0]], list))
      const answer = await client.next()
      if (answer?.type === 'SUBACK') assert.deepEqual(answer.reasons, [reason])
      else assert.deepEqual([answer?.type, answer?.reason], ['DISCONNECT', reason])
    }
    using four = await connect(bare, 4, { clientId: unique('c') })
    four.send(wire.subscribe(4, 1, [['a/#', 0]]))
    await four.expectPacket('SUBACK', { id: 1, reasons: [0x80] })
  })

  test('version 5: a broker without topic aliases refuses them [MQTT-4.13.1-1]', { skip: outside }, async () => {
    using client = await connect(bare, 5, { clientId: unique('c') })
    assert.equal(valueIn(client.connack, 'topicAliasMaximum') ?? 0, 0)
    client.send(wire.publish(5, 't', 'x', { properties: [['topicAlias', 1]] }))
    await client.expectRefusal(0x94)
  })
})

function valueIn(received: Received | undefined, name: PropertyName) {
  return received && wire.propertyOf(received, name)
}

/** One of each packet with which the broker answers, as much as possible with reasons to explain; DISCONNECT last. */
async function answers(list: readonly Property[]): Promise<Received[]> {
  using client = await connect(target, 5, { clientId: unique('c'), properties: list })
  const seen: Received[] = client.connack === undefined ? [] : [client.connack]
  const deep = 'x/'.repeat(500)
  const steps = [
    [wire.publish(5, unique('t'), 'x', { qos: 1, id: 1 }), 'PUBACK'],
    [wire.publish(5, unique('t'), 'x', { qos: 2, id: 2 }), 'PUBREC'],
    [wire.publish(5, deep, 'x', { qos: 1, id: 3 }), 'PUBACK'],
    [wire.publish(5, deep, 'x', { qos: 2, id: 4 }), 'PUBREC'],
    [wire.acknowledge('PUBREC', 99), 'PUBREL'],
    [wire.acknowledge('PUBREL', 98), 'PUBCOMP'],
    [wire.subscribe(5, 5, [['a', 1]]), 'SUBACK'],
    [wire.subscribe(5, 6, [[deep, 0]]), 'SUBACK'],
    [wire.unsubscribe(5, 7, ['none']), 'UNSUBACK'],
    [wire.connect(5), 'DISCONNECT'],
  ] as const
  for (const [packet, type] of steps) {
    // What another broker does about deep topics is its own affair.
    if (outside !== false && packet.includes(deep)) continue
    client.send(packet)
    seen.push(await client.expectPacket(type))
  }
  return seen
}
