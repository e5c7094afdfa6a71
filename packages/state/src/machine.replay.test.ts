import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Player, settingsOf, steps } from '../testing/command-sequences.ts'
import { Harness, hex, tracingEffects } from '../testing/harness.ts'
import { decodeRecords, encodeRecord } from './commands/recording.ts'
import { compareText } from './encoding/text-order.ts'
import { Machine } from './machine.ts'
import { machineSettings } from './settings.ts'

const join = (slices: Iterable<Uint8Array>): Uint8Array => Buffer.concat([...slices])

function restored(slices: Iterable<Uint8Array>, settings: ReturnType<typeof machineSettings>): Machine {
  const machine = Machine.restore(slices, settings)
  if (!(machine instanceof Machine)) assert.fail(machine.malformed)
  return machine
}

/** Everything that a session remembers, so that a field missing in the records shows. */
function describe(machine: Machine): unknown[] {
  const sessions = [...machine.sessions.values()].sort((a, b) => compareText(a.clientId, b.clientId))
  return sessions.map((s) => [
    [s.clientId, s.kept, s.connection, s.principal, s.version, s.receiveMaximum, s.expirySeconds],
    [s.will, s.willDueUs, s.expiresUs, s.dueUs, s.receipts.list()],
    [s.queue.base, s.queue.next, s.queue.sentBelow, s.queue.expiryFloorUs, s.queue.messages, s.queue.bytes],
    [...s.queue.from(0)].map(({ q, terms, state, share, placed }) => [q, terms, state, share, placed?.message]),
    [...s.subscriptions.values()]
      .sort((a, b) => compareText(a.filter, b.filter))
      .map((o) => [o.filter, o.qos, o.noLocal, o.retainHandling, o.subscriptionId]),
  ])
}

test('Machine replays: recorded commands give the same outcomes, effects and hash in a fresh machine', () => {
  fc.assert(
    fc.property(settingsOf, steps, (given, sequence) => {
      const settings = machineSettings(given)
      const original = new Machine(settings)
      const player = new Player()
      const lines: string[] = []
      const stream: Uint8Array[] = []
      original.apply({ type: 'start', node: 0, incarnation: 1 }, 1, 0, tracingEffects(lines))
      stream.push(encodeRecord({ position: 1, timeUs: 0, command: { type: 'start', node: 0, incarnation: 1 } }))
      sequence.forEach((step, i) => {
        const command = player.command(step, original)
        const place = { position: i + 2, timeUs: player.timeUs }
        stream.push(encodeRecord({ ...place, command }))
        lines.push(JSON.stringify(original.apply(command, place.position, place.timeUs, tracingEffects(lines))))
        // Asking for the hash now and then must not change it.
        if (i % 7 === 0) original.hash()
      })
      const fresh = new Machine(settings)
      const again: string[] = []
      const { records, problem } = decodeRecords(join(stream))
      assert.equal(problem, undefined)
      records.forEach(({ command, position, timeUs }, i) => {
        const outcome = fresh.apply(command, position, timeUs, tracingEffects(again))
        if (i > 0) again.push(JSON.stringify(outcome))
      })
      assert.deepEqual(again, lines)
      assert.equal(hex(fresh.hash()), hex(original.hash()))
    }),
    { numRuns: 400 },
  )
})

test('Machine goes on from a snapshot like the original, also when commands are applied between slices', () => {
  fc.assert(
    fc.property(settingsOf, steps, fc.nat({ max: 60 }), fc.nat({ max: 60 }), (given, sequence, at, doneAt) => {
      const settings = machineSettings(given)
      const original = new Machine(settings)
      const player = new Player()
      const lines: string[] = []
      const effects = tracingEffects(lines)
      original.apply({ type: 'start', node: 0, incarnation: 1 }, 1, 0, effects)
      const rest: { command: Parameters<Machine['apply']>[0]; position: number; timeUs: number }[] = []
      let lazy: IterableIterator<Uint8Array> | undefined
      let eager: Uint8Array | undefined
      let slow: Uint8Array | undefined
      let hashThen = ''
      sequence.forEach((step, i) => {
        if (i === at % sequence.length) {
          eager = join(original.snapshot())
          lazy = original.snapshot()
          hashThen = hex(original.hash())
          lines.length = 0
        }
        const command = player.command(step, original)
        const place = { position: i + 2, timeUs: player.timeUs }
        if (lazy !== undefined) rest.push({ command, ...place })
        original.apply(command, place.position, place.timeUs, effects)
        if (lazy !== undefined && i % 3 === 0) original.hash()
        if (lazy !== undefined && slow === undefined && i >= doneAt) slow = join(lazy)
      })
      if (lazy === undefined || eager === undefined) return
      slow ??= join(lazy)
      assert.equal(hex(slow), hex(eager), 'slices belong to the moment when the snapshot began')
      const machine = restored([slow], settings)
      assert.equal(hex(machine.hash()), hashThen)
      assert.equal(hex(join(machine.snapshot())), hex(eager))
      const again: string[] = []
      for (const { command, position, timeUs } of rest) {
        machine.apply(command, position, timeUs, tracingEffects(again))
      }
      assert.deepEqual(again, lines)
      assert.equal(hex(machine.hash()), hex(original.hash()))
      assert.equal(machine.nextDeadlineUs, original.nextDeadlineUs)
      assert.equal(machine.queuesMessages, original.queuesMessages)
      assert.equal(machine.queuesBytes, original.queuesBytes)
      assert.deepEqual(describe(machine), describe(original))
    }),
    { numRuns: 400 },
  )
})

test('a retained message that leaves all queues and comes back into one is in the hash again', () => {
  const settings = machineSettings({})
  const twice = [true, false].map((asks) => {
    const h = new Harness(settings)
    h.connect('a', { expiry: 9 })
    h.subscribe('a', 'x')
    h.publish('x', { retain: true })
    if (asks) h.machine.hash()
    h.settle('a', 'acked', 0)
    if (asks) h.machine.hash()
    h.subscribe('a', 'x')
    return h.machine
  })
  assert.equal(hex(twice[0]?.hash() ?? new Uint8Array()), hex(twice[1]?.hash() ?? new Uint8Array()))
})

test('a restored machine knows a message once, though it is retained and queued', () => {
  const h = new Harness()
  h.connect('a', { expiry: 9 })
  h.connect('b', { expiry: 9 })
  h.subscribe('a', 'x')
  h.publish('x', { retain: true })
  const copy = restored(h.machine.snapshot(), h.settings)
  const subscribe = { type: 'subscribe', connection: h.at('b'), clientId: 'b' } as const
  const order = {
    filter: 'x',
    qos: 1,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0,
    subscriptionId: 0,
  } as const
  for (const machine of [h.machine, copy]) {
    machine.apply({ ...subscribe, subscriptions: [order] }, 100, h.timeUs, tracingEffects([]))
  }
  assert.equal(hex(copy.hash()), hex(h.machine.hash()))
})
