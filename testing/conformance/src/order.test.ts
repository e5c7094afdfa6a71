/** Order within one connection and across reconnects, and slow readers. Sections 4.4, 4.6 and 4.9 of both standards. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { connect } from '../../testkit/src/raw-client.ts'
import * as wire from '../../testkit/src/wire.ts'
import { kept, unique, useBroker } from './target.ts'

const target = useBroker()

describe('order', { concurrency: 8 }, () => {
  for (const version of [3, 4, 5] as const) {
    test(`version ${version}: what a client sends takes effect in the order it was sent [MQTT-3.3.1-9] [MQTT-3.3.1-12] [MQTT-4.6.0-5] [MQTT3-3.3.1-6] [MQTT3-3.3.1-9] [MQTT3-4.6.0-6]`, async () => {
      const topic = unique('t')
      using client = await connect(target, version, { clientId: unique('c') })
      // Retained before the subscription: once, with RETAIN. After it: once, without.
      client.send(
        wire.publish(version, topic, 'before', { retain: true }),
        wire.subscribe(version, 1, [[topic, 0]]),
        wire.publish(version, topic, 'after', { retain: true }),
        wire.unsubscribe(version, 2, [topic]),
        wire.publish(version, topic, 'too late', { retain: true }),
        wire.subscribe(version, 3, [[topic, 0]]),
        wire.pingreq,
      )
      const seen: string[] = []
      for (;;) {
        const packet = await client.next()
        assert.ok(packet !== undefined)
        if (packet.type === 'PINGRESP') break
        seen.push(
          packet.type === 'PUBLISH' ? `${packet.payload.toString()} ${packet.retain}` : `${packet.type} ${packet.id}`,
        )
      }
      const messages = seen.filter((entry) => !entry.includes('SUBACK'))
      assert.deepEqual(messages, ['before true', 'after false', 'too late true'])
      const answers = seen.filter((entry) => entry.includes('SUBACK'))
      assert.deepEqual(answers, ['SUBACK 1', 'UNSUBACK 2', 'SUBACK 3'])
    })

    test(`version ${version}: acknowledgements of different requests leave in the order of the requests [MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT3-4.6.0-2] [MQTT3-4.6.0-3]`, async () => {
      const topic = unique('t')
      using client = await connect(target, version, { clientId: unique('c') })
      const packets: Buffer[] = []
      const expected: string[] = []
      for (let round = 0; round < 8; round++) {
        const id = 1 + round * 2
        packets.push(
          wire.publish(version, topic, 'x', { qos: 1, id }),
          wire.publish(version, topic, 'x', { qos: 2, id: id + 1 }),
        )
        expected.push(`PUBACK ${id}`, `PUBREC ${id + 1}`)
      }
      client.send(...packets)
      const seen: string[] = []
      while (seen.length < expected.length) {
        const packet = await client.next()
        seen.push(`${packet?.type} ${packet?.id}`)
      }
      for (const type of ['PUBACK', 'PUBREC']) {
        assert.deepEqual(
          seen.filter((entry) => entry.startsWith(type)),
          expected.filter((entry) => entry.startsWith(type)),
        )
      }
    })

    test(`version ${version}: a reconnect resends PUBREL and PUBLISH, each in its order, before anything new [MQTT-4.3.3-2] [MQTT-4.4.0-1] [MQTT-4.6.0-1] [MQTT3-4.3.3-1] [MQTT3-4.4.0-1] [MQTT3-4.6.0-1]`, async () => {
      const topic = unique('t')
      const options = kept(version, unique('s'))
      const will = { topic: unique('will'), payload: 'gone' }
      const first = await connect(target, version, { ...options, will })
      await first.subscribe(topic, 2)
      using publisher = await connect(target, version, { clientId: unique('p') })
      await publisher.subscribe(will.topic)
      const ids: number[] = []
      for (let index = 0; index < 6; index++) {
        await publisher.publish(topic, `m${index}`, { qos: 2 })
        ids.push((await first.expectPacket('PUBLISH', { payload: `m${index}` })).id)
      }
      for (const id of ids.slice(0, 3)) {
        first.send(wire.acknowledge('PUBREC', id))
        await first.expectPacket('PUBREL', { id })
      }
      await first.drop()
      // The broker has noticed: what is published now was never sent to the first connection.
      await publisher.receive({ payload: 'gone' })
      await publisher.publish(topic, 'new', { qos: 2 })
      using second = await connect(target, version, options)
      const seen: string[] = []
      for (let count = 0; count < 7; count++) {
        const packet = await second.next()
        seen.push(
          packet?.type === 'PUBLISH' ? `${packet.payload.toString()} ${packet.dup}` : `${packet?.type} ${packet?.id}`,
        )
      }
      assert.deepEqual(
        seen.filter((entry) => entry.startsWith('PUBREL')),
        ids.slice(0, 3).map((id) => `PUBREL ${id}`),
      )
      assert.deepEqual(
        seen.filter((entry) => !entry.startsWith('PUBREL')),
        ['m3 true', 'm4 true', 'm5 true', 'new false'],
      )
    })

    test(`version ${version}: a takeover resends what the first connection left unacknowledged [MQTT-4.4.0-1] [MQTT-3.1.4-3] [MQTT3-4.4.0-1] [MQTT3-3.1.4-2]`, async () => {
      const topic = unique('t')
      const options = kept(version, unique('s'))
      using first = await connect(target, version, options)
      await first.subscribe(topic, 2)
      using publisher = await connect(target, version, { clientId: unique('p') })
      await publisher.publish(topic, 'one', { qos: 1 })
      await publisher.publish(topic, 'two', { qos: 2 })
      const one = await first.expectPacket('PUBLISH', { payload: 'one' })
      const two = await first.expectPacket('PUBLISH', { payload: 'two' })
      using second = await connect(target, version, options)
      await first.expectRefusal(0x8e)
      await second.expectPacket('PUBLISH', { payload: 'one', id: one.id, dup: true })
      await second.expectPacket('PUBLISH', { payload: 'two', id: two.id, dup: true })
    })

    test(`version ${version}: clean start forgets unfinished handshakes in both directions [MQTT-3.1.2-4] [MQTT-4.4.0-1] [MQTT3-3.1.2-6]`, async () => {
      const topic = unique('t')
      const options = kept(version, unique('s'))
      const first = await connect(target, version, options)
      await first.subscribe(topic, 2)
      using other = await connect(target, version, { clientId: unique('o') })
      await other.publish(topic, 'unacknowledged', { qos: 2 })
      await first.expectPacket('PUBLISH', { payload: 'unacknowledged' })
      const sent = unique('t')
      await other.subscribe(sent, 2)
      first.send(wire.publish(version, sent, 'first', { qos: 2, id: 7 }))
      await first.expectPacket('PUBREC', { id: 7 })
      await first.drop()
      using second = await connect(target, version, { ...options, cleanStart: true })
      await second.expectNothing()
      // The identifier of the old handshake now means a new message. The old one may have been passed on or forgotten.
      await second.publish(sent, 'second', { qos: 2, id: 7 })
      const message = await other.receive({ qos: 2 })
      if (message.payload.toString() === 'first') await other.receive({ payload: 'second', qos: 2 })
      else assert.equal(message.payload.toString(), 'second')
      await other.expectNothing(20)
    })

    test(`version ${version}: a client that does not read for a while gets everything, in order [MQTT-4.6.0-5] [MQTT-4.5.0-1] [MQTT3-4.6.0-6] [MQTT3-4.5.0-1]`, async () => {
      const topic = unique('t')
      using slow = await connect(target, version, { clientId: unique('s') })
      await slow.subscribe(topic, 1)
      using quick = await connect(target, version, { clientId: unique('q') })
      await quick.subscribe(topic, 0)
      slow.pause()
      using publisher = await connect(target, version, { clientId: unique('p') })
      const body = 'x'.repeat(16_000)
      const total = 500
      for (let index = 0; index < total; index++) {
        publisher.send(wire.publish(version, topic, `${index} ${body}`, { qos: 1, id: index + 1 }))
        await publisher.expectPacket('PUBACK', { id: index + 1 })
        // The slow one delays no other.
        if (index % 50 === 0) await quick.receive({ payload: `${index} ${body}` })
        else await quick.receive()
      }
      slow.resume()
      for (let index = 0; index < total; index++) await slow.receive({ payload: `${index} ${body}`, qos: 1 })
    })
  }

  test('version 5: a smaller receive maximum on reconnect holds for what is resent [MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2] [MQTT-4.4.0-1]', async () => {
    const topic = unique('t')
    const clientId = unique('s')
    const first = await connect(target, 5, kept(5, clientId))
    await first.subscribe(topic, 1)
    using publisher = await connect(target, 5, { clientId: unique('p') })
    for (let index = 0; index < 6; index++) {
      await publisher.publish(topic, `m${index}`, { qos: 1 })
      await first.expectPacket('PUBLISH', { payload: `m${index}` })
    }
    await first.drop()
    using second = await connect(target, 5, kept(5, clientId, { properties: [['receiveMaximum', 2]] }))
    const inflight: number[] = []
    for (let index = 0; index < 6; index++) {
      if (index >= 2) {
        await second.expectNothing(20)
        second.send(wire.acknowledge('PUBACK', inflight.shift() ?? 0))
      }
      inflight.push((await second.expectPacket('PUBLISH', { payload: `m${index}`, dup: true })).id)
    }
  })

  test('version 5: the same filter twice in one SUBSCRIBE: both are answered, the last one holds [MQTT-3.8.4-3] [MQTT-3.8.4-5] [MQTT-3.8.4-6]', async () => {
    const topic = unique('t')
    using client = await connect(target, 5, { clientId: unique('c') })
    client.send(
      wire.subscribe(5, 1, [
        [topic, 2],
        [topic, 0],
      ]),
    )
    await client.expectPacket('SUBACK', { id: 1, reasons: [2, 0] })
    using publisher = await connect(target, 5, { clientId: unique('p') })
    await publisher.publish(topic, 'x', { qos: 2 })
    await client.receive({ payload: 'x', qos: 0 })
    await client.expectNothing(20)
  })
})
