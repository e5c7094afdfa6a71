/**
 * What a run draws from its seed, beyond the whole numbers of the testkit: fractions, chances, and delays of several shapes.
 * Everything comes from one stream per purpose, so that a change in one part of a run leaves the others' draws alone.
 */
import { type Random, randomFrom } from '../../../testkit/src/random.ts'

export interface Draws extends Random {
  /** A number from 0 to below 1. */
  readonly fraction: () => number
  /** True with this probability. */
  readonly chance: (probability: number) => boolean
  /** A whole number from `low` to `high`, both included. */
  readonly between: (low: number, high: number) => number
  /** A stream of its own, named, that depends on this one's seed and on nothing drawn so far. */
  readonly stream: (name: string) => Draws
  /** `list` in a random order, as a copy. */
  readonly shuffled: <T>(list: readonly T[]) => T[]
}

export function drawsFrom(seed: number): Draws {
  const random = randomFrom(seed)
  const { below, pick } = random
  const fraction = (): number => below(4_294_967_296) / 4_294_967_296
  return {
    below,
    pick,
    fraction,
    chance: (probability) => probability > 0 && fraction() < probability,
    between: (low, high) => low + below(high - low + 1),
    stream: (name) => drawsFrom(seedOf(seed, name)),
    shuffled: (list) => shuffled(list, below),
  }
}

function shuffled<T>(list: readonly T[], below: (n: number) => number): T[] {
  const out = [...list]
  for (let i = out.length - 1; i > 0; i--) {
    const j = below(i + 1)
    const kept = out[i] as T
    out[i] = out[j] as T
    out[j] = kept
  }
  return out
}

/** FNV-1a over the name, from the seed on. */
function seedOf(seed: number, name: string): number {
  let hash = (2_166_136_261 ^ seed) >>> 0
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 16_777_619) >>> 0
  return Math.imul(hash ^ (hash >>> 15), 0x2c1b_3c6d) >>> 0
}
