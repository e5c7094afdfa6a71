import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import type { Save } from '@concordmq/state'
import { connect } from '../../../../testing/testkit/src/raw-client.ts'
import { publish } from '../../../../testing/testkit/src/wire.ts'
import { createBroker } from '../broker.ts'
import type { Store } from '../model/store.ts'
import { sessionStoreSuite } from '../suites/session-store-suite.ts'
import { MemoryStore } from './memory-store.ts'
import { SqliteStore } from './sqlite-store.ts'

const directory = mkdtempSync(join(tmpdir(), 'concordmq-stores-'))
after(() => rmSync(directory, { recursive: true, force: true }))
let count = 0

const memory = () => ({ open: async () => new MemoryStore(), remembers: false })
const sqlite = () => {
  const path = join(directory, `${count++}.sqlite`)
  return { open: () => SqliteStore.open(path, { sync: true }), remembers: true }
}

describe('the built-in session store', () => {
  for (const { name, run } of sessionStoreSuite(sqlite)) test(name, run)
})
describe('a session store in memory', () => {
  for (const { name, run } of sessionStoreSuite(memory)) test(name, run)
})

test('the built-in session store gives the disk back what a backlog occupied', async () => {
  const path = join(directory, `${count++}.sqlite`)
  const store = await SqliteStore.open(path, { sync: false })
  const empty = { position: 1, gone: [], records: [], chunksGone: [], contents: [] }
  const content = new Uint8Array(262_144).fill(7)
  const chunks = Array.from({ length: 160 }, (_, i) => i + 1)
  for (const chunk of chunks) await store.commit({ ...empty, contents: [{ chunk, part: 0, anew: true, content }] })
  await store.commit({ ...empty, chunksGone: chunks })
  for (let i = 0; i < 20; i++) await store.commit(empty)
  await store.close()
  assert.ok(statSync(path).size < 12_000_000, `${statSync(path).size} bytes`)
})

test('the suite notices a store that forgets deletions, or mixes up parts', async () => {
  class Forgetful extends MemoryStore {
    override commit(save: Save): Promise<void> {
      return super.commit({ ...save, gone: [], contents: save.contents.map((one) => ({ ...one, part: 0 })) })
    }
  }
  const cases = sessionStoreSuite(() => ({ open: async () => new Forgetful(), remembers: false }))
  const results = await Promise.allSettled(cases.map(async ({ run }) => run()))
  assert.equal(results.filter(({ status }) => status === 'rejected').length, 2)
})

/** A store that others could have written: it counts what it is told of sessions. */
class Counting extends MemoryStore {
  saved = 0
  gone = 0
  failing = false
  override async commit(save: Save): Promise<void> {
    if (this.failing) throw new Error('the database is down')
    const ofSessions = (keys: readonly Uint8Array[]) => keys.filter((key) => key[0] === 3).length
    this.saved += ofSessions(save.records.map(({ key }) => key))
    this.gone += ofSessions(save.gone)
    await super.commit(save)
  }
  override async close(): Promise<void> {}
}

async function start(store: Store, more: object = {}) {
  const broker = await createBroker({
    access: { allowAnonymous: true },
    sessionStore: 'counting',
    providers: { sessionStores: { counting: () => store } },
    ...more,
  })
  after(() => broker.close({ graceMs: 0 }))
  const { port } = await broker.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })
  return { broker, target: { host: '127.0.0.1', port } }
}

const kept = { cleanStart: false, properties: [['sessionExpiryInterval', 100]] } as const

for (const withLog of [false, true]) {
  test(`a session store of the program ${withLog ? 'behind a log' : 'alone'} sees sessions come and go, and gives them back (row S4)`, async () => {
    const store = new Counting()
    const storage = withLog ? { storage: { directory: join(directory, `log${count++}`) } } : {}
    const first = await start(store, storage)
    await connect(first.target, 5, { clientId: 'transient' })
    const client = await connect(first.target, 5, { clientId: 'kept', ...kept })
    await client.subscribe('a', 1)
    const other = await connect(first.target, 5, { clientId: 'other' })
    await client.drop()
    other.send(publish(5, 'a', 'waits', { qos: 1, id: 1 }))
    await other.expectPacket('PUBACK', { id: 1 })
    await first.broker.close({ graceMs: 0 })
    assert.ok(store.saved >= 1)

    const second = await start(store, storage)
    const back = await connect(second.target, 5, { clientId: 'kept', ...kept })
    assert.equal(back.connack?.sessionPresent, true)
    await back.expectPacket('PUBLISH', { payload: 'waits', id: 1 })
    await connect(second.target, 5, { clientId: 'kept', cleanStart: true })
    await second.broker.close({ graceMs: 0 })
    assert.ok(store.gone >= 1)
  })
}

test('a session store that fails refuses what must be kept, and goes on by itself', async () => {
  const store = new Counting()
  const { target } = await start(store)
  const client = await connect(target, 5, { clientId: 'c' })
  store.failing = true
  client.send(publish(5, 'r', 'first', { qos: 1, id: 1, retain: true }))
  await client.expectNothing()
  client.send(publish(5, 'r', 'second', { qos: 1, id: 2, retain: true }))
  client.send(Buffer.from([0xc0, 0]))
  await client.expectPacket('PINGRESP')
  store.failing = false
  await client.expectPacket('PUBACK', { id: 1 })
  await client.expectPacket('PUBACK', { id: 2, reason: 0x97 })
})

test('a session store that nobody registered stops the start and is named (row S4)', async () => {
  await assert.rejects(createBroker({ sessionStore: 'redis' }), /session store "redis"/)
  await assert.rejects(createBroker({ sessionStore: () => ({}) as never }), /CMQ_PROVIDER|session store/)
})
