/**
 * The wall clock of one simulated node: it runs too fast or too slow, starts wrong, and jumps. The engine has to make it monotone
 * for itself; nothing of the order may depend on it except consensus times within what correct clocks said.
 */

/** Virtual time 0, as a wall clock without error shows it, µs since 1970. */
export const epochStartUs = 1_700_000_000_000_000

export interface ClockFaults {
  /** How wrong it starts, µs. */
  readonly offsetUs: number
  /** How much faster than true time it runs, in parts per million. */
  readonly driftPpm: number
}

export class WallClock {
  readonly #now: () => number
  readonly #driftPpm: number
  #offsetUs: number

  constructor(now: () => number, faults: ClockFaults) {
    this.#now = now
    this.#driftPpm = faults.driftPpm
    this.#offsetUs = faults.offsetUs
  }

  read(): number {
    const trueUs = this.#now()
    return epochStartUs + trueUs + Math.round((trueUs * this.#driftPpm) / 1_000_000) + this.#offsetUs
  }

  jump(us: number): void {
    this.#offsetUs += us
  }

  /** How long in true time until it shows this, µs; 0 if it does already. */
  untilShows(wallUs: number): number {
    return Math.max(0, Math.ceil((wallUs - this.read()) / (1 + this.#driftPpm / 1_000_000)))
  }
}
