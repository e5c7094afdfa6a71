/** What an operator does to a running broker: look, change limits, end sessions, drain, and the notice before the end. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { connect, type RawClient, type Target } from '../../../../testing/testkit/src/raw-client.ts'
import * as wire from '../../../../testing/testkit/src/wire.ts'
import type { Broker } from '../api.ts'
import { createBroker } from '../broker.ts'
import type { BrokerOptions } from '../config/options.ts'
import { ConcordError } from '../errors.ts'

const brokers: Broker[] = []
after(async () => {
  for (const broker of brokers) await broker.close({ graceMs: 0 })
})

async function start(options: BrokerOptions = {}): Promise<{ readonly broker: Broker; readonly target: Target }> {
  const broker = await createBroker({ access: { allowAnonymous: true }, sys: { intervalSeconds: 0 }, ...options })
  brokers.push(broker)
  const { port } = await broker.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })
  return { broker, target: { host: '127.0.0.1', port } }
}

test('reconfigure() gives new limits to new connections, and open ones keep what they were told', async () => {
  const { broker, target } = await start()
  const old = await connect(target, 5, { clientId: 'old' })
  broker.reconfigure({ limits: { packetBytesMax: 200, maximumQoS: 0, wildcardSubscriptionAvailable: false } })
  const fresh = await connect(target, 5, { clientId: 'fresh' })
  assert.deepEqual(
    [...broker.inspection.clients()].map(({ clientId, packetBytesMax }) => [clientId, packetBytesMax]),
    [
      ['old', 16_777_216],
      ['fresh', 200],
    ],
  )
  old.send(wire.subscribe(5, 1, [['a/#', 2]]))
  assert.deepEqual((await old.expectPacket('SUBACK')).reasons, [2])
  fresh.send(wire.subscribe(5, 1, [['a', 2]]))
  assert.deepEqual((await fresh.expectPacket('SUBACK')).reasons, [0])
  old.send(wire.publish(5, 'x/y', Buffer.alloc(1_000), { qos: 2, id: 2 }))
  await old.expectPacket('PUBREC')
  fresh.send(wire.publish(5, 'a', Buffer.alloc(1_000)))
  assert.equal((await fresh.expectPacket('DISCONNECT')).reason, 0x95)
})

test('reconfigure() refuses what createBroker() would, and changes nothing', async () => {
  const { broker, target } = await start()
  assert.throws(
    () => broker.reconfigure({ limits: { packetBytesMax: 100, keepAliveMax: -1 } }),
    (error) => error instanceof ConcordError && error.code === 'CMQ_OPTIONS' && /keepAliveMax/.test(error.message),
  )
  await connect(target, 5, { clientId: 'c' })
  assert.equal(broker.inspection.client('c')?.packetBytesMax, 16_777_216)
})

test('a lower limits.connectionsMax lets those that are there stay and refuses more', async () => {
  const { broker, target } = await start()
  const first = await connect(target, 5, { clientId: 'first' })
  broker.reconfigure({ limits: { connectionsMax: 1 } })
  await assert.rejects(connect(target, 5, { clientId: 'second' }))
  first.send(wire.pingreq)
  await first.expectPacket('PINGRESP')
})

test('$SYS can be switched off and on while running', async () => {
  const { broker, target } = await start({ sys: { intervalSeconds: 1_000 } })
  const client = await connect(target, 5, { clientId: 'c' })
  const versions = async (id: number): Promise<number> => {
    client.send(wire.subscribe(5, id, [['$SYS/broker/version', 0]]))
    client.send(wire.subscribe(5, id + 1, [['none', 0]]))
    let seen = 0
    for (let subacks = 0; subacks < 2; ) {
      const packet = await client.next()
      if (packet?.type === 'PUBLISH') seen++
      else subacks++
    }
    return seen
  }
  assert.equal(await versions(1), 1)
  broker.reconfigure({ sys: { intervalSeconds: 0 } })
  assert.equal(await versions(3), 0)
  broker.reconfigure({ sys: { intervalSeconds: 1_000 } })
  assert.ok((await versions(5)) >= 1)
})

test('endSession() ends kept and transient sessions, connected or not, with what they had', async () => {
  const { broker, target } = await start()
  const { inspection } = broker
  const kept = await connect(target, 5, { clientId: 'kept', properties: [['sessionExpiryInterval', 1_000]] })
  kept.send(wire.subscribe(5, 1, [['a', 1]]))
  await kept.expectPacket('SUBACK')
  const other = await connect(target, 4, { clientId: 'other' })
  assert.equal(inspection.endSession('kept'), true)
  assert.equal((await kept.expectPacket('DISCONNECT')).reason, 0x98)
  assert.equal(inspection.session('kept'), undefined)
  assert.deepEqual([...inspection.subscriptions()], [])
  assert.equal(inspection.endSession('kept'), false)
  const again = await connect(target, 5, {
    clientId: 'kept',
    cleanStart: false,
    properties: [['sessionExpiryInterval', 9]],
  })
  assert.equal(again.connack?.sessionPresent, false)
  assert.equal(inspection.endSession('other'), true)
  await other.expectClosed()
  await again.drop()
  assert.equal(inspection.endSession('kept'), true)
  assert.equal(inspection.totals().sessions, 0)
})

test('$SYS/notices says "shutting down" before the end, and is not retained [row F34]', async () => {
  const { broker, target } = await start({ sys: { intervalSeconds: 1_000 } })
  const listeners: RawClient[] = []
  for (const cleanStart of [true, false]) {
    const properties: wire.Property[] = cleanStart ? [] : [['sessionExpiryInterval', 100]]
    const client = await connect(target, 5, { clientId: `c-${cleanStart}`, cleanStart, properties })
    client.send(wire.subscribe(5, 1, [['$SYS/notices', 0]]))
    await client.expectPacket('SUBACK')
    client.send(wire.publish(5, '$SYS/notices', 'forged', { qos: 1, id: 9 }))
    assert.equal((await client.expectPacket('PUBACK')).reason, 0x87)
    listeners.push(client)
  }
  await broker.close()
  for (const client of listeners) {
    const notice = await client.expectPacket('PUBLISH')
    assert.deepEqual([notice.topic, notice.payload.toString(), notice.retain], ['$SYS/notices', 'shutting down', false])
    assert.equal((await client.expectPacket('DISCONNECT')).reason, 0x8b)
  }
})

test('drain() takes no more connections and ends those that are there spread over the time', async () => {
  const { broker, target } = await start()
  const clients: RawClient[] = []
  for (let i = 0; i < 10; i++) clients.push(await connect(target, 5, { clientId: `c${i}` }))
  const begun = performance.now()
  const drained = broker.drain({ overMs: 500, serverReference: 'b:1' })
  assert.equal(broker.ready, false)
  const ends: number[] = []
  for (const client of clients) {
    const { reason } = await client.expectPacket('DISCONNECT')
    assert.equal(reason, 0x9c)
    ends.push(performance.now() - begun)
  }
  await drained
  await assert.rejects(connect(target, 5, { clientId: 'late' }))
  assert.ok((ends.at(-1) ?? 0) - (ends[0] ?? 0) > 200, `not spread: ${ends.join(', ')}`)
})
