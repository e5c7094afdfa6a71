/**
 * The slots of one round and what is decided of them (consensus.md section 7): which authors in which order, skip or commit per
 * slot, and the anchor through which they are decided when votes alone do not suffice.
 */
import type { Domain } from '../bytes/domain.ts'
import { compareBytes } from '../bytes/order.ts'
import type { Vertex } from '../graph/vertex.ts'

export const Decision = { undecided: 0, skip: 1, commit: 2 } as const
export type Decision = (typeof Decision)[keyof typeof Decision]

export class RoundSlots {
  readonly round: number
  /** All authors in the round's order; fresh for each round, so that nobody is first for long. */
  readonly #permutation: readonly number[]
  /** The active ones of them. */
  authors: readonly number[] = []
  /** Per slot. */
  decisions: Decision[] = []
  committed: (Vertex | undefined)[] = []
  undecided = 0
  /** First committed block three or more rounds on with nothing undecided before it; undefined: not known yet. */
  anchor: Vertex | undefined = undefined
  /** A block came that can change what votes alone say. */
  dirty = true

  constructor(round: number, active: number, n: number, domain: Domain) {
    this.round = round
    const ranked = Array.from({ length: n }, (_, author) => ({ author, hash: domain.slotHash(round, author) }))
    this.#permutation = ranked.sort((a, b) => compareBytes(a.hash, b.hash)).map(({ author }) => author)
    this.reset(active)
  }

  /** Forgets all decisions: another schedule holds. */
  reset(active: number): void {
    this.authors = this.#permutation.filter((author) => (active & (1 << author)) !== 0)
    this.decisions = this.authors.map(() => Decision.undecided)
    this.committed = this.authors.map(() => undefined)
    this.undecided = this.authors.length
    this.anchor = undefined
    this.dirty = true
  }

  decide(slot: number, block: Vertex | undefined): void {
    this.decisions[slot] = block === undefined ? Decision.skip : Decision.commit
    this.committed[slot] = block
    this.undecided--
  }

  /** The first slot that is not skipped: its decision, and its block if it is committed. All skipped: `skip`. */
  firstKept(): { readonly decision: Decision; readonly block: Vertex | undefined } {
    const slot = this.decisions.findIndex((decision) => decision !== Decision.skip)
    return slot < 0 ? ALL_SKIPPED : { decision: this.decisions[slot] as Decision, block: this.committed[slot] }
  }
}

const ALL_SKIPPED = { decision: Decision.skip, block: undefined } as const
