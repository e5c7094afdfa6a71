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
