/** Brokers with a data directory: what they keep, seen through real sockets. */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { connect } from '../../../../testing/testkit/src/raw-client.ts'
import { publish } from '../../../../testing/testkit/src/wire.ts'
import type { Broker } from '../api.ts'
import { createBroker } from '../broker.ts'
import { ConcordError } from '../errors.ts'
import type { Files, LogFile } from '../model/files.ts'
import { logDirectory, SEGMENTS_RECOVERED_MAX, storeFile } from './data-directory.ts'
import { killed, publishAcknowledged } from './durable.testkit.ts'
import { nodeFiles } from './files.ts'

const root = mkdtempSync(join(tmpdir(), 'concordmq-durable-'))
const brokers: Broker[] = []
after(async () => {
  for (const broker of brokers) await broker.close({ graceMs: 0 })
  rmSync(root, { recursive: true, force: true })
})
let count = 0
const fresh = (): string => join(root, String(count++))

interface Node {
  readonly broker: Broker
  readonly target: { readonly host: string; readonly port: number }
}

async function start(directory: string, files?: Files): Promise<Node> {
  const broker = await createBroker({
    access: { allowAnonymous: true },
    sys: { intervalSeconds: 0 },
    storage: { directory, ...(files !== undefined && { files }) },
  })
  brokers.push(broker)
  const { port } = await broker.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })
  return { broker, target: { host: '127.0.0.1', port } }
}

const kept = (clientId: string) =>
  ({ clientId, cleanStart: false, properties: [['sessionExpiryInterval', 1000]] }) as const

for (const how of ['killed', 'closed'] as const) {
  test(`a broker that was ${how} comes back with sessions, queues, retained messages and receipts`, async () => {
    const directory = fresh()
    const first = await start(directory)
    const subscriber = await connect(first.target, 5, kept('sub'))
    await subscriber.subscribe('a/#', 2)
    subscriber.send(Buffer.from([0xe0, 0]))
    const publisher = await connect(first.target, 5, kept('pub'))
    for (let n = 0; n < 5; n++) await publishAcknowledged(publisher, 'a/b', `m${n}`, n + 1)
    publisher.send(publish(5, 'a/2', 'exactly once', { qos: 2, id: 77 }))
    await publisher.expectPacket('PUBREC', { id: 77 })
    publisher.send(publish(5, 'r', 'retained', { qos: 1, id: 9, retain: true }))
    await publisher.expectPacket('PUBACK', { id: 9 })
    const next = how === 'killed' ? killed(directory, fresh()) : directory
    await first.broker.close({ graceMs: 0 })

    const second = await start(next)
    const back = await connect(second.target, 5, kept('sub'))
    assert.equal(back.connack?.sessionPresent, true)
    for (let n = 0; n < 5; n++) {
      await back.expectPacket('PUBLISH', { topic: 'a/b', payload: `m${n}`, id: n + 1, dup: false })
    }
    const twice = await connect(second.target, 5, kept('pub'))
    assert.equal(twice.connack?.sessionPresent, true)
    twice.send(publish(5, 'a/2', 'exactly once', { qos: 2, id: 77, dup: true }))
    await twice.expectPacket('PUBREC', { id: 77 })
    twice.send(Buffer.from([0x62, 2, 0, 77]))
    await twice.expectPacket('PUBCOMP', { id: 77 })
    await back.expectPacket('PUBLISH', { topic: 'a/2', payload: 'exactly once', id: 6 })
    await back.expectNothing()
    const other = await connect(second.target, 5, { clientId: 'other' })
    await other.subscribe('r', 1)
    await other.expectPacket('PUBLISH', { topic: 'r', payload: 'retained', retain: true })
    await second.broker.close({ graceMs: 0 })
  })
}

test('wills of clients whose broker was killed are published once when it comes back', async () => {
  const directory = fresh()
  const first = await start(directory)
  const watcher = await connect(first.target, 5, kept('watcher'))
  await watcher.subscribe('will/#', 1)
  await connect(first.target, 5, { clientId: 'transient', will: { topic: 'will/t', payload: 'lost', qos: 1 } })
  const left = await connect(first.target, 5, { clientId: 'left', will: { topic: 'will/l', payload: 'no', qos: 1 } })
  left.send(Buffer.from([0xe0, 0]))
  await left.expectClosed()
  // Acknowledged when the disk has it, and all before it: nobody waits for a DISCONNECT.
  watcher.send(publish(5, 'none', 'barrier', { qos: 1, id: 1, retain: true }))
  await watcher.expectPacket('PUBACK', { id: 1 })
  const copy = killed(directory, fresh())
  await first.broker.close({ graceMs: 0 })
  for (const directory of [copy, killed(copy, fresh())]) {
    const again = await start(directory)
    const back = await connect(again.target, 5, kept('watcher'))
    await back.expectPacket('PUBLISH', { topic: 'will/t', payload: 'lost' })
    await back.expectNothing()
    await again.broker.close({ graceMs: 0 })
  }
})

test('a broker that is killed again and again before it saves does not gather log segments', async () => {
  let directory = fresh()
  for (let n = 0; n < 8; n++) {
    const { broker, target } = await start(directory)
    const client = await connect(target, 5, kept('sub'))
    assert.equal(client.connack?.sessionPresent, n > 0)
    await client.subscribe(`a/${n}`, 1)
    const copy = killed(directory, fresh())
    await broker.close({ graceMs: 0 })
    directory = copy
  }
  const segments = readdirSync(join(directory, logDirectory)).filter((name) => name.endsWith('.log'))
  // Those that may be left at a start, and the one that it writes itself.
  assert.ok(segments.length <= SEGMENTS_RECOVERED_MAX + 1, `${segments.length} segments`)
  const { broker, target } = await start(directory)
  const client = await connect(target, 5, kept('sub'))
  const publisher = await connect(target, 5, { clientId: 'p' })
  for (let n = 0; n < 8; n++) {
    await publishAcknowledged(publisher, `a/${n}`, 'all are kept', n + 1)
    await client.expectPacket('PUBLISH', { topic: `a/${n}` })
  }
  await broker.close({ graceMs: 0 })
})

test('what only transient sessions receive leaves no trace on disk', async () => {
  const directory = fresh()
  const { broker, target } = await start(directory)
  const subscriber = await connect(target, 5, { clientId: 's' })
  await subscriber.subscribe('a', 1)
  const publisher = await connect(target, 5, { clientId: 'p' })
  publisher.send(publish(5, 'a', 'secret-of-the-moment', { qos: 1, id: 1 }))
  await publisher.expectPacket('PUBACK', { id: 1 })
  await subscriber.expectPacket('PUBLISH', { payload: 'secret-of-the-moment' })
  await broker.close({ graceMs: 0 })
  const { readFileSync } = await import('node:fs')
  for (const name of readdirSync(directory)) {
    if (name === logDirectory) continue
    assert.ok(!readFileSync(join(directory, name)).includes('secret-of-the-moment'))
  }
  assert.deepEqual(readdirSync(join(directory, logDirectory)), [])
})

test('a data directory serves one broker at a time', async () => {
  const directory = fresh()
  const first = await start(directory)
  await assert.rejects(start(directory), (error) => error instanceof ConcordError && error.code === 'CMQ_DATA_LOCKED')
  await first.broker.close({ graceMs: 0 })
  const second = await start(directory)
  await second.broker.close({ graceMs: 0 })
})

test('a run of messages is whole after a kill, however far it had come: what was acknowledged stays away, the rest comes again', async () => {
  const directory = fresh()
  const first = await start(directory)
  const subscriber = await connect(first.target, 5, kept('sub'))
  await subscriber.subscribe('run', 1)
  const publisher = await connect(first.target, 5, { clientId: 'pub' })
  const packets = Array.from({ length: 60 }, (_, i) => publish(5, 'run', `m${i}`, { qos: 1, id: 500 + i }))
  publisher.send(Buffer.concat(packets))
  for (let i = 0; i < 60; i++) await publisher.expectPacket('PUBACK', { id: 500 + i, reason: 0 })
  for (let i = 0; i < 60; i++) {
    await subscriber.expectPacket('PUBLISH', { topic: 'run', payload: `m${i}`, id: i + 1, dup: false })
  }
  for (const id of [...Array.from({ length: 20 }, (_, i) => i + 1), 40]) {
    subscriber.send(Buffer.from([0x40, 2, 0, id]))
  }
  // Answers that wait for the log. What was acknowledged in one read with the first request is in there with the second.
  for (const filter of ['other', 'another']) await subscriber.subscribe(filter, 1)
  const copy = killed(directory, fresh())
  await first.broker.close({ graceMs: 0 })
  for (const left of [copy, directory]) {
    const { broker, target } = await start(left)
    const back = await connect(target, 5, kept('sub'))
    for (let i = 20; i < 60; i++) {
      if (i !== 39) await back.expectPacket('PUBLISH', { topic: 'run', payload: `m${i}`, id: i + 1, dup: true })
    }
    await back.expectNothing()
    await broker.close({ graceMs: 0 })
  }
})

test('a database of the first form, whose log has no runs, is brought forward', async () => {
  const { DatabaseSync } = await import('node:sqlite')
  const directory = fresh()
  const first = await start(directory)
  const subscriber = await connect(first.target, 5, kept('sub'))
  await subscriber.subscribe('t', 1)
  subscriber.send(Buffer.from([0xe0, 0]))
  const publisher = await connect(first.target, 5, { clientId: 'pub' })
  await publishAcknowledged(publisher, 't', 'old', 1)
  const copy = killed(directory, fresh())
  await first.broker.close({ graceMs: 0 })
  const older = new DatabaseSync(join(copy, storeFile))
  older.exec('PRAGMA user_version = 1')
  older.close()
  const { broker, target } = await start(copy)
  const back = await connect(target, 5, kept('sub'))
  await back.expectPacket('PUBLISH', { topic: 't', payload: 'old', id: 1 })
  await broker.close({ graceMs: 0 })
  const brought = new DatabaseSync(join(copy, storeFile))
  assert.equal(brought.prepare('PRAGMA user_version').get()?.['user_version'], 2)
  brought.close()
})

test('a newer and a foreign database are refused, and a damaged log names its place', async () => {
  const { DatabaseSync } = await import('node:sqlite')
  const { mkdirSync, writeFileSync, readFileSync } = await import('node:fs')
  const refusal = async (directory: string) => {
    try {
      const { broker } = await start(directory)
      await broker.close({ graceMs: 0 })
      return 'started'
    } catch (error) {
      return error instanceof ConcordError ? `${error.code} ${error.message}` : String(error)
    }
  }
  const newer = fresh()
  const first = await start(newer)
  await first.broker.close({ graceMs: 0 })
  const database = new DatabaseSync(join(newer, storeFile))
  database.exec('PRAGMA user_version = 99')
  database.close()
  assert.match(await refusal(newer), /CMQ_DATA_FORMAT .*form 99 is newer than this version reads/)

  const foreign = fresh()
  mkdirSync(foreign)
  for (const version of [0, 1]) {
    const other = new DatabaseSync(join(foreign, storeFile))
    other.exec(`CREATE TABLE t${version} (a); PRAGMA user_version = ${version}`)
    other.close()
    assert.match(await refusal(foreign), /CMQ_DATA_FORMAT .*another program/)
  }

  const rubbish = fresh()
  mkdirSync(rubbish)
  writeFileSync(join(rubbish, storeFile), Buffer.alloc(10_000, 'x'))
  assert.match(await refusal(rubbish), /CMQ_DATA_DAMAGED/)

  const damaged = fresh()
  const running = await start(damaged)
  const client = await connect(running.target, 5, kept('c'))
  for (let n = 1; n < 20; n++) {
    client.send(publish(5, `x/${n}`, 'y'.repeat(100), { qos: 1, id: n, retain: true }))
    await client.expectPacket('PUBACK', { id: n })
  }
  const copy = killed(damaged, fresh())
  await running.broker.close({ graceMs: 0 })
  const segment = join(copy, logDirectory, '00000001.log')
  const bytes = readFileSync(segment)
  bytes[5000] = (bytes[5000] as number) ^ 1
  writeFileSync(segment, bytes)
  assert.match(await refusal(copy), /CMQ_DATA_DAMAGED .*log[/\\]00000001\.log, byte \d+: a group is damaged/)
})

test('a full disk refuses what must be kept, keeps what was acknowledged, and is done with when there is room', async () => {
  const directory = fresh()
  let full = false
  const open = async (path: string): Promise<LogFile> => {
    const file = await nodeFiles.open(path)
    const failing = () =>
      full ? Promise.reject(Object.assign(new Error('no space left'), { code: 'ENOSPC' })) : undefined
    return { ...file, write: (bytes, position) => failing() ?? file.write(bytes, position) }
  }
  const files: Files = { ...nodeFiles, open, openSynced: open }
  const { broker, target } = await start(directory, files)
  const client = await connect(target, 5, kept('c'))
  await client.subscribe('a', 1)
  const old = await connect(target, 4, { clientId: 'old' })
  full = true
  client.send(publish(5, 'r', 'first', { qos: 1, id: 1, retain: true }))
  // The first one finds out; it is acknowledged when the disk has it.
  await client.expectNothing()
  client.send(publish(5, 'r', 'second', { qos: 1, id: 2, retain: true }))
  client.send(publish(5, 'nobody', 'third', { qos: 1, id: 3 }))
  client.send(Buffer.from([0xc0, 0]))
  old.send(publish(4, 'a', 'x', { qos: 1, id: 1 }))
  await old.expectClosed()
  await assert.rejects(connect(target, 5, kept('new')))
  const transient = await connect(target, 5, { clientId: 'transient' })
  await transient.subscribe('t', 1)
  transient.send(publish(5, 't', 'passes', { qos: 1, id: 4 }))
  await transient.expectPacket('PUBLISH', { payload: 'passes' })
  assert.deepEqual([broker.ready, broker.counters.storageRefused], [false, 2])
  full = false
  await client.expectPacket('PINGRESP')
  await client.expectPacket('PUBACK', { id: 1, reason: 0x10 })
  await client.expectPacket('PUBACK', { id: 2, reason: 0x97 })
  await client.expectPacket('PUBACK', { id: 3 })
  await publishAcknowledged(client, 'other', 'after', 5)
  assert.equal(broker.ready, true)
  await broker.close({ graceMs: 0 })
})
