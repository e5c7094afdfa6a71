import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Player, settingsOf, steps } from '../testing/command-sequences.ts'
import { Harness, tracingEffects } from '../testing/harness.ts'
import type { Effects } from './effects.ts'
import { Machine } from './machine.ts'
import { packetIdOf } from './queue/outbound-window.ts'
import { machineSettings } from './settings.ts'

const NOTHING = tracingEffects([])

/** What must hold between two commands, whatever happened before. */
function check(machine: Machine, queueMessagesMax: number): void {
  let queuesMessages = 0
  let queuesBytes = 0
  let plainSubscriptions = 0
  const shared = new Map<string, string>()
  for (const session of machine.sessions.values()) {
    const { queue, clientId } = session
    let messages = 0
    let bytes = 0
    const packetIds = new Set<number>()
    for (let q = queue.base; q < queue.next; q++) {
      const entry = queue.queued(q)
      if (entry === undefined) {
        assert.ok(q > queue.base, 'the base is unsettled')
        continue
      }
      assert.equal(entry.q, q)
      assert.ok(!packetIds.has(packetIdOf(q)), 'packet identifiers in flight are unique')
      packetIds.add(packetIdOf(q))
      assert.ok(entry.terms.qos > 0)
      assert.ok(entry.state === 'queued' || entry.terms.qos === 2)
      messages++
      bytes += entry.bytes
      if (entry.share !== '' && entry.terms.qos === 2) {
        const key = `${entry.share} ${entry.placed?.position}.${entry.placed?.index}`
        assert.equal(shared.get(key), undefined, 'one member has a message of a shared group')
        shared.set(key, clientId)
      }
    }
    assert.deepEqual([queue.messages, queue.bytes], [messages, bytes])
    assert.ok(queue.messages <= queueMessagesMax, 'a queue stays within its maximum')
    assert.ok(queue.sentBelow <= queue.next)
    assert.ok(session.kept || session.connection !== undefined, 'a transient session has its connection')
    assert.ok(session.connection === undefined || session.willDueUs === Number.MAX_SAFE_INTEGER)
    queuesMessages += messages
    queuesBytes += bytes
    for (const subscription of session.subscriptions.values()) if (subscription.shareName === '') plainSubscriptions++
  }
  assert.deepEqual([machine.queuesMessages, machine.queuesBytes], [queuesMessages, queuesBytes])
  assert.equal(machine.subscriptions.size, plainSubscriptions)
}

test('Machine keeps its invariants under random commands', () => {
  fc.assert(
    fc.property(settingsOf, steps, (given, sequence) => {
      const settings = machineSettings(given)
      const machine = new Machine(settings)
      const player = new Player()
      machine.apply({ type: 'start', node: 0, incarnation: 1 }, 1, 0, NOTHING)
      sequence.forEach((step, i) => {
        machine.apply(player.command(step, machine), i + 2, player.timeUs, NOTHING)
        check(machine, settings.queueMessagesMax)
      })
    }),
    { numRuns: 500 },
  )
})

test('Machine gives each queue number once, and every number ends once: settled, dropped or still there', () => {
  fc.assert(
    fc.property(settingsOf, steps, (given, sequence) => {
      const machine = new Machine(machineSettings(given))
      const player = new Player()
      const next = new Map<string, number>()
      const dropped = new Set<string>()
      const effects: Effects = {
        ...NOTHING,
        queued: (clientId, _, q, count) => {
          assert.equal(q, next.get(clientId) ?? 0, 'numbers are given one after the other')
          next.set(clientId, q + count)
        },
        dropped: (clientId, q) => {
          if (q < 0) return
          assert.ok(q < (next.get(clientId) ?? 0), 'what is dropped was queued')
          assert.ok(!dropped.has(`${clientId} ${q}`), 'no number is dropped twice')
          dropped.add(`${clientId} ${q}`)
        },
        sessionEnded: (clientId) => {
          next.delete(clientId)
          for (const key of [...dropped]) if (key.startsWith(`${clientId} `)) dropped.delete(key)
        },
      }
      machine.apply({ type: 'start', node: 0, incarnation: 1 }, 1, 0, effects)
      sequence.forEach((step, i) => {
        machine.apply(player.command(step, machine), i + 2, player.timeUs, effects)
        for (const [clientId, count] of next) assert.equal(machine.session(clientId)?.queue.next, count)
        for (const key of dropped) {
          const [clientId, q] = key.split(' ') as [string, string]
          assert.equal(machine.session(clientId)?.queue.entry(Number(q)), undefined)
        }
      })
    }),
    { numRuns: 300 },
  )
})

test('Machine gives a QoS 2 message of a shared group to a second member only while the first surely was not sent it', () => {
  fc.assert(
    fc.property(settingsOf, steps, (given, sequence) => {
      const machine = new Machine(machineSettings(given))
      const player = new Player()
      const holders = new Map<string, string>()
      const effects: Effects = {
        ...NOTHING,
        queued: (clientId, _, q) => {
          const entry = machine.session(clientId)?.queue.queued(q)
          if (entry === undefined || entry.share === '' || entry.terms.qos !== 2) return
          const key = `${entry.share} ${entry.placed?.position}.${entry.placed?.index}`
          const before = holders.get(key)
          holders.set(key, `${clientId} ${q}`)
          if (before === undefined) return
          const [first, number] = before.split(' ') as [string, string]
          const queue = machine.session(first)?.queue
          // An ended session cannot be asked any more; a living one must not have had it below its bound.
          if (queue !== undefined) assert.equal(queue.mayHaveBeenSent(Number(number)), false)
        },
      }
      machine.apply({ type: 'start', node: 0, incarnation: 1 }, 1, 0, effects)
      for (const [i, step] of sequence.entries()) {
        machine.apply(player.command(step, machine), i + 2, player.timeUs, effects)
      }
    }),
    { numRuns: 300 },
  )
})

test('apply() runs what has passed first, ordered by (deadline, client identifier), and counts places through', () => {
  const h = new Harness()
  for (const clientId of ['c', 'a', 'b']) {
    h.connect(clientId, { expiry: 100, will: { topic: `w/${clientId}`, delay: clientId === 'c' ? 1 : 2 } })
    h.disconnect(clientId, { will: 'publish' })
  }
  h.take()
  h.timeUs += 5_000_000
  h.publish('x')
  assert.deepEqual(h.take(), [
    'published w/c 8.0 by -',
    'published w/a 8.1 by -',
    'published w/b 8.2 by -',
    'published x 8.3 by -',
  ])
})

test('apply() takes a time before the last one for the last one, and refuses a position before it', () => {
  const machine = new Machine(machineSettings())
  machine.apply({ type: 'tick' }, 5, 2_000_000, NOTHING)
  machine.apply({ type: 'tick' }, 5, 1_000_000, NOTHING)
  assert.equal(machine.timeUs, 2_000_000)
  assert.throws(() => machine.apply({ type: 'tick' }, 4, 2_000_000, NOTHING), /Cannot apply a command at position 4/)
  assert.throws(() => machine.apply({ type: 'tick' }, 6, Number.NaN, NOTHING), RangeError)
})
