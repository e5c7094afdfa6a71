/** Delivery with QoS 1 and 2: handshakes, redelivery, identifiers, order, flow control. Sections 4.3 to 4.6 and 4.9. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { connect } from '../../testkit/src/raw-client.ts'
import * as wire from '../../testkit/src/wire.ts'
import { elapse, kept, outside, unique, useBroker } from './target.ts'

const target = useBroker()
const narrow = useBroker('tcp', { access: { allowAnonymous: true }, limits: { receiveMaximum: 3 } })

describe('QoS 1 and 2', { concurrency: 12 }, () => {
  for (const version of [3, 4, 5] as const) {
    test(`version ${version}: QoS 1 is acknowledged with its identifier, which may then be used again [MQTT-2.2.1-5] [MQTT-3.3.4-1] [MQTT-3.4.2-1] [MQTT-4.3.2-4] [MQTT-4.3.2-5] [MQTT3-2.3.1-6] [MQTT3-3.3.4-1] [MQTT3-4.3.2-2]`, async () => {
      const topic = unique('t')
      using subscriber = await connect(target, version, { clientId: unique('s') })
      await subscriber.subscribe(topic, 1)
      using publisher = await connect(target, version, { clientId: unique('p') })
      for (const id of [1, 65_535, 258]) {
        for (const [payload, dup] of [
          ['first', false],
          ['second', true],
        ] as const) {
          publisher.send(wire.publish(version, topic, payload, { qos: 1, id, dup }))
          const { reason } = await publisher.expectPacket('PUBACK', { id })
          assert.ok(reason === 0 || reason === 0x10)
          await subscriber.receive({ payload, qos: 1 })
        }
      }
    })

    test(`version ${version}: QoS 2 is delivered once whatever is sent twice [MQTT-2.2.1-5] [MQTT-3.5.2-1] [MQTT-3.7.2-1] [MQTT-4.3.3-8] [MQTT-4.3.3-10] [MQTT-4.3.3-11] [MQTT-4.3.3-12] [MQTT3-2.3.1-6] [MQTT3-4.3.3-2]`, async () => {
      const topic = unique('t')
      using subscriber = await connect(target, version, { clientId: unique('s') })
      await subscriber.subscribe(topic, 2)
      using publisher = await connect(target, version, { clientId: unique('p') })
      for (const payload of ['one', 'two']) {
        for (const dup of [false, true, true]) {
          publisher.send(wire.publish(version, topic, payload, { qos: 2, id: 5, dup }))
          const { reason } = await publisher.expectPacket('PUBREC', { id: 5 })
          assert.ok(reason === 0 || reason === 0x10)
        }
        publisher.send(wire.acknowledge('PUBREL', 5))
        await publisher.expectPacket('PUBCOMP', { id: 5, reason: 0 })
        publisher.send(wire.acknowledge('PUBREL', 5))
        const again = await publisher.expectPacket('PUBCOMP', { id: 5 })
        assert.ok(again.reason === 0 || again.reason === 0x92)
        await subscriber.receive({ payload, qos: 2 })
        await subscriber.expectNothing(30)
      }
    })

    test(`version ${version}: QoS 2 is delivered once across a reconnect of its publisher [MQTT-4.3.3-10] [MQTT-4.3.3-11] [MQTT3-4.3.3-2]`, async () => {
      const topic = unique('t')
      using subscriber = await connect(target, version, { clientId: unique('s') })
      await subscriber.subscribe(topic, 2)
      const options = kept(version, unique('p'))
      const first = await connect(target, version, options)
      first.send(wire.publish(version, topic, 'once', { qos: 2, id: 9 }))
      await first.expectPacket('PUBREC', { id: 9 })
      await first.drop()
      const second = await connect(target, version, options)
      second.send(wire.publish(version, topic, 'once', { qos: 2, id: 9, dup: true }))
      await second.expectPacket('PUBREC', { id: 9 })
      await second.drop()
      using third = await connect(target, version, options)
      third.send(wire.acknowledge('PUBREL', 9))
      await third.expectPacket('PUBCOMP', { id: 9, reason: 0 })
      await subscriber.receive({ payload: 'once', qos: 2 })
      await subscriber.expectNothing()
    })

    test(`version ${version}: an unacknowledged QoS 1 message is sent again on reconnect, at no other time [MQTT-3.3.1-1] [MQTT-4.3.2-2] [MQTT-4.3.2-3] [MQTT-4.4.0-1] [MQTT3-2.3.1-4] [MQTT3-3.3.1-1] [MQTT3-4.3.2-1] [MQTT3-4.4.0-1]`, async () => {
      const topic = unique('t')
      const options = kept(version, unique('s'))
      const first = await connect(target, version, options)
      await first.subscribe(topic, 1)
      using publisher = await connect(target, version, { clientId: unique('p') })
      await publisher.publish(topic, 'x', { qos: 1 })
      const { id } = await first.expectPacket('PUBLISH', { payload: 'x', qos: 1, dup: false })
      await first.expectNothing(400)
      await first.drop()
      const second = await connect(target, version, options)
      await second.expectPacket('PUBLISH', { payload: 'x', qos: 1, dup: true, id })
      second.send(wire.acknowledge('PUBACK', id))
      await second.ping()
      await second.drop()
      using third = await connect(target, version, options)
      await third.expectNothing()
    })

    test(`version ${version}: an unfinished QoS 2 message goes on where it was on reconnect [MQTT-3.6.2-1] [MQTT-4.3.3-2] [MQTT-4.3.3-3] [MQTT-4.3.3-4] [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT-4.4.0-1] [MQTT3-4.3.3-1] [MQTT3-4.4.0-1]`, async () => {
      const topic = unique('t')
      const options = kept(version, unique('s'))
      const first = await connect(target, version, options)
      await first.subscribe(topic, 2)
      using publisher = await connect(target, version, { clientId: unique('p') })
      await publisher.publish(topic, 'x', { qos: 2 })
      const { id } = await first.expectPacket('PUBLISH', { payload: 'x', qos: 2, dup: false })
      await first.drop()
      const second = await connect(target, version, options)
      await second.expectPacket('PUBLISH', { payload: 'x', qos: 2, dup: true, id })
      second.send(wire.acknowledge('PUBREC', id))
      await second.expectPacket('PUBREL', { id, reason: 0 })
      await second.drop()
      const third = await connect(target, version, options)
      await third.expectPacket('PUBREL', { id, reason: 0 })
      await third.expectNothing()
      third.send(wire.acknowledge('PUBCOMP', id))
      await third.ping()
      await third.drop()
      using fourth = await connect(target, version, options)
      await fourth.expectNothing()
    })

    test(`version ${version}: redelivery keeps order and identifiers, which are all different [MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1] [MQTT-4.6.0-1] [MQTT3-2.3.1-4] [MQTT3-4.3.2-1] [MQTT3-4.3.3-1] [MQTT3-4.6.0-1]`, async () => {
      const topic = unique('t')
      const options = kept(version, unique('s'))
      const first = await connect(target, version, options)
      await first.subscribe(topic, 2)
      using publisher = await connect(target, version, { clientId: unique('p') })
      const payloads = Array.from({ length: 20 }, (_, index) => `m${index}`)
      for (const [index, payload] of payloads.entries())
        await publisher.publish(topic, payload, { qos: 1 + (index % 2) })
      const ids: number[] = []
      for (const payload of payloads) ids.push((await first.expectPacket('PUBLISH', { payload, dup: false })).id)
      assert.equal(new Set(ids).size, ids.length)
      await first.drop()
      using second = await connect(target, version, options)
      for (const [index, payload] of payloads.entries()) {
        await second.expectPacket('PUBLISH', { payload, dup: true, id: ids[index] ?? 0, qos: 1 + (index % 2) })
      }
    })

    test(`version ${version}: messages and acknowledgements keep their order [MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT3-4.6.0-2] [MQTT3-4.6.0-3] [MQTT3-4.6.0-5] [MQTT3-4.6.0-6]`, async () => {
      const topic = unique('t')
      for (const qos of [0, 1, 2]) {
        using subscriber = await connect(target, version, { clientId: unique('s') })
        await subscriber.subscribe(topic, 2)
        using publisher = await connect(target, version, { clientId: unique('p') })
        // Six times sixteen: fewer at once than the smallest receive maximum that brokers are run with.
        for (let round = 0; round < 6; round++) {
          const ids = Array.from({ length: 16 }, (_, index) => 1 + ((index * 5) % 16))
          const name = (id: number) => `m${round}.${id}`
          publisher.send(...ids.map((id) => wire.publish(version, topic, name(id), qos === 0 ? { qos } : { qos, id })))
          if (qos > 0) for (const id of ids) await publisher.expectPacket(qos === 1 ? 'PUBACK' : 'PUBREC', { id })
          if (qos === 2) {
            publisher.send(...ids.map((id) => wire.acknowledge('PUBREL', id)))
            for (const id of ids) await publisher.expectPacket('PUBCOMP', { id })
          }
          for (const id of ids) await subscriber.receive({ payload: name(id), qos })
        }
      }
    })

    test(`version ${version}: PUBREL is sent in the order of PUBREC [MQTT-4.6.0-4] [MQTT3-4.6.0-4]`, async () => {
      const topic = unique('t')
      using subscriber = await connect(target, version, { clientId: unique('s') })
      await subscriber.subscribe(topic, 2)
      using publisher = await connect(target, version, { clientId: unique('p') })
      const ids: number[] = []
      for (let index = 0; index < 10; index++) {
        await publisher.publish(topic, 'x', { qos: 2 })
        ids.push((await subscriber.expectPacket('PUBLISH')).id)
      }
      subscriber.send(...ids.map((id) => wire.acknowledge('PUBREC', id)))
      for (const id of ids) await subscriber.expectPacket('PUBREL', { id })
    })

    test(`version ${version}: PUBREL of an unknown identifier is answered with PUBCOMP [MQTT-3.7.2-1] [MQTT-4.3.3-11] [MQTT3-4.3.3-2]`, async () => {
      using client = await connect(target, version, { clientId: unique('c') })
      client.send(wire.acknowledge('PUBREL', 77))
      await client.expectPacket('PUBCOMP', { id: 77, reason: version === 5 ? 0x92 : 0 })
    })

    test(`version ${version}: acknowledgements of a wrong length or identifier 0 close the connection [MQTT-4.13.1-1] [MQTT3-4.8.0-1]`, async () => {
      for (const type of ['PUBACK', 'PUBREC', 'PUBREL', 'PUBCOMP'] as const) {
        for (const body of [wire.bytes(), wire.bytes(1), wire.bytes(0, 0), wire.bytes(0, 1, 0, 0, 0)]) {
          // 5.0: the last has reason code and no properties, and a byte too many.
          using client = await connect(target, version, { clientId: unique('c') })
          client.send(wire.packet(type, type === 'PUBREL' ? 2 : 0, body))
          await client.expectRefusal(0x81, 0x82)
        }
      }
    })
  }

  for (const version of [4, 5] as const) {
    // 3.1 lets PUBREL, SUBSCRIBE and UNSUBSCRIBE carry DUP and does not ask for a check.
    test(`version ${version}: PUBREL with other flags closes the connection [MQTT-3.6.1-1] [MQTT-2.1.3-1] [MQTT3-3.6.1-1] [MQTT3-2.2.2-1] [MQTT3-2.2.2-2]`, async () => {
      for (const flags of [0, 1, 3, 10]) {
        using client = await connect(target, version, { clientId: unique('c') })
        client.send(wire.packet('PUBREL', flags, wire.uint16(1)))
        await client.expectRefusal(0x81)
      }
    })
  }

  test('version 5: PUBACK and PUBREC with an error settle the message [MQTT-4.4.0-2] [MQTT-4.3.3-4]', async () => {
    const topic = unique('t')
    const options = kept(5, unique('s'))
    const first = await connect(target, 5, options)
    await first.subscribe(topic, 2)
    using publisher = await connect(target, 5, { clientId: unique('p') })
    await publisher.publish(topic, 'one', { qos: 1 })
    await publisher.publish(topic, 'two', { qos: 2 })
    const one = await first.expectPacket('PUBLISH', { payload: 'one' })
    const two = await first.expectPacket('PUBLISH', { payload: 'two' })
    first.send(wire.acknowledge('PUBACK', one.id, 0x80), wire.acknowledge('PUBREC', two.id, 0x97))
    await first.expectNothing()
    await first.drop()
    using second = await connect(target, 5, options)
    await second.expectNothing()
  })

  test('version 5: PUBREC of an unknown identifier is answered with PUBREL 0x92 [MQTT-3.6.2-1]', async () => {
    using client = await connect(target, 5, { clientId: unique('c') })
    client.send(wire.acknowledge('PUBREC', 77))
    await client.expectPacket('PUBREL', { id: 77, reason: 0x92 })
  })

  test('version 5: an identifier refused with PUBREC means a new message next time [MQTT-4.3.3-9]', async () => {
    const topic = unique('t')
    using subscriber = await connect(target, 5, { clientId: unique('s') })
    await subscriber.subscribe(topic, 2)
    using publisher = await connect(target, 5, { clientId: unique('p') })
    // What a broker says about itself is not for clients to say: a refusal of this message, not of the connection.
    publisher.send(wire.publish(5, '$SYS/refused', 'refused', { qos: 2, id: 3 }))
    const { reason } = await publisher.expectPacket('PUBREC', { id: 3 })
    assert.ok(reason >= 0x80, `PUBREC with ${reason}`)
    publisher.send(wire.publish(5, topic, 'accepted', { qos: 2, id: 3 }))
    const accepted = await publisher.expectPacket('PUBREC', { id: 3 })
    assert.ok(accepted.reason < 0x80)
    publisher.send(wire.acknowledge('PUBREL', 3))
    await publisher.expectPacket('PUBCOMP', { id: 3, reason: 0 })
    await subscriber.receive({ payload: 'accepted' })
  })

  test('version 5: a message that was sent does not expire [MQTT-4.3.3-7]', async () => {
    const topic = unique('t')
    const options = kept(5, unique('s'))
    const first = await connect(target, 5, options)
    await first.subscribe(topic, 2)
    using publisher = await connect(target, 5, { clientId: unique('p') })
    await publisher.publish(topic, 'x', { qos: 2, properties: [['messageExpiryInterval', 1]] })
    const { id } = await first.expectPacket('PUBLISH', { payload: 'x', qos: 2 })
    await first.drop()
    await elapse(2_200)
    using second = await connect(target, 5, options)
    await second.expectPacket('PUBLISH', { payload: 'x', qos: 2, dup: true, id })
    second.send(wire.acknowledge('PUBREC', id))
    await second.expectPacket('PUBREL', { id, reason: 0 })
  })

  test('version 5: the handshake with the publisher of an expired message is finished [MQTT-4.3.3-13]', async () => {
    using publisher = await connect(target, 5, { clientId: unique('p') })
    const properties = [['messageExpiryInterval', 1]] as const
    publisher.send(wire.publish(5, unique('t'), 'x', { qos: 2, id: 4, properties }))
    await publisher.expectPacket('PUBREC', { id: 4 })
    await elapse(2_200)
    publisher.send(wire.acknowledge('PUBREL', 4))
    await publisher.expectPacket('PUBCOMP', { id: 4, reason: 0 })
  })

  for (const qos of [1, 2]) {
    test(`version 5: the broker keeps to the receive maximum of the client, QoS ${qos} [MQTT-3.3.4-9] [MQTT-3.3.4-10] [MQTT-4.9.0-1] [MQTT-4.9.0-2] [MQTT-4.9.0-3]`, async () => {
      const topic = unique('t')
      using subscriber = await connect(target, 5, { clientId: unique('s'), properties: [['receiveMaximum', 3]] })
      await subscriber.subscribe(topic, 2)
      using publisher = await connect(target, 5, { clientId: unique('p') })
      for (let index = 0; index < 8; index++) await publisher.publish(topic, `m${index}`, { qos })
      const inflight: number[] = []
      for (let index = 0; index < 3; index++) {
        inflight.push((await subscriber.expectPacket('PUBLISH', { payload: `m${index}`, qos })).id)
      }
      // The quota is used up: everything but PUBLISH goes on.
      await subscriber.expectNothing()
      await subscriber.subscribe(unique('other'))
      await subscriber.publish(unique('other'), 'x', { qos: 2 })
      for (let index = 3; index < 8; index++) {
        const id = inflight.shift() ?? 0
        if (qos === 1) subscriber.send(wire.acknowledge('PUBACK', id))
        else if (index % 2 === 0) subscriber.send(wire.acknowledge('PUBREC', id, 0x80))
        else {
          subscriber.send(wire.acknowledge('PUBREC', id))
          await subscriber.expectPacket('PUBREL', { id })
          await subscriber.expectNothing(20)
          subscriber.send(wire.acknowledge('PUBCOMP', id))
        }
        inflight.push((await subscriber.expectPacket('PUBLISH', { payload: `m${index}`, qos })).id)
        await subscriber.expectNothing(20)
      }
    })
  }

  test('version 5: a client above the receive maximum of the broker is closed with 0x93 [MQTT-4.13.1-1] [MQTT-3.14.2-1]', {
    skip: outside,
  }, async () => {
    using client = await connect(narrow, 5, { clientId: unique('c') })
    assert.equal(client.connack && wire.propertyOf(client.connack, 'receiveMaximum'), 3)
    const topic = unique('t')
    for (let round = 0; round < 3; round++) {
      for (const id of [1, 2, 3]) {
        client.send(wire.publish(5, topic, 'x', { qos: 2, id }))
        await client.expectPacket('PUBREC', { id })
      }
      // A resent message takes no quota.
      client.send(wire.publish(5, topic, 'x', { qos: 2, id: 2, dup: true }))
      await client.expectPacket('PUBREC', { id: 2 })
      client.send(...[1, 2, 3].map((id) => wire.acknowledge('PUBREL', id)))
      for (const id of [1, 2, 3]) await client.expectPacket('PUBCOMP', { id })
    }
    for (const id of [1, 2, 3]) client.send(wire.publish(5, topic, 'x', { qos: 2, id }))
    for (const id of [1, 2, 3]) await client.expectPacket('PUBREC', { id })
    client.send(wire.publish(5, topic, 'x', { qos: 2, id: 4 }))
    await client.expectRefusal(0x93)
  })
})
