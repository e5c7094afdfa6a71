/**
 * How much CPU the frames of one peer may cost: a token bucket of microseconds. A peer above it is not read for a while; what it
 * sends waits in its own buffers and those of the network. So a node that floods others, with whatever kind of frame, costs
 * them a bounded share of their time, and honest peers wait a bounded time behind it.
 */

/** Share of one core that one peer may use in the long run. */
const SHARE = 0.5
/** What it may use at once, µs. */
const BURST_US = 400_000

export class WorkBudget {
  #levelUs = BURST_US
  #atUs: number

  constructor(nowUs: number) {
    this.#atUs = nowUs
  }

  /** Work was done; gives how long nothing more should be taken, ms, 0 in general. */
  spend(costUs: number, nowUs: number): number {
    this.#levelUs = Math.min(BURST_US, this.#levelUs + Math.max(0, nowUs - this.#atUs) * SHARE) - costUs
    this.#atUs = nowUs
    return this.#levelUs >= 0 ? 0 : Math.ceil(-this.#levelUs / SHARE / 1000)
  }
}
