/** Seeded randomness for tests: Mulberry32, small and equal everywhere. */
export interface Random {
  /** An integer from 0 to `n` - 1. */
  readonly below: (n: number) => number
  readonly pick: <T>(list: readonly T[]) => T
}

export function randomFrom(seed: number): Random {
  let state = seed >>> 0
  const below = (n: number): number => {
    state = (state + 0x6d2b_79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296) * n)
  }
  return { below, pick: <T>(list: readonly T[]): T => list[below(list.length)] as T }
}
