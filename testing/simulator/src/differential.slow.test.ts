import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Engine } from '../../../packages/consensus/src/engine.ts'
import type { Cluster } from './cluster.ts'
import { compareWithOracles, withoutForks } from './differential.ts'
import { plantedEngine } from './planted-engine.ts'
import { run } from './run.ts'
import { allFaults, describeScenario, scenarioOf } from './scenario.ts'
import type { EngineSource } from './world/node.ts'

const secondsMax = 60
const seedsMax = 40

/** How many units one cluster ordered, all as the oracles say. Throws at the first that is not. */
function compare(seed: number, engines: EngineSource): number {
  const scenario = withoutForks(scenarioOf({ seed, n: seed % 5 === 0 ? 7 : 4, rounds: 20, faults: allFaults }))
  let cluster: Cluster | undefined
  try {
    run({ scenario, engines, frozenBlocks: true }, (made) => {
      cluster = made
    })
    const { genesis, domain, watch } = cluster as Cluster
    return compareWithOracles(genesis, domain, (cluster as Cluster).blocks(), watch.agreement.log)
  } catch (error) {
    throw new Error(`Seed ${seed}: ${describeScenario(scenario)}`, { cause: error })
  }
}

test('Clusters order what the oracles of sections 7 and 8 say', { timeout: 200_000 }, () => {
  const until = performance.now() + secondsMax * 1_000
  let units = 0
  for (let seed = 1; seed <= seedsMax && performance.now() < until; seed++) units += compare(seed, Engine)
  assert.ok(units > 50, `${units} units compared`)
})

test('The oracles notice when the middle one of an even number of reports is taken from above', async () => {
  const engine = await plantedEngine({
    name: 'upper median',
    edits: [
      {
        file: 'order/fair-order.ts',
        find: 'return times[(times.length - 1) >>> 1] as number',
        replace: 'return times[times.length >>> 1] as number',
      },
    ],
  })
  assert.throws(
    () => {
      for (let seed = 1; seed <= seedsMax; seed++) compare(seed, engine)
    },
    (error: Error) => /the oracles say/.test(String(error.cause)),
  )
})
