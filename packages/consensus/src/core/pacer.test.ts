import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Pacer } from './pacer.ts'
import { defaultTunables } from './tunables.ts'

const START_US = 1_000_000_000

describe('Pacer', () => {
  it('lets a cold message go at once, and keeps two blocks apart by the floor', () => {
    const pacer = new Pacer(defaultTunables, 1024)
    assert.ok(pacer.earliestUs(START_US) <= START_US)
    pacer.made(START_US, 0)
    assert.equal(pacer.earliestUs(START_US), START_US + defaultTunables.roundUsMin)
  })

  it('makes rounds slow enough for the farthest peer to be reported in time', () => {
    const pacer = new Pacer(defaultTunables, 1024)
    pacer.farthestRttUs = 1_024_000
    pacer.made(START_US, 0)
    assert.equal(pacer.earliestUs(START_US), START_US + 2000)
    // One that answers after ten seconds slows nobody further than two do.
    pacer.farthestRttUs = 10_000_000
    assert.equal(pacer.earliestUs(START_US), START_US + (2 * 2_000_000) / 1024)
  })

  it('waits until CPU time that was overspent is there again', () => {
    const pacer = new Pacer(defaultTunables, 1024)
    pacer.earliestUs(START_US)
    pacer.spent(defaultTunables.roundCpuBurstUs + 35_000)
    const earliest = pacer.earliestUs(START_US)
    assert.ok(Math.abs(earliest - START_US - 100_000) <= 1, `waits ${earliest - START_US} µs`)
    assert.ok(pacer.earliestUs(START_US + 100_001) <= START_US + 100_001)
  })

  it('waits for slow peers half a round, and ever longer while the order does not keep up', () => {
    const pacer = new Pacer(defaultTunables, 1024)
    for (let i = 0; i <= 100; i++) pacer.made(START_US + i * 4000, i > 0 ? 1 : 0)
    const usual = pacer.leadUs(5)
    assert.ok(usual > 1500 && usual <= 2000, `${usual} µs`)
    assert.equal(pacer.leadUs(6), Math.floor(pacer.leadUs(7) / 2))
    assert.equal(pacer.leadUs(100), defaultTunables.leadGrownUsMax)
  })

  it('counts the rounds that others made meanwhile, so that a node that was left behind waits no longer than they do', () => {
    const pacer = new Pacer(defaultTunables, 1024)
    pacer.made(START_US, 0)
    pacer.made(START_US + 40_000, 10)
    assert.equal(pacer.leadUs(5), 2000)
  })
})
