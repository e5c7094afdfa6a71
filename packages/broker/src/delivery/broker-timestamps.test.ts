/** Time stamps on deliveries for those who ask (row F33), on every way a message can take. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { connect, type RawClient, type Target } from '../../../../testing/testkit/src/raw-client.ts'
import * as wire from '../../../../testing/testkit/src/wire.ts'
import type { Broker } from '../api.ts'
import { createBroker } from '../broker.ts'
import type { BrokerOptions } from '../config/options.ts'

const brokers: Broker[] = []
after(async () => {
  for (const broker of brokers) await broker.close({ graceMs: 0 })
})

async function start(options: BrokerOptions = {}): Promise<Target & { readonly broker: Broker }> {
  const broker = await createBroker({ access: { allowAnonymous: true }, sys: { intervalSeconds: 0 }, ...options })
  brokers.push(broker)
  const { port } = await broker.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })
  return { host: '127.0.0.1', port, broker }
}

const asked = (value = 'true'): wire.Property => ['userProperty', ['include_broker_timestamps', value]]
const kept: wire.Property = ['sessionExpiryInterval', 1_000]

/** The user properties of the next message; checks that a time stamp is of this minute and to the second. */
async function next(client: RawClient): Promise<readonly (readonly [string, string])[]> {
  const message = await client.receive()
  const found = wire.propertiesOf(message, 'userProperty') as readonly (readonly [string, string])[]
  for (const [name, value] of found) {
    if (name !== 'timestamp_received') continue
    assert.match(value, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
    assert.ok(Math.abs(Date.parse(value) - Date.now()) < 60_000)
  }
  return found
}

const names = async (client: RawClient): Promise<string[]> => (await next(client)).map(([name]) => name)

test('only whoever asks with "true" gets them, beside what the publisher wrote, at every QoS', async () => {
  const target = await start()
  const asking = await connect(target, 5, { clientId: 'asking', properties: [['topicAliasMaximum', 5]] })
  await asking.subscribe('t', 2, [asked(), ['subscriptionIdentifier', 7]])
  const other = await connect(target, 5, { clientId: 'other' })
  await other.subscribe('t', 2)
  const denying = await connect(target, 5, { clientId: 'denying' })
  await denying.subscribe('t', 2, [asked('false')])
  const old = await connect(target, 4, { clientId: 'old' })
  await old.subscribe('t', 2)
  for (const version of [4, 5] as const) {
    const publisher = await connect(target, version, { clientId: `p${version}` })
    for (const qos of [0, 1, 2]) {
      const properties: wire.Property[] = version === 5 ? [['userProperty', ['mine', 'x']]] : []
      const mine = version === 5 ? ['mine'] : []
      await publisher.publish('t', 'x'.repeat(qos === 2 ? 20_000 : 5), { qos, properties })
      assert.deepEqual(await names(asking), [...mine, 'timestamp_received'])
      assert.deepEqual(await names(other), mine)
      assert.deepEqual(await names(denying), mine)
      assert.equal((await old.receive()).topic, 't')
    }
  }
})

test('a run of messages has them on each, and a subscription that no longer asks ends them', async () => {
  const target = await start()
  const client = await connect(target, 5, { clientId: 'c' })
  await client.subscribe('t', 1, [asked()])
  const publisher = await connect(target, 4, { clientId: 'p' })
  publisher.send(...Array.from({ length: 20 }, () => wire.publish(4, 't', 'same size')))
  for (let i = 0; i < 20; i++) assert.deepEqual(await names(client), ['timestamp_received'])
  await client.subscribe('t', 1)
  await publisher.publish('t', 'x')
  assert.deepEqual(await names(client), [])
})

test('retained messages, wills, queues of kept sessions and shared groups carry them', async () => {
  const target = await start()
  const publisher = await connect(target, 5, { clientId: 'p' })
  await publisher.publish('t/r', 'retained', { qos: 1, retain: true })
  const transient = await connect(target, 5, { clientId: 'transient' })
  await transient.subscribe('t/#', 1, [asked()])
  assert.deepEqual(await names(transient), ['timestamp_received'])

  const first = await connect(target, 5, { clientId: 'kept', properties: [kept] })
  await first.subscribe('u/#', 1)
  await first.subscribe('t/#', 1, [asked()])
  assert.deepEqual(await names(first), ['timestamp_received'])
  await publisher.publish('t/zero', 'x')
  assert.deepEqual(await names(first), ['timestamp_received'])
  await first.drop()
  await publisher.publish('t/1', 'x', { qos: 1 })
  await publisher.publish('u/1', 'x', { qos: 1 })
  const back = await connect(target, 5, { clientId: 'kept', cleanStart: false, properties: [kept] })
  assert.deepEqual(await names(back), ['timestamp_received'])
  assert.deepEqual(await names(back), [])

  const member = await connect(target, 5, { clientId: 'member' })
  await member.subscribe('$share/g/s', 1, [asked()])
  await publisher.publish('s', 'x', { qos: 1 })
  assert.deepEqual(await names(member), ['timestamp_received'])
  await publisher.publish('s', 'x')
  assert.deepEqual(await names(member), ['timestamp_received'])

  for (const client of [transient, back]) {
    for (let i = client === transient ? 2 : 0; i > 0; i--) assert.deepEqual(await names(client), ['timestamp_received'])
  }
  const dying = await connect(target, 5, { clientId: 'dying', will: { topic: 't/will', payload: 'x' } })
  await dying.drop()
  assert.deepEqual(await names(transient), ['timestamp_received'])
  assert.deepEqual(await names(back), ['timestamp_received'])
})

test('a kept subscription still asks after a restart', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'concordmq-timestamps-'))
  try {
    const before = await start({ storage: { directory } })
    const first = await connect(before, 5, { clientId: 'kept', properties: [kept] })
    await first.subscribe('t/#', 1, [asked()])
    await before.broker.close({ graceMs: 0 })
    const again = await start({ storage: { directory } })
    await again.broker.publish({ topic: 't/1', payload: 'x', qos: 1 })
    const back = await connect(again, 5, { clientId: 'kept', cleanStart: false, properties: [kept] })
    assert.deepEqual(await names(back), ['timestamp_received'])
    await again.broker.close({ graceMs: 0 })
  } finally {
    rmSync(directory, { recursive: true })
  }
})
