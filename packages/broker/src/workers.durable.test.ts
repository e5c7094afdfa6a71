/** Several workers with one data directory: what one thread promises, whichever of them makes the promise. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { connect, type RawClient } from '../../../testing/testkit/src/raw-client.ts'
import { publish } from '../../../testing/testkit/src/wire.ts'
import type { Broker } from './api.ts'
import { createBroker } from './broker.ts'
import { kept } from './cluster-brokers.testkit.ts'
import type { Files, LogFile } from './model/files.ts'
import { storeFile } from './storage/data-directory.ts'
import { killed, publishAcknowledged } from './storage/durable.testkit.ts'
import { nodeFiles } from './storage/files.ts'
import { openWorkers, until, WORKERS, type Workers, workerOf } from './worker-brokers.testkit.ts'

const root = mkdtempSync(join(tmpdir(), 'concordmq-workers-'))
const brokers: Broker[] = []
after(async () => {
  for (const broker of brokers) await broker.close({ graceMs: 0 })
  rmSync(root, { recursive: true, force: true })
})
let count = 0
const fresh = (): string => join(root, String(count++))
const each = Array.from({ length: WORKERS }, (_, worker) => worker)

async function start(
  directory: string,
  { workers = WORKERS, files }: { workers?: number; files?: Files } = {},
): Promise<Workers> {
  const opened = await openWorkers({ workers, storage: { directory, ...(files !== undefined && { files }) } })
  brokers.push(opened.broker)
  return opened
}

for (const then of [WORKERS, 2, 1]) {
  test(`what ${WORKERS} workers acknowledged is there after a kill, for ${then}`, async () => {
    const directory = fresh()
    const first = await start(directory)
    const subscriber = await first.at(1, 5, kept('sub'))
    await subscriber.subscribe('a/#', 2)
    await subscriber.disconnect()
    const publishers = await Promise.all(each.map((worker) => first.at(worker, 5, kept(`pub${worker}`))))
    const [publisher] = publishers as [RawClient]
    for (const [worker, one] of publishers.entries()) {
      for (let n = 0; n < 3; n++) await publishAcknowledged(one, 'a/b', `${worker}:${n}`, n + 1)
      one.send(publish(5, 'a/2', `${worker} once`, { qos: 2, id: 77 }))
      await one.expectPacket('PUBREC', { id: 77 })
      one.send(publish(5, `r/${worker}`, 'retained', { qos: 1, id: 9, retain: true }))
      await one.expectPacket('PUBACK', { id: 9 })
    }
    const watcher = await first.at(0, 5, kept('watcher'))
    await watcher.subscribe('will/#', 1)
    for (const worker of each) {
      await first.at(worker, 5, {
        clientId: `dies${worker}`,
        will: { topic: `will/${worker}`, payload: 'lost', qos: 1 },
      })
    }
    await publishAcknowledged(publisher, 'none', 'barrier', 8)
    const copy = killed(directory, fresh())
    await first.broker.close({ graceMs: 0 })

    const second = await start(copy, { workers: then })
    const back = await connect(second.target, 5, kept('sub'))
    assert.equal(back.connack?.sessionPresent, true)
    const expected = each.flatMap((worker) => [0, 1, 2].map((n) => `${worker}:${n}`).concat(`${worker} once`))
    for (const [n, payload] of expected.entries())
      await back.expectPacket('PUBLISH', { payload, id: n + 1, dup: false })
    for (const worker of each) {
      const twice = await connect(second.target, 5, kept(`pub${worker}`))
      assert.equal(twice.connack?.sessionPresent, true)
      twice.send(publish(5, 'a/2', `${worker} once`, { qos: 2, id: 77, dup: true }))
      await twice.expectPacket('PUBREC', { id: 77 })
      twice.send(Buffer.from([0x62, 2, 0, 77]))
      await twice.expectPacket('PUBCOMP', { id: 77 })
    }
    await back.expectNothing()
    const other = await connect(second.target, 5, { clientId: 'other' })
    await other.subscribe('r/#', 1)
    for (const worker of each) await other.expectPacket('PUBLISH', { topic: `r/${worker}`, retain: true })
    const watching = await connect(second.target, 5, kept('watcher'))
    const wills: string[] = []
    for (const _ of each) wills.push(String((await watching.expectPacket('PUBLISH', { payload: 'lost' })).topic))
    assert.deepEqual(
      wills.sort(),
      each.map((worker) => `will/${worker}`),
    )
    await second.broker.close({ graceMs: 0 })
  })
}

test('workers take over what one thread has left', async () => {
  const directory = fresh()
  const alone = await createBroker({ access: { allowAnonymous: true }, storage: { directory } })
  brokers.push(alone)
  const { port } = await alone.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })
  const subscriber = await connect({ host: '127.0.0.1', port }, 5, kept('sub'))
  await subscriber.subscribe('a', 1)
  const publisher = await connect({ host: '127.0.0.1', port }, 5)
  await publishAcknowledged(publisher, 'a', 'before', 1)
  await subscriber.expectPacket('PUBLISH', { payload: 'before', id: 1 })
  const copy = killed(directory, fresh())
  await alone.close({ graceMs: 0 })
  const { broker, at } = await start(copy)
  assert.equal([...broker.clients()].length, 0)
  const back = await at(2, 5, kept('sub'))
  await back.expectPacket('PUBLISH', { payload: 'before', id: 1, dup: true })
})

test('messages that lie in the store are sent by whichever worker has the session, as they were', async () => {
  const directory = fresh()
  const { broker, at } = await start(directory)
  await (await at(0, 5, kept('away'))).subscribe('q', 1)
  broker.disconnectClient('away')
  const publisher = await at(1, 5)
  const wal = join(directory, `${storeFile}-wal`)
  const walBytes = (): number => statSync(wal, { throwIfNoEntry: false })?.size ?? 0
  const messages = 1500
  for (let i = 0; i < messages; i++) {
    publisher.send(publish(5, 'q', `stored ${i}`, { qos: 1, id: i + 1 }))
    // Below the broker's receive maximum.
    if (i % 10 === 9) for (let n = i - 9; n <= i; n++) await publisher.expectPacket('PUBACK', { id: n + 1 })
  }
  // The next save has all of them: nothing of it is kept in memory then.
  const before = walBytes()
  await publishAcknowledged(publisher, 'q', 'one more', 9000)
  await until(() => walBytes() > before)
  for (const worker of [2, 1, 0]) {
    const back = await at(worker, 5, kept('away'))
    for (let i = 0; i < messages; i++) {
      const { payload } = await back.expectPacket('PUBLISH', { topic: 'q' })
      assert.equal(Buffer.from(payload).toString(), `stored ${i}`)
    }
    await back.expectPacket('PUBLISH', { payload: 'one more' })
    broker.disconnectClient('away')
    await back.expectRefusal(0x98)
    await until(() => broker.client('away') === undefined)
  }
})

test('no worker acknowledges what the disk does not have, and none waits for what it need not have', async () => {
  const directory = fresh()
  let release: (() => void) | undefined
  let gate: Promise<void> | undefined
  const open = async (path: string): Promise<LogFile> => {
    const file = await nodeFiles.open(path)
    return {
      ...file,
      async write(bytes, position) {
        await gate
        await file.write(bytes, position)
      },
    }
  }
  const { broker, at, target } = await start(directory, { files: { ...nodeFiles, open, openSynced: open } })
  const subscriber = await at(0, 5, kept('sub'))
  await subscriber.subscribe('kept', 1)
  const clients = await Promise.all(each.map((worker) => at(worker, 5, kept(`k${worker}`))))
  const listeners = await Promise.all(each.map((worker) => at(worker, 5)))
  for (const listener of listeners) await listener.subscribe('transient', 1)
  gate = new Promise((resolve) => {
    release = resolve
  })
  for (const client of clients) {
    client.send(publish(5, 'transient', 'at once', { qos: 1, id: 1 }))
    await client.expectPacket('PUBACK', { id: 1 })
    client.send(publish(5, 'kept', 'waits', { qos: 1, id: 2 }))
    client.send(publish(5, 'kept', 'waits', { qos: 2, id: 3 }))
  }
  for (const listener of listeners) for (const _ of each) await listener.expectPacket('PUBLISH', { payload: 'at once' })
  const late = connect(target, 5, kept('late')).then((client) => client.connack)
  for (const client of clients) await client.expectNothing()
  await subscriber.expectNothing()
  assert.equal(await Promise.race([late, Promise.resolve('no CONNACK')]), 'no CONNACK')
  release?.()
  for (const client of clients) {
    await client.expectPacket('PUBACK', { id: 2 })
    await client.expectPacket('PUBREC', { id: 3 })
  }
  assert.equal((await late)?.reason, 0)
  for (let i = 0; i < 2 * WORKERS; i++) await subscriber.expectPacket('PUBLISH', { payload: 'waits', id: i + 1 })
  assert.equal(workerOf(broker, 'sub'), 0)
})

test('a full disk refuses at every worker what must be kept, and all of them go on when there is room', async () => {
  const directory = fresh()
  let isFull = false
  const open = async (path: string): Promise<LogFile> => {
    const file = await nodeFiles.open(path)
    const failing = () =>
      isFull ? Promise.reject(Object.assign(new Error('no space left'), { code: 'ENOSPC' })) : undefined
    return { ...file, write: (bytes, position) => failing() ?? file.write(bytes, position) }
  }
  const { broker, at, target } = await start(directory, { files: { ...nodeFiles, open, openSynced: open } })
  const clients = await Promise.all(each.map((worker) => at(worker, 5, kept(`k${worker}`))))
  const old = await Promise.all(each.map((worker) => at(worker, 4)))
  isFull = true
  const [first] = clients as [RawClient]
  first.send(publish(5, 'r', 'finds out', { qos: 1, id: 1, retain: true }))
  await until(() => !broker.ready)
  for (const [worker, client] of clients.entries()) {
    client.send(publish(5, 'r', 'refused', { qos: 1, id: 2, retain: true }))
    if (worker > 0) await client.expectPacket('PUBACK', { id: 2, reason: 0x97 })
    client.send(publish(5, 'nobody', 'passes', { qos: 1, id: 3 }))
    if (worker > 0) await client.expectPacket('PUBACK', { id: 3 })
    old[worker]?.send(publish(4, 'r', 'x', { qos: 1, id: 1, retain: true }))
    await old[worker]?.expectClosed()
  }
  for (let i = 0; i < 2 * WORKERS; i++) await assert.rejects(connect(target, 5, kept(`new${i}`)))
  isFull = false
  await first.expectPacket('PUBACK', { id: 1 })
  await first.expectPacket('PUBACK', { id: 2, reason: 0x97 })
  await first.expectPacket('PUBACK', { id: 3 })
  await until(() => broker.ready)
  for (const client of clients) await publishAcknowledged(client, 'r', 'after', 5)
})

test('a data directory serves one broker of several workers at a time', async () => {
  const directory = fresh()
  const { broker } = await start(directory)
  await assert.rejects(start(directory), { code: 'CMQ_DATA_LOCKED' })
  await broker.close({ graceMs: 0 })
  const second = await start(directory)
  await second.broker.close({ graceMs: 0 })
})

test('what only transient sessions receive is written by no worker', async () => {
  let written = 0
  const open = async (path: string): Promise<LogFile> => {
    const file = await nodeFiles.open(path)
    return {
      ...file,
      write(bytes, position) {
        written++
        return file.write(bytes, position)
      },
    }
  }
  const { at } = await start(fresh(), { files: { ...nodeFiles, open, openSynced: open } })
  const subscriber = await at(0, 5)
  await subscriber.subscribe('a', 1)
  const publishers = await Promise.all(each.map((worker) => at(worker, 5)))
  // What comes before is on disk when this is acknowledged.
  await publishAcknowledged(publishers[1] as RawClient, 'r', 'barrier', 1000)
  publishers[0]?.send(publish(5, 'r', 'barrier', { qos: 1, id: 1, retain: true }))
  await publishers[0]?.expectPacket('PUBACK', { id: 1 })
  const before = written
  for (let n = 2; n < 200; n++) {
    for (const publisher of publishers) await publishAcknowledged(publisher, 'a', 'secret', n)
    for (const _ of publishers) await subscriber.expectPacket('PUBLISH', { payload: 'secret' })
  }
  assert.equal(written, before)
})
