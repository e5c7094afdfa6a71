/**
 * Raw samples as `bench/results/` keeps them, and what is computed from them: medians with their spread, ratios to the peers
 * of the same round. The program that measures and the page that shows go through here, so they cannot differ.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import type { Report } from '../load/mqload.ts'

export const ours = 'ConcordMQ'

export interface Sample {
  readonly scenario: string
  readonly round: number
  readonly broker: string
  /** Last change of what was measured, ours. */
  readonly commit: string
  readonly report: Report
}

/** A row that another program of `bench/` judged itself: what, value, bar, whether it was reached. */
export interface ForeignRow {
  readonly program: string
  readonly what: string
  readonly value: string
  readonly bar: string
  readonly ok: boolean
}

export interface Results {
  readonly date: string
  /** Of the last samples; an earlier one's stand under its own, until they are taken again. */
  readonly commit: string
  readonly machine: string
  /** Of every broker that was measured, and of Node. */
  readonly versions: Readonly<Record<string, string>>
  readonly settings: Readonly<Record<string, string>>
  readonly notMeasured: readonly string[]
  readonly rows: readonly ForeignRow[]
  readonly samples: readonly Sample[]
}

export function readResults(file: string): Results {
  return JSON.parse(readFileSync(file, 'utf8')) as Results
}

/** One sample a line, so that a change of one is a change of one line. */
export function writeResults(file: string, { samples, ...about }: Results): void {
  const head = JSON.stringify(about, null, 1).replace(/\n\}$/u, '')
  const lines = samples.map((sample) => `  ${JSON.stringify(sample)}`)
  writeFileSync(file, `${head},\n "samples": [\n${lines.join(',\n')}\n ]\n}\n`)
}

export function median(values: readonly number[]): number {
  const sorted = values.filter((value) => Number.isFinite(value)).sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2
}

export interface Spread {
  readonly median: number
  readonly lowest: number
  readonly highest: number
  readonly count: number
}

/** Of one figure of one broker in one scenario; undefined where it was never measured. */
export function spreadOf(
  samples: readonly Sample[],
  scenario: string,
  broker: string,
  figure: string,
): Spread | undefined {
  const values = samples
    .filter((sample) => sample.scenario === scenario && sample.broker === broker)
    .map(({ report }) => report[figure] ?? Number.NaN)
    .filter((value) => Number.isFinite(value))
  if (values.length === 0) return undefined
  return { median: median(values), lowest: Math.min(...values), highest: Math.max(...values), count: values.length }
}

/** The brokers that a scenario was measured with, ours first. */
export function brokersIn(samples: readonly Sample[], scenario?: string): readonly string[] {
  const named = samples.filter((sample) => scenario === undefined || sample.scenario === scenario)
  return [...new Set([ours, ...named.map(({ broker }) => broker).sort()])].filter((broker) =>
    named.some((sample) => sample.broker === broker),
  )
}

/**
 * Ours over the best peer's, round by round, the median of that: a machine that is busier in one round than in the next
 * cancels out. The best peer is the one whose own median is best. Undefined where no peer has the figure.
 */
export function ratioToBest(
  samples: readonly Sample[],
  scenario: string,
  figure: string,
  best: 'highest' | 'lowest',
): { readonly ratio: number; readonly peer: string } | undefined {
  const sign = best === 'highest' ? 1 : -1
  const peers = brokersIn(samples, scenario)
    .filter((broker) => broker !== ours)
    .map((broker) => ({ broker, value: spreadOf(samples, scenario, broker, figure)?.median ?? 0 }))
    // A peer that delivered nothing has no figure per message.
    .filter(({ value }) => value > 0)
    .sort((a, b) => sign * (b.value - a.value))
  const peer = peers[0]?.broker
  if (peer === undefined) return undefined
  const ratio = median(pairs(samples, scenario, peer, figure).map(([own, theirs]) => own / theirs))
  return { ratio, peer }
}

/** Ours and a peer's of the same round. */
export function pairs(
  samples: readonly Sample[],
  scenario: string,
  peer: string,
  figure: string,
): readonly (readonly [own: number, theirs: number])[] {
  const of = (broker: string, round: number): number =>
    samples.find((sample) => sample.scenario === scenario && sample.round === round && sample.broker === broker)
      ?.report[figure] ?? Number.NaN
  const rounds = new Set(samples.filter((sample) => sample.scenario === scenario).map(({ round }) => round))
  return [...rounds].map((round) => [of(ours, round), of(peer, round)] as const)
}

/** Messages that did not arrive although they should have (QoS 1, 2), and those out of order, over all rounds. */
export function faultsOf(
  samples: readonly Sample[],
  scenario: string,
  broker: string,
): Readonly<Record<Fault, number>> {
  const faults: Record<Fault, number> = { lost: 0, reordered: 0, doubled: 0, closed: 0 }
  for (const { report } of samples.filter((sample) => sample.scenario === scenario && sample.broker === broker)) {
    faults.lost += (report['lost'] ?? 0) + (report['missing'] ?? 0)
    faults.reordered += report['reorder'] ?? 0
    faults.doubled += report['qos'] === 2 ? (report['dup'] ?? 0) : 0
    faults.closed += report['closed'] ?? 0
    if (report['exit'] === 4 || report['exit'] === 1) faults.closed++
  }
  return faults
}
export type Fault = 'lost' | 'reordered' | 'doubled' | 'closed'
