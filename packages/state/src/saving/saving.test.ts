import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Player, settingsOf, steps } from '../../testing/command-sequences.ts'
import { Disk } from '../../testing/disk.ts'
import { Harness, tracingEffects } from '../../testing/harness.ts'
import { compareText } from '../encoding/text-order.ts'
import { Machine } from '../machine.ts'
import { readContent } from '../messages/shelf.ts'
import { machineSettings } from '../settings.ts'

/** Everything durable, with the content of messages wherever it lies. */
function describe(machine: Machine, disk: Disk): unknown {
  const content = (chunk: number, slot: number) => {
    const bodies = readContent(disk.content(chunk))
    if ('malformed' in bodies) assert.fail(bodies.malformed)
    return bodies.find((one) => one.slot === slot)?.body.message
  }
  const sessions = [...machine.sessions.values()]
    .filter((session) => session.durable)
    .sort((a, b) => compareText(a.clientId, b.clientId))
  return [
    sessions.map((s) => [
      [s.clientId, s.kept, s.connection, s.principal, s.version, s.receiveMaximum, s.expirySeconds],
      [s.will, s.willDueUs, s.expiresUs, s.dueUs, s.receipts.list()],
      s.kept && [s.queue.base, s.queue.next, s.queue.sentBelow, s.queue.expiryFloorUs, s.queue.messages, s.queue.bytes],
      s.kept &&
        [...s.queue.from(0)].map(({ q, terms, state, share, placed, chunk, slot, bytes, expiresUs }) => [
          [q, terms, state, share, bytes, expiresUs],
          placed === undefined ? content(chunk, slot) : placed.message,
        ]),
      s.kept &&
        [...s.subscriptions.values()]
          .sort((a, b) => compareText(a.filter, b.filter))
          .map((o) => [o.filter, o.qos, o.noLocal, o.retainAsPublished, o.retainHandling, o.subscriptionId]),
    ]),
    machine.retainedFor('#', 0).map(({ message, position, index, timeUs }) => [message, position, index, timeUs]),
  ]
}

function recovered(disk: Disk, settings: ReturnType<typeof machineSettings>): Machine {
  const machine = disk.recover(settings)
  if (!(machine instanceof Machine)) assert.fail(machine.malformed)
  return machine
}

test('what the log and the store have is the state, wherever the process ends', () => {
  const how = fc.array(fc.record({ log: fc.nat(2), save: fc.nat(9), commit: fc.nat(3), crash: fc.nat(11) }), {
    minLength: 20,
    maxLength: 20,
  })
  fc.assert(
    fc.property(settingsOf, steps, how, (given, sequence, moments) => {
      const settings = machineSettings({ ...given, hashing: false, durable: true })
      const disk = new Disk()
      let machine = new Machine(settings)
      const player = new Player()
      const effects = tracingEffects([])
      let uncommitted: ReturnType<Machine['takeSave']>[] = []
      let incarnation = 1
      machine.apply({ type: 'start', node: 0, incarnation }, 1, 0, effects)
      let position = 1
      for (const [i, step] of sequence.entries()) {
        const { log, save, commit, crash } = moments[i % moments.length] as (typeof moments)[number]
        machine.apply(player.command(step, machine), ++position, player.timeUs, effects)
        if (log > 0) disk.log(machine.takeDelta())
        if (save === 0) {
          disk.log(machine.takeDelta())
          uncommitted.push(machine.takeSave())
        }
        if (commit === 0) {
          const first = uncommitted.shift()
          if (first !== undefined) {
            disk.apply(first)
            machine.saved(first)
            disk.cutLog(i % 2)
          }
        }
        for (const id of commit === 1 && uncommitted.length === 0 ? machine.sparseChunks(3) : []) {
          assert.equal(machine.shrinkChunk(id, disk.content(id)), undefined)
        }
        if (crash === 0) {
          disk.log(machine.takeDelta())
          const again = recovered(disk, settings)
          assert.deepEqual(describe(again, disk), describe(machine, disk))
          assert.equal(
            again.queuesBytes,
            [...again.sessions.values()].reduce((sum, s) => sum + s.queue.bytes, 0),
          )
          machine = again
          uncommitted = []
          machine.apply({ type: 'start', node: 0, incarnation: ++incarnation }, ++position, player.timeUs, effects)
        }
      }
      disk.log(machine.takeDelta())
      assert.deepEqual(describe(recovered(disk, settings), disk), describe(machine, disk))
      for (const taken of [...uncommitted, machine.takeSave()]) disk.apply(taken)
      disk.groups = []
      assert.deepEqual(describe(recovered(disk, settings), disk), describe(machine, disk), 'from the store alone')
    }),
    { numRuns: 600 },
  )
})

function offlineWith(messages: number): { h: Harness; disk: Disk } {
  const h = new Harness({ hashing: false, durable: true, queueMessagesMax: 1_000_000 })
  h.connect('a', { expiry: 1000 })
  h.subscribe('a', 'x/#')
  h.disconnect('a', { sentBelow: 0 })
  const disk = new Disk()
  for (let n = 0; n < messages; n++) h.publish(`x/${n}`)
  return { h, disk }
}

function save(h: Harness, disk: Disk): void {
  disk.log(h.machine.takeDelta())
  const taken = h.machine.takeSave()
  disk.apply(taken)
  h.machine.saved(taken)
}

test('a saved message of an absent session is let go, and its chunk goes with the last reference', () => {
  const { h, disk } = offlineWith(1500)
  save(h, disk)
  const queue = h.machine.session('a')?.queue
  assert.equal(queue?.entry(0)?.placed, undefined)
  assert.deepEqual([...disk.contents.keys()], [1, 2])
  h.connect('a', { expiry: 1000 })
  h.settle('a', 'acked', ...Array.from({ length: 1024 }, (_, q) => q))
  save(h, disk)
  assert.deepEqual([...disk.contents.keys()], [2])
  assert.equal(queue?.messages, 476)
})

test('a retained message that left the shelf with its last queue comes back to it with the next', () => {
  const { h, disk } = offlineWith(0)
  h.publish('x/r', { retain: true })
  save(h, disk)
  h.connect('a', { expiry: 1000 })
  h.settle('a', 'acked', 0)
  save(h, disk)
  assert.deepEqual([...disk.contents.keys()], [])
  h.connect('b', { expiry: 1000 })
  h.subscribe('b', 'x/r')
  h.disconnect('b', { sentBelow: 0 })
  save(h, disk)
  const entry = h.machine.session('b')?.queue.entry(0)
  assert.deepEqual([entry?.placed, entry?.chunk, entry?.bytes], [undefined, 2, 4])
  const again = recovered(disk, h.settings)
  assert.deepEqual(describe(again, disk), describe(h.machine, disk))
})

test('a chunk is not written anew while a save that fills it is under way: its content would lack messages', () => {
  const { h, disk } = offlineWith(100)
  save(h, disk)
  for (let n = 100; n < 1024; n++) h.publish(`x/${n}`)
  disk.log(h.machine.takeDelta())
  const underWay = h.machine.takeSave()
  h.connect('a', { expiry: 1000 })
  h.settle('a', 'acked', ...Array.from({ length: 1023 }, (_, q) => q))
  assert.deepEqual(h.machine.sparseChunks(9), [])
  disk.apply(underWay)
  h.machine.saved(underWay)
  assert.deepEqual(h.machine.sparseChunks(9), [1])
})

test('a chunk of which little is left is written anew', () => {
  const { h, disk } = offlineWith(1024)
  save(h, disk)
  const before = disk.content(1).length
  h.connect('a', { expiry: 1000 })
  const kept = [5, 500, 1023]
  h.settle('a', 'acked', ...Array.from({ length: 1024 }, (_, q) => q).filter((q) => !kept.includes(q)))
  assert.deepEqual(h.machine.sparseChunks(9), [1])
  assert.equal(h.machine.shrinkChunk(1, disk.content(1)), undefined)
  save(h, disk)
  assert.ok(disk.content(1).length * 100 < before)
  const again = recovered(disk, h.settings)
  assert.deepEqual(describe(again, disk), describe(h.machine, disk))
  assert.deepEqual(
    [...(again.session('a')?.queue.from(0) ?? [])].map(({ q }) => q),
    kept,
  )
})

test('what nobody keeps leaves nothing for log or store', () => {
  const h = new Harness({ hashing: false, durable: true })
  assert.ok(h.machine.takeDelta() !== undefined, 'the start of the node')
  h.connect('t')
  h.subscribe('t', '$share/g/x')
  h.publish('x', { qos: 1 })
  h.settle('t', 'acked', 0)
  h.disconnect('t')
  assert.equal(h.machine.takeDelta(), undefined)
})

test('a message that is settled before the log takes it never reaches a disk', () => {
  const h = new Harness({ hashing: false, durable: true })
  h.connect('a', { expiry: 9 })
  h.subscribe('a', 'x')
  h.machine.takeDelta()
  h.publish('x', { payload: Buffer.from('never-written') })
  h.settle('a', 'acked', 0)
  assert.ok(!Buffer.from(h.machine.takeDelta() ?? []).includes('never-written'))
})

test('Recovery refuses damaged records and groups and never throws', () => {
  const { h, disk } = offlineWith(20)
  save(h, disk)
  h.publish('x/after', { retain: true })
  disk.log(h.machine.takeDelta())
  fc.assert(
    fc.property(fc.nat(), fc.nat(), fc.integer({ min: 1, max: 255 }), (which, at, flip) => {
      const damaged = new Disk()
      for (const [key, record] of disk.records) damaged.records.set(key, record)
      for (const [id, parts] of disk.contents) damaged.contents.set(id, parts)
      damaged.groups = [...disk.groups]
      const records = [...disk.records]
      const total = records.length + disk.groups.length
      const index = which % total
      const change = (bytes: Uint8Array) => {
        const changed = Uint8Array.from(bytes)
        if (changed.length > 0) changed[at % changed.length] = (changed[at % changed.length] as number) ^ flip
        return changed
      }
      if (index < records.length) {
        const [name, record] = records[index] as (typeof records)[number]
        damaged.records.set(name, { key: record.key, value: change(record.value) })
      } else damaged.groups[index - records.length] = change(disk.groups[index - records.length] as Uint8Array)
      damaged.recover(h.settings)
    }),
    { numRuns: 2000 },
  )
})
