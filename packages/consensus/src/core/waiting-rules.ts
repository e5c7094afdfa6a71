/**
 * When the next block may be made although not everybody's blocks are here (consensus.md section 5, W1 and W2): so that the
 * first slots of correct nodes get a quorum of votes and certificates, and yet nobody is waited for who is gone.
 */
import type { Committer } from '../commit/committer.ts'
import type { Graph } from '../graph/graph.ts'

/** In halves: +1 when an author's block is missing at a creation, -0.5 when it is there. */
const MISSED = 2
const SEEN = -1
const MISSES_MAX = 12
/** From here on the author is not waited for. */
const MISSES_SKIP = 6
/** Deeper than this behind the order, everybody is waited for: the lead has grown to their delay. */
const SKIP_DEPTH_MAX = 12

export class WaitingRules {
  readonly #graph: Graph
  readonly #committer: Committer
  readonly #self: number
  readonly #misses: Int8Array

  constructor(graph: Graph, committer: Committer, self: number) {
    this.#graph = graph
    this.#committer = committer
    this.#self = self
    this.#misses = new Int8Array(graph.epoch.n)
  }

  /** Whether everything that is worth waiting for is here, for a block on top of round `base`. */
  ready(base: number): boolean {
    if (base === 0) return true
    return this.#slotsFilled(base) && this.#firstSlotVoted(base)
  }

  /** A block was made on top of round `base`. */
  made(base: number): void {
    if (base === 0) return
    const here = this.#graph.authors(base)
    for (let author = 0; author < this.#misses.length; author++) {
      if (author === this.#self) continue
      const misses = (this.#misses[author] as number) + (((here >>> author) & 1) === 1 ? SEEN : MISSED)
      this.#misses[author] = Math.max(0, Math.min(MISSES_MAX, misses))
    }
  }

  /** W1: of every other author with a slot there is a block. Whether this node made one itself is no reason to wait. */
  #slotsFilled(base: number): boolean {
    const here = this.#graph.authors(base)
    for (const author of this.#committer.slots(base)) {
      if (author !== this.#self && ((here >>> author) & 1) === 0 && !this.#skipped(author, base)) return false
    }
    return true
  }

  /** W2: the vote on the first slot of the round before is over, or nobody is left who might still vote. */
  #firstSlotVoted(base: number): boolean {
    if (base < 2) return true
    const [first] = this.#committer.slots(base - 1)
    if (first === undefined) return true
    return this.#committer.voted(base - 1, first) || this.#skipped(first, base) || this.#everybodyIsHere(base)
  }

  #everybodyIsHere(base: number): boolean {
    const here = this.#graph.authors(base)
    for (let author = 0; author < this.#misses.length; author++) {
      if (((here >>> author) & 1) === 0 && author !== this.#self && !this.#skipped(author, base)) return false
    }
    return true
  }

  #skipped(author: number, base: number): boolean {
    if (((this.#graph.forkers >>> author) & 1) === 1) return true
    const depth = base + 1 - this.#committer.nextStep
    return (this.#misses[author] as number) >= MISSES_SKIP && depth <= SKIP_DEPTH_MAX
  }
}
