/** A small seeded generator (xorshift32): for choices among peers, never for anything that is ordered. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = (seed ^ 0x9e37_79b9) | 1
  }

  /** 0 to below - 1. */
  below(below: number): number {
    let state = this.#state
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    this.#state = state
    return (state >>> 0) % below
  }
}
