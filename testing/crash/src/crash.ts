/**
 * Kills the broker (-9) at random moments, while it starts included, and starts it again on the same data, while publishers
 * and subscribers with kept sessions, wills, retained messages and expiries are at work; `model.ts` says what was broken.
 *
 *     npm run crash -w @concordmq/crash -- [--seed N] [--cycles 1000] [--durability fsync] [--power-cut] [--connections-only]
 *
 * `--power-cut` also takes from the files what was written and not yet synchronised, in whole or torn (`power-cut.ts`).
 * `--connections-only` cuts the connections and leaves the broker alone: what holds without any storage.
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
  readonly say?: (line: string) => void
}

export interface CrashResult {
  readonly violations: readonly string[]
  readonly kills: number
  readonly acknowledged: number
  readonly arrivals: number
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
const finishWithinMs = 60_000

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
    restartMsMean: run.restartMs.reduce((sum, ms) => sum + ms, 0) / Math.max(1, run.restartMs.length),
    restartMsMax: Math.max(0, ...run.restartMs),
    directory: violations.length === 0 ? undefined : directory,
  }
}

class CrashRun {
  readonly model = new CrashModel()
  readonly crowd: Crowd
  readonly restartMs: number[] = []
  kills = 0
  readonly #o: CrashOptions
  readonly #random: Random
  readonly #directory: string
  readonly #powerCut: PowerCut | undefined
  #broker: BrokerProcess | undefined

  constructor(options: CrashOptions, directory: string) {
    this.#o = options
    this.#directory = directory
    this.#random = randomFrom(options.seed)
    this.crowd = new Crowd(this.model, this.#random)
    mkdirSync(join(directory, 'data'))
    if (options.powerCut === true) this.#powerCut = new PowerCut(join(directory, 'data'), join(directory, 'ledger'))
  }

  async run(): Promise<void> {
    for (let cycle = 1; cycle <= this.#o.cycles && this.model.violations.length === 0; cycle++) {
      await this.#cycle()
      if (cycle % 10 === 0) {
        this.#o.say?.(
          `${cycle} cycles, ${this.kills} kills, ${this.crowd.acknowledged} acknowledged, ${this.model.arrivals} arrived`,
        )
      }
    }
    if (this.model.violations.length > 0) return
    const broker = await this.#started()
    await this.crowd.finish(broker.target, finishWithinMs)
    this.model.finish()
  }

  async end(): Promise<void> {
    this.crowd.lost()
    await this.#broker?.kill()
  }

  async #cycle(): Promise<void> {
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
      this.#broker = await this.#start()
    } catch (error) {
      this.model.violated(`The broker does not start: ${String(error)}`)
      throw error
    }
    this.restartMs.push(performance.now() - begun)
    return this.#broker
  }

  #start(signal?: AbortSignal): Promise<BrokerProcess> {
    const { durability } = this.#o
    const kept = durability === 'none' ? [] : ['--data-dir', join(this.#directory, 'data'), '--durability', durability]
    return startBroker({
      directory: this.#directory,
      flags: ['--allow-anonymous-login', ...kept],
      environment: {
        // Starting is most of a cycle, and compiling most of starting.
        NODE_COMPILE_CACHE: join(tmpdir(), 'concordmq-crash-compiled'),
        CONCORDMQ_SYS_INTERVAL_SECONDS: '0',
        ...this.#powerCut?.environment,
      },
      ...(this.#powerCut === undefined ? {} : { preload: [this.#powerCut.preload] }),
      ...(signal === undefined ? {} : { signal }),
    })
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
    },
  })
  const seed = Number(values.seed)
  const cycles = Number(values.cycles)
  if (!Number.isInteger(seed) || !Number.isInteger(cycles) || cycles < 1) {
    console.error(
      'Usage: crash.ts [--seed N] [--cycles N] [--durability fsync|os|none] [--power-cut] [--connections-only]',
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
