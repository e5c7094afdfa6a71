/** Enhanced authentication. Sections 3.15 and 4.12 of 5.0; before 5.0 there is no AUTH. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { RawClient } from '../../testkit/src/raw-client.ts'
import { connect, opened } from '../../testkit/src/raw-client.ts'
import type { Property, Received } from '../../testkit/src/wire.ts'
import * as wire from '../../testkit/src/wire.ts'
import { outside, unique, useBroker } from './target.ts'

const plain = useBroker()

/** One question, one answer: `right` succeeds, `again` is asked again, anything else is refused with 0x87. */
const asking = useBroker('tcp', {
  access: {
    allowAnonymous: true,
    enhanced: {
      methods: ['ASK', 'GIVE'],
      step({ method, data }) {
        const answer = data === undefined ? '' : Buffer.from(data).toString()
        if (method === 'GIVE') return { verdict: 'success', data: Buffer.from('welcome') }
        if (answer === '' || answer === 'again') return { verdict: 'continue', data: Buffer.from('question') }
        if (answer === 'right') return { verdict: 'success', data: Buffer.from('well done') }
        return { verdict: 'refuse', reasonCode: 0x87, reason: 'Not the right answer' }
      },
    },
  },
})

const method = (name: string): Property => ['authenticationMethod', name]
const data = (content: string): Property => ['authenticationData', content]

function starting(...properties: Property[]): Promise<RawClient> {
  return opened(asking, 5, wire.connect(5, { clientId: unique('c'), properties }))
}

function dataOf(received: Received): string {
  return Buffer.from(wire.propertyOf(received, 'authenticationData') as Uint8Array).toString()
}

async function questioned(client: RawClient): Promise<void> {
  const question = await client.expectPacket('AUTH', { reason: 0x18 })
  assert.equal(wire.propertyOf(question, 'authenticationMethod'), 'ASK')
  assert.equal(dataOf(question), 'question')
}

describe('enhanced authentication', { concurrency: 8, skip: outside }, () => {
  test('a method that the broker does not know is refused and closed [MQTT-4.12.0-1]', async () => {
    for (const target of [plain, asking]) {
      using client = await opened(target, 5, wire.connect(5, { clientId: unique('c'), properties: [method('NONE')] }))
      await client.expectConnectRefused(0x8c, 0x87)
    }
  })

  test('an exchange carries the method in every packet and ends with CONNACK [MQTT-4.12.0-2] [MQTT-4.12.0-5] [MQTT-3.15.2-1] [MQTT-3.2.0-1]', async () => {
    using client = await starting(method('ASK'))
    await questioned(client)
    client.send(wire.auth(0x18, [method('ASK'), data('again')]))
    await questioned(client)
    client.send(wire.auth(0x18, [method('ASK'), data('right')]))
    const connack = await client.expectPacket('CONNACK', { reason: 0 })
    assert.equal(wire.propertyOf(connack, 'authenticationMethod'), 'ASK')
    assert.equal(dataOf(connack), 'well done')
    await client.ping()
  })

  test('an exchange may need no AUTH at all [MQTT-4.12.0-5]', async () => {
    using client = await starting(method('GIVE'), data('x'))
    const connack = await client.expectPacket('CONNACK', { reason: 0 })
    assert.equal(wire.propertyOf(connack, 'authenticationMethod'), 'GIVE')
    assert.equal(dataOf(connack), 'welcome')
  })

  test('a wrong answer is refused and closed [MQTT-4.12.0-4] [MQTT-3.2.2-7]', async () => {
    using client = await starting(method('ASK'))
    await questioned(client)
    client.send(wire.auth(0x18, [method('ASK'), data('wrong')]))
    await client.expectConnectRefused(0x87)
  })

  test('another method, no method or another reason code within an exchange is refused and closed [MQTT-4.12.0-5] [MQTT-4.13.1-1] [MQTT-3.14.0-1]', async () => {
    for (const packet of [
      wire.auth(0x18, [method('GIVE'), data('right')]),
      wire.auth(0x18, [data('right')]),
      wire.auth(0x19, [method('ASK'), data('right')]),
      wire.auth(0x00, [method('ASK'), data('right')]),
      wire.auth(0x77, [method('ASK'), data('right')]),
    ]) {
      using client = await starting(method('ASK'))
      await questioned(client)
      client.send(packet)
      await client.expectConnectError(0x81, 0x82, 0x8c)
    }
  })

  test('other packets within an exchange close the connection, and are not processed [MQTT-3.1.4-6] [MQTT-4.13.1-1]', async () => {
    const topic = unique('t')
    using watcher = await connect(asking, 5, { clientId: unique('w') })
    await watcher.subscribe(topic)
    for (const packet of [wire.publish(5, topic, 'x'), wire.pingreq, wire.subscribe(5, 1, [[topic, 0]])]) {
      using client = await starting(method('ASK'))
      await questioned(client)
      client.send(packet)
      await client.expectConnectError(0x81, 0x82)
    }
    await watcher.expectNothing()
  })

  test('DISCONNECT within an exchange ends it [MQTT-3.14.4-2]', async () => {
    using client = await starting(method('ASK'))
    await questioned(client)
    client.send(wire.disconnect())
    await client.expectClosed()
  })

  test('without a method the broker sends no AUTH and no method [MQTT-4.12.0-6]', async () => {
    using client = await connect(asking, 5, { clientId: unique('c') })
    assert.equal(client.connack && wire.propertyOf(client.connack, 'authenticationMethod'), undefined)
    await client.expectNothing()
  })

  test('without a method AUTH of the client is a protocol error [MQTT-4.12.0-7] [MQTT-4.13.1-1]', async () => {
    for (const reason of [0x18, 0x19]) {
      using client = await connect(asking, 5, { clientId: unique('c') })
      client.send(wire.auth(reason, [method('ASK')]))
      await client.expectRefusal(0x82)
    }
  })

  test('re-authentication succeeds with AUTH 0x00, and packets go on meanwhile [MQTT-4.12.1-1] [MQTT-4.12.0-2] [MQTT-4.12.0-5] [MQTT-3.15.2-1]', async () => {
    using client = await starting(method('ASK'), data('right'))
    await client.expectPacket('CONNACK', { reason: 0 })
    client.send(wire.auth(0x19, [method('ASK')]))
    await questioned(client)
    await client.ping()
    client.send(wire.auth(0x18, [method('ASK'), data('right')]))
    const done = await client.expectPacket('AUTH', { reason: 0 })
    assert.equal(wire.propertyOf(done, 'authenticationMethod'), 'ASK')
    await client.ping()
  })

  test('a failed re-authentication closes the connection [MQTT-4.12.1-2] [MQTT-4.13.2-1]', async () => {
    using client = await starting(method('ASK'), data('right'))
    await client.expectPacket('CONNACK', { reason: 0 })
    client.send(wire.auth(0x19, [method('ASK'), data('wrong')]))
    await client.expectRefusal(0x87)
  })

  test('re-authentication with another method closes the connection [MQTT-4.12.1-1]', async () => {
    using client = await starting(method('ASK'), data('right'))
    await client.expectPacket('CONNACK', { reason: 0 })
    client.send(wire.auth(0x19, [method('GIVE')]))
    await client.expectRefusal(0x82, 0x8c)
  })

  test('AUTH with other flags is malformed [MQTT-3.15.1-1] [MQTT-2.1.3-1]', async () => {
    for (const flags of [1, 2, 8]) {
      using client = await starting(method('ASK'), data('right'))
      await client.expectPacket('CONNACK', { reason: 0 })
      client.send(wire.packet('AUTH', flags, wire.bytes(0x19), wire.properties([method('ASK')])))
      await client.expectRefusal(0x81)
    }
  })

  test('AUTH keeps to the maximum packet size of the client [MQTT-3.15.2-2] [MQTT-3.15.2-3] [MQTT-3.1.2-24]', async () => {
    using client = await starting(method('ASK'), data('right'), ['maximumPacketSize', 60])
    assert.ok((await client.expectPacket('CONNACK', { reason: 0 })).length <= 60)
    client.send(wire.auth(0x19, [method('ASK'), data('again')]))
    assert.ok((await client.expectPacket('AUTH', { reason: 0x18 })).length <= 60)
    client.send(wire.auth(0x18, [method('ASK'), data('wrong')]))
    const last = await client.expectPacket('DISCONNECT', { reason: 0x87 })
    assert.ok(last.length <= 60)
  })
})
