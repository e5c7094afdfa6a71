import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Cluster } from '../../testing/cluster.ts'
import { assertOrdered } from '../../testing/expectations.ts'
import { encodeFrame } from '../bytes/frames.ts'
import type { Effect } from '../model/effect.ts'

const MIB = 1024 * 1024

/** Bytes of effects for a peer. */
function bytesTo(peer: number, effects: readonly Effect[]): number {
  return effects.reduce(
    (sum, effect) => sum + (effect.type === 'send' && effect.to === peer ? effect.frame.length : 0),
    0,
  )
}

describe('Serving', () => {
  it('gives a peer that asks for everything again and again a bounded share, and others what they ask for', () => {
    const cluster = new Cluster({ n: 4, seed: 1, delayUs: [500, 1500] })
    for (let i = 0; i < 200; i++) {
      cluster.submit(i % 4, `m${i} `.padEnd(4_000, '.'))
      cluster.run(500)
    }
    assertOrdered(cluster, 200)
    let { nowUs } = cluster
    const ask = (from: number): number => {
      const bytes = encodeFrame({ type: 'range', request: 1, round: 1 })
      const effects = cluster.nodes[0]?.engine.step({ type: 'frame', from, bytes, arrivalUs: nowUs }) ?? []
      return bytesTo(from, effects)
    }
    const answer = ask(1)
    assert.ok(answer > 500_000, `${answer} bytes`)
    let flooded = answer
    for (let i = 0; i < 300; i++) flooded += ask(1)
    assert.ok(flooded > 12 * MIB && flooded < 22 * MIB, `${flooded} bytes at once`)
    assert.equal(ask(2), answer)
    nowUs += 1_000_000
    let later = bytesTo(1, cluster.nodes[0]?.engine.step({ type: 'timer', nowUs }) ?? [])
    for (let i = 0; i < 300; i++) later += ask(1)
    assert.ok(later > 12 * MIB && later < 22 * MIB, `${later} bytes a second later`)
  })
})
