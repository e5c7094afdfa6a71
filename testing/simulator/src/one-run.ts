/** One seed, from the options of the command line to what it came to; a worker does the same as the command itself. */
import { Engine } from '../../../packages/consensus/src/engine.ts'
import { Violation } from './invariants/violation.ts'
import { type RunResult, run } from './run.ts'
import { allFaults, describeScenario, type FaultKind, faultKinds, scenarioOf } from './scenario.ts'
import { fastKeyring } from './world/fast-cryptography.ts'
import type { EngineSource } from './world/node.ts'
import { realKeyring } from './world/real-cryptography.ts'

export interface SimOptions {
  readonly seed: number
  readonly seeds: number
  /** Each seed takes the next. */
  readonly ns: readonly number[]
  readonly rounds: number
  readonly faults: ReadonlySet<FaultKind>
  readonly trace: boolean
  readonly realCryptography: boolean
}

export interface Outcome {
  readonly seed: number
  readonly scenario: string
  /** What went wrong, and how to see it again; undefined: every promise held. */
  readonly failure: string | undefined
  readonly figures: RunResult | undefined
}

/** The command line is wrong; the message says what is right. */
export class Usage extends Error {
  override readonly name = 'Usage'
}

interface Given {
  readonly seed: string
  readonly seeds: string
  readonly n: string
  readonly rounds: string
  readonly faults: string
  readonly trace: boolean
  readonly 'real-cryptography': boolean
}

export function parseOptions(given: Given): SimOptions {
  const ns = given.n.split(',').map((n) => wholeNumber('n', n, 1, 31))
  return {
    seed: wholeNumber('seed', given.seed, 0, 2 ** 32 - 1),
    seeds: wholeNumber('seeds', given.seeds, 1, 100_000_000),
    ns,
    rounds: wholeNumber('rounds', given.rounds, 1, 1_000_000),
    faults: parseFaults(given.faults),
    trace: given.trace,
    realCryptography: given['real-cryptography'],
  }
}

function wholeNumber(name: string, given: string, min: number, max: number): number {
  const value = Number(given)
  if (!/^\d+$/.test(given) || value < min || value > max) {
    throw new Usage(`--${name} is ${given}, must be a whole number from ${min} to ${max}`)
  }
  return value
}

function parseFaults(given: string): ReadonlySet<FaultKind> {
  if (given === 'all') return allFaults
  if (given === 'none') return new Set()
  const kinds = given.split(',')
  for (const kind of kinds) {
    if (!(faultKinds as readonly string[]).includes(kind)) {
      throw new Usage(`--faults has ${kind}, must be all, none, or some of ${faultKinds.join(',')}`)
    }
  }
  return new Set(kinds as FaultKind[])
}

/** Runs one seed. Whatever a run throws is a failure of that seed, with its trace if one is asked for. */
export function runOne(options: SimOptions, seed: number, engines: EngineSource = Engine): Outcome {
  const n = options.ns[seed % options.ns.length] as number
  const scenario = scenarioOf({ seed, n, rounds: options.rounds, faults: options.faults })
  const described = describeScenario(scenario)
  const trace = options.trace ? (line: string) => console.log(line) : undefined
  try {
    const keyring = (options.realCryptography ? realKeyring : fastKeyring)(n)
    const figures = run({ scenario, engines, keyring, trace })
    return { seed, scenario: described, failure: undefined, figures }
  } catch (error) {
    const what =
      error instanceof Violation ? error.message : error instanceof Error ? (error.stack ?? '') : String(error)
    const failure = `Seed ${seed}: ${what}\nScenario: ${described}\nRepeat: ${commandFor(options, seed, n)}`
    return { seed, scenario: described, failure, figures: undefined }
  }
}

/** The figures of a run, with medians in place of lists. */
export function summaryOf({ figures }: Outcome): Readonly<Record<string, number>> {
  if (figures === undefined) return {}
  const { latencies, deliveriesUs, ...rest } = figures
  return {
    ...rest,
    latencyRoundsP50: percentile(latencies, 50),
    deliveryUsP50: percentile(deliveriesUs, 50),
    deliveryUsP99: percentile(deliveriesUs, 99),
  }
}

/** Of sorted numbers; 0 if there are none. */
export function percentile(sorted: readonly number[], percent: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? 0
}

export function commandFor(options: SimOptions, seed: number, n: number): string {
  const { faults, rounds, realCryptography } = options
  const kinds = faults.size === faultKinds.length ? 'all' : faults.size === 0 ? 'none' : [...faults].join(',')
  const more = (kinds === 'all' ? '' : ` --faults ${kinds}`) + (realCryptography ? ' --real-cryptography' : '')
  return `npm run sim -- --seed ${seed} --n ${n} --rounds ${rounds}${more} --trace`
}
