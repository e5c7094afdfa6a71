/** PUBLISH: its form, its topic, and what of it reaches subscribers. Sections 3.3, 4.7 and 1.5 of both standards. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { connect } from '../../testkit/src/raw-client.ts'
import type { Property } from '../../testkit/src/wire.ts'
import * as wire from '../../testkit/src/wire.ts'
import { elapse, kept, unique, useBroker } from './target.ts'

const target = useBroker()

describe('PUBLISH', { concurrency: 12 }, () => {
  for (const version of [3, 4, 5] as const) {
    test(`version ${version}: topic and payload arrive as they were sent, at every QoS [MQTT-2.2.1-2] [MQTT-3.3.2-1] [MQTT-3.3.2-3] [MQTT-3.3.4-1] [MQTT-4.3.1-1] [MQTT3-2.3.1-5] [MQTT3-3.3.2-1] [MQTT3-3.3.2-3] [MQTT3-3.3.4-1] [MQTT3-4.3.1-1]`, async () => {
      const topic = `${unique('t')}/ä/\u{1f600}`
      using subscriber = await connect(target, version, { clientId: unique('s') })
      await subscriber.subscribe(`${topic}/#`, 2)
      using publisher = await connect(target, version, { clientId: unique('p') })
      const every = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
      for (const qos of [0, 1, 2]) {
        for (const payload of [Buffer.alloc(0), Buffer.from('text'), every]) {
          await publisher.publish(topic, payload, { qos })
          const message = await subscriber.receive({ topic, qos, dup: false, retain: false })
          assert.deepEqual(message.payload, payload)
        }
      }
    })

    test(`version ${version}: packets around every size of the remaining length arrive [MQTT-1.5.5-1]`, async () => {
      const topic = unique('t')
      using subscriber = await connect(target, version, { clientId: unique('s') })
      await subscriber.subscribe(topic)
      const head = topic.length + 2 + (version === 5 ? 1 : 0)
      for (const length of [126, 127, 128, 129, 16_382, 16_383, 16_384, 16_385, 300_000]) {
        subscriber.send(wire.publish(version, topic, Buffer.alloc(length - head, length)))
        const message = await subscriber.receive({ topic })
        assert.deepEqual(message.payload, Buffer.alloc(length - head, length))
      }
    })

    test(`version ${version}: QoS 3 closes the connection [MQTT-3.3.1-4] [MQTT-4.13.1-1] [MQTT3-3.3.1-4]`, async () => {
      using client = await connect(target, version, { clientId: unique('c') })
      client.send(wire.publish(version, unique('t'), 'x', { qos: 3, id: 1 }))
      await client.expectRefusal(0x81)
    })

    test(`version ${version}: a wildcard in the topic name closes the connection [MQTT-3.3.2-2] [MQTT-4.7.0-1] [MQTT3-3.3.2-2] [MQTT3-4.7.1-1]`, async () => {
      for (const topic of ['a/+', '#', 'a/b+c', 'a#']) {
        using client = await connect(target, version, { clientId: unique('c') })
        client.send(wire.publish(version, topic, 'x'))
        await client.expectRefusal(0x81, 0x82, 0x90)
      }
    })

    test(`version ${version}: an empty topic name closes the connection [MQTT-4.7.3-1] [MQTT3-4.7.3-1]`, async () => {
      using client = await connect(target, version, { clientId: unique('c') })
      client.send(wire.publish(version, '', 'x'))
      await client.expectRefusal(0x81, 0x82, 0x90)
    })

    test(`version ${version}: a packet identifier of 0 closes the connection [MQTT-4.13.1-1] [MQTT3-2.3.1-1]`, async () => {
      for (const qos of [1, 2]) {
        using client = await connect(target, version, { clientId: unique('c') })
        client.send(wire.publish(version, unique('t'), 'x', { qos, id: 0 }))
        await client.expectRefusal(0x81, 0x82)
      }
    })

    test(`version ${version}: PUBLISH that ends within its topic or identifier closes the connection [MQTT-4.13.1-1] [MQTT-3.3.2-1] [MQTT3-3.3.2-1] [MQTT3-4.8.0-1]`, async () => {
      for (const packet of [
        wire.packet('PUBLISH', 0),
        wire.packet('PUBLISH', 0, wire.bytes(0)),
        wire.packet('PUBLISH', 0, wire.bytes(0, 5), wire.bytes(0x61)),
        wire.packet('PUBLISH', 2, wire.text('t')),
        wire.packet('PUBLISH', 2, wire.text('t'), wire.bytes(1)),
      ]) {
        using client = await connect(target, version, { clientId: unique('c') })
        client.send(packet)
        await client.expectRefusal(0x81, 0x82)
      }
    })

    test(`version ${version}: a remaining length of five bytes closes the connection [MQTT-4.13.1-1] [MQTT3-4.8.0-1]`, async () => {
      using client = await connect(target, version, { clientId: unique('c') })
      client.send(wire.bytes(0x30, 0xff, 0xff, 0xff, 0xff, 0x01))
      await client.expectRefusal(0x81, 0x95)
    })

    test(`version ${version}: QoS 0 with DUP is refused, or delivered without DUP [MQTT-3.3.1-2] [MQTT3-3.3.1-2]`, async () => {
      const topic = unique('t')
      using subscriber = await connect(target, version, { clientId: unique('s') })
      await subscriber.subscribe(topic)
      using publisher = await connect(target, version, { clientId: unique('p') })
      publisher.send(wire.publish(version, topic, 'x', { dup: true }))
      publisher.send(wire.pingreq)
      const answer = await publisher.next()
      if (answer?.type === 'PINGRESP') await subscriber.receive({ payload: 'x', dup: false })
      else await subscriber.expectNothing()
    })

    test(`version ${version}: DUP of a delivery says nothing about DUP of the publish [MQTT-3.3.1-3] [MQTT3-3.3.1-3]`, async () => {
      const topic = unique('t')
      using subscriber = await connect(target, version, { clientId: unique('s') })
      await subscriber.subscribe(topic, 2)
      using publisher = await connect(target, version, { clientId: unique('p') })
      for (const qos of [1, 2]) {
        await publisher.publish(topic, 'x', { qos, dup: true })
        await subscriber.receive({ qos, dup: false })
      }
    })

    test(`version ${version}: a message that the broker does not accept is acknowledged or ends the connection, and goes nowhere [MQTT-3.3.4-1] [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT3-3.3.5-2]`, async () => {
      // What a broker says about itself is not for clients to say.
      const topic = `$SYS/${unique('t')}`
      using subscriber = await connect(target, version, { clientId: unique('s') })
      await subscriber.subscribe(topic, 2)
      for (const [qos, type] of [
        [1, 'PUBACK'],
        [2, 'PUBREC'],
      ] as const) {
        using publisher = await connect(target, version, { clientId: unique('p') })
        publisher.send(wire.publish(version, topic, 'x', { qos, id: 8 }))
        const answer = await publisher.next()
        if (answer === undefined) continue
        assert.deepEqual([answer.type, answer.id], [type, 8])
        if (version === 5) assert.ok([0x80, 0x83, 0x87, 0x90, 0x97].includes(answer.reason), `reason ${answer.reason}`)
        else if (qos === 2) {
          publisher.send(wire.acknowledge('PUBREL', 8))
          await publisher.expectPacket('PUBCOMP', { id: 8 })
        }
      }
      await subscriber.expectNothing()
    })

    test(`version ${version}: the longest topic name, 65,535 bytes, can be used [MQTT-4.7.3-3] [MQTT3-4.7.3-3]`, async () => {
      const topic = unique('t').padEnd(65_535, 'x')
      using client = await connect(target, version, { clientId: unique('c') })
      await client.subscribe(topic)
      client.send(wire.publish(version, topic, 'x'))
      await client.receive({ topic })
    })

    test(`version ${version}: topics are neither normalised nor trimmed [MQTT-4.7.3-4] [MQTT-1.5.4-3] [MQTT3-4.7.3-4] [MQTT3-1.5.3-3]`, async () => {
      const root = unique('t')
      const topics = [
        '',
        '/',
        '//',
        'A',
        'a',
        ' a',
        'a ',
        'a/',
        '/a',
        'é',
        'e\u0301',
        '\ufeffa',
        'a\ufeff',
        'ſ',
        '.',
        '..',
      ]
      using publisher = await connect(target, version, { clientId: unique('p') })
      for (const suffix of topics) {
        const topic = `${root}${suffix}`
        using subscriber = await connect(target, version, { clientId: unique('s') })
        await subscriber.subscribe(topic)
        for (const other of topics) publisher.send(wire.publish(version, `${root}${other}`, other))
        await publisher.ping()
        await subscriber.receive({ topic, payload: suffix })
        await subscriber.expectNothing(20)
      }
    })
  }

  for (const version of [4, 5] as const) {
    test(`version ${version}: ill-formed UTF-8 or U+0000 in the topic name closes the connection [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-3.3.2-1] [MQTT-4.7.3-2] [MQTT3-1.5.3-1] [MQTT3-1.5.3-2] [MQTT3-3.3.2-1] [MQTT3-4.7.3-2]`, async () => {
      for (const bad of [
        wire.bytes(0x61, 0x00),
        wire.bytes(0xed, 0xbf, 0xbf),
        wire.bytes(0xc1, 0x81),
        wire.bytes(0xe0, 0x80, 0xaf),
        wire.bytes(0xf4, 0x90, 0x80, 0x80),
        wire.bytes(0xff),
        wire.bytes(0xf0, 0x9f, 0x98),
      ]) {
        using client = await connect(target, version, { clientId: unique('c') })
        client.send(wire.publish(version, bad, 'x'))
        await client.expectRefusal(0x81, 0x82, 0x90)
      }
    })
  }

  test('version 5: everything that describes a message reaches subscribers unaltered [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]', async () => {
    const topic = unique('t')
    const user = [
      ['z', '1'],
      ['a', ''],
      ['', '2'],
      ['z', '1'],
      ['m', '\ufeffü'],
    ] as const
    using subscriber = await connect(target, 5, { clientId: unique('s') })
    using old = await connect(target, 4, { clientId: unique('o') })
    await subscriber.subscribe(topic, 2)
    await old.subscribe(topic, 2)
    using publisher = await connect(target, 5, { clientId: unique('p') })
    for (const qos of [0, 1, 2]) {
      for (const format of [0, 1]) {
        const correlation = Buffer.from([0, 1, 255, 0])
        await publisher.publish(topic, 'body', {
          qos,
          properties: [
            ['userProperty', user[0]],
            ['payloadFormatIndicator', format],
            ['contentType', 'text/plain; charset=utf-8'],
            ['userProperty', user[1]],
            ['responseTopic', 'answers/here'],
            ['correlationData', correlation],
            ['userProperty', user[2]],
            ['userProperty', user[3]],
            ['userProperty', user[4]],
          ],
        })
        const message = await subscriber.receive({ payload: 'body', qos })
        assert.deepEqual(wire.propertiesOf(message, 'userProperty'), user)
        // Absent means the same as 0, but unaltered is unaltered.
        assert.equal(wire.propertyOf(message, 'payloadFormatIndicator'), format)
        assert.equal(wire.propertyOf(message, 'contentType'), 'text/plain; charset=utf-8')
        assert.equal(wire.propertyOf(message, 'responseTopic'), 'answers/here')
        assert.deepEqual(wire.propertyOf(message, 'correlationData'), correlation)
        await old.receive({ payload: 'body', qos })
      }
    }
  })

  test('version 5: properties that PUBLISH must not have, or not so, close the connection [MQTT-3.3.4-6] [MQTT-3.3.2-8] [MQTT-3.3.2-13] [MQTT-3.3.2-14] [MQTT-3.3.2-19] [MQTT-1.5.7-1] [MQTT-4.13.1-1]', async () => {
    const bad = wire.bytes(0xc3, 0x28)
    const lists: Record<string, readonly Property[]> = {
      'a subscription identifier': [['subscriptionIdentifier', 1]],
      'topic alias 0': [['topicAlias', 0]],
      'payload format indicator 2': [['payloadFormatIndicator', 2]],
      'a response topic with +': [['responseTopic', 'a/+']],
      'a response topic with #': [['responseTopic', '#']],
      'an ill-formed response topic': [['responseTopic', bad]],
      'an ill-formed content type': [['contentType', bad]],
      'an ill-formed name of a user property': [Buffer.concat([wire.bytes(0x26), wire.text(bad), wire.text('v')])],
      'an ill-formed value of a user property': [Buffer.concat([wire.bytes(0x26), wire.text('n'), wire.text(bad)])],
      'U+0000 in a user property': [['userProperty', ['a\0', 'b']]],
      'half a user property': [Buffer.concat([wire.bytes(0x26), wire.text('n')])],
      'two content types': [
        ['contentType', 'a'],
        ['contentType', 'a'],
      ],
      'two expiry intervals': [
        ['messageExpiryInterval', 1],
        ['messageExpiryInterval', 1],
      ],
      'two correlation data': [
        ['correlationData', 'a'],
        ['correlationData', 'a'],
      ],
      'a property of CONNECT': [['sessionExpiryInterval', 1]],
      'a will delay': [['willDelayInterval', 1]],
      'an unknown property': [wire.bytes(0x04, 0)],
    }
    for (const [name, properties] of Object.entries(lists)) {
      using client = await connect(target, 5, { clientId: unique('c') })
      client.send(wire.publish(5, unique('t'), 'x', { properties }))
      await client.expectRefusal(0x81, 0x82, 0x90, 0x94).catch((error: Error) => {
        throw new Error(name, { cause: error })
      })
    }
  })

  test('version 5: a property length beyond the packet closes the connection [MQTT-1.5.5-1] [MQTT-4.13.1-1]', async () => {
    for (const length of [wire.bytes(5), wire.bytes(0x80, 0x00), wire.bytes(0xff, 0xff, 0xff, 0xff)]) {
      using client = await connect(target, 5, { clientId: unique('c') })
      client.send(wire.packet('PUBLISH', 0, wire.text('t'), length))
      await client.expectRefusal(0x81)
    }
  })

  test('version 5: every topic alias up to the maximum of the broker can be used, replaced and kept apart [MQTT-3.3.2-12]', async () => {
    const topic = unique('t')
    using client = await connect(target, 5, { clientId: unique('c') })
    const maximum = Number((client.connack && wire.propertyOf(client.connack, 'topicAliasMaximum')) ?? 0)
    assert.ok(maximum > 0, 'the broker announces no topic aliases')
    await client.subscribe(`${topic}/+`)
    const some = [1, 2, Math.ceil(maximum / 2), maximum]
    for (const alias of some) {
      client.send(wire.publish(5, `${topic}/${alias}`, 'new', { properties: [['topicAlias', alias]] }))
      await client.receive({ topic: `${topic}/${alias}`, payload: 'new' })
    }
    for (const qos of [0, 1, 2]) {
      for (const alias of some) {
        client.send(
          wire.publish(5, '', 'old', { qos, ...(qos > 0 ? { id: 9 } : {}), properties: [['topicAlias', alias]] }),
        )
        if (qos === 1) await expectBoth(client, 'PUBACK', `${topic}/${alias}`)
        else if (qos === 2) {
          await expectBoth(client, 'PUBREC', `${topic}/${alias}`)
          client.send(wire.acknowledge('PUBREL', 9))
          await client.expectPacket('PUBCOMP')
        } else await client.receive({ topic: `${topic}/${alias}`, payload: 'old' })
      }
    }
    client.send(wire.publish(5, `${topic}/other`, 'replaced', { properties: [['topicAlias', 1]] }))
    client.send(wire.publish(5, '', 'replaced', { properties: [['topicAlias', 1]] }))
    await client.receive({ topic: `${topic}/other` })
    await client.receive({ topic: `${topic}/other` })
  })

  test('version 5: a topic alias above the maximum, or never set, closes the connection [MQTT-3.3.2-7] [MQTT-4.13.1-1]', async () => {
    const clientId = unique('c')
    const first = await connect(target, 5, kept(5, clientId))
    const maximum = Number((first.connack && wire.propertyOf(first.connack, 'topicAliasMaximum')) ?? 0)
    await first.publish(unique('t'), 'x', { properties: [['topicAlias', 1]] })
    await first.disconnect()
    // The alias of the first connection is not known on the second, although the session is the same.
    using second = await connect(target, 5, kept(5, clientId))
    second.send(wire.publish(5, '', 'x', { properties: [['topicAlias', 1]] }))
    await second.expectRefusal(0x82, 0x94)
    if (maximum < 65_535) {
      using third = await connect(target, 5, { clientId: unique('c') })
      third.send(wire.publish(5, 't', 'x', { properties: [['topicAlias', maximum + 1]] }))
      await third.expectRefusal(0x94)
    }
  })

  test('version 5: the broker uses topic aliases only up to the maximum of the client, none without one [MQTT-3.1.2-26] [MQTT-3.1.2-27] [MQTT-3.3.2-7] [MQTT-3.3.2-8] [MQTT-3.3.2-11]', async () => {
    const topic = unique('t')
    using publisher = await connect(target, 5, { clientId: unique('p') })
    for (const maximum of [undefined, 0, 2]) {
      const properties: Property[] = maximum === undefined ? [] : [['topicAliasMaximum', maximum]]
      using subscriber = await connect(target, 5, { clientId: unique('s'), properties })
      await subscriber.subscribe(`${topic}/+`)
      const known = new Map<number, string>()
      for (const name of ['a', 'b', 'c', 'a', 'b', 'c', 'a', 'd', 'a']) {
        // The publisher's alias must not leak to subscribers.
        publisher.send(wire.publish(5, `${topic}/${name}`, name, { properties: [['topicAlias', 5]] }))
        const message = await subscriber.receive({ payload: name })
        const alias = wire.propertyOf(message, 'topicAlias')
        if (alias === undefined) assert.equal(message.topic, `${topic}/${name}`)
        else {
          assert.ok(Number(alias) >= 1 && Number(alias) <= (maximum ?? 0), `alias ${String(alias)}`)
          if (message.topic !== '') known.set(Number(alias), message.topic)
          assert.equal(known.get(Number(alias)), `${topic}/${name}`)
        }
      }
    }
  })

  test('version 5: the message expiry interval counts down while a message waits, and ends it [MQTT-3.3.2-5] [MQTT-3.3.2-6]', async () => {
    const topic = unique('t')
    const clientId = unique('s')
    const first = await connect(target, 5, kept(5, clientId))
    await first.subscribe(topic, 1)
    await first.disconnect()
    using publisher = await connect(target, 5, { clientId: unique('p') })
    await publisher.publish(topic, 'short', { qos: 1, properties: [['messageExpiryInterval', 1]] })
    await publisher.publish(topic, 'long', { qos: 1, properties: [['messageExpiryInterval', 100]] })
    await publisher.publish(topic, 'ever', { qos: 1 })
    await elapse(2_200)
    using second = await connect(target, 5, kept(5, clientId))
    const long = await second.receive({ payload: 'long' })
    const left = Number(wire.propertyOf(long, 'messageExpiryInterval'))
    assert.ok(left <= 98 && left >= 90, `${left} s left`)
    const ever = await second.receive({ payload: 'ever' })
    assert.equal(wire.propertyOf(ever, 'messageExpiryInterval'), undefined)
    await second.expectNothing()
  })

  test('version 5: a retained message expires too [MQTT-3.3.2-5] [MQTT-3.3.2-6]', async () => {
    const topic = unique('t')
    using publisher = await connect(target, 5, { clientId: unique('p') })
    await publisher.publish(`${topic}/a`, 'short', { retain: true, properties: [['messageExpiryInterval', 1]] })
    await publisher.publish(`${topic}/b`, 'long', { retain: true, properties: [['messageExpiryInterval', 100]] })
    await elapse(2_200)
    using subscriber = await connect(target, 5, { clientId: unique('s') })
    await subscriber.subscribe(`${topic}/+`)
    const long = await subscriber.receive({ payload: 'long' })
    assert.ok(Number(wire.propertyOf(long, 'messageExpiryInterval')) <= 98)
    await subscriber.expectNothing()
  })
})

/** An acknowledgement and a delivery to the same client, in either order. */
async function expectBoth(
  client: Awaited<ReturnType<typeof connect>>,
  type: 'PUBACK' | 'PUBREC',
  topic: string,
): Promise<void> {
  const both = [await client.next(), await client.next()]
  assert.ok(both.some((packet) => packet?.type === type))
  assert.ok(both.some((packet) => packet?.type === 'PUBLISH' && packet.topic === topic))
}
