/** The short form of the long run: clusters of 4, 5, 7 and 10 nodes under every kind of trouble. A failure names its command. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allFaults } from './scenario.ts'
import { runMany } from './spread.ts'

/** Two cores that do nothing else need less than half of it; where they do, fewer seeds must do. */
const secondsMax = 100
const seeds = 500
const seedsMin = 20
/** The same seeds each time: a failure here is one of the change, and what new seeds find is looked for by `npm run sim`. */
const seed = 1

test('Clusters keep every promise under every kind of trouble, seed by seed', { timeout: 200_000 }, async () => {
  const options = { seeds, ns: [4, 5, 7, 10], rounds: 40, faults: allFaults, trace: false, realCryptography: false }
  const { runs, failure, figures, byN } = await runMany({ ...options, seed }, { workers: 2, secondsMax })
  assert.equal(failure, undefined)
  const sums = [...byN.values()]
  assert.deepEqual([...byN.keys()], [4, 5, 7, 10])
  assert.ok(
    sums.every((sum) => sum.runs > 0 && sum.cpuMsPerSeed > 0 && sum.latencyP50 > 0),
    JSON.stringify(sums),
  )
  assert.equal(
    sums.reduce((messages, sum) => messages + sum.messages, 0),
    figures.messages,
  )
  assert.ok(runs >= seedsMin, `${runs} seeds in ${secondsMax} s`)
  assert.ok(figures.messages > runs, JSON.stringify(figures))
})

test('A run with real cryptography keeps them too', async () => {
  const options = { seeds: 2, ns: [4], rounds: 20, faults: allFaults, trace: false, realCryptography: true }
  const { failure } = await runMany({ ...options, seed: 1 }, { workers: 1 })
  assert.equal(failure, undefined)
})
