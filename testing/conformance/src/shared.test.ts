/** Shared subscriptions. Section 4.8.2 of 5.0; 3.1.1 has none. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { RawClient } from '../../testkit/src/raw-client.ts'
import { connect } from '../../testkit/src/raw-client.ts'
import * as wire from '../../testkit/src/wire.ts'
import { kept, unique, useBroker } from './target.ts'

const target = useBroker()

/** What has come for a client by the time of a round trip, all acknowledged. */
async function arrived(client: RawClient): Promise<string[]> {
  const payloads: string[] = []
  client.send(wire.pingreq)
  for (;;) {
    const packet = await client.next()
    if (packet?.type === 'PINGRESP') return payloads
    assert.equal(packet?.type, 'PUBLISH')
    if (packet === undefined) return payloads
    payloads.push(packet.payload.toString())
    if (packet.qos === 1) client.send(wire.acknowledge('PUBACK', packet.id))
  }
}

describe('shared subscriptions', { concurrency: 12 }, () => {
  test('a malformed shared filter is refused, alone or with the connection [MQTT-4.8.2-1] [MQTT-4.8.2-2]', async () => {
    for (const filter of [
      '$share/',
      '$share/g',
      '$share//t',
      '$share/g/',
      '$share/g+/t',
      '$share/#/t',
      '$share/a#/t',
      '$share/+/t',
    ]) {
      using client = await connect(target, 5, { clientId: unique('c') })
      client.send(wire.subscribe(5, 1, [[filter, 0]]))
      const answer = await client.next()
      if (answer?.type === 'SUBACK') assert.deepEqual(answer.reasons, [0x8f], filter)
      else assert.ok(answer?.type === 'DISCONNECT' && [0x81, 0x82, 0x8f].includes(answer.reason), filter)
    }
  })

  test('no local on a shared subscription is a protocol error [MQTT-3.8.3-4]', async () => {
    using client = await connect(target, 5, { clientId: unique('c') })
    client.send(wire.subscribe(5, 1, [['$share/g/t', 4]]))
    await client.expectRefusal(0x82)
  })

  test('each message goes to one member of each group, and to every other subscription [MQTT-4.8.2-1] [MQTT-4.8.2-2] [MQTT-4.5.0-1]', async () => {
    const topic = unique('t')
    const group = unique('g')
    using one = await connect(target, 5, { clientId: unique('m') })
    using two = await connect(target, 5, { clientId: unique('m') })
    using other = await connect(target, 5, { clientId: unique('m') })
    using alone = await connect(target, 5, { clientId: unique('m') })
    await one.subscribe(`$share/${group}/${topic}/+`, 1)
    await two.subscribe(`$share/${group}/${topic}/+`, 1)
    await other.subscribe(`$share/${group}o/${topic}/#`, 1)
    await alone.subscribe(`${topic}/#`, 1)
    using publisher = await connect(target, 5, { clientId: unique('p') })
    const payloads = Array.from({ length: 20 }, (_, index) => `m${index}`)
    for (const payload of payloads) await publisher.publish(`${topic}/x`, payload, { qos: 1 })
    assert.deepEqual(await arrived(other), payloads)
    assert.deepEqual(await arrived(alone), payloads)
    const shared = [...(await arrived(one)), ...(await arrived(two))]
    assert.deepEqual(shared.sort(), payloads.sort())
  })

  test('a shared and an own subscription of one client with the same filter are two [MQTT-3.8.4-3]', async () => {
    const topic = unique('t')
    using client = await connect(target, 5, { clientId: unique('c') })
    await client.subscribe(`$share/g/${topic}`, 1, [['subscriptionIdentifier', 1]])
    await client.subscribe(topic, 1, [['subscriptionIdentifier', 2]])
    using publisher = await connect(target, 5, { clientId: unique('p') })
    await client.unsubscribe(`$share/g/${topic}`)
    await publisher.publish(topic, 'own', { qos: 1 })
    const own = await client.receive({ payload: 'own' })
    assert.deepEqual(wire.propertiesOf(own, 'subscriptionIdentifier'), [2])
    await client.unsubscribe(topic)
    await client.subscribe(`$share/g/${topic}`, 1, [['subscriptionIdentifier', 3]])
    await publisher.publish(topic, 'shared', { qos: 1 })
    const shared = await client.receive({ payload: 'shared' })
    assert.deepEqual(wire.propertiesOf(shared, 'subscriptionIdentifier'), [3])
    await client.expectNothing(20)
  })

  test('delivery keeps to the granted QoS [MQTT-4.8.2-3] [MQTT-3.8.4-8]', async () => {
    using publisher = await connect(target, 5, { clientId: unique('p') })
    for (const granted of [0, 1, 2]) {
      const topic = unique('t')
      using member = await connect(target, 5, { clientId: unique('m') })
      await member.subscribe(`$share/g/${topic}`, granted)
      for (const qos of [0, 1, 2]) {
        await publisher.publish(topic, `${qos}`, { qos })
        await member.receive({ payload: `${qos}`, qos: Math.min(qos, granted) })
      }
    }
  })

  test('a shared subscription gets no retained message when it is made [MQTT-4.8.2-1]', async () => {
    const topic = unique('t')
    using publisher = await connect(target, 5, { clientId: unique('p') })
    await publisher.publish(topic, 'x', { retain: true })
    using member = await connect(target, 5, { clientId: unique('m') })
    await member.subscribe(`$share/g/${topic}`)
    await member.expectNothing()
  })

  test('a QoS 2 delivery is completed with the member it was begun with [MQTT-4.8.2-4]', async () => {
    const topic = unique('t')
    const options = kept(5, unique('m'))
    const first = await connect(target, 5, options)
    await first.subscribe(`$share/g/${topic}`, 2)
    using publisher = await connect(target, 5, { clientId: unique('p') })
    await publisher.publish(topic, 'x', { qos: 2 })
    const { id } = await first.expectPacket('PUBLISH', { payload: 'x', qos: 2 })
    using other = await connect(target, 5, { clientId: unique('m') })
    await other.subscribe(`$share/g/${topic}`, 2)
    await first.drop()
    await other.expectNothing()
    using second = await connect(target, 5, options)
    await second.expectPacket('PUBLISH', { payload: 'x', qos: 2, dup: true, id })
    second.send(wire.acknowledge('PUBREC', id))
    await second.expectPacket('PUBREL', { id })
    second.send(wire.acknowledge('PUBCOMP', id))
    await other.expectNothing(20)
  })

  test('a QoS 2 message whose member ends its session goes to no other member [MQTT-4.8.2-5]', async () => {
    const topic = unique('t')
    const member = await connect(target, 5, { clientId: unique('m') })
    await member.subscribe(`$share/g/${topic}`, 2)
    using publisher = await connect(target, 5, { clientId: unique('p') })
    await publisher.publish(topic, 'x', { qos: 2 })
    await member.expectPacket('PUBLISH', { payload: 'x', qos: 2 })
    using other = await connect(target, 5, { clientId: unique('m') })
    await other.subscribe(`$share/g/${topic}`, 2)
    await member.disconnect()
    await other.expectNothing()
    await publisher.publish(topic, 'y', { qos: 2 })
    await other.receive({ payload: 'y', qos: 2 })
  })

  test('a message that a member refuses goes to no other member [MQTT-4.8.2-6]', async () => {
    const topic = unique('t')
    using member = await connect(target, 5, { clientId: unique('m') })
    await member.subscribe(`$share/g/${topic}`, 2)
    using publisher = await connect(target, 5, { clientId: unique('p') })
    await publisher.publish(topic, 'one', { qos: 1 })
    await publisher.publish(topic, 'two', { qos: 2 })
    const one = await member.expectPacket('PUBLISH', { payload: 'one' })
    const two = await member.expectPacket('PUBLISH', { payload: 'two' })
    using other = await connect(target, 5, { clientId: unique('m') })
    await other.subscribe(`$share/g/${topic}`, 2)
    member.send(wire.acknowledge('PUBACK', one.id, 0x80), wire.acknowledge('PUBREC', two.id, 0x83))
    await member.expectNothing(20)
    await other.expectNothing()
  })
})
