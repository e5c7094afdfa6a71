/**
 * How much CPU the frames of one peer may cost: a token bucket of microseconds. What a peer sends above it waits: in the network
 * where it is not read, in its own memory where it has to wait for an answer. So a node that floods others, with whatever kind
 * of frame, costs them a bounded share of their time, and honest peers wait a bounded time behind it.
 */

export interface WorkShare {
  /** Share of one core that one peer may use in the long run. */
  readonly share: number
  /** What it may use at once, µs. */
  readonly burstUs: number
}

export class WorkBudget {
  readonly #share: WorkShare
  #levelUs: number
  #atUs: number

  constructor(nowUs: number, share: WorkShare) {
    this.#share = share
    this.#levelUs = share.burstUs
    this.#atUs = nowUs
  }

  /** Work was done; gives how long nothing more should be taken, ms, 0 in general. */
  spend(costUs: number, nowUs: number): number {
    const { share, burstUs } = this.#share
    this.#levelUs = Math.min(burstUs, this.#levelUs + Math.max(0, nowUs - this.#atUs) * share) - costUs
    this.#atUs = nowUs
    return this.#levelUs >= 0 ? 0 : Math.ceil(-this.#levelUs / share / 1000)
  }
}
