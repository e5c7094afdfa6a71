/** Retained messages, retain handling, retain as published. Section 3.3.1.3 and 3.8 of both standards. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { connect } from '../../testkit/src/raw-client.ts'
import * as wire from '../../testkit/src/wire.ts'
import { kept, unique, useBroker } from './target.ts'

const target = useBroker()
const retainAsPublished = 0x08
const onlyIfNew = 0x10
const never = 0x20

describe('retained messages', { concurrency: 12 }, () => {
  for (const version of [3, 4, 5] as const) {
    test(`version ${version}: the last retained message of each matching topic goes to a new subscription with RETAIN, at its QoS [MQTT-3.3.1-5] [MQTT-3.3.1-9] [MQTT-3.8.4-8] [MQTT3-3.3.1-5] [MQTT3-3.3.1-6] [MQTT3-3.3.1-8] [MQTT3-3.8.4-6]`, async () => {
      const topic = unique('t')
      using publisher = await connect(target, version, { clientId: unique('p') })
      for (const [name, payload, qos] of [
        ['a', 'old', 2],
        ['a', 'a', 0],
        ['b', 'b', 1],
        ['c/d', 'd', 2],
        ['', 'none', 1],
      ] as const) {
        await publisher.publish(`${topic}/${name}`, payload, { qos, retain: true })
      }
      for (const granted of [0, 1, 2]) {
        using subscriber = await connect(target, version, { clientId: unique('s') })
        await subscriber.subscribe(`${topic}/#`, granted)
        const seen = new Map<string, string>()
        for (let count = 0; count < 4; count++) {
          const message = await subscriber.receive({ retain: true, dup: false })
          seen.set(message.topic, `${message.payload.toString()} ${message.qos}`)
        }
        await subscriber.expectNothing(20)
        const lower = (qos: number) => Math.min(qos, granted)
        assert.equal(seen.size, 4)
        assert.equal(seen.get(`${topic}/a`), 'a 0')
        assert.equal(seen.get(`${topic}/b`), `b ${lower(1)}`)
        assert.equal(seen.get(`${topic}/c/d`), `d ${lower(2)}`)
        assert.equal(seen.get(`${topic}/`), `none ${lower(1)}`)
      }
    })

    test(`version ${version}: an established subscription gets the message without RETAIN [MQTT-3.3.1-12] [MQTT3-3.3.1-9]`, async () => {
      const topic = unique('t')
      using subscriber = await connect(target, version, { clientId: unique('s') })
      await subscriber.subscribe(topic, 2)
      using publisher = await connect(target, version, { clientId: unique('p') })
      for (const qos of [0, 1, 2]) {
        await publisher.publish(topic, 'x', { qos, retain: true })
        await subscriber.receive({ payload: 'x', qos, retain: false })
      }
    })

    test(`version ${version}: an empty retained message is delivered, removes what was retained and is not stored [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT3-3.3.1-10] [MQTT3-3.3.1-11]`, async () => {
      for (const qos of [0, 1, 2]) {
        const topic = unique('t')
        using watcher = await connect(target, version, { clientId: unique('w') })
        await watcher.subscribe(topic, 2)
        using publisher = await connect(target, version, { clientId: unique('p') })
        await publisher.publish(topic, 'x', { qos, retain: true })
        await publisher.publish(topic, '', { qos, retain: true })
        await watcher.receive({ payload: 'x', retain: false })
        await watcher.receive({ payload: '', retain: false })
        using late = await connect(target, version, { clientId: unique('l') })
        await late.subscribe(topic, 2)
        await late.expectNothing(20)
      }
    })

    test(`version ${version}: a message without RETAIN neither stores nor replaces nor removes [MQTT-3.3.1-8] [MQTT3-3.3.1-12]`, async () => {
      const topic = unique('t')
      using publisher = await connect(target, version, { clientId: unique('p') })
      await publisher.publish(`${topic}/a`, 'kept', { qos: 1, retain: true })
      await publisher.publish(`${topic}/a`, 'passing', { qos: 1 })
      await publisher.publish(`${topic}/a`, '', { qos: 1 })
      await publisher.publish(`${topic}/b`, 'passing', { qos: 1 })
      using subscriber = await connect(target, version, { clientId: unique('s') })
      await subscriber.subscribe(`${topic}/+`, 1)
      await subscriber.receive({ topic: `${topic}/a`, payload: 'kept', retain: true })
      await subscriber.expectNothing()
    })

    test(`version ${version}: a QoS 0 retained message replaces one of a higher QoS [MQTT-3.3.1-5] [MQTT3-3.3.1-7]`, async () => {
      const topic = unique('t')
      using publisher = await connect(target, version, { clientId: unique('p') })
      await publisher.publish(topic, 'first', { qos: 2, retain: true })
      await publisher.publish(topic, 'second', { qos: 0, retain: true })
      using subscriber = await connect(target, version, { clientId: unique('s') })
      await subscriber.subscribe(topic, 2)
      await subscriber.receive({ payload: 'second', qos: 0, retain: true })
      await subscriber.expectNothing(20)
    })

    test(`version ${version}: the same filter again sends the retained messages again [MQTT-3.8.4-4] [MQTT-3.3.1-9] [MQTT3-3.8.4-3]`, async () => {
      const topic = unique('t')
      using publisher = await connect(target, version, { clientId: unique('p') })
      await publisher.publish(topic, 'x', { qos: 1, retain: true })
      using subscriber = await connect(target, version, { clientId: unique('s') })
      for (const granted of [0, 1, 0]) {
        await subscriber.subscribe(topic, granted)
        await subscriber.receive({ payload: 'x', qos: granted, retain: true })
      }
      await publisher.publish(topic, 'y', { qos: 1 })
      await subscriber.receive({ payload: 'y', qos: 0 })
      await subscriber.expectNothing(20)
    })
  }

  test('version 5: retain handling 1 sends retained messages only to a new subscription [MQTT-3.3.1-10]', async () => {
    const topic = unique('t')
    using publisher = await connect(target, 5, { clientId: unique('p') })
    await publisher.publish(topic, 'x', { retain: true })
    const options = kept(5, unique('s'))
    const first = await connect(target, 5, options)
    await first.subscribe(topic, onlyIfNew)
    await first.receive({ payload: 'x', retain: true })
    await first.subscribe(topic, onlyIfNew | 1)
    await first.expectNothing()
    await first.disconnect()
    using second = await connect(target, 5, options)
    await second.subscribe(topic, onlyIfNew)
    await second.expectNothing()
    await second.unsubscribe(topic)
    await second.subscribe(topic, onlyIfNew)
    await second.receive({ payload: 'x', retain: true })
  })

  test('version 5: retain handling 2 sends no retained message [MQTT-3.3.1-11]', async () => {
    const topic = unique('t')
    using publisher = await connect(target, 5, { clientId: unique('p') })
    await publisher.publish(topic, 'x', { retain: true })
    using subscriber = await connect(target, 5, { clientId: unique('s') })
    await subscriber.subscribe(topic, never)
    await subscriber.expectNothing()
    await subscriber.subscribe(topic, never)
    await subscriber.expectNothing()
    await publisher.publish(topic, 'live', { retain: true })
    await subscriber.receive({ payload: 'live' })
  })

  test('version 5: retain as published keeps RETAIN as the publisher set it, without it RETAIN is 0 [MQTT-3.3.1-12] [MQTT-3.3.1-13]', async () => {
    const topic = unique('t')
    using as = await connect(target, 5, { clientId: unique('a') })
    using cleared = await connect(target, 5, { clientId: unique('c') })
    await as.subscribe(topic, 2 | retainAsPublished)
    await cleared.subscribe(topic, 2)
    using publisher = await connect(target, 5, { clientId: unique('p') })
    for (const qos of [0, 1, 2]) {
      for (const retain of [true, false]) {
        await publisher.publish(topic, `${qos} ${retain}`, { qos, retain })
        await as.receive({ payload: `${qos} ${retain}`, qos, retain })
        await cleared.receive({ payload: `${qos} ${retain}`, qos, retain: false })
      }
    }
  })

  test('version 5: retain handling 3 is malformed [MQTT-4.13.1-1]', async () => {
    using client = await connect(target, 5, { clientId: unique('c') })
    client.send(wire.subscribe(5, 1, [['x', 0x30]]))
    await client.expectRefusal(0x81, 0x82)
  })
})
