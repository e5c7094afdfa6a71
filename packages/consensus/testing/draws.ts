/** A seeded generator for tests (mulberry32): the same seed draws the same. */
export class Draws {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** 0 ≤ x < 1. */
  unit(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let x = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61)
    return ((x ^ (x >>> 14)) >>> 0) / 0x1_0000_0000
  }

  /** 0 ≤ x < below. */
  below(below: number): number {
    return Math.floor(this.unit() * below)
  }

  chance(probability: number): boolean {
    return this.unit() < probability
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T
  }

  shuffled<T>(items: readonly T[]): T[] {
    const left = [...items]
    for (let i = left.length - 1; i > 0; i--) {
      const j = this.below(i + 1)
      const kept = left[i] as T
      left[i] = left[j] as T
      left[j] = kept
    }
    return left
  }
}
