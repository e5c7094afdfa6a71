/** Many seeds, spread over worker threads: each takes the next seed when it has done one, until all are done or one fails. */
import { once } from 'node:events'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { commandFor, type Outcome, runOne, type SimOptions } from './one-run.ts'
import type { RunResult } from './run.ts'

export interface Spread {
  readonly runs: number
  /** Of the lowest seed that failed. */
  readonly failure: string | undefined
  readonly figures: Totals
  /** The same for each number of nodes. */
  readonly byN: ReadonlyMap<number, Totals>
}

/** Sums over runs. */
export interface Totals {
  readonly runs: number
  /** Of the thread that ran the seed; what the collector's threads take comes on top. */
  readonly cpuMsPerSeed: number
  readonly messages: number
  readonly blocks: number
  readonly crashes: number
  readonly jailed: number
  /** Runs that ended early, since a node had lost its disk and could not know what it had made. */
  readonly excused: number
  readonly runsWithFairCuts: number
  readonly pairs: number
  readonly turnedInCycles: number
  /** Half of the messages got their place within so many rounds of their node, over all runs. */
  readonly latencyP50: number
}

/** How far a long run is. */
export interface Progress {
  readonly runs: number
  readonly perSecond: number
  /** Of the whole process, ms. */
  readonly cpuMsPerSeed: number
}

/** A seed that takes more CPU than this hangs; most take a tenth of a second, and on a busy machine any time at all. */
const seedCpuSecondsMax = 60
const lookAgainMs = 15_000

const sayMs = 10_000
const youngMb = 96

interface WorkerData {
  readonly simulator: true
  readonly options: SimOptions
}

interface SpreadOptions {
  readonly workers: number
  /** No seed is begun after so long. */
  readonly secondsMax?: number
  /** Told now and then how far it is. */
  readonly say?: (progress: Progress) => void
}

/** What a worker answers: figures without long lists, since thousands of them are kept. */
interface Done {
  readonly seed: number
  readonly n: number
  readonly failure: string | undefined
  readonly cpuMs: number
  readonly figures: Omit<RunResult, 'latencies' | 'deliveriesUs'> | undefined
  /** By number of rounds: how many messages had their place after so many. */
  readonly latencies: readonly number[]
}

export async function runMany(
  options: SimOptions,
  { workers, secondsMax = Number.POSITIVE_INFINITY, say }: SpreadOptions,
): Promise<Spread> {
  const begunMs = performance.now()
  const cpuBefore = process.cpuUsage()
  const until = begunMs + secondsMax * 1_000
  const all: Done[] = []
  let next = options.seed
  const end = options.seed + options.seeds
  const failed = (): boolean => all.some(({ failure }) => failure !== undefined)
  const lane = async (): Promise<void> => {
    const worker = new Worker(new URL(import.meta.url), {
      workerData: { simulator: true, options } satisfies WorkerData,
      // Most of what a run makes lives for the run, and is copied about by a small young generation.
      resourceLimits: { maxYoungGenerationSizeMb: youngMb },
    })
    try {
      await once(worker, 'online')
      while (next < end && !failed() && performance.now() < until) all.push(await ask(worker, next++, options))
    } finally {
      await worker.terminate()
    }
  }
  const timer = setInterval(() => {
    const { user, system } = process.cpuUsage(cpuBefore)
    const runs = all.length
    const perSecond = runs / ((performance.now() - begunMs) / 1_000)
    say?.({ runs, perSecond, cpuMsPerSeed: (user + system) / 1_000 / Math.max(1, runs) })
  }, sayMs)
  try {
    await Promise.all(Array.from({ length: workers }, lane))
  } finally {
    clearInterval(timer)
  }
  all.sort((a, b) => a.seed - b.seed)
  const failure = all.find((done) => done.failure !== undefined)?.failure
  const byN = new Map([...new Set(options.ns)].map((n) => [n, totals(all.filter((done) => done.n === n))]))
  return { runs: all.length, failure, figures: totals(all), byN }
}

async function ask(worker: Worker, seed: number, options: SimOptions): Promise<Done> {
  const { promise, resolve, reject } = Promise.withResolvers<Done>()
  worker.once('message', resolve)
  worker.once('error', reject)
  const n = sizeOf(options, seed)
  const hung = `Seed ${seed}: not at an end after ${seedCpuSecondsMax} s of CPU\nRepeat: ${commandFor(options, seed, n)}`
  const before = await worker.cpuUsage()
  const look = async (): Promise<void> => {
    const { user, system } = await worker.cpuUsage(before)
    if (user + system < seedCpuSecondsMax * 1_000_000) return
    resolve({ seed, n, failure: hung, cpuMs: (user + system) / 1_000, figures: undefined, latencies: [] })
  }
  const timer = setInterval(() => void look().catch(reject), lookAgainMs)
  worker.postMessage(seed)
  try {
    return await promise
  } finally {
    clearInterval(timer)
    worker.off('error', reject)
  }
}

function sizeOf({ ns }: SimOptions, seed: number): number {
  return ns[seed % ns.length] as number
}

function totals(all: readonly Done[]): Totals {
  const results = all.flatMap(({ figures }) => figures ?? [])
  const sum = (of: (result: (typeof results)[number]) => number): number =>
    results.reduce((total, result) => total + of(result), 0)
  return {
    runs: all.length,
    cpuMsPerSeed: Math.round(all.reduce((total, { cpuMs }) => total + cpuMs, 0) / Math.max(1, all.length)),
    messages: sum((result) => result.messages),
    blocks: sum((result) => result.blocks),
    crashes: sum((result) => result.crashes),
    jailed: sum((result) => result.jailed),
    excused: sum((result) => result.excused),
    runsWithFairCuts: sum((result) => (result.fairCuts > 0 ? 1 : 0)),
    pairs: sum((result) => result.pairs),
    turnedInCycles: sum((result) => result.turnedInCycles),
    latencyP50: medianLatency(all),
  }
}

function medianLatency(all: readonly Done[]): number {
  const counts: number[] = []
  for (const { latencies } of all) {
    for (const [rounds, count] of latencies.entries()) counts[rounds] = (counts[rounds] ?? 0) + count
  }
  const half = counts.reduce((sum, count) => sum + count, 0) / 2
  let seen = 0
  for (const [rounds, count] of counts.entries()) {
    seen += count
    if (seen > half) return rounds
  }
  return 0
}

/** The longest latency that is told apart, in rounds. */
const latencyMax = 1_000

function doneOf({ seed, failure, figures }: Outcome, n: number, cpuMs: number): Done {
  if (figures === undefined) return { seed, n, failure, cpuMs, figures, latencies: [] }
  const { latencies, deliveriesUs: _, ...rest } = figures
  const counts = new Array<number>(Math.min(latencies.at(-1) ?? 0, latencyMax) + 1).fill(0)
  for (const rounds of latencies) {
    const at = Math.max(0, Math.min(rounds, latencyMax))
    counts[at] = (counts[at] as number) + 1
  }
  return { seed, n, failure, cpuMs, figures: rest, latencies: counts }
}

if (!isMainThread && (workerData as Partial<WorkerData> | null)?.simulator === true) {
  const { options } = workerData as WorkerData
  parentPort?.on('message', (seed: number) => {
    const before = process.threadCpuUsage()
    const outcome = runOne(options, seed)
    const { user, system } = process.threadCpuUsage(before)
    parentPort?.postMessage(doneOf(outcome, sizeOf(options, seed), (user + system) / 1_000))
  })
}
