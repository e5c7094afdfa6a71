/**
 * Kills the broker (-9) at random moments, while it starts included, and starts it again on the same data, while publishers
 * and subscribers with kept sessions, wills, retained messages and expiries are at work; `model.ts` says what was broken.
 *
 *     npm run crash -w @concordmq/crash -- [--seed N] [--cycles 1000] [--durability fsync] [--power-cut] [--failing]
 *                                          [--connections-only] [--workers 4,1,2]
 *
 * `--power-cut` also takes from the files what was written and not yet synchronised, in whole or torn (`power-cut.ts`).
 * `--failing` lets one write or synchronisation of each life fail: in the first cycle the first, and so on; EIO, ENOSPC and
 * short writes in turn. `--connections-only` cuts the connections and leaves the broker alone: what holds without any storage.
 * `--workers` gives the threads of each life in turn, so that one number takes over what another left.
 *
 * One seed stands for the same decisions: who comes, who leaves, what is sent, and when the kill comes after readiness. What
 * the broker has done by then depends on the machine, so a violation may need some runs of its seed to show again. The data
 * directory of a failed run is left and named.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type BrokerProcess, startBroker } from '../../testkit/src/broker-process.ts'
import { type Random, randomFrom } from '../../testkit/src/random.ts'
import { Crowd } from './crowd.ts'
import { CrashModel } from './model.ts'
import { PowerCut } from './power-cut.ts'

export interface CrashOptions {
  readonly seed: number
  readonly cycles: number
  /** `none`: without a data directory. */
  readonly durability: string
  readonly powerCut?: boolean
  readonly connectionsOnly?: boolean
  /** In every cycle one write or synchronisation fails: the first, then the second, and so on. */
  readonly failing?: boolean
  /** Threads of the broker, life after life; default 1. */
  readonly workers?: readonly number[]
  /** After so long no further cycle is begun: a machine that does much else must not fail for being slow. */
  readonly secondsMax?: number
  readonly say?: (line: string) => void
}

export interface CrashResult {
  readonly violations: readonly string[]
  readonly kills: number
  readonly acknowledged: number
  readonly arrivals: number
  /** Requests that the broker refused because its disk failed. */
  readonly refusals: number
  /** Writes that the power cuts took away. */
  readonly taken: number
  /** Milliseconds from spawn to readiness. */
  readonly restartMsMean: number
  readonly restartMsMax: number
  /** Where the data of a failed run was left. */
  readonly directory: string | undefined
}

/** From readiness to the kill. */
const aliveMsMin = 20
const aliveMsSpan = 250
const tickMs = 4
/** What a kill while starting may hit, from the spawn on. */
const startingMsSpan = 500
/** Four threads start on two cores that do much else. */
const readyWithinMs = 120_000
const finishWithinMs = 60_000
const failures = ['EIO', 'ENOSPC', 'short']
const recordingFiles = new URL('recording-files.ts', import.meta.url).href

export async function crash(options: CrashOptions): Promise<CrashResult> {
  const directory = mkdtempSync(join(tmpdir(), 'concordmq-crash-'))
  const run = new CrashRun(options, directory)
  try {
    await run.run()
  } finally {
    await run.end()
  }
  const { violations } = run.model
  if (violations.length === 0) rmSync(directory, { recursive: true })
  return {
    violations,
    kills: run.kills,
    acknowledged: run.crowd.acknowledged,
    arrivals: run.model.arrivals,
    refusals: run.model.refusals,
    taken: run.taken,
    restartMsMean: run.restartMs.reduce((sum, ms) => sum + ms, 0) / Math.max(1, run.restartMs.length),
    restartMsMax: Math.max(0, ...run.restartMs),
    directory: violations.length === 0 ? undefined : directory,
  }
}

class CrashRun {
  readonly model: CrashModel
  readonly crowd: Crowd
  readonly restartMs: number[] = []
  kills = 0
  #lives = 0
  readonly #o: CrashOptions
  readonly #random: Random
  readonly #directory: string
  readonly #powerCut: PowerCut | undefined
  #broker: BrokerProcess | undefined
  #cycles = 0

  constructor(options: CrashOptions, directory: string) {
    this.#o = options
    this.#directory = directory
    this.model = new CrashModel({ mayRefuse: options.failing === true })
    this.#random = randomFrom(options.seed)
    this.crowd = new Crowd(this.model, this.#random)
    mkdirSync(join(directory, 'data'))
    if (options.powerCut === true) this.#powerCut = new PowerCut(join(directory, 'data'), join(directory, 'ledger'))
  }

  async run(): Promise<void> {
    const end = performance.now() + (this.#o.secondsMax ?? Number.POSITIVE_INFINITY) * 1_000
    for (let cycle = 1; cycle <= this.#o.cycles && this.model.violations.length === 0; cycle++) {
      if (performance.now() > end) break
      await this.#cycle()
      if (cycle % 10 === 0) {
        this.#o.say?.(
          `${cycle} cycles, ${this.kills} kills, ${this.crowd.acknowledged} acknowledged, ${this.model.arrivals} arrived`,
        )
      }
    }
    if (this.model.violations.length > 0) return
    if (this.#broker === undefined) this.#broker = await this.#start(undefined, { well: true })
    const broker = this.#broker
    await this.crowd.finish(broker.target, finishWithinMs)
    this.model.finish()
  }

  async end(): Promise<void> {
    this.crowd.lost()
    await this.#broker?.kill()
  }

  get taken(): number {
    return this.#powerCut?.taken ?? 0
  }

  async #cycle(): Promise<void> {
    this.#cycles++
    const { below } = this.#random
    const aliveMs = aliveMsMin + below(aliveMsSpan)
    const startingMs = below(10) === 0 ? below(startingMsSpan) : undefined
    if (startingMs !== undefined && this.#o.connectionsOnly !== true) await this.#killedWhileStarting(startingMs)
    const broker = await this.#started()
    this.crowd.connect(broker.target)
    const end = performance.now() + aliveMs
    while (performance.now() < end) {
      this.crowd.act()
      await new Promise((resolve) => setTimeout(resolve, tickMs))
    }
    if (this.#o.connectionsOnly !== true) {
      this.kills++
      await broker.kill()
      this.#broker = undefined
      this.#powerCut?.cut(this.#random)
    }
    this.crowd.lost()
  }

  async #killedWhileStarting(ms: number): Promise<void> {
    const abort = new AbortController()
    const timer = setTimeout(() => abort.abort(), ms)
    this.kills++
    await this.#start(abort.signal).then(
      (broker) => broker.kill(),
      (error: unknown) => {
        if (!abort.signal.aborted) throw error
      },
    )
    clearTimeout(timer)
    this.#powerCut?.cut(this.#random)
  }

  async #started(): Promise<BrokerProcess> {
    if (this.#broker !== undefined) return this.#broker
    const begun = performance.now()
    try {
      // A disk that fails may keep it from starting; it must start when the disk is well again.
      this.#broker = await this.#start().catch((error: unknown) => {
        if (this.#o.failing !== true) throw error
        return this.#start(undefined, { well: true })
      })
    } catch (error) {
      this.model.violated(`The broker does not start: ${String(error)}`)
      throw error
    }
    this.restartMs.push(performance.now() - begun)
    return this.#broker
  }

  #start(signal?: AbortSignal, { well = false }: { readonly well?: boolean } = {}): Promise<BrokerProcess> {
    const { durability } = this.#o
    const failing = this.#o.failing === true && !well
    const kept =
      durability === 'none'
        ? ['--durability', 'memory']
        : ['--data-dir', join(this.#directory, 'data'), '--durability', durability]
    const { workers = [1] } = this.#o
    const threads = workers[this.#lives++ % workers.length] ?? 1
    return startBroker({
      directory: this.#directory,
      readyWithinMs,
      flags: ['--allow-anonymous-login', '--workers', String(threads), ...kept],
      environment: {
        // Starting is most of a cycle, and compiling most of starting.
        NODE_COMPILE_CACHE: join(tmpdir(), 'concordmq-crash-compiled'),
        CONCORDMQ_SYS_INTERVAL_SECONDS: '0',
        ...this.#powerCut?.environment,
        ...(failing ? this.#failure() : {}),
      },
      ...(this.#powerCut !== undefined || failing ? { preload: [recordingFiles] } : {}),
      ...(signal === undefined ? {} : { signal }),
    })
  }

  /** What goes wrong in this cycle. */
  #failure(): Readonly<Record<string, string>> {
    return {
      CONCORDMQ_TEST_LEDGER_FOLDER: join(this.#directory, 'data'),
      CONCORDMQ_TEST_FAIL_AT: String(this.#cycles - 1),
      CONCORDMQ_TEST_FAIL_WITH: failures[this.#cycles % failures.length] as string,
      // Now and then the disk stays bad for a while.
      CONCORDMQ_TEST_FAIL_FOR: String(this.#cycles % 5 === 0 ? 8 : 1),
    }
  }
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
      cycles: { type: 'string', default: '1000' },
      durability: { type: 'string', default: 'fsync' },
      'power-cut': { type: 'boolean', default: false },
      'connections-only': { type: 'boolean', default: false },
      failing: { type: 'boolean', default: false },
      workers: { type: 'string', default: '1' },
    },
  })
  const workers = values.workers.split(',').map(Number)
  const seed = Number(values.seed)
  const cycles = Number(values.cycles)
  const areThreads = workers.every((threads) => Number.isInteger(threads) && threads >= 1)
  if (!Number.isInteger(seed) || !Number.isInteger(cycles) || cycles < 1 || !areThreads) {
    console.error(
      'Usage: crash.ts [--seed N] [--cycles N] [--durability fsync|os|none] [--power-cut] [--failing] [--workers N,N…]',
    )
    return 64
  }
  console.log(`seed ${seed}, ${cycles} cycles`)
  const result = await crash({
    seed,
    cycles,
    durability: values.durability,
    powerCut: values['power-cut'],
    connectionsOnly: values['connections-only'],
    failing: values.failing,
    workers,
    say: console.log,
  })
  const { violations, directory, ...figures } = result
  console.log(JSON.stringify(figures))
  for (const violation of violations) console.log(`VIOLATION: ${violation}`)
  if (directory === undefined) return 0
  console.log(`Data left in ${directory}\nRepeat: node testing/crash/src/crash.ts --seed ${seed} --cycles ${cycles}`)
  return 1
}

if (import.meta.main) process.exitCode = await main()
