/** Samples against bars: a verdict for each, with the figure it was judged by. */
import { faultsOf, median, ours, pairs, ratioToBest, type Sample, spreadOf } from './samples.ts'
import type { Bar, Scenario } from './scenario.ts'

export interface Verdict {
  /** What was compared, the figure, and the bar, for reading. */
  readonly text: string
  /** Absent where there was nothing to compare with. */
  readonly ok: boolean | undefined
}

/** Nothing where the scenario was not measured. Faults of ours are a verdict of their own: no rate makes up for a loss. */
export function judge(samples: readonly Sample[], scenario: Scenario): readonly Verdict[] {
  if (!samples.some((sample) => sample.scenario === scenario.name && sample.broker === ours)) return []
  const verdicts = scenario.bars.map((bar) => compare(samples, scenario.name, bar))
  const { lost, reordered, doubled, closed } = faultsOf(samples, scenario.name, ours)
  if (lost + reordered + doubled + closed > 0) {
    verdicts.push({ text: `${lost} lost, ${reordered} out of order, ${doubled} double, ${closed} closed`, ok: false })
  }
  return verdicts
}

function compare(samples: readonly Sample[], scenario: string, bar: Bar): Verdict {
  switch (bar.kind) {
    case 'times': {
      const found = ratioToBest(samples, scenario, bar.figure, 'highest')
      if (found === undefined) return { text: `${bar.of}: no peer`, ok: undefined }
      return { text: `${bar.of} ${found.ratio.toFixed(2)} × ${found.peer}, ≥ ${bar.min}`, ok: found.ratio >= bar.min }
    }
    case 'share': {
      const found = ratioToBest(samples, scenario, bar.figure, 'lowest')
      if (found === undefined) return { text: `${bar.of}: no peer`, ok: undefined }
      return { text: `${bar.of} ${found.ratio.toFixed(2)} × ${found.peer}, ≤ ${bar.max}`, ok: found.ratio <= bar.max }
    }
    case 'at least':
    case 'at most': {
      const value = spreadOf(samples, scenario, ours, bar.figure)?.median ?? Number.NaN
      const ok = bar.kind === 'at least' ? value >= bar.min : value <= bar.max
      const limit = bar.kind === 'at least' ? `≥ ${grouped(bar.min)}` : `≤ ${grouped(bar.max)}`
      return { text: `${bar.of} ${grouped(value)}, ${limit}`, ok }
    }
    case 'above peer': {
      const peer = samples.find((sample) => sample.scenario === scenario && sample.broker.startsWith(bar.peer))?.broker
      if (peer === undefined) return { text: `${bar.of}: no ${bar.peer}`, ok: undefined }
      const above = median(pairs(samples, scenario, peer, bar.figure).map(([own, theirs]) => own - theirs))
      return { text: `${bar.of} ${above.toFixed(0)} above ${peer}, ≤ ${bar.max}`, ok: above <= bar.max }
    }
    case 'of scenario':
    case 'share of scenario': {
      const own = spreadOf(samples, scenario, ours, bar.figure)?.median ?? Number.NaN
      const other = spreadOf(samples, bar.scenario, ours, bar.figure)?.median
      if (other === undefined) return { text: `${bar.of}: not measured`, ok: undefined }
      const ratio = own / other
      const text = `${bar.of} ${ratio.toFixed(2)}`
      if (bar.kind === 'of scenario') return { text: `${text}, ≥ ${bar.min}`, ok: ratio >= bar.min }
      return { text: `${text}, ≤ ${bar.max}`, ok: ratio <= bar.max }
    }
  }
}

function grouped(value: number): string {
  return Number.isFinite(value) ? Math.round(value).toLocaleString('en') : 'none'
}

/** 1.23 M, 45.6 k, 789. */
export function short(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return '–'
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`
  if (value >= 1e4) return `${(value / 1e3).toFixed(0)} k`
  if (value >= 1e3) return `${(value / 1e3).toFixed(1)} k`
  return value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(1) : value.toPrecision(2)
}
