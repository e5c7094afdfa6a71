/**
 * The commit rule as it is written (consensus.md section 7): slow, from the whole set of blocks each time, names as text, no
 * cache across steps. What the engine decides block by block must be what this says of the same blocks. It shares nothing with
 * the engine but the slot hash and the shape of a block.
 */
import type { Domain } from '../../src/bytes/domain.ts'
import type { Block, BlockName } from '../../src/model/block.ts'
import type { Epoch } from '../../src/model/epoch.ts'

export interface OracleStep {
  readonly round: number
  /** Names of the committed blocks, in slot order. */
  readonly committed: readonly string[]
  readonly linearised: readonly string[]
  /** Authors that had slots in this round. */
  readonly active: readonly number[]
  /** After the step. */
  readonly jailed: readonly number[]
}

export function nameOf({ author, round, digest }: BlockName): string {
  return `${round}/${author}/${Buffer.from(digest).toString('hex')}`
}

type Status = 'undecided' | 'skip' | Block

/** All steps that a closed set of blocks decides. */
export class CommitOracle {
  readonly #epoch: Epoch
  readonly #domain: Domain
  readonly #blocks = new Map<string, Block>()
  #maxRound = 0
  #active: number[]
  readonly #jailed = new Set<number>()
  #demoted: number[] = []
  readonly #linearised = new Set<string>()
  /** name of the voted block → its linearised voters. */
  readonly #votes = new Map<string, Set<number>>()
  #statuses = new Map<string, Status>()

  constructor(epoch: Epoch, domain: Domain, blocks: readonly Block[]) {
    this.#epoch = epoch
    this.#domain = domain
    this.#active = epoch.nodes.map((_, author) => author)
    for (const block of blocks) {
      this.#blocks.set(nameOf(block), block)
      this.#maxRound = Math.max(this.#maxRound, block.round)
    }
  }

  steps(): OracleStep[] {
    const steps: OracleStep[] = []
    for (let round = 1; this.#jailed.size <= this.#epoch.f; round++) {
      // With no cache across steps, a changed schedule needs no forgetting.
      this.#statuses = new Map()
      const statuses = this.#slots(round).map((author) => this.#status(round, author))
      if (statuses.includes('undecided') || round > this.#maxRound) return steps
      const committed = statuses.filter((status): status is Block => typeof status === 'object')
      const active = [...this.#active]
      const linearised = this.#step(round, committed)
      steps.push({
        round,
        committed: committed.map(nameOf),
        linearised,
        active,
        jailed: [...this.#jailed].sort((a, b) => a - b),
      })
    }
    return steps
  }

  #slots(round: number): number[] {
    const rank = (author: number) => Buffer.from(this.#domain.slotHash(round, author)).toString('hex')
    return [...this.#active].sort((a, b) => (rank(a) < rank(b) ? -1 : 1))
  }

  #of(round: number, author?: number): Block[] {
    return [...this.#blocks.values()].filter(
      (block) => block.round === round && (author === undefined || block.author === author),
    )
  }

  #parents(block: Block): Block[] {
    return block.references
      .filter((reference) => reference.parent)
      .map((reference) => this.#blocks.get(nameOf(reference)))
      .filter((parent) => parent !== undefined)
  }

  #vote(b: Block, round: number, author: number): Block | undefined {
    return this.#parents(b).find((parent) => parent.round === round && parent.author === author)
  }

  #cert(c: Block, block: Block): boolean {
    const voters = this.#parents(c).filter(
      (p) => p.round === c.round - 1 && this.#vote(p, block.round, block.author) === block,
    )
    return new Set(voters.map(({ author }) => author)).size >= this.#epoch.q
  }

  #status(round: number, author: number): Status {
    const key = `${round}/${author}`
    const known = this.#statuses.get(key)
    if (known !== undefined) return known
    const direct = this.#direct(round, author)
    const status = direct === 'undecided' ? this.#indirect(round, author) : direct
    this.#statuses.set(key, status)
    return status
  }

  #direct(round: number, author: number): Status {
    const { q } = this.#epoch
    const v = this.#of(round + 1)
    const authors = (blocks: Block[]) => new Set(blocks.map((block) => block.author)).size
    if (authors(v) < q) return 'undecided'
    const versions = this.#of(round, author)
    if (versions.every((b) => authors(v.filter((p) => this.#vote(p, round, author) !== b)) >= q)) return 'skip'
    const certified = versions.find((b) => authors(this.#of(round + 2).filter((c) => this.#cert(c, b))) >= q)
    return certified ?? 'undecided'
  }

  #indirect(round: number, author: number): Status {
    for (let anchorRound = round + 3; anchorRound <= this.#maxRound; anchorRound++) {
      for (const anchorAuthor of this.#slots(anchorRound)) {
        const anchor = this.#status(anchorRound, anchorAuthor)
        if (anchor === 'skip') continue
        if (anchor === 'undecided') return 'undecided'
        const certifiers = this.#history(anchor).filter((c) => c.round === round + 2)
        return this.#of(round, author).find((b) => certifiers.some((c) => this.#cert(c, b))) ?? 'skip'
      }
    }
    return 'undecided'
  }

  /** A block and all its ancestors that are here. */
  #history(block: Block): Block[] {
    const found = new Set([block])
    for (const next of found) for (const parent of this.#parents(next)) found.add(parent)
    return [...found]
  }

  #step(round: number, committed: readonly Block[]): string[] {
    const order: string[] = []
    const convicted = new Set<number>()
    for (const anchor of committed) {
      const fresh = this.#history(anchor)
        .filter((b) => b.round > round - this.#epoch.constants.keepRounds && !this.#linearised.has(nameOf(b)))
        .sort((a, b) => a.round - b.round || a.author - b.author || (nameOf(a) < nameOf(b) ? -1 : 1))
      for (const b of fresh) {
        const name = nameOf(b)
        const twin = [...this.#linearised].some((other) => other.startsWith(`${b.round}/${b.author}/`))
        if (twin) convicted.add(b.author)
        this.#linearised.add(name)
        for (const parent of this.#parents(b).filter((p) => p.round === b.round - 1)) {
          const voters = this.#votes.get(nameOf(parent)) ?? new Set()
          this.#votes.set(nameOf(parent), voters.add(b.author))
        }
        order.push(name)
      }
    }
    this.#updateSchedule(round, convicted)
    return order
  }

  #updateSchedule(round: number, convicted: ReadonlySet<number>): void {
    const { n, f, q, constants } = this.#epoch
    const { windowRounds, goodRoundsMin } = constants
    const everyone = Array.from({ length: n }, (_, author) => author)
    const jailedBefore = this.#jailed.size
    for (const author of convicted) this.#jailed.add(author)
    if (round % windowRounds === 0) {
      const good = everyone.map((author) => {
        let count = 0
        for (let x = round - windowRounds; x <= round - 2; x++) {
          if (this.#of(x, author).some((b) => (this.#votes.get(nameOf(b))?.size ?? 0) >= q)) count++
        }
        return count
      })
      const at = (author: number) => good[author] as number
      this.#demoted = everyone.filter((i) => at(i) < goodRoundsMin).sort((a, b) => at(a) - at(b) || a - b)
    } else if (this.#jailed.size === jailedBefore) return
    const removed = new Set(this.#jailed)
    for (const author of this.#demoted) if (removed.size < f) removed.add(author)
    this.#active = everyone.filter((author) => !removed.has(author))
  }
}
