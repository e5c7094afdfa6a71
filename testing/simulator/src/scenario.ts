/**
 * What a seed stands for: how many nodes, which links, disks and clocks, who lies and how, what is published, and which kinds of
 * fault come during the run. Everything is drawn here, before the run begins; `--faults` says which kinds may be drawn at all.
 *
 * A scenario keeps to the fault model: liars and nodes whose disk was lost are never more than f together. Crashes are not
 * counted: a node that restarts with its log is no faulty node, and safety holds however many are down.
 */
import { type DelayShape, delayShapes } from './world/delays.ts'
import { type Draws, drawsFrom } from './world/draws.ts'

/** The kinds of fault that `--faults` names. */
export const faultKinds = [
  'delay',
  'loss',
  'duplication',
  'partition',
  'reset',
  'crash',
  'amnesia',
  'disk',
  'clock',
  'cpu',
  'byzantine',
] as const
export type FaultKind = (typeof faultKinds)[number]

/** What is submitted, and when. */
export const trafficShapes = ['steady', 'bursts', 'isolated', 'oneNode'] as const
export type TrafficShape = (typeof trafficShapes)[number]

/** What a lying node does with its blocks (`byzantine/builder.ts`) or with its wire (`byzantine/wire.ts`). */
export const builderHabits = [
  'fork',
  'withhold',
  'selective',
  'refuse',
  'junkReports',
  'junkParents',
  'shuffle',
  'omit',
  'times',
  'late',
] as const
export const wireHabits = [
  'silent',
  'slow',
  'junk',
  'badSignatures',
  'replay',
  'flood',
  'forge',
  'refuse',
  'selective',
] as const
export type BuilderHabit = (typeof builderHabits)[number]
export type WireHabit = (typeof wireHabits)[number]

/** A liar builds blocks of its own, or is an honest engine behind a wire that is not. */
export type Liar =
  | { readonly node: number; readonly kind: 'builder'; readonly habits: readonly BuilderHabit[] }
  | { readonly node: number; readonly kind: 'wire'; readonly habits: readonly WireHabit[] }

export interface Scenario {
  readonly seed: number
  readonly n: number
  /** Rounds of trouble and traffic, after which the network heals. */
  readonly rounds: number
  readonly faults: ReadonlySet<FaultKind>
  readonly delays: DelayShape
  readonly baseUs: number
  /** How many times as far the far node is, where delays have that shape. */
  readonly farTimes: number
  readonly loss: number
  readonly duplication: number
  /** Mean number of base delays between two faults of a kind; 0: none. */
  readonly partitionEvery: number
  readonly resetEvery: number
  readonly crashEvery: number
  readonly clockEvery: number
  readonly lostDisk: boolean
  /** Hosts that find no log do not know whether there ever was one. */
  readonly untold: boolean
  /** µs of a synchronisation, by node. */
  readonly syncUs: readonly number[]
  /** How many records come in front of a checkpoint that was taken before them (`world/disk.ts`). Default: none. */
  readonly checkpointLag?: number
  readonly clockOffsetsUs: readonly number[]
  readonly clockDriftsPpm: readonly number[]
  /** µs until a signature is checked, by node; 0: at once, before the next input. */
  readonly verifyUs: readonly number[]
  /** µs of CPU that a frame costs, by node. */
  readonly frameUs: readonly number[]
  readonly liars: readonly Liar[]
  /** Whether two liars or more know each other's blocks, and show their forks to the same nodes. */
  readonly colluding: boolean
  readonly traffic: TrafficShape
  /** A node's clients wait while so many of their messages have no place. */
  readonly unansweredMax: number
  /** Hosts ask for some of what was submitted, a while later, that it be kept over a crash. */
  readonly keptLater: boolean
  /** G: small, so that the windows matter within a run, or undefined for the constants of section 2. */
  readonly keepRounds: number | undefined
  readonly checkpointSteps: number
}

export interface ScenarioOptions {
  readonly seed: number
  readonly n: number
  readonly rounds: number
  readonly faults: ReadonlySet<FaultKind>
}

export const allFaults: ReadonlySet<FaultKind> = new Set(faultKinds)

export function scenarioOf({ seed, n, rounds, faults }: ScenarioOptions): Scenario {
  const draws = drawsFrom(seed).stream('scenario')
  const may = (kind: FaultKind, probability: number): boolean => {
    const drawn = draws.chance(probability)
    return drawn && faults.has(kind)
  }
  const f = Math.floor((n - 1) / 3)
  const baseUs = draws.pick([300, 1_000, 2_000, 5_000])
  const lostDisk = may('amnesia', 0.1) && f > 0
  const liars = may('byzantine', 0.7) ? drawLiars(draws, n, f - (lostDisk ? 1 : 0)) : []
  const ofNodes = (draw: () => number): number[] => Array.from({ length: n }, draw)
  return {
    seed,
    n,
    rounds,
    faults,
    delays: faults.has('delay') ? draws.pick(delayShapes) : 'constant',
    baseUs,
    farTimes: draws.pick([5, 20, 40]),
    loss: may('loss', 0.3) ? draws.pick([0.001, 0.01, 0.05]) : 0,
    duplication: may('duplication', 0.3) ? draws.pick([0.01, 0.1]) : 0,
    partitionEvery: may('partition', 0.3) ? draws.pick([30, 100, 300]) : 0,
    resetEvery: may('reset', 0.3) ? draws.pick([20, 100]) : 0,
    crashEvery: may('crash', 0.4) ? draws.pick([40, 100, 200]) : 0,
    clockEvery: may('clock', 0.3) ? draws.pick([20, 100]) : 0,
    lostDisk,
    // From draws of their own: the runs of all seeds stay what they were.
    untold: drawsFrom(seed).stream('untold').chance(0.5) && faults.has('amnesia'),
    keptLater: drawsFrom(seed).stream('keptLater').chance(0.3) && faults.has('crash'),
    syncUs: ofNodes(() => (may('disk', 0.1) ? 20 * baseUs : draws.pick([50, 200]))),
    clockOffsetsUs: ofNodes(() => (may('clock', 0.5) ? draws.between(-3_600_000_000, 3_600_000_000) : 0)),
    clockDriftsPpm: ofNodes(() => (may('clock', 0.5) ? draws.between(-1_000, 1_000) : 0)),
    verifyUs: ofNodes(() => draws.pick([0, 0, 0, 100])),
    frameUs: faults.has('cpu') ? drawFrameUs(drawsFrom(seed).stream('cpu'), n, baseUs) : ofNodes(() => 0),
    liars,
    colluding: liars.length > 1 && draws.chance(0.5),
    traffic: draws.pick(trafficShapes),
    keepRounds: draws.chance(0.3) ? draws.pick([64, 128]) : undefined,
    checkpointSteps: draws.pick([16, 64, 512]),
    unansweredMax: draws.pick([20, 100, 100, 2_000]),
  }
}

/** In some runs all nodes have little CPU, and one may have less than the rounds of the others take. */
function drawFrameUs(draws: Draws, n: number, baseUs: number): number[] {
  if (draws.chance(0.7)) return Array.from({ length: n }, () => 0)
  const usual = draws.pick([0, 0.05, 0.2]) * baseUs
  const slow = draws.chance(0.5) ? draws.below(n) : -1
  return Array.from({ length: n }, (_, node) => Math.round(node === slow ? baseUs : usual))
}

function drawLiars(draws: Draws, n: number, most: number): Liar[] {
  if (most < 1) return []
  const nodes = draws.shuffled(Array.from({ length: n }, (_, node) => node)).slice(0, draws.between(1, most))
  return nodes.map((node) =>
    draws.chance(0.7)
      ? { node, kind: 'builder', habits: drawHabits(draws, builderHabits) }
      : { node, kind: 'wire', habits: drawHabits(draws, wireHabits) },
  )
}

/** One to four of them. */
function drawHabits<T>(draws: Draws, habits: readonly T[]): T[] {
  return draws.shuffled(habits).slice(0, draws.between(1, 4))
}

/** One line that tells a reader what kind of run this was. */
export function describeScenario(scenario: Scenario): string {
  const { n, delays, baseUs, loss, duplication, liars, traffic, keepRounds } = scenario
  const every = (name: string, times: number): string => (times > 0 ? ` ${name} 1/${times}δ` : '')
  const lies = liars.map((liar) => ` ${liar.node}:${liar.kind}(${liar.habits.join(' ')})`).join('')
  return [
    `n=${n} ${delays} δ=${baseUs}µs ${traffic}`,
    loss > 0 ? ` loss ${loss}` : '',
    duplication > 0 ? ` duplication ${duplication}` : '',
    every('partitions', scenario.partitionEvery),
    every('resets', scenario.resetEvery),
    every('crashes', scenario.crashEvery),
    every('clocks', scenario.clockEvery),
    scenario.lostDisk ? ' lost disk' : '',
    scenario.untold ? ' untold' : '',
    scenario.keptLater ? ' kept later' : '',
    keepRounds === undefined ? '' : ` G=${keepRounds}`,
    lies === '' ? '' : ` liars:${lies}`,
    scenario.colluding ? ' colluding' : '',
  ].join('')
}
