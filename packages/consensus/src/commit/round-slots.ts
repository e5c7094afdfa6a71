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
    this.#permutation = slotOrder(round, n, domain)
    this.reset(active)
  }

  /** Forgets all decisions: another schedule holds. */
  reset(active: number): void {
    const authors: number[] = []
    const decisions: Decision[] = []
    const committed: undefined[] = []
    for (const author of this.#permutation) {
      if ((active & (1 << author)) === 0) continue
      authors.push(author)
      decisions.push(Decision.undecided)
      committed.push(undefined)
    }
    this.authors = authors
    this.decisions = decisions
    this.committed = committed
    this.undecided = authors.length
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
    let slot = 0
    while (slot < this.decisions.length && this.decisions[slot] === Decision.skip) slot++
    if (slot === this.decisions.length) return ALL_SKIPPED
    return { decision: this.decisions[slot] as Decision, block: this.committed[slot] }
  }
}

/** All authors, sorted by the hashes of their slots: put in one by one, since they are few. */
function slotOrder(round: number, n: number, domain: Domain): readonly number[] {
  const authors: number[] = []
  const hashes: Uint8Array[] = []
  for (let author = 0; author < n; author++) {
    const hash = domain.slotHash(round, author)
    let place = author
    for (; place > 0 && compareBytes(hash, hashes[place - 1] as Uint8Array) < 0; place--) {
      authors[place] = authors[place - 1] as number
      hashes[place] = hashes[place - 1] as Uint8Array
    }
    authors[place] = author
    hashes[place] = hash
  }
  return authors
}

const ALL_SKIPPED = { decision: Decision.skip, block: undefined } as const
