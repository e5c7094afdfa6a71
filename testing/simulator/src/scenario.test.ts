import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allFaults, scenarioOf } from './scenario.ts'

test('scenarioOf() keeps liars and lost disks together to f nodes, and draws every kind of liar', () => {
  const kinds = new Set<string>()
  for (let seed = 0; seed < 2_000; seed++) {
    const n = [4, 5, 7, 10, 31][seed % 5] as number
    const { liars, lostDisk } = scenarioOf({ seed, n, rounds: 100, faults: allFaults })
    const faulty = liars.length + (lostDisk ? 1 : 0)
    assert.ok(faulty <= Math.floor((n - 1) / 3), `Seed ${seed}: ${faulty} faulty of ${n}`)
    assert.equal(new Set(liars.map(({ node }) => node)).size, liars.length)
    for (const liar of liars) for (const habit of liar.habits) kinds.add(`${liar.kind} ${habit}`)
  }
  assert.equal(kinds.size, 19)
})

test('scenarioOf() draws only the faults it is allowed, and the same for the same seed', () => {
  for (let seed = 0; seed < 200; seed++) {
    const none = scenarioOf({ seed, n: 7, rounds: 100, faults: new Set() })
    assert.equal(none.liars.length, 0)
    assert.equal(none.delays, 'constant')
    assert.equal(none.loss + none.duplication + none.partitionEvery + none.resetEvery + none.crashEvery, 0)
    const options = { seed, n: 7, rounds: 100, faults: allFaults }
    assert.deepEqual(scenarioOf(options), scenarioOf(options))
  }
})
