import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Harness } from '../../testing/harness.ts'
import { LIST_MAX } from '../commands/validity.ts'
import type { MachineSettings } from '../settings.ts'

const payloadsOf = (...sizes: number[]) => sizes.map((size) => new Uint8Array(size).fill(size))

/** Kept sessions a (twice, online) and b (absent), a group of two members, and somebody who publishes. */
function audience(settings: Partial<MachineSettings>, shared: boolean): Harness {
  const h = new Harness(settings)
  h.connect('a', { expiry: 100 })
  h.subscribe('a', 'x/#', { qos: 1, subscriptionId: 7 })
  h.subscribe('a', '+/y', { qos: 2, subscriptionId: 3 })
  h.connect('b', { expiry: 100 })
  h.subscribe('b', 'x/y', { qos: 0 })
  h.subscribe('b', '#', { qos: 1, noLocal: true })
  h.disconnect('b', { sentBelow: 0 })
  for (const member of shared ? ['m', 'n'] : []) {
    h.connect(member)
    h.subscribe(member, '$share/g/x/+')
  }
  h.connect('p')
  h.take()
  return h
}

test('publishRun does to every session what as many publish commands would do', () => {
  fc.assert(
    fc.property(
      fc.record({
        topic: fc.constantFrom('x/y', 'x/z', 'other', '$direct/a', 'a'),
        qos: fc.constantFrom<0 | 1>(0, 1),
        shared: fc.boolean(),
        sizes: fc.array(fc.nat({ max: 9 }), { minLength: 1, maxLength: 12 }),
        expirySeconds: fc.option(fc.constant(5), { nil: undefined }),
        queueMessagesMax: fc.constantFrom(3, 100),
        queueBytesMax: fc.constantFrom(40, 10_000),
        queueFull: fc.constantFrom<'dropNewest' | 'dropOldest'>('dropNewest', 'dropOldest'),
        directMessages: fc.constantFrom<'off' | 'prefix' | 'bare'>('off', 'prefix', 'bare'),
      }),
      ({ topic, qos, shared, sizes, expirySeconds, ...settings }) => {
        const payloads = payloadsOf(...sizes)
        const options = { qos, from: 'p', ...(expirySeconds !== undefined && { expirySeconds }) }
        const [run, single] = [audience(settings, shared), audience(settings, shared)]
        const outcome = run.publishRun(topic, payloads, options)
        let last: unknown
        for (const payload of payloads) last = single.publish(topic, { ...options, payload })
        assert.ok(outcome.type === 'publishedRun')
        assert.deepEqual(last, { type: 'published', duplicate: false, matched: outcome.matched })
        assert.equal(outcome.taken, payloads.length)
        for (const client of ['a', 'b', 'm', 'n']) assert.deepEqual(run.queue(client), single.queue(client))
        const withoutPlace = (h: Harness) =>
          h
            .take()
            .map((line) => line.replace(/ \d+\.\d+ by/, ' by'))
            .sort()
        assert.deepEqual(withoutPlace(run), withoutPlace(single))
        // Both hold the same messages, however they were queued.
        const payloadOf = (h: Harness, q: number) => h.machine.session('a')?.queue.entry(q)?.placed?.message.payload
        for (let q = 0; q < payloads.length; q++) assert.deepEqual(payloadOf(run, q), payloadOf(single, q))
      },
    ),
    { numRuns: 400 },
  )
})

test('publishRun gives its messages one place after the other', () => {
  const h = audience({}, false)
  h.publishRun('x/y', payloadsOf(1, 2), { from: 'p' })
  const { position } = h.machine
  assert.deepEqual(h.take(), [
    `published x/y ${position}.0 by 0.1.3`,
    `published x/y ${position}.1 by 0.1.3`,
    'queued a 0.1.1 q0',
    'queued a 0.1.1 q1',
    'queued b - q0',
    'queued b - q1',
  ])
})

test('publishRun takes as many messages as all queues together have room for, and says how many', () => {
  const h = audience({ queuesBytesMax: 40 }, false)
  // 13 bytes each with their topic, twice.
  assert.deepEqual(h.publishRun('x/y', payloadsOf(10, 10, 10, 10), { from: 'p' }), {
    type: 'publishedRun',
    taken: 2,
    matched: 2,
  })
  assert.equal(h.machine.counters.queuesFull, 1)
  assert.ok(h.machine.queuesBytes <= 40)
})

test('publishRun with RETAIN, at QoS 2, without a payload, or with too many is malformed', () => {
  const h = audience({}, false)
  const outcomes = [
    h.publishRun('x', payloadsOf(1), { retain: true }),
    h.publishRun('x', payloadsOf(1), { qos: 2 }),
    h.publishRun('x', []),
    h.publishRun('x', new Array(LIST_MAX + 1).fill(new Uint8Array())),
    h.publishRun('x/#', payloadsOf(1)),
  ]
  assert.deepEqual(
    outcomes.map(({ type }) => type),
    ['malformed', 'malformed', 'malformed', 'malformed', 'malformed'],
  )
  assert.deepEqual(h.take(), [])
})

test('a settlement of several entries settles those that are there, and counts the others', () => {
  const h = audience({}, false)
  h.publishRun('x/z', payloadsOf(1, 2, 3, 4), { from: 'p' })
  h.settle('a', 'acked', 1)
  const ofAll = { q: 0, count: 6, outcome: 'acked' } as const
  h.apply({ type: 'acknowledge', connection: h.at('a'), clientId: 'a', settlements: [ofAll] })
  assert.deepEqual(h.queue('a'), [])
  assert.equal(h.machine.counters.idle, 3)
  const tooMany = { ...ofAll, count: LIST_MAX }
  const settlements = [tooMany, ofAll]
  const outcome = h.apply({ type: 'acknowledge', connection: h.at('a'), clientId: 'a', settlements })
  assert.equal(outcome.type, 'malformed')
})
