/**
 * Runs the ordering engine in simulated clusters:
 *
 *     npm run sim -- [--seed S] [--seeds K] [--n 4] [--rounds 200] [--faults all|none|KIND,KIND…] [--trace] [--real-cryptography]
 *
 * One seed is one run, and says what befalls it; `--seeds` runs so many from `--seed` on, spread over the cores. `--n` may be a
 * list, of which each seed takes the next. The first broken promise is printed with the one command that repeats it. Exits 1 on
 * a failure, 64 on bad usage.
 */
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { parseOptions, runOne, type SimOptions, summaryOf, Usage } from './one-run.ts'
import { runMany } from './spread.ts'

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string' },
      seeds: { type: 'string', default: '1' },
      n: { type: 'string', default: '4' },
      rounds: { type: 'string', default: '200' },
      faults: { type: 'string', default: 'all' },
      trace: { type: 'boolean', default: false },
      'real-cryptography': { type: 'boolean', default: false },
    },
  })
  const options = parseOptions({ ...values, seed: values.seed ?? String(Date.now() % 1_000_000_000) })
  if (options.seeds === 1) return runAlone(options)
  const begun = performance.now()
  const { runs, failure, figures, byN } = await runMany(options, {
    workers: Math.min(availableParallelism(), options.seeds),
    say: ({ runs: done, perSecond, cpuMsPerSeed }) =>
      console.error(
        `${done} of ${options.seeds}, ${perSecond.toFixed(1)} a second, ${cpuMsPerSeed.toFixed(0)} ms of CPU each`,
      ),
  })
  const seconds = (performance.now() - begun) / 1_000
  console.log(
    `${runs} seeds from ${options.seed} on in ${seconds.toFixed(1)} s, ${(runs / seconds).toFixed(1)} a second`,
  )
  if (byN.size > 1) console.table(Object.fromEntries([...byN].map(([n, sums]) => [`n = ${n}`, sums])))
  console.log(figures)
  if (failure === undefined) return 0
  console.error(failure)
  return 1
}

function runAlone(options: SimOptions): number {
  const outcome = runOne(options, options.seed)
  console.log(outcome.scenario)
  if (outcome.failure !== undefined) {
    console.error(outcome.failure)
    return 1
  }
  console.log(summaryOf(outcome))
  return 0
}

if (import.meta.main) {
  try {
    process.exitCode = await main()
  } catch (error) {
    if (!(error instanceof Usage || (error instanceof TypeError && 'code' in error))) throw error
    console.error(error.message)
    process.exitCode = 64
  }
}
