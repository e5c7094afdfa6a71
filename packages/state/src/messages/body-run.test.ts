import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test } from 'node:test'
import fc from 'fast-check'
import { Disk } from '../../testing/disk.ts'
import { Harness } from '../../testing/harness.ts'
import { packed } from '../../testing/packed.ts'
import { Machine } from '../machine.ts'
import { RecordKind } from '../records/kinds.ts'
import { Recovery } from '../saving/recovery.ts'
import { readBodyRun, recordOfRun } from './read-run.ts'

const payloads = (count: number) => Array.from({ length: count }, (_, i) => Buffer.from(`payload ${i};`))

/** Kept sessions a and b, both online, and a run of so many messages for them. */
function published(count: number): Harness {
  const h = new Harness({ hashing: false, durable: true, queueMessagesMax: 100_000 })
  for (const clientId of ['a', 'b']) {
    h.connect(clientId, { expiry: 1000 })
    h.subscribe(clientId, 'x')
  }
  h.machine.takeDelta()
  h.publishRun('x', packed(payloads(count)), { qos: 1 })
  return h
}

const inQueue = (machine: Machine, clientId: string) =>
  [...(machine.session(clientId)?.queue.from(0) ?? [])].map(({ q, placed }) => [
    q,
    placed?.position,
    placed?.index,
    Buffer.from(placed?.message.payload ?? []).toString(),
  ])

function recovered(disk: Disk, h: Harness): Machine {
  const machine = disk.recover(h.settings)
  if (!(machine instanceof Machine)) assert.fail(machine.malformed)
  return machine
}

test('a run is in the log once, however many sessions have it, and is found there message by message', () => {
  const h = published(1500)
  assert.equal(h.machine.session('a')?.queue.plainRun(3, 9999)?.count, 1021, 'to the end of its part of the queue')
  const disk = new Disk()
  const delta = Buffer.from(h.machine.takeDelta() ?? [])
  assert.equal(delta.indexOf('payload 7;'), delta.lastIndexOf('payload 7;'))
  assert.ok(delta.length < 1500 * 32, `${delta.length} bytes`)
  const whole = new Harness({ ...h.settings })
  for (const clientId of ['a', 'b']) {
    whole.connect(clientId, { expiry: 1000 })
    whole.subscribe(clientId, 'x')
  }
  disk.log(whole.machine.takeDelta())
  whole.publishRun('x', packed(payloads(1500)), { qos: 1 })
  whole.settle('a', 'acked', 0, 1, 2, 700)
  disk.log(whole.machine.takeDelta())
  whole.settle('b', 'acked', 1499, 5)
  disk.log(whole.machine.takeDelta())
  const again = recovered(disk, whole)
  for (const clientId of ['a', 'b']) assert.deepEqual(inQueue(again, clientId), inQueue(whole.machine, clientId))
  assert.equal(inQueue(again, 'a').length, 1496)
})

test('a run that is settled before the log takes it never reaches a disk, and one of which something is left does once', () => {
  const h = published(8)
  for (const clientId of ['a', 'b']) h.settle(clientId, 'acked', 0, 1, 2, 3, 4, 5, 6, 7)
  assert.ok(!Buffer.from(h.machine.takeDelta() ?? []).includes('payload'))
  assert.deepEqual([h.machine.queuesMessages, h.machine.queuesBytes], [0, 0])
  assert.equal(h.machine.takeSave().contents.length, 0)
})

test('a save takes what is left of a run apart: single messages on the shelf, each once', () => {
  const h = published(10)
  h.settle('a', 'acked', 0, 1, 2, 3, 4, 5, 6, 7, 8)
  h.settle('b', 'acked', 0, 1, 2, 9)
  const disk = new Disk()
  disk.log(h.machine.takeDelta())
  assert.equal(h.machine.unsaved >= 10, true, 'a run counts as its messages')
  const save = h.machine.takeSave()
  const content = Buffer.concat(save.contents.map((part) => part.content)).toString('latin1')
  assert.deepEqual(
    payloads(10).map((payload) => content.split(payload.toString()).length - 1),
    [0, 0, 0, 1, 1, 1, 1, 1, 1, 1],
  )
  assert.equal(h.machine.session('b')?.queue.plainRun(3, 9), undefined)
  assert.deepEqual(
    inQueue(h.machine, 'a').map(([q]) => q),
    [9],
  )
  h.settle('b', 'acked', 4)
  assert.deepEqual(
    inQueue(h.machine, 'b').map(([q, , , payload]) => `${q} ${payload}`),
    [3, 5, 6, 7, 8].map((i) => `${i} payload ${i};`),
  )
})

test('reading the log makes those messages of a run alone that something refers to', () => {
  const h = published(1000)
  const disk = new Disk()
  disk.log(h.machine.takeDelta())
  for (const clientId of ['a', 'b']) h.settle(clientId, 'acked', ...Array.from({ length: 999 }, (_, q) => q))
  disk.log(h.machine.takeDelta())
  const recovery = new Recovery(h.settings)
  for (const group of disk.groups) assert.equal(recovery.group(group), undefined)
  const messages = [...recovery.merged()].filter(([key]) => key[0] === RecordKind.message)
  assert.equal(messages.length, 1)
  assert.ok(Buffer.from(messages[0]?.[1] ?? []).includes('payload 999;'))
})

test('a run of payloads that are all of one size has each of them after a restart', () => {
  for (const size of [0, 1, 70]) {
    const h = new Harness({ hashing: false, durable: true })
    h.connect('a', { expiry: 1000 })
    h.subscribe('a', 'x')
    h.publishRun('x', packed(Array.from({ length: 9 }, (_, i) => new Uint8Array(size).fill(i))), { qos: 1 })
    const disk = new Disk()
    disk.log(h.machine.takeDelta())
    assert.deepEqual(inQueue(recovered(disk, h), 'a'), inQueue(h.machine, 'a'))
  }
})

test('a run with damage is refused, and none makes reading throw', () => {
  const h = published(6)
  const disk = new Disk()
  disk.log(h.machine.takeDelta())
  const [group] = disk.groups as [Uint8Array]
  fc.assert(
    fc.property(fc.nat({ max: group.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const damaged = new Disk()
      const changed = Uint8Array.from(group)
      changed[at] = (changed[at] as number) ^ flip
      damaged.groups = [changed]
      damaged.recover(h.settings)
    }),
    { numRuns: 1000 },
  )
  const key = Uint8Array.of(RecordKind.message, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0)
  // QoS 1, topic "x", no publisher; two payloads of which the first has so many bytes, and two bytes for both.
  const head = [0, 0, 0, 0, 0, 0, 0, 9, 1, 0, 1, 0x78, 0, 0]
  const value = (size: number) => Uint8Array.from([...head, 0, 0, 0, 2, 0, 0, 0, 0, size, 0, 0, 0, 1, 0, 0, 0, 2, 7, 8])
  const run = readBodyRun(key, value(1))
  if ('malformed' in run) assert.fail(run.malformed)
  assert.equal(recordOfRun(run, 1)?.value.at(-1), 8)
  assert.equal(recordOfRun(run, 2), undefined)
  assert.deepEqual(readBodyRun(key, value(2)), {
    malformed: 'payloads of a run are longer or shorter than their sizes',
  })
  assert.deepEqual(readBodyRun(key.with(0, RecordKind.session), value(1)), { malformed: 'run is none of messages' })
})
