import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Player, settingsOf, steps } from '../../testing/command-sequences.ts'
import { Harness, hex, tracingEffects } from '../../testing/harness.ts'
import { Machine } from '../machine.ts'
import { RecordKind } from '../records/kinds.ts'
import { machineSettings } from '../settings.ts'
import { SLICE_BYTES_MAX } from './snapshot.ts'

const join = (slices: Iterable<Uint8Array>): Uint8Array => Buffer.concat([...slices])

/** A machine with something of every kind. */
function full(): Harness {
  const h = new Harness()
  h.connect('a', { expiry: 100, will: { delay: 3, properties: { userProperties: [['k', 'v']] } } })
  h.connect('b', { expiry: 100 })
  h.subscribe('a', 'x/#', { qos: 2, subscriptionId: 9 })
  h.subscribe('b', '$share/g/x/#', { qos: 2 })
  h.publish('x/y', { qos: 2, retain: true, expirySeconds: 50, from: 'a', receipt: 3 })
  h.publish('x/z', { qos: 1 })
  h.settle('a', 'received', 0)
  h.disconnect('a', { will: 'publish', sentBelow: 1 })
  return h
}

test('Machine.restore() refuses a snapshot with any byte changed, and never throws', () => {
  const { machine, settings } = full()
  const snapshot = join(machine.snapshot())
  assert.ok(Machine.restore([snapshot], settings) instanceof Machine)
  for (let at = 0; at < snapshot.length; at++) {
    for (const flip of [1, 0x80, 0xff]) {
      const changed = Uint8Array.from(snapshot)
      changed[at] = (changed[at] as number) ^ flip
      assert.ok('malformed' in Machine.restore([changed], settings), `byte ${at} xor ${flip}`)
    }
  }
})

test('Machine.restore() refuses a snapshot that was cut, and what is none', () => {
  const { machine, settings } = full()
  const snapshot = join(machine.snapshot())
  for (let length = 0; length < snapshot.length; length++) {
    assert.ok('malformed' in Machine.restore([snapshot.subarray(0, length)], settings), `length ${length}`)
  }
  assert.ok('malformed' in Machine.restore([snapshot, Uint8Array.of(0)], settings))
  assert.deepEqual(Machine.restore([], settings), { malformed: 'not a snapshot of this version' })
})

/** With their lengths in front. */
function recordsOf(snapshot: Uint8Array): readonly Uint8Array[] {
  const view = new DataView(snapshot.buffer, snapshot.byteOffset)
  const records: Uint8Array[] = []
  for (let at = 36; view.getUint32(at) > 0; at += 4 + view.getUint32(at)) {
    records.push(snapshot.slice(at, at + 4 + view.getUint32(at)))
  }
  return records
}

test('a session that has the time of a will and has lost the will goes on without it', () => {
  const h = new Harness()
  h.connect('a', { expiry: 100, will: { topic: 'gone', delay: 5 } })
  h.disconnect('a', { will: 'publish' })
  const snapshot = join(h.machine.snapshot())
  const kept = recordsOf(snapshot).filter((record) => record[4] !== RecordKind.will)
  const bytes = Buffer.concat([snapshot.subarray(0, 36), ...kept, Uint8Array.of(0, 0, 0, 0)])
  const machine = Machine.restore([bytes], machineSettings({ hashing: false }))
  assert.ok(machine instanceof Machine)
  const lines: string[] = []
  machine.apply({ type: 'tick' }, machine.position + 1, machine.timeUs + 50_000_000, tracingEffects(lines))
  assert.deepEqual(lines, [])
  machine.apply({ type: 'tick' }, machine.position + 1, machine.timeUs + 60_000_000, tracingEffects(lines))
  assert.deepEqual(lines, ['sessionEnded a expired'])
})

test('Machine.restore() never throws when records are lost, doubled or exchanged and the hash is made to fit nothing', () => {
  const settings = machineSettings({ hashing: false })
  const snapshot = join(full().machine.snapshot())
  const records = recordsOf(snapshot)
  // Without hashing the hash is not looked at: every check of the content stands alone.
  const change = fc.record({ at: fc.nat(), to: fc.nat({ max: 255 }) })
  fc.assert(
    fc.property(
      fc.shuffledSubarray([...records, ...records]),
      fc.array(change, { maxLength: 4 }),
      (chosen, changes) => {
        const bytes = Buffer.concat([snapshot.subarray(0, 36), ...chosen, Uint8Array.of(0, 0, 0, 0)])
        for (const { at, to } of changes) bytes[36 + (at % (bytes.length - 36))] = to
        const machine = Machine.restore([bytes], settings)
        if (!(machine instanceof Machine)) return
        // What was let in must not throw later either.
        const effects = tracingEffects([])
        const position = machine.position + 1
        if (machine.timeUs < 2 ** 51 && position < 2 ** 52) {
          machine.apply(
            { type: 'start', node: 0, incarnation: Number.MAX_SAFE_INTEGER },
            position,
            machine.timeUs,
            effects,
          )
          machine.apply({ type: 'tick' }, position + 1, machine.timeUs + 2 ** 40, effects)
        }
      },
    ),
    { numRuns: 1500 },
  )
})

test('snapshot() cuts slices of at most 64 KiB, and a large message over several', () => {
  const h = new Harness()
  h.publish('x', { retain: true, payload: new Uint8Array(200_000).fill(7) })
  for (let n = 0; n < 500; n++) h.publish(`y/${n}`, { retain: true, payload: new Uint8Array(400) })
  const slices = [...h.machine.snapshot()]
  assert.ok(slices.length > 5)
  assert.ok(slices.every((slice) => slice.length <= SLICE_BYTES_MAX))
  const machine = Machine.restore(slices, h.settings)
  assert.ok(machine instanceof Machine)
  assert.equal(hex(machine.hash()), hex(h.machine.hash()))
})

test('snapshot() taken slice by slice while commands go on is that of the moment when it began', () => {
  const h = new Harness()
  for (let n = 0; n < 2000; n++) h.publish(`y/${n}`, { retain: true, payload: new Uint8Array(100) })
  h.connect('a', { expiry: 50 })
  h.subscribe('a', 'y/#')
  const expected = hex(join(h.machine.snapshot()))
  const slices: Uint8Array[] = []
  let n = 0
  for (const slice of h.machine.snapshot()) {
    slices.push(slice)
    for (let i = 0; i < 100; i++, n++) {
      h.publish(`y/${(n * 37) % 2500}`, { retain: true, payload: new Uint8Array(n % 3 === 0 ? 0 : 50) })
      h.settle('a', 'acked', n)
    }
    if (n % 200 === 0) h.machine.hash()
  }
  assert.ok(slices.length >= 4)
  assert.equal(hex(join(slices)), expected)
})

test('a snapshot that is given up or overtaken by another says so', () => {
  const { machine } = full()
  const first = machine.snapshot()
  const second = machine.snapshot()
  assert.throws(() => first.next(), /Cannot go on with this snapshot/)
  second.return?.()
  assert.throws(() => second.next(), /Cannot go on with this snapshot/)
})

test('equal states have equal snapshots, whatever happened on the way', () => {
  fc.assert(
    fc.property(settingsOf, steps, (given, sequence) => {
      const settings = machineSettings(given)
      const machine = new Machine(settings)
      const player = new Player()
      const effects = tracingEffects([])
      machine.apply({ type: 'start', node: 0, incarnation: 1 }, 1, 0, effects)
      for (const [i, step] of sequence.entries()) {
        machine.apply(player.command(step, machine), i + 2, player.timeUs, effects)
      }
      const snapshot = join(machine.snapshot())
      const copy = Machine.restore([snapshot], settings)
      assert.ok(copy instanceof Machine, JSON.stringify(copy))
      assert.equal(hex(join(copy.snapshot())), hex(snapshot))
    }),
    { numRuns: 100 },
  )
})
