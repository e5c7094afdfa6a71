import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { SeqWindow } from './seq-window.ts'

describe('SeqWindow', () => {
  it('takes what a set of all numbers and the highest of them would', () => {
    const steps = fc.array(
      fc.oneof(fc.integer({ min: -70, max: 70 }), fc.constant(64), fc.constant(-63), fc.constant(200)),
    )
    fc.assert(
      fc.property(steps, (moves) => {
        const window = new SeqWindow(64)
        const taken = new Set<number>()
        let highest = -1
        let at = 100
        for (const move of moves) {
          at = Math.max(0, at + move)
          const fresh = !taken.has(at) && at > highest - 64
          assert.equal(window.take(at), fresh)
          if (fresh) taken.add(at)
          highest = Math.max(highest, fresh ? at : -1)
          assert.equal(window.highest, highest)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('takes numbers of 53 bits, and no number again after them', () => {
    const window = new SeqWindow(131_072)
    assert.equal(window.take(0), true)
    assert.equal(window.take(Number.MAX_SAFE_INTEGER), true)
    assert.equal(window.take(Number.MAX_SAFE_INTEGER), false)
    assert.equal(window.take(Number.MAX_SAFE_INTEGER - 131_071), true)
    assert.equal(window.take(Number.MAX_SAFE_INTEGER - 131_072), false)
    assert.equal(window.take(1), false)
  })

  it('does not stick at gaps that restarts leave (H4 of the review)', () => {
    const window = new SeqWindow(131_072)
    for (let life = 0; life < 200; life++) {
      for (let i = 0; i < 10; i++) assert.equal(window.take(life * 4096 + i), true)
      for (let i = 0; i < 10; i++) assert.equal(window.take(life * 4096 + i), false)
    }
  })
})
