import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Clock } from './clock.ts'

describe('Clock', () => {
  it('never goes back, whatever the host says', () => {
    const clock = new Clock()
    clock.observe(10_000_000)
    const before = clock.nowUs
    clock.observe(9_999_500)
    assert.equal(clock.nowUs, before)
    clock.observe(10_000_100)
    assert.equal(clock.nowUs, before + 100, 'what was read out of order is not counted twice')
  })

  it('goes on at once after the host clock was set back by an hour', () => {
    const clock = new Clock()
    clock.observe(10_000_000_000)
    const before = clock.nowUs
    clock.observe(6_400_000_000)
    clock.observe(6_400_000_700)
    assert.equal(clock.nowUs, before + 700)
    assert.equal(clock.wallUsOf(before + 1000), 6_400_001_000)
  })

  it('does not count time twice for what came in one go and waited its turn', () => {
    const clock = new Clock()
    clock.observe(10_000_000)
    const before = clock.nowUs
    for (let frame = 1; frame <= 10; frame++) {
      clock.observeArrival(10_000_100)
      clock.observe(10_000_000 + frame * 100_000)
    }
    assert.equal(clock.nowUs, before + 1_000_000)
  })

  it('gives whole stamps, each above the one before and above those of before a restart', () => {
    const clock = new Clock()
    clock.observe(5_000_000.7)
    const first = clock.stamp()
    assert.equal(first, 5_000_000)
    assert.equal(clock.stamp(), first + 1)
    assert.equal(clock.stamp(4_000_000.5), first + 2)
    clock.usedStamp(9_000_000)
    assert.equal(clock.stamp(), 9_000_001)
  })
})
