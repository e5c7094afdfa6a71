/**
 * The wall clock in microseconds. `Date.now()` has milliseconds only; the monotonic clock is finer but does not follow when the
 * wall clock is set. So the monotonic one runs from the last look at the wall, which is taken again now and then.
 */

/** How far the two may be apart before the wall clock counts, µs, and how often that is looked at. */
const DRIFT_US_MAX = 2000
const LOOK_EVERY_US = 250_000
/** A look that took longer was held up between the two clocks and says nothing, µs. */
const LOOK_US_MAX = 1000

export class WallClock {
  #offsetUs = Date.now() * 1000 - performance.now() * 1000
  #lookedUs = performance.now() * 1000

  /** Microseconds since 1970; an integer. May jump, as the wall clock does. */
  nowUs(): number {
    const monotonicUs = performance.now() * 1000
    if (monotonicUs - this.#lookedUs > LOOK_EVERY_US) {
      this.#lookedUs = monotonicUs
      const offsetUs = Date.now() * 1000 - monotonicUs
      const heldUp = performance.now() * 1000 - monotonicUs > LOOK_US_MAX
      if (!heldUp && Math.abs(offsetUs - this.#offsetUs) > DRIFT_US_MAX) this.#offsetUs = offsetUs
    }
    return Math.floor(this.#offsetUs + monotonicUs)
  }
}
