/**
 * What ordering costs over distance: clusters of several sizes on links of several lengths, in virtual time, with what signatures
 * and disks were measured to take.
 *
 *     npm run projection -w @concordmq/simulator
 *
 * One message at a time goes into an idle cluster (cold), or a steady stream of them through all nodes (loaded). Printed: time
 * from submission to emission, over all messages and nodes, and how many blocks the submitter made meanwhile, as a table for
 * `docs/internals`.
 */
import { Engine } from '../../../packages/consensus/src/engine.ts'
import { percentile } from './one-run.ts'
import { run } from './run.ts'
import { scenarioOf, type TrafficShape } from './scenario.ts'

const sizes = [4, 7, 10, 31]
/** One way, µs. */
const linksUs = [1_000, 20_000, 80_000]
/** Measured: one ECDSA verification, and a synchronisation of a disk at the median. */
const verifyUs = 70
const syncUs = 170
/** A gigabit a second, in bytes per µs. */
const bytesPerUs = 125
const rounds = 100

interface Projected {
  readonly p50: number
  readonly p99: number
  /** Of the submitter, at the median. */
  readonly roundsP50: number
}

function project(n: number, baseUs: number, traffic: TrafficShape): Projected {
  const base = scenarioOf({ seed: 1, n, rounds: n > 10 ? rounds / 2 : rounds, faults: new Set() })
  const scenario = {
    ...base,
    baseUs,
    traffic,
    delays: 'jitter' as const,
    keepRounds: undefined,
    verifyUs: base.verifyUs.map(() => verifyUs),
    syncUs: base.syncUs.map(() => syncUs),
  }
  const { deliveriesUs, latencies } = run({ scenario, engines: Engine, bytesPerUs })
  return {
    p50: percentile(deliveriesUs, 50),
    p99: percentile(deliveriesUs, 99),
    roundsP50: percentile(latencies, 50),
  }
}

function milliseconds(us: number): string {
  return us < 100_000 ? (us / 1_000).toFixed(1) : (us / 1_000).toFixed(0)
}

if (import.meta.main) {
  console.log('| nodes | link, one way | cold p50 | cold p99 | rounds | loaded p50 | loaded p99 | rounds |')
  console.log('|---|---|---|---|---|---|---|---|')
  for (const n of sizes) {
    for (const linkUs of linksUs) {
      const cells = (['isolated', 'steady'] as const).flatMap((traffic) => {
        const { p50, p99, roundsP50 } = project(n, linkUs, traffic)
        return [`${milliseconds(p50)} ms`, `${milliseconds(p99)} ms`, String(roundsP50)]
      })
      console.log(`| ${n} | ${linkUs / 1_000} ms | ${cells.join(' | ')} |`)
    }
  }
}
