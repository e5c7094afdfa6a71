/** Many seeds, spread over worker threads: each takes the next seed when it has done one, until all are done or one fails. */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { commandFor, type Outcome, runOne, type SimOptions } from './one-run.ts'
import type { RunResult } from './run.ts'

export interface Spread {
  readonly runs: number
  /** Of the lowest seed that failed. */
  readonly failure: string | undefined
  readonly figures: Totals
}

/** Sums over all runs, and latencies of the calm ones. */
export interface Totals {
  readonly messages: number
  readonly blocks: number
  readonly crashes: number
  readonly jailed: number
  readonly runsWithFairCuts: number
  readonly pairs: number
  readonly turnedInCycles: number
  /** Half of the messages got their place within so many rounds of their node, over all runs. */
  readonly latencyP50: number
}

/** A seed that takes longer hangs; most take a fraction of a second. */
const seedSecondsMax = 150

const saySeeds = 1_000
const youngMb = 96

interface WorkerData {
  readonly simulator: true
  readonly options: SimOptions
}

interface SpreadOptions {
  readonly workers: number
  /** No seed is begun after so long. */
  readonly secondsMax?: number
  /** Told now and then how many seeds have been run. */
  readonly say?: (runs: number) => void
}

export async function runMany(
  options: SimOptions,
  { workers, secondsMax = Number.POSITIVE_INFINITY, say }: SpreadOptions,
): Promise<Spread> {
  const until = performance.now() + secondsMax * 1_000
  const outcomes: Outcome[] = []
  let next = options.seed
  const end = options.seed + options.seeds
  const failed = (): boolean => outcomes.some(({ failure }) => failure !== undefined)
  const lane = async (): Promise<void> => {
    const worker = new Worker(new URL(import.meta.url), {
      workerData: { simulator: true, options } satisfies WorkerData,
      // Most of what a run makes lives for the run, and is copied about by a small young generation.
      resourceLimits: { maxYoungGenerationSizeMb: youngMb },
    })
    try {
      while (next < end && !failed() && performance.now() < until) {
        outcomes.push(await ask(worker, next++, options))
        if (outcomes.length % saySeeds === 0) say?.(outcomes.length)
      }
    } finally {
      await worker.terminate()
    }
  }
  await Promise.all(Array.from({ length: workers }, lane))
  outcomes.sort((a, b) => a.seed - b.seed)
  const failure = outcomes.find((outcome) => outcome.failure !== undefined)?.failure
  return { runs: outcomes.length, failure, figures: totals(outcomes) }
}

async function ask(worker: Worker, seed: number, options: SimOptions): Promise<Outcome> {
  const { promise, resolve, reject } = Promise.withResolvers<Outcome>()
  worker.once('message', resolve)
  worker.once('error', reject)
  const command = commandFor(options, seed, options.ns[seed % options.ns.length] as number)
  const failure = `Seed ${seed}: not at an end after ${seedSecondsMax} s\nRepeat: ${command}`
  const timer = setTimeout(() => resolve({ seed, scenario: '', failure, figures: undefined }), seedSecondsMax * 1_000)
  worker.postMessage(seed)
  try {
    return await promise
  } finally {
    clearTimeout(timer)
    worker.off('error', reject)
  }
}

function totals(outcomes: readonly Outcome[]): Totals {
  const results = outcomes.flatMap(({ figures }) => figures ?? [])
  const sum = (of: (result: RunResult) => number): number => results.reduce((total, result) => total + of(result), 0)
  const latencies = results.flatMap((result) => result.latencies).sort((a, b) => a - b)
  return {
    messages: sum((result) => result.messages),
    blocks: sum((result) => result.blocks),
    crashes: sum((result) => result.crashes),
    jailed: sum((result) => result.jailed),
    runsWithFairCuts: sum((result) => (result.fairCuts > 0 ? 1 : 0)),
    pairs: sum((result) => result.pairs),
    turnedInCycles: sum((result) => result.turnedInCycles),
    latencyP50: latencies[latencies.length >> 1] ?? 0,
  }
}

if (!isMainThread && (workerData as Partial<WorkerData> | null)?.simulator === true) {
  const { options } = workerData as WorkerData
  parentPort?.on('message', (seed: number) => {
    parentPort?.postMessage(runOne(options, seed))
  })
}
