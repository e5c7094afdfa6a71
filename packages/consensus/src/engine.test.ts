import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Cluster } from '../testing/cluster.ts'

describe('Engine', () => {
  it('orders the messages of a single node (n=1)', () => {
    const cluster = new Cluster({ n: 1, seed: 1 })
    for (let i = 0; i < 10; i++) cluster.submit(0, `m${i}`)
    cluster.run(100_000)
    assert.deepEqual(
      cluster.texts(0),
      Array.from({ length: 10 }, (_, i) => `m${i}`),
    )
  })

  it('gives one order on all nodes (n=4)', () => {
    const cluster = new Cluster({ n: 4, seed: 1, delayUs: [500, 1500] })
    for (let i = 0; i < 200; i++) {
      cluster.submit(i % 4, `m${i}`)
      cluster.run(777)
    }
    cluster.run(500_000)
    for (let node = 0; node < 4; node++) {
      assert.equal(cluster.texts(node).length, 200)
      assert.deepEqual(cluster.texts(node), cluster.texts(0))
    }
  })
})
