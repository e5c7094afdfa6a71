/** When to try again: soon, then later and later, with jitter, so that nodes that fell together do not knock together. */

const FIRST_MS = 100
const FACTOR = 1.7

export class BackOff {
  readonly #maxMs: number
  readonly #random: () => number
  #nextMs = FIRST_MS

  /** `random` gives numbers from 0 to below 1. */
  constructor(maxMs: number, random: () => number) {
    this.#maxMs = maxMs
    this.#random = random
  }

  /** How long to wait before the next try, ms: between half of the present step and the whole. */
  next(): number {
    const ms = this.#nextMs
    this.#nextMs = Math.min(this.#maxMs, ms * FACTOR)
    return Math.round(ms * (0.5 + 0.5 * this.#random()))
  }

  /** The next wait is at least this long: the peer broke the rules. */
  punish(ms: number): void {
    this.#nextMs = Math.min(this.#maxMs, Math.max(this.#nextMs, ms) * FACTOR)
  }

  /** It worked. */
  reset(): void {
    this.#nextMs = FIRST_MS
  }
}
