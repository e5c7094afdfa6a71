/** Sessions: kept, resumed, discarded, expired, taken over. Sections 3.1.2, 3.1.4, 3.2.2 and 4.1 of both standards. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { connect, opened } from '../../testkit/src/raw-client.ts'
import * as wire from '../../testkit/src/wire.ts'
import { elapse, kept, unique, useBroker } from './target.ts'

const target = useBroker()

describe('sessions', { concurrency: 12 }, () => {
  for (const version of [3, 4, 5] as const) {
    test(`version ${version}: a kept session is made, stored and resumed with its subscriptions and what was queued [MQTT-3.1.2-5] [MQTT-3.1.2-6] [MQTT-3.1.2-23] [MQTT-3.2.2-3] [MQTT-4.5.0-1] [MQTT3-3.1.2-4] [MQTT3-3.1.2-5] [MQTT3-3.2.2-2] [MQTT3-3.2.2-3] [MQTT3-4.1.0-1] [MQTT3-4.5.0-1]`, async () => {
      const options = kept(version, unique('s'))
      const topic = unique('t')
      const first = await connect(target, version, options)
      assert.equal(first.connack?.sessionPresent, false)
      await first.subscribe(topic, 2)
      await first.disconnect()
      using publisher = await connect(target, version, { clientId: unique('p') })
      await publisher.publish(topic, 'one', { qos: 1 })
      await publisher.publish(topic, 'two', { qos: 2 })
      const second = await connect(target, version, options)
      // 3.1 has no session present flag.
      if (version > 3) assert.equal(second.connack?.sessionPresent, true)
      await second.receive({ payload: 'one', qos: 1, dup: false })
      await second.receive({ payload: 'two', qos: 2, dup: false })
      await second.disconnect()
      await publisher.publish(topic, 'three', { qos: 1 })
      using third = await connect(target, version, options)
      await third.receive({ payload: 'three', qos: 1, dup: false })
      await third.expectNothing()
    })

    test(`version ${version}: clean start discards the session and all it held [MQTT-3.1.2-4] [MQTT-3.1.4-4] [MQTT-3.2.2-2] [MQTT3-3.1.2-6] [MQTT3-3.1.4-3] [MQTT3-3.2.2-1]`, async () => {
      const options = kept(version, unique('s'))
      const topic = unique('t')
      const first = await connect(target, version, options)
      await first.subscribe(topic, 1)
      await first.disconnect()
      using publisher = await connect(target, version, { clientId: unique('p') })
      await publisher.publish(topic, 'queued', { qos: 1 })
      const second = await connect(target, version, { ...options, cleanStart: true })
      assert.equal(second.connack?.sessionPresent, false)
      await publisher.publish(topic, 'live', { qos: 1 })
      await second.expectNothing()
      await second.disconnect()
    })

    test(`version ${version}: a session that is not to be kept ends with its connection [MQTT-4.1.0-2] [MQTT-3.2.2-3] [MQTT3-3.1.2-6] [MQTT3-3.2.2-3]`, async () => {
      const clientId = unique('s')
      const topic = unique('t')
      const first = await connect(target, version, { clientId })
      await first.subscribe(topic, 1)
      await first.drop()
      using second = await connect(target, version, kept(version, clientId))
      assert.equal(second.connack?.sessionPresent, false)
      using publisher = await connect(target, version, { clientId: unique('p') })
      await publisher.publish(topic, 'x', { qos: 1 })
      await second.expectNothing()
    })

    test(`version ${version}: a second connection with the same client identifier ends the first [MQTT-3.1.4-3] [MQTT3-3.1.4-2] [MQTT-3.14.2-1]`, async () => {
      const options = kept(version, unique('s'))
      const topic = unique('t')
      using first = await connect(target, version, options)
      await first.subscribe(topic, 1)
      using second = await connect(target, version, options)
      await first.expectRefusal(0x8e)
      if (version > 3) assert.equal(second.connack?.sessionPresent, true)
      using publisher = await connect(target, version, { clientId: unique('p') })
      await publisher.publish(topic, 'x', { qos: 1 })
      await second.receive({ payload: 'x' })
    })
  }

  test('sessions belong to client identifiers, compared byte by byte [MQTT-3.1.3-2] [MQTT3-3.1.3-2]', async () => {
    for (const version of [4, 5] as const) {
      const clientId = unique('same')
      const first = await connect(target, version, kept(version, clientId))
      await first.disconnect()
      using other = await connect(target, version, kept(version, clientId.toUpperCase()))
      assert.equal(other.connack?.sessionPresent, false)
      using again = await connect(target, version, kept(version, clientId))
      assert.equal(again.connack?.sessionPresent, true)
      await other.ping()
    }
  })

  test('a kept session of 3.1.1 can be resumed by 5.0 and the other way round [MQTT-3.1.2-5] [MQTT3-3.1.2-4]', async () => {
    for (const [from, to] of [
      [4, 5],
      [5, 4],
    ] as const) {
      const clientId = unique('s')
      const topic = unique('t')
      const first = await connect(target, from, kept(from, clientId))
      await first.subscribe(topic, 1)
      await first.disconnect()
      using publisher = await connect(target, 5, { clientId: unique('p') })
      await publisher.publish(topic, 'x', { qos: 1, properties: [['contentType', 'c']] })
      using second = await connect(target, to, kept(to, clientId))
      assert.equal(second.connack?.sessionPresent, true)
      await second.receive({ topic, payload: 'x', qos: 1 })
    }
  })

  test('retained messages outlive the session that published them [MQTT3-3.1.2-7]', async () => {
    for (const version of [4, 5] as const) {
      const topic = unique('t')
      const publisher = await connect(target, version, { clientId: unique('p') })
      await publisher.publish(topic, 'stays', { qos: 1, retain: true })
      await publisher.disconnect()
      using subscriber = await connect(target, version, { clientId: unique('s') })
      await subscriber.subscribe(topic, 1)
      await subscriber.receive({ payload: 'stays', retain: true })
    }
  })

  test('version 5: a session is discarded when its expiry interval has passed, not before [MQTT-4.1.0-2] [MQTT-3.1.2-23]', async () => {
    const clientId = unique('s')
    const properties = [['sessionExpiryInterval', 2]] as const
    const first = await connect(target, 5, { clientId, properties })
    await first.drop()
    const second = await connect(target, 5, { clientId, cleanStart: false, properties })
    assert.equal(second.connack?.sessionPresent, true)
    await second.drop()
    await elapse(3_600)
    using third = await connect(target, 5, { clientId, cleanStart: false, properties })
    assert.equal(third.connack?.sessionPresent, false)
  })

  test('version 5: the expiry interval does not run while the connection is open [MQTT-4.1.0-1] [MQTT3-4.1.0-2]', async () => {
    const clientId = unique('s')
    const properties = [['sessionExpiryInterval', 1]] as const
    const first = await connect(target, 5, { clientId, properties })
    await elapse(2_300)
    await first.ping()
    await first.drop()
    using second = await connect(target, 5, { clientId, cleanStart: false, properties })
    assert.equal(second.connack?.sessionPresent, true)
  })

  test('version 5: DISCONNECT may change the expiry interval [MQTT-4.1.0-2]', async () => {
    const shorter = unique('s')
    const first = await connect(target, 5, kept(5, shorter))
    await first.disconnect(0, [['sessionExpiryInterval', 0]])
    using again = await connect(target, 5, kept(5, shorter))
    assert.equal(again.connack?.sessionPresent, false)

    const longer = unique('s')
    const second = await connect(target, 5, { clientId: longer, properties: [['sessionExpiryInterval', 1]] })
    await second.disconnect(0, [['sessionExpiryInterval', 60]])
    await elapse(2_300)
    using still = await connect(target, 5, kept(5, longer))
    assert.equal(still.connack?.sessionPresent, true)
  })

  test('version 5: DISCONNECT must not give a session an expiry interval that had none [MQTT-4.13.1-1]', async () => {
    using client = await connect(target, 5, { clientId: unique('s') })
    client.send(wire.disconnect(0, [['sessionExpiryInterval', 60]]))
    await client.expectRefusal(0x82)
  })

  test('version 5: a resumed session keeps the options of its subscriptions [MQTT-3.1.2-5]', async () => {
    const clientId = unique('s')
    const topic = unique('t')
    const first = await connect(target, 5, kept(5, clientId))
    // QoS 1, no local, retain as published.
    await first.subscribe(topic, 1 | 4 | 8, [['subscriptionIdentifier', 77]])
    await first.disconnect()
    using second = await connect(target, 5, kept(5, clientId))
    await second.publish(topic, 'own', { qos: 1 })
    using publisher = await connect(target, 5, { clientId: unique('p') })
    await publisher.publish(topic, 'x', { qos: 1, retain: true })
    const message = await second.receive({ payload: 'x', retain: true })
    assert.deepEqual(wire.propertiesOf(message, 'subscriptionIdentifier'), [77])
  })

  test('version 5: session present is 0 in a refusal even if there is a session [MQTT-3.2.2-6] [MQTT3-3.2.2-4]', async () => {
    const clientId = unique('s')
    const first = await connect(target, 5, kept(5, clientId))
    await first.disconnect()
    const refused = wire.connect(5, kept(5, clientId, { properties: [['authenticationMethod', 'unknown']] }))
    using client = await opened(target, 5, refused)
    const answer = await client.next()
    if (answer !== undefined) assert.equal(answer.sessionPresent, false)
    using again = await connect(target, 5, kept(5, clientId))
    assert.equal(again.connack?.sessionPresent, true)
  })
})
