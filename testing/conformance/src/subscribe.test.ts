/** SUBSCRIBE, UNSUBSCRIBE, filters and which messages they select. Sections 3.8 to 3.11 and 4.7 of both standards. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { RawClient } from '../../testkit/src/raw-client.ts'
import { connect } from '../../testkit/src/raw-client.ts'
import type { Property } from '../../testkit/src/wire.ts'
import * as wire from '../../testkit/src/wire.ts'
import { kept, unique, useBroker } from './target.ts'

const target = useBroker()
/** One that publishes about itself on `$SYS`, and that no other test uses. */
const talkative = useBroker('tcp', { access: { allowAnonymous: true }, sys: { intervalSeconds: 1 } })
const noLocal = 0x04

describe('SUBSCRIBE and UNSUBSCRIBE', { concurrency: 12 }, () => {
  for (const version of [3, 4, 5] as const) {
    test(`version ${version}: several filters get one SUBACK with a code for each, in their order [MQTT-2.2.1-6] [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1] [MQTT-3.9.3-2] [MQTT3-2.3.1-7] [MQTT3-3.8.4-1] [MQTT3-3.8.4-2] [MQTT3-3.8.4-4] [MQTT3-3.8.4-5] [MQTT3-3.9.3-1] [MQTT3-3.9.3-2]`, async () => {
      const topic = unique('t')
      using client = await connect(target, version, { clientId: unique('c') })
      for (const id of [1, 65_535]) {
        client.send(
          wire.subscribe(version, id, [
            [`${topic}/a`, 2],
            [`${topic}/b`, 0],
            [`${topic}/c`, 1],
          ]),
        )
        await client.expectPacket('SUBACK', { id, reasons: [2, 0, 1] })
      }
      using publisher = await connect(target, version, { clientId: unique('p') })
      for (const [name, qos] of [
        ['a', 2],
        ['b', 0],
        ['c', 1],
      ] as const) {
        await publisher.publish(`${topic}/${name}`, 'x', { qos: 2 })
        await client.receive({ topic: `${topic}/${name}`, qos })
      }
    })

    test(`version ${version}: delivery is at the lower of published and granted QoS [MQTT-3.8.4-8] [MQTT3-3.8.4-6]`, async () => {
      using publisher = await connect(target, version, { clientId: unique('p') })
      for (const granted of [0, 1, 2]) {
        const topic = unique('t')
        using subscriber = await connect(target, version, { clientId: unique('s') })
        await subscriber.subscribe(topic, granted)
        for (const qos of [0, 1, 2]) {
          await publisher.publish(topic, `${qos}`, { qos })
          await subscriber.receive({ payload: `${qos}`, qos: Math.min(qos, granted) })
        }
      }
    })

    test(`version ${version}: the same filter replaces the subscription, and nothing is lost or doubled [MQTT-3.8.4-3] [MQTT-3.8.4-4] [MQTT3-3.8.4-3]`, async () => {
      const topic = unique('t')
      using subscriber = await connect(target, version, { clientId: unique('s') })
      using publisher = await connect(target, version, { clientId: unique('p') })
      await subscriber.subscribe(topic, 2)
      await publisher.publish(topic, 'one', { qos: 2 })
      await subscriber.receive({ payload: 'one', qos: 2 })
      await subscriber.subscribe(topic, 1)
      await publisher.publish(topic, 'two', { qos: 2 })
      await subscriber.receive({ payload: 'two', qos: 1 })
      await subscriber.expectNothing()
      // A flow of messages while the subscription is replaced again and again.
      for (let round = 0; round < 20; round++) {
        publisher.send(wire.publish(version, topic, `r${round}`, { qos: 1, id: round + 1 }))
        subscriber.send(wire.subscribe(version, round + 1, [[topic, 1]]))
      }
      const payloads: string[] = []
      for (let packets = 0; packets < 40; packets++) {
        const packet = await subscriber.next()
        if (packet?.type === 'PUBLISH') {
          payloads.push(packet.payload.toString())
          subscriber.send(wire.acknowledge('PUBACK', packet.id))
        }
      }
      assert.deepEqual(
        payloads,
        Array.from({ length: 20 }, (_, round) => `r${round}`),
      )
    })

    test(`version ${version}: overlapping subscriptions deliver at the highest QoS among them [MQTT-3.3.4-2] [MQTT3-3.3.5-1]`, async () => {
      const topic = unique('t')
      using subscriber = await connect(target, version, { clientId: unique('s') })
      await subscriber.subscribe(`${topic}/#`, 0)
      await subscriber.subscribe(`${topic}/+`, 2)
      await subscriber.subscribe(`${topic}/a`, 1)
      using publisher = await connect(target, version, { clientId: unique('p') })
      await publisher.publish(`${topic}/a`, 'x', { qos: 2 })
      await publisher.publish(`${topic}/end`, 'end', { qos: 0 })
      // One copy or one for each subscription; the best of them has QoS 2.
      const seen: number[] = []
      for (;;) {
        const message = await subscriber.receive()
        if (message.payload.toString() === 'end') break
        seen.push(message.qos)
      }
      assert.equal(Math.max(...seen), 2)
    })

    test(`version ${version}: SUBSCRIBE and UNSUBSCRIBE without a filter close the connection [MQTT-3.8.3-2] [MQTT-3.10.3-2] [MQTT3-3.8.3-3] [MQTT3-3.10.3-2]`, async () => {
      for (const packet of [wire.subscribe(version, 1, []), wire.unsubscribe(version, 1, [])]) {
        using client = await connect(target, version, { clientId: unique('c') })
        client.send(packet)
        await client.expectRefusal(0x81, 0x82)
      }
    })

    test(`version ${version}: SUBSCRIBE and UNSUBSCRIBE with packet identifier 0 close the connection [MQTT-4.13.1-1] [MQTT3-2.3.1-1]`, async () => {
      for (const packet of [wire.subscribe(version, 0, [['t', 0]]), wire.unsubscribe(version, 0, ['t'])]) {
        using client = await connect(target, version, { clientId: unique('c') })
        client.send(packet)
        await client.expectRefusal(0x81, 0x82)
      }
    })

    test(`version ${version}: SUBSCRIBE and UNSUBSCRIBE that end within a field close the connection [MQTT-4.13.1-1] [MQTT3-4.8.0-1]`, async () => {
      for (const packet of [wire.subscribe(version, 1, [['abc', 0]]), wire.unsubscribe(version, 1, ['abc'])]) {
        for (const cut of [1, 2, 4]) {
          using client = await connect(target, version, { clientId: unique('c') })
          const body = packet.subarray(2, packet.length - cut)
          client.send(Buffer.concat([packet.subarray(0, 1), wire.variable(body.length), body]))
          await client.expectRefusal(0x81, 0x82)
        }
      }
    })

    test(`version ${version}: QoS 3 and reserved bits in the options close the connection [MQTT-3.8.3-5] [MQTT3-3.8.3-4]`, async () => {
      for (const options of version === 5 ? [3, 0x40, 0x80, 0xc0] : [3, 4, 0x80]) {
        if (version === 3 && options !== 3) continue
        using client = await connect(target, version, { clientId: unique('c') })
        client.send(wire.subscribe(version, 1, [['t', options]]))
        await client.expectRefusal(0x81, 0x82)
      }
    })

    test(`version ${version}: UNSUBSCRIBE is answered whether or not there was a subscription [MQTT-2.2.1-6] [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.10.4-6] [MQTT-3.11.3-1] [MQTT-3.11.3-2] [MQTT3-2.3.1-7] [MQTT3-3.10.4-4] [MQTT3-3.10.4-5] [MQTT3-3.10.4-6]`, async () => {
      const topic = unique('t')
      using client = await connect(target, version, { clientId: unique('c') })
      await client.subscribe(`${topic}/a`)
      await client.subscribe(`${topic}/b`)
      client.send(wire.unsubscribe(version, 513, [`${topic}/a`, `${topic}/none`, `${topic}/b`]))
      await client.expectPacket('UNSUBACK', { id: 513, reasons: version === 5 ? [0, 0x11, 0] : [] })
      using publisher = await connect(target, version, { clientId: unique('p') })
      for (const name of ['a', 'b']) await publisher.publish(`${topic}/${name}`, 'x')
      await client.expectNothing()
    })

    test(`version ${version}: UNSUBSCRIBE deletes only an equal filter, and stops its messages [MQTT-3.10.4-1] [MQTT-3.10.4-2] [MQTT3-3.10.4-1] [MQTT3-3.10.4-2]`, async () => {
      const topic = unique('t')
      using client = await connect(target, version, { clientId: unique('c') })
      await client.subscribe(`${topic}/+`)
      using publisher = await connect(target, version, { clientId: unique('p') })
      for (const other of [`${topic}/#`, `${topic}/a`, `${topic}/+/`, `${topic.toUpperCase()}/+`, '#']) {
        await client.unsubscribe(other)
        await publisher.publish(`${topic}/a`, other)
        await client.receive({ payload: other })
      }
      await client.unsubscribe(`${topic}/+`)
      await publisher.publish(`${topic}/a`, 'x')
      await client.expectNothing()
    })

    test(`version ${version}: a delivery that has begun is completed after UNSUBSCRIBE [MQTT-3.10.4-3] [MQTT3-3.10.4-3]`, async () => {
      const topic = unique('t')
      const options = kept(version, unique('s'))
      const first = await connect(target, version, options)
      await first.subscribe(topic, 2)
      using publisher = await connect(target, version, { clientId: unique('p') })
      await publisher.publish(topic, 'one', { qos: 1 })
      await publisher.publish(topic, 'two', { qos: 2 })
      const one = await first.expectPacket('PUBLISH', { payload: 'one' })
      const two = await first.expectPacket('PUBLISH', { payload: 'two' })
      await first.unsubscribe(topic)
      first.send(wire.acknowledge('PUBREC', two.id))
      await first.expectPacket('PUBREL', { id: two.id })
      await first.drop()
      using second = await connect(target, version, options)
      await second.expectPacket('PUBLISH', { payload: 'one', id: one.id, dup: true })
      await second.expectPacket('PUBREL', { id: two.id })
    })

    test(`version ${version}: wildcards match whole levels and no more [MQTT-3.3.2-3] [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT3-3.3.2-3] [MQTT3-3.8.3-2] [MQTT3-4.7.1-2] [MQTT3-4.7.1-3]`, async () => {
      const root = unique('t')
      const cases: readonly (readonly [filter: string, topics: readonly string[]])[] = [
        ['#', ['', '/', '/a', '/a/b', '//']],
        ['/#', ['', '/', '/a', '/a/b', '//']],
        ['/+', ['/', '/a']],
        ['/+/+', ['/a/b', '//']],
        ['/a/#', ['/a', '/a/b']],
        ['/+/b', ['/a/b']],
        ['/a/+', ['/a/b']],
        ['/+/#', ['/', '/a', '/a/b', '//']],
        ['//', ['//']],
      ]
      const topics = ['', '/', '/a', '/a/b', '//']
      using publisher = await connect(target, version, { clientId: unique('p') })
      for (const [filter, expected] of cases) {
        if (filter === '#') continue
        using subscriber = await connect(target, version, { clientId: unique('s') })
        await subscriber.subscribe(`${root}${filter}`)
        for (const topic of topics) await publisher.publish(`${root}${topic}`, 'x')
        for (const topic of expected) await subscriber.receive({ topic: `${root}${topic}` })
        await subscriber.expectNothing(10)
      }
    })

    test(`version ${version}: a filter beginning with a wildcard does not match a topic beginning with $ [MQTT-4.7.2-1] [MQTT3-4.7.2-1]`, async () => {
      const marker = unique('t')
      using system = await connect(talkative, version, { clientId: unique('s') })
      using everything = await connect(talkative, version, { clientId: unique('e') })
      for (const [client, filters] of [
        [system, ['$SYS/#']],
        [everything, ['#', '+/#', '+/+/#']],
      ] as const) {
        client.send(
          wire.subscribe(
            version,
            1,
            filters.map((filter) => [filter, 0]),
          ),
        )
        await client.expectPacket('SUBACK', { id: 1 })
      }
      // A retained and a fresh message of the broker about itself, which changes with every client.
      const { topic } = await system.receive()
      assert.match(topic, /^\$SYS\//)
      using publisher = await connect(talkative, version, { clientId: unique('p') })
      await publisher.publish(`$own/${marker}`, 'hidden')
      await publisher.publish(`own/${marker}`, 'seen')
      for (;;) {
        const message = await everything.receive()
        assert.ok(!message.topic.startsWith('$'), message.topic)
        if (message.payload.toString() === 'seen') break
      }
    })
  }

  for (const version of [4, 5] as const) {
    test(`version ${version}: SUBSCRIBE and UNSUBSCRIBE with other flags close the connection [MQTT-2.1.3-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT3-2.2.2-1] [MQTT3-2.2.2-2] [MQTT3-3.8.1-1] [MQTT3-3.10.1-1]`, async () => {
      for (const packet of [wire.subscribe(version, 1, [['t', 0]]), wire.unsubscribe(version, 1, ['t'])]) {
        for (const flags of [0, 1, 3, 6, 10]) {
          using client = await connect(target, version, { clientId: unique('c') })
          client.send(Buffer.concat([wire.bytes(((packet[0] ?? 0) & 0xf0) | flags), packet.subarray(1)]))
          await client.expectRefusal(0x81)
        }
      }
    })

    test(`version ${version}: ill-formed UTF-8 or U+0000 in a filter closes the connection [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-3.8.3-1] [MQTT-3.10.3-1] [MQTT-4.7.3-2] [MQTT3-1.5.3-1] [MQTT3-1.5.3-2] [MQTT3-3.8.3-1] [MQTT3-3.10.3-1] [MQTT3-4.7.3-2]`, async () => {
      for (const bad of [wire.bytes(0x61, 0, 0x62), wire.bytes(0xed, 0xa0, 0x81), wire.bytes(0xff), wire.bytes(0xc2)]) {
        for (const packet of [wire.subscribe(version, 1, [[bad, 0]]), wire.unsubscribe(version, 1, [bad])]) {
          using client = await connect(target, version, { clientId: unique('c') })
          client.send(packet)
          await client.expectRefusal(0x81, 0x82, 0x8f)
        }
      }
    })
  }

  test('an invalid filter is refused, alone or with the connection [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1] [MQTT-3.8.4-7] [MQTT3-4.7.1-2] [MQTT3-4.7.1-3] [MQTT3-4.7.3-1]', async () => {
    for (const version of [4, 5] as const) {
      for (const filter of ['', '#/a', 'a#', 'a/#/b', 'a+', '+a/b', 'a/b+', '##', '++']) {
        using client = await connect(target, version, { clientId: unique('c') })
        client.send(wire.subscribe(version, 1, [[filter, 0]]))
        const answer = await client.next()
        if (answer?.type === 'SUBACK') {
          const [reason] = answer.reasons
          assert.equal(reason, version === 5 ? 0x8f : 0x80, `${filter} in version ${version}`)
        } else if (answer?.type === 'DISCONNECT') assert.ok([0x81, 0x82, 0x8f].includes(answer.reason))
        else assert.equal(answer, undefined)
      }
    }
  })

  test('version 5: no local keeps own messages away and no others [MQTT-3.8.3-3]', async () => {
    const topic = unique('t')
    using own = await connect(target, 5, { clientId: unique('o') })
    using other = await connect(target, 5, { clientId: unique('p') })
    await own.subscribe(topic, 1 | noLocal)
    for (const qos of [0, 1, 2]) await own.publish(topic, 'mine', { qos })
    await other.publish(topic, 'theirs', { qos: 1 })
    await own.receive({ payload: 'theirs' })
    await own.expectNothing()
    await own.subscribe(topic, 1)
    own.send(wire.publish(5, topic, 'mine'))
    await own.receive({ payload: 'mine' })
  })

  test('version 5: no local is about the client identifier, also for what was queued [MQTT-3.8.3-3]', async () => {
    const topic = unique('t')
    const options = kept(5, unique('o'))
    const first = await connect(target, 5, options)
    await first.subscribe(topic, 1 | noLocal)
    await first.drop()
    const again = await connect(target, 5, options)
    await again.publish(topic, 'mine', { qos: 1 })
    await again.drop()
    using third = await connect(target, 5, options)
    await third.expectNothing()
  })

  test('version 5: subscription identifiers of all matching subscriptions are sent [MQTT-3.3.4-3] [MQTT-3.3.4-4] [MQTT-3.3.4-5]', async () => {
    const topic = unique('t')
    using subscriber = await connect(target, 5, { clientId: unique('s') })
    await subscriber.subscribe(`${topic}/#`, 1, [['subscriptionIdentifier', 1]])
    await subscriber.subscribe(`${topic}/+`, 1, [['subscriptionIdentifier', 268_435_455]])
    await subscriber.subscribe(`${topic}/a`, 1)
    await subscriber.subscribe(`+/${topic}`, 1, [['subscriptionIdentifier', 128]])
    using publisher = await connect(target, 5, { clientId: unique('p') })
    await publisher.publish(`${topic}/a`, 'x', { qos: 1 })
    await publisher.publish(`${topic}/only/one`, 'end of x', { qos: 1 })
    assert.deepEqual(await identifiersOf(subscriber, 'x', 'end of x'), [1, 268_435_455])
    // Replaced, the subscription has the new identifier, or none.
    await subscriber.subscribe(`${topic}/+`, 1, [['subscriptionIdentifier', 5]])
    await subscriber.subscribe(`${topic}/#`, 1)
    await publisher.publish(`${topic}/a`, 'y', { qos: 1 })
    await publisher.publish(`${topic}/only/one`, 'end of y', { qos: 1 })
    assert.deepEqual(await identifiersOf(subscriber, 'y', 'end of y'), [5])
  })

  test('version 5: a message for a stored session carries its subscription identifiers [MQTT-3.3.4-3] [MQTT-3.3.4-4]', async () => {
    const topic = unique('t')
    const options = kept(5, unique('s'))
    const first = await connect(target, 5, options)
    await first.subscribe(`${topic}/#`, 1, [['subscriptionIdentifier', 3]])
    await first.subscribe(`${topic}/+`, 1, [['subscriptionIdentifier', 4]])
    await first.disconnect()
    using publisher = await connect(target, 5, { clientId: unique('p') })
    await publisher.publish(`${topic}/a`, 'x', { qos: 1 })
    await publisher.publish(`${topic}/only/one`, 'end', { qos: 1 })
    using second = await connect(target, 5, options)
    assert.deepEqual(await identifiersOf(second, 'x', 'end'), [3, 4])
  })

  test('version 5: a retained message carries the identifier of the subscription that asked for it [MQTT-3.3.4-3]', async () => {
    const topic = unique('t')
    using publisher = await connect(target, 5, { clientId: unique('p') })
    await publisher.publish(topic, 'x', { retain: true })
    using subscriber = await connect(target, 5, { clientId: unique('s') })
    await subscriber.subscribe(topic, 1, [['subscriptionIdentifier', 9]])
    const message = await subscriber.receive({ payload: 'x', retain: true })
    assert.deepEqual(wire.propertiesOf(message, 'subscriptionIdentifier'), [9])
  })

  test('version 5: properties that SUBSCRIBE or UNSUBSCRIBE must not have close the connection [MQTT-4.13.1-1] [MQTT-1.5.5-1]', async () => {
    const lists: readonly (readonly Property[])[] = [
      [['subscriptionIdentifier', 0]],
      [
        ['subscriptionIdentifier', 1],
        ['subscriptionIdentifier', 2],
      ],
      [wire.bytes(0x0b, 0xff, 0xff, 0xff, 0xff, 0x01)],
      [wire.bytes(0x0b, 0x81, 0x00)],
      [['topicAlias', 1]],
      [['reasonString', 'x']],
    ]
    for (const list of lists) {
      using client = await connect(target, 5, { clientId: unique('c') })
      client.send(wire.subscribe(5, 1, [['t', 0]], list))
      await client.expectRefusal(0x81, 0x82)
    }
    using client = await connect(target, 5, { clientId: unique('c') })
    client.send(wire.unsubscribe(5, 1, ['t'], [['subscriptionIdentifier', 1]]))
    await client.expectRefusal(0x81, 0x82)
  })

  test('version 5: user properties on SUBSCRIBE and UNSUBSCRIBE are allowed, several times [MQTT-3.8.4-1] [MQTT-3.10.4-4]', async () => {
    const list: Property[] = [
      ['userProperty', ['a', 'b']],
      ['userProperty', ['a', 'b']],
    ]
    using client = await connect(target, 5, { clientId: unique('c') })
    await client.subscribe(unique('t'), 0, list)
    client.send(wire.unsubscribe(5, 9, ['t'], list))
    await client.expectPacket('UNSUBACK', { id: 9, reasons: [0x11] })
  })
})

/**
 * Subscription identifiers of the message with one payload, sorted; `end` comes after its last copy. One copy has them all,
 * of several each has the one of its subscription.
 */
async function identifiersOf(subscriber: RawClient, payload: string, end: string): Promise<number[]> {
  const copies: number[][] = []
  for (;;) {
    const message = await subscriber.receive()
    const received = message.payload.toString()
    if (received === payload) copies.push(wire.propertiesOf(message, 'subscriptionIdentifier').map(Number))
    if (received !== end) continue
    assert.ok(copies.length === 1 || copies.every((identifiers) => identifiers.length <= 1))
    return copies.flat().sort((a, b) => a - b)
  }
}
