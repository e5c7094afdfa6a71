import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { describe, test } from 'node:test'
import { filterMatches } from '@concordmq/protocol'
import fc from 'fast-check'
import { hold } from '../../../../testing/catalogue/src/hold.ts'
import { type Match, mergeMatches, type Route, RouteTable } from './route-table.ts'

interface Sub {
  readonly who: string
  readonly filter: string
  readonly qos: 0 | 1 | 2
}

/** Subscriptions as a list, asked for one by one. */
class Naive {
  subs: Sub[] = []
  resolved = 0
  readonly table: RouteTable<string>

  constructor(topicsMax = 64) {
    this.table = new RouteTable(
      {
        matches: (topic, visit) => {
          this.resolved++
          for (const { who, filter, qos } of this.subs) {
            if (filterMatches(filter, topic)) {
              visit({ subscriber: who, qos, noLocal: false, retainAsPublished: false, subscriptionId: 0 })
            }
          }
        },
        ordered: (topic) => this.subs.some(({ who, filter }) => who === 'kept' && filterMatches(filter, topic)),
      },
      topicsMax,
    )
  }

  subscribe(sub: Sub): void {
    this.unsubscribe(sub)
    this.subs.push(sub)
    this.table.changed(sub.filter)
  }

  unsubscribe({ who, filter }: Pick<Sub, 'who' | 'filter'>): void {
    this.subs = this.subs.filter((sub) => sub.who !== who || sub.filter !== filter)
    this.table.changed(filter)
  }

  lookup(topic: string): Route<string> {
    const bytes = Buffer.from(`..${topic}..`)
    return this.table.lookup(bytes, 2, bytes.length - 2)
  }

  expected(topic: string): string[] {
    const best = new Map<string, number>()
    for (const { who, filter, qos } of this.subs) {
      if (filterMatches(filter, topic)) best.set(who, Math.max(best.get(who) ?? 0, qos))
    }
    return [...best].map(([who, qos]) => `${who}:${qos}`).sort()
  }
}

function names(route: Route<string>): string[] {
  return route.targets.map(({ subscriber, qos }) => `${subscriber}:${qos}`).sort()
}

const topics = ['a', 'b', 'a/b', 'a/c', 'a/b/c', 'x', '$SYS/a', '/', 'ü/ö']
const filters = ['a', '#', '+', 'a/#', 'a/+', '+/b', '+/+/c', '$SYS/#', 'a/b/c', '/', 'ü/#']

describe('RouteTable', () => {
  test('finds what a walk over all subscriptions finds, whatever came, changed and went before', () => {
    const step = fc.record({
      kind: fc.constantFrom(
        'subscribe' as const,
        'unsubscribe' as const,
        'lookup' as const,
        'lookup' as const,
        'again' as const,
      ),
      who: fc.constantFrom('kept', 'p', 'q', 'r'),
      filter: fc.constantFrom(...filters),
      topic: fc.constantFrom(...topics),
      qos: fc.constantFrom<0 | 1 | 2>(0, 1, 2),
      times: fc.constantFrom(1, 1, 1, 40),
    })
    hold(
      fc.property(fc.array(step, { maxLength: 60 }), fc.constantFrom(4, 64), (steps, topicsMax) => {
        const naive = new Naive(topicsMax)
        let last: Route<string> | undefined
        for (const { kind, who, filter, topic, qos, times } of steps) {
          // Forty changes at once are more than the table remembers.
          if (kind === 'subscribe') for (let i = 0; i < times; i++) naive.subscribe({ who, filter, qos })
          else if (kind === 'unsubscribe') naive.unsubscribe({ who, filter })
          else if (kind === 'lookup') {
            last = naive.lookup(topic)
            assert.equal(last.topic, topic)
            if (last.bytes !== undefined) assert.equal(Buffer.from(last.bytes).toString(), topic)
          } else if (last !== undefined && last.version !== naive.table.version) naive.table.refresh(last)
          if (last !== undefined && last.version === naive.table.version) {
            assert.deepEqual(names(last), naive.expected(last.topic))
            assert.equal(
              last.ordered,
              naive.expected(last.topic).some((name) => name.startsWith('kept')),
            )
          }
        }
      }),
      300,
    )
  })

  test('resolves a topic anew only when a changed filter can match it, or when too many have changed', () => {
    const naive = new Naive()
    naive.subscribe({ who: 'p', filter: 'a/#', qos: 0 })
    const route = naive.lookup('a/b')
    assert.equal(naive.lookup('a/b').topic, route.topic)
    const cached = naive.lookup('a/b')
    const before = naive.resolved
    for (let n = 0; n < 32; n++) naive.table.changed(`other/${n}`)
    assert.equal(naive.lookup('a/b'), cached)
    assert.equal(naive.resolved, before)
    naive.table.changed('+/b')
    assert.equal(naive.lookup('a/b'), cached)
    assert.equal(naive.resolved, before + 1)
    for (let n = 0; n < 33; n++) naive.table.changed(`other/${n}`)
    naive.lookup('a/b')
    assert.equal(naive.resolved, before + 2)
  })

  test('caches a topic at its second use and gives the oldest of its set up for a new one', () => {
    const naive = new Naive(4)
    naive.lookup('once')
    naive.lookup('once')
    const used = naive.resolved
    naive.lookup('once')
    assert.equal(naive.resolved, used, 'cached')
    for (const topic of ['t1', 't2', 't3', 't4']) {
      naive.lookup(topic)
      naive.lookup(topic)
    }
    const after = naive.resolved
    naive.lookup('once')
    assert.equal(naive.resolved, after + 1, 'given up')
  })

  test('lets go of outdated lists when swept, and resolves them anew at their next use', () => {
    const naive = new Naive()
    naive.subscribe({ who: 'a', filter: 'x/1', qos: 1 })
    naive.subscribe({ who: 'b', filter: 'x/2', qos: 1 })
    naive.lookup('x/1')
    naive.lookup('x/2')
    const gone = naive.lookup('x/1')
    const stays = naive.lookup('x/2')
    assert.equal(naive.table.cachedTargets, 2)
    naive.unsubscribe({ who: 'a', filter: 'x/1' })
    // x/2 is looked at again before the sweep, x/1 by nobody.
    assert.equal(naive.lookup('x/2'), stays)
    naive.table.sweep(64)
    assert.deepEqual([gone.targets.length, stays.targets.length, naive.table.cachedTargets], [0, 1, 1])
    naive.subscribe({ who: 'c', filter: 'x/1', qos: 2 })
    assert.deepEqual(
      naive.lookup('x/1').targets.map(({ subscriber, qos }) => `${subscriber}:${qos}`),
      ['c:2'],
    )
  })

  test('keeps a copy of the topic, not a view of the read buffer', () => {
    const naive = new Naive()
    const read = Buffer.alloc(65_536)
    read.write('a/b', 100)
    assert.equal(naive.table.lookup(read, 100, 103).bytes, undefined, 'not cached yet')
    const bytes = naive.table.lookup(read, 100, 103).bytes as Uint8Array
    assert.equal(bytes.buffer.byteLength, 3)
    read.fill(0)
    assert.equal(Buffer.from(bytes).toString(), 'a/b')
  })

  test('empties its cache when the cached lists together have grown too long', () => {
    const crowd = Array.from({ length: 100 }, (_, i) => i)
    const table = new RouteTable<number>(
      {
        matches: (_topic, visit) => {
          for (const subscriber of crowd) {
            visit({ subscriber, qos: 0, noLocal: false, retainAsPublished: false, subscriptionId: 0 })
          }
        },
        ordered: () => false,
      },
      1_024,
      800,
    )
    for (let n = 0; n < 12; n++) {
      const topic = Buffer.from(`t${n}`)
      for (let use = 0; use < 2; use++) {
        assert.equal(table.lookup(topic, 0, topic.length).targets.length, crowd.length)
        assert.ok(table.cachedTargets <= 800)
      }
    }
    assert.ok(table.cachedTargets > 0)
    crowd.length = 1
    table.changed('#')
    for (let n = 0; n < 12; n++) table.lookup(Buffer.from(`t${n}`), 0, Buffer.byteLength(`t${n}`))
    assert.ok(table.cachedTargets <= 12, 'what became shorter counts less')
  })
})

describe('mergeMatches()', () => {
  const match = (more: Partial<Match<string>>): Match<string> => ({
    subscriber: 'a',
    qos: 0,
    noLocal: false,
    retainAsPublished: false,
    subscriptionId: 0,
    ...more,
  })

  test('makes one target of overlapping subscriptions: highest QoS, all identifiers [MQTT-3.3.4-2] [MQTT-3.3.4-4]', () => {
    const [a, b] = mergeMatches([
      match({ qos: 1, subscriptionId: 9 }),
      match({ subscriber: 'b' }),
      match({ qos: 0, subscriptionId: 3, retainAsPublished: true }),
    ])
    assert.deepEqual(a, { subscriber: 'a', qos: 1, retainAsPublished: true, subscriptionIds: [3, 9], own: undefined })
    assert.deepEqual(b, {
      subscriber: 'b',
      qos: 0,
      retainAsPublished: false,
      subscriptionIds: undefined,
      own: undefined,
    })
  })

  test('leaves for messages of the subscriber itself what did not ask for No Local [MQTT-3.8.3-3]', () => {
    assert.equal(mergeMatches([match({ noLocal: true })])[0]?.own, 'nothing')
    const [mixed] = mergeMatches([
      match({ qos: 2, noLocal: true, subscriptionId: 1 }),
      match({ qos: 1, subscriptionId: 2 }),
    ])
    assert.deepEqual([mixed?.qos, mixed?.subscriptionIds], [2, [1, 2]])
    assert.ok(mixed?.own !== undefined && mixed.own !== 'nothing')
    assert.deepEqual([mixed.own.qos, mixed.own.subscriptionIds], [1, [2]])
  })
})
