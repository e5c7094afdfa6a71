import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Cluster } from '../testing/cluster.ts'
import { assertOrdered, assertSilent, blocksSent } from '../testing/expectations.ts'

describe('Engine', () => {
  it('orders the messages of a single node as soon as its disk has them (n=1)', () => {
    const cluster = new Cluster({ n: 1, seed: 1, syncUs: 200 })
    for (let i = 0; i < 10; i++) {
      const before = cluster.nowUs
      cluster.submit(0, `m${i}`)
      assert.ok(cluster.runUntil(() => cluster.texts(0).length === i + 1, 10_000))
      assert.equal(cluster.nowUs - before, 200)
      cluster.run(10_000)
    }
    assert.deepEqual(
      cluster.texts(0),
      Array.from({ length: 10 }, (_, i) => `m${i}`),
    )
    assertSilent(cluster)
  })

  for (const n of [2, 3, 4, 7, 10]) {
    it(`gives one order on all nodes (n=${n})`, () => {
      const cluster = new Cluster({ n, seed: n, delayUs: [500, 1500] })
      for (let i = 0; i < 60; i++) {
        cluster.submit(i % n, `m${i}`)
        cluster.run(777)
      }
      assertOrdered(cluster, 60)
      assertSilent(cluster)
    })
  }

  it('delivers a cold message on every node after four delays, and is silent again (n=4)', () => {
    const cluster = new Cluster({ n: 4, seed: 1, delayUs: [1000, 1000], syncUs: 100 })
    for (let i = 0; i < 8; i++) {
      const before = cluster.nowUs
      cluster.submit(i % 4, `m${i}`)
      assert.ok(cluster.runUntil(() => cluster.nodes.every(({ log }) => log.length === i + 1), 100_000))
      assert.equal(cluster.nowUs - before, 4 * 1100)
      assertSilent(cluster)
    }
    // Three rounds each: the unit's, that of the reports, and one more to decide; the last one is made by who needs it.
    assert.ok(blocksSent(cluster) <= 8 * 4 * 5)
  })

  it('leaves no isolated message behind when delays vary (follow)', () => {
    for (let seed = 1; seed <= 6; seed++) {
      const cluster = new Cluster({ n: seed % 2 === 0 ? 4 : 7, seed, delayUs: [200, 3000] })
      for (let i = 0; i < 20; i++) {
        cluster.submit(i % cluster.nodes.length, `m${i}`)
        cluster.run(cluster.random() * 90_000)
      }
      assertOrdered(cluster, 20)
      assertSilent(cluster)
    }
  })

  it('does not wait for ever for a block that was lost while its link was up', () => {
    for (let seed = 1; seed <= 4; seed++) {
      const cluster = new Cluster({ n: 4, seed, delayUs: [500, 3000] })
      cluster.run(100_000)
      let lost = 0
      // Nobody but its author misses it, and nobody else has anything to say.
      cluster.watch = (node, effect) => node === 0 && effect.type === 'send' && effect.to === 'all' && lost++ === 0
      cluster.submit(0, 'm')
      assert.ok(cluster.runUntil(() => cluster.nodes.every(({ log }) => log.length === 1), 200_000))
      assert.ok(lost > 1)
      assertSilent(cluster)
    }
  })

  it('keeps the order of what one node submits', () => {
    const cluster = new Cluster({ n: 4, seed: 5, delayUs: [200, 3000] })
    for (let i = 0; i < 100; i++) {
      cluster.submit(2, `m${i}`)
      cluster.run(100)
    }
    assertOrdered(cluster, 100)
    assert.deepEqual(
      cluster.texts(0),
      Array.from({ length: 100 }, (_, i) => `m${i}`),
    )
  })

  it('tells each submitter the place of its message', () => {
    const cluster = new Cluster({ n: 4, seed: 6 })
    const ids = Array.from({ length: 12 }, (_, i) => cluster.submit(i % 4, `m${i}`))
    assertOrdered(cluster, 12)
    for (const [i, id] of ids.entries()) {
      const position = cluster.nodes[i % 4]?.placed.get(id)
      assert.equal(cluster.texts(0)[position as number], `m${i}`)
    }
  })

  it('does not wait for a slow node: it is demoted, and the median stays below 5.5 rounds', () => {
    const cluster = new Cluster({
      n: 4,
      seed: 7,
      delayUs: [1000, 1000],
      syncUs: 100,
      moreUs: (from) => (from === 3 ? 3000 : 0),
    })
    const latencies: number[] = []
    for (let i = 0; i < 300; i++) {
      const before = cluster.nowUs
      const id = cluster.submit(i % 3, `m${i}`)
      cluster.at(0, () => {})
      cluster.runUntil(() => cluster.nodes[i % 3]?.placed.has(id) ?? false, 100_000)
      if (i >= 100) latencies.push(cluster.nowUs - before)
    }
    latencies.sort((a, b) => a - b)
    assert.equal(cluster.nodes[0]?.engine.status.demoted, 0b1000)
    assert.ok((latencies[100] as number) < 5.5 * 1100, `median ${latencies[100]} µs`)
  })

  it('orders the messages of a node that is 150 rounds away', () => {
    const cluster = new Cluster({
      n: 4,
      seed: 8,
      delayUs: [500, 500],
      syncUs: 50,
      moreUs: (from, to) => (from === 3 || to === 3 ? 82_000 : 0),
    })
    for (let i = 0; i < 100; i++) {
      cluster.submit(i % 4, `m${i}`)
      cluster.run(3000)
    }
    assertOrdered(cluster, 100)
    assertSilent(cluster)
  })
})
