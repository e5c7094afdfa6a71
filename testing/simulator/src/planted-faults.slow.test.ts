/** The simulator is a test, so it is tested: whatever is planted is found, within a few seeds, and for what it is. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runOne, type SimOptions } from './one-run.ts'
import { plantedEngine } from './planted-engine.ts'
import { plantedFaults } from './planted-faults.ts'

const seedsMax = 60

for (const fault of plantedFaults) {
  test(`The simulator notices when ${fault.name}`, { timeout: 100_000 }, async () => {
    const engine = await plantedEngine(fault)
    const options: SimOptions = {
      seed: 1,
      seeds: seedsMax,
      ns: [4],
      rounds: 80,
      faults: new Set(fault.under),
      trace: false,
      realCryptography: false,
    }
    let failure: string | undefined
    for (let seed = 1; seed <= seedsMax && failure === undefined; seed++)
      failure = runOne(options, seed, engine).failure
    assert.match(failure ?? `nothing noticed in ${seedsMax} seeds`, fault.caughtAs)
  })
}
