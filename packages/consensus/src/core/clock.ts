/**
 * The two times of a node, both made of the host's wall clock, in whole microseconds. `nowUs` never goes back and knows no jumps backwards: deadlines
 * are in it. `stamp()` is what goes into blocks (consensus.md section 3): the wall clock, but always above the stamp before,
 * kept over restarts through the own blocks.
 */

/**
 * A wall clock that goes back by no more than this is read out of order rather than set back, µs. Deadlines stand still for so
 * long at most when it is set back after all.
 */
const DISORDER_US_MAX = 50_000

export class Clock {
  /** Microseconds since some moment; for durations and deadlines. */
  nowUs = 0
  #wallUs = 0
  #stampUs = 0

  /** The host's clock, as the last input that was not read out of order gave it. */
  get wallUs(): number {
    return this.#wallUs
  }

  /** The host's clock as an input gives it. */
  observe(hostUs: number): void {
    const wallUs = Math.floor(hostUs)
    const passed = wallUs - this.#wallUs
    if (this.#wallUs === 0) this.nowUs = wallUs
    else if (passed > 0) this.nowUs += passed
    else if (passed >= -DISORDER_US_MAX) return
    this.#wallUs = wallUs
  }

  /** When something came that may have waited since: time goes on by it, but it does not mean that the clock was set back. */
  observeArrival(hostUs: number): void {
    if (hostUs > this.#wallUs) this.observe(hostUs)
  }

  /** The wall clock's time of a deadline, for the host's timer. */
  wallUsOf(deadlineUs: number): number {
    return this.#wallUs + (deadlineUs - this.nowUs)
  }

  /** No stamp is at or below this one any more; it was used before a restart. */
  usedStamp(stampUs: number): void {
    if (stampUs > this.#stampUs) this.#stampUs = stampUs
  }

  /** A time for a block or a report; `wallUs` is when it happened. */
  stamp(wallUs: number = this.#wallUs): number {
    this.#stampUs = Math.max(Math.floor(wallUs), this.#stampUs + 1)
    return this.#stampUs
  }
}
