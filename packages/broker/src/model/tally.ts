/** A count that several may keep together: the threads of one broker, of what has one maximum. */
export interface Tally {
  /** Changes it, and returns what it was. */
  add(by: number): number
}

/** A count of one thread alone. */
export class OwnTally implements Tally {
  #value = 0

  add(by: number): number {
    const before = this.#value
    this.#value += by
    return before
  }
}

/** Counts by name, kept by one thread or by several. */
export interface Tallies {
  /** Changes one, and returns what it was. Below 0 nothing goes. */
  add(name: string, by: 1 | -1): number
  count(name: string): number
}

export class OwnTallies implements Tallies {
  readonly #counts = new Map<string, number>()

  add(name: string, by: 1 | -1): number {
    const before = this.count(name)
    const after = before + by
    if (after > 0) this.#counts.set(name, after)
    else this.#counts.delete(name)
    return before
  }

  count(name: string): number {
    return this.#counts.get(name) ?? 0
  }
}
