/** Chance that repeats: the same numbers for the same seed (xorshift32). */
export class Seeded {
  #state: number

  constructor(seed: number) {
    this.#state = Math.imul(seed + 1, 0x9e37_79b1) | 1
    for (let i = 0; i < 8; i++) this.#next()
  }

  /** 0 to below - 1. */
  below(below: number): number {
    return this.#next() % below
  }

  /** True in `percent` of 100 cases. */
  chance(percent: number): boolean {
    return this.below(100) < percent
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T
  }

  shuffled<T>(from: readonly T[]): T[] {
    const all = [...from]
    for (let i = all.length - 1; i > 0; i--) {
      const j = this.below(i + 1)
      const moved = all[i] as T
      all[i] = all[j] as T
      all[j] = moved
    }
    return all
  }

  #next(): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x | 0
    return x >>> 0
  }
}
