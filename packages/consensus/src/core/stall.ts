/**
 * Whether the order stands still (consensus.md section 14): something of this node waits too long, or too few nodes are
 * connected for too long. The engine goes on trying; what to do meanwhile is the broker's policy.
 */

import { authorCount } from '../graph/vertex.ts'
import type { EpochContext } from './context.ts'

export class Stall {
  stalled = false
  readonly #context: EpochContext
  /** Since when an own message waits without a step, and since when no quorum is connected; infinite: neither. */
  #waitingSinceUs = Number.POSITIVE_INFINITY
  #aloneSinceUs = Number.POSITIVE_INFINITY
  #lastStep = -1

  constructor(context: EpochContext) {
    this.#context = context
  }

  /** Whether so many are connected that the order can go on. */
  get quorum(): boolean {
    const { epoch, peers } = this.#context
    return authorCount(peers.connected) + 1 >= epoch.q
  }

  get deadlineUs(): number {
    if (this.stalled) return Number.POSITIVE_INFINITY
    return Math.min(this.#waitingSinceUs, this.#aloneSinceUs) + this.#context.tunables.stallUs
  }

  /** `waits`: an own message has no place yet. */
  tick(nextStep: number, waits: boolean): void {
    const { clock } = this.#context
    const { quorum } = this
    if (!waits) this.#waitingSinceUs = Number.POSITIVE_INFINITY
    else if (nextStep !== this.#lastStep || this.#waitingSinceUs === Number.POSITIVE_INFINITY) {
      this.#waitingSinceUs = clock.nowUs
    }
    if (quorum) this.#aloneSinceUs = Number.POSITIVE_INFINITY
    else if (this.#aloneSinceUs === Number.POSITIVE_INFINITY) this.#aloneSinceUs = clock.nowUs
    if (nextStep !== this.#lastStep && quorum) this.stalled = false
    this.#lastStep = nextStep
    if (!this.stalled && clock.nowUs >= this.deadlineUs) this.stalled = true
    else if (this.stalled && quorum && !waits) this.stalled = false
  }
}
