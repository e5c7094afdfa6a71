/**
 * How long a frame is on its way: the shapes that section 18 of consensus.md asks for. A shape gives every directed link a base of
 * its own; a draw gives a frame its delay.
 */
import type { Draws } from './draws.ts'

export const delayShapes = ['constant', 'jitter', 'uniform', 'tail', 'asymmetric', 'spikes', 'far'] as const
export type DelayShape = (typeof delayShapes)[number]

export interface Delays {
  /** The next frame's delay from one node to another, µs, at least 1. */
  readonly next: (from: number, to: number) => number
  /** What the slowest link usually takes, µs: the yardstick for time-outs of a run. */
  readonly slowestUs: number
}

interface DelayOptions {
  readonly n: number
  readonly shape: DelayShape
  /** What a frame takes on an ordinary link, µs. */
  readonly baseUs: number
  /** A far node is this many times as far as the others. */
  readonly farTimes: number
  readonly draws: Draws
}

export function delaysOf(options: DelayOptions): Delays {
  const { n, shape, draws } = options
  const bases = linkBases(options)
  const next = (from: number, to: number): number =>
    Math.max(1, Math.round(drawn(shape, bases[from * n + to] as number, draws)))
  return { next, slowestUs: Math.max(...bases) }
}

function linkBases({ n, shape, baseUs, farTimes, draws }: DelayOptions): number[] {
  const far = draws.below(n)
  return Array.from({ length: n * n }, (_, link) => {
    if (shape === 'asymmetric') return baseUs * (1 + 2 * draws.fraction())
    const touchesFar = Math.floor(link / n) === far || link % n === far
    return shape === 'far' && touchesFar ? baseUs * farTimes : baseUs
  })
}

function drawn(shape: DelayShape, base: number, draws: Draws): number {
  switch (shape) {
    case 'constant':
      return base
    case 'uniform':
      return base * (0.3 + 1.4 * draws.fraction())
    case 'tail':
      return base * (0.6 - 0.6 * Math.log(1 - draws.fraction()))
    case 'spikes':
      return base * (draws.chance(0.05) ? 8 : 0.7 + 0.6 * draws.fraction())
    case 'jitter':
    case 'asymmetric':
    case 'far':
      return base * (0.9 + 0.2 * draws.fraction())
  }
}
