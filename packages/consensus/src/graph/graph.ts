/**
 * The graph of accepted blocks above the collected rounds, and in front of it the blocks that wait for parents (consensus.md
 * sections 4 and 6). It knows nothing of votes being enough or of order: `commit/` reads it.
 *
 *     receive(block) ─▶ waiting ─▶ accepted, indexed by (round mod window, author)
 *                          ▲                    │
 *                          └── collect(round) ◀─┘ drops rounds, and what waited for them no longer does
 *
 * Whoever calls `receive` or `collect` hands every vertex of the answer to the committer, in order.
 */
import type { Block, BlockName } from '../model/block.ts'
import type { Epoch } from '../model/epoch.ts'
import { authorCount, type Vertex, versionNamed } from './vertex.ts'
import { type MissingName, Waiting } from './waiting.ts'

const NO_NAMES: readonly BlockName[] = []
const NO_VERTICES: readonly Vertex[] = []

/** Versions of one (author, round) that are taken unasked; more only where a block that is needed names them as parents. */
export const versionsMax = 8

/** What became of a block. */
export type Received =
  /** It and what waited for it are in the graph, in this order. */
  | { readonly type: 'accepted'; readonly vertices: readonly Vertex[] }
  /**
   * It waits; `missing` are all parents that are neither accepted nor waiting, also those that others named before, and what lacks
   * for parents that wait, if this author is the first to stand on it.
   */
  | { readonly type: 'waiting'; readonly missing: readonly MissingName[] }
  /** Here already, in the graph or waiting. */
  | { readonly type: 'known' }
  /** Of a collected round. Its unit may still be reported. */
  | { readonly type: 'collected' }
  /** One version too many of a known forker, or farther ahead than the waiting area reaches. Fetched again when needed. */
  | { readonly type: 'dropped' }

/** Two blocks of one author and round. Headers and signatures are the proof that travels (section 16). */
export interface Fork {
  readonly author: number
  readonly first: Block
  readonly second: Block
}

export class Graph {
  readonly epoch: Epoch
  /** Rounds up to this one are collected: nothing is known about them any more. */
  collectedRound = 0
  /** R: highest round of which a quorum of authors is accepted; never below the collected rounds. */
  quorumRound = 0
  /** Highest round with an accepted block; never below the collected rounds. */
  maxRound = 0
  /** Authors that are known here to have made two blocks of one round. */
  forkers = 0
  /** Rounds in the graph: a power of two; slot (round & mask) * n + author holds the first accepted version. */
  #rounds: number
  #slots: (Vertex | undefined)[]
  #authors: Int32Array
  #forked: Int32Array
  readonly #last: Float64Array
  readonly #touched: Vertex[] = []
  #accepted = 0
  readonly #waiting: Waiting
  readonly #forks: Fork[] = []

  /** `collectedRound`: where a snapshot left off (its step - G); 0 at the start of an epoch. */
  constructor(epoch: Epoch, collectedRound = 0) {
    this.epoch = epoch
    this.collectedRound = collectedRound
    this.quorumRound = collectedRound
    this.maxRound = collectedRound
    this.#rounds = 64
    this.#slots = new Array<Vertex | undefined>(this.#rounds * epoch.n).fill(undefined)
    this.#authors = new Int32Array(this.#rounds)
    this.#forked = new Int32Array(this.#rounds)
    this.#last = new Float64Array(epoch.n)
    this.#waiting = new Waiting(epoch.n)
  }

  /** A well-formed block whose signature is good. */
  receive(block: Block): Received {
    if (block.round <= this.collectedRound) return { type: 'collected' }
    const first = this.first(block.round, block.author)
    if (versionNamed(first, block) !== undefined || this.#waiting.has(block)) return { type: 'known' }
    this.#noteFork(block, first)
    if (this.#surplus(block, first)) return { type: 'dropped' }
    const parents: Vertex[] = []
    const missing = this.#missingParents(block, parents)
    if (missing.length > 0) {
      const names = this.#waiting.add(block, missing, (this.forkers & (1 << block.author)) === 0)
      return names === undefined ? { type: 'dropped' } : { type: 'waiting', missing: names }
    }
    return { type: 'accepted', vertices: this.#acceptAll([block], parents) }
  }

  /** Drops rounds up to `round`. Answers the waiting blocks that are accepted by that. */
  collect(round: number): readonly Vertex[] {
    if (round <= this.collectedRound) return []
    const from = this.collectedRound
    for (let old = from + 1; old <= Math.min(round, this.maxRound); old++) this.#drop(old)
    this.collectedRound = round
    this.quorumRound = Math.max(this.quorumRound, round)
    this.maxRound = Math.max(this.maxRound, round)
    return this.#acceptAll(this.#waiting.collect(from, round))
  }

  /** The first accepted version of a slot; the others hang on it (`Vertex.other`), in the order of their acceptance. */
  first(round: number, author: number): Vertex | undefined {
    if (round <= this.collectedRound || round > this.maxRound) return undefined
    return this.#slots[(round & (this.#rounds - 1)) * this.epoch.n + author]
  }

  /** The accepted block of this name. */
  find(name: BlockName): Vertex | undefined {
    return versionNamed(this.first(name.round, name.author), name)
  }

  /** Authors with an accepted block of a round. */
  authors(round: number): number {
    if (round <= this.collectedRound || round > this.maxRound) return 0
    return this.#authors[round & (this.#rounds - 1)] as number
  }

  /** Whether a block is still wanted: named by one that waits, and not here. */
  isMissing(name: BlockName): boolean {
    return this.#waiting.wants(name)
  }

  /** All names that are wanted, rounds ascending. Not for the hot path. */
  missing(): MissingName[] {
    return this.#waiting.wanted()
  }

  /** A block that waits for parents. */
  waitingBlock(name: BlockName): Block | undefined {
    return this.#waiting.find(name)
  }

  /** How many blocks wait. */
  get waitingCount(): number {
    return this.#waiting.count
  }

  /** The lowest round of a waiting block; undefined: none waits. */
  get waitingRoundMin(): number | undefined {
    return this.#waiting.roundMin
  }

  /** Forks that were found since the last call; one per author, ever. */
  takeForks(): Fork[] {
    return this.#forks.splice(0)
  }

  /** Authors with two or more accepted blocks of a round. */
  forked(round: number): number {
    if (round <= this.collectedRound || round > this.maxRound) return 0
    return this.#forked[round & (this.#rounds - 1)] as number
  }

  /** Highest round of which a block of this author was accepted; 0: none yet. */
  lastRound(author: number): number {
    return this.#last[author] as number
  }

  /** Parents above the collected rounds that are not here; the others go into `found`, in the table's order. */
  #missingParents(block: Block, found: Vertex[]): readonly BlockName[] {
    let missing = NO_NAMES
    for (const reference of block.references) {
      if (!reference.parent || reference.round <= this.collectedRound) continue
      const parent = this.find(reference)
      if (parent === undefined) missing = [...missing, reference]
      else found.push(parent)
    }
    return missing
  }

  #noteFork(block: Block, first: Vertex | undefined): void {
    const bit = 1 << block.author
    if ((this.forkers & bit) !== 0) return
    const other = first?.block ?? this.#waiting.version(block)
    if (other === undefined) return
    this.forkers |= bit
    this.#forks.push({ author: block.author, first: other, second: block })
  }

  /** Whether a block is one version too many, which nothing that is needed names. */
  #surplus(block: Block, first: Vertex | undefined): boolean {
    let versions = 0
    for (let vertex = first; vertex !== undefined; vertex = vertex.other) versions++
    return versions >= versionsMax && !this.#waiting.isNeeded(block)
  }

  /** `parents` are those of the first block, if they were looked for already. */
  #acceptAll(blocks: Block[], parents?: readonly Vertex[]): Vertex[] {
    const vertices: Vertex[] = []
    for (let i = 0; i < blocks.length; i++) {
      const block = blocks[i] as Block
      if (this.#surplus(block, this.first(block.round, block.author))) continue
      vertices.push(this.#accept(block, i === 0 && parents !== undefined ? parents : this.#parentsOf(block)))
      if (this.#waiting.count > 0) blocks.push(...this.#waiting.resolve(block))
    }
    return vertices
  }

  #parentsOf(block: Block): readonly Vertex[] {
    const parents: Vertex[] = []
    this.#missingParents(block, parents)
    return parents
  }

  #accept(block: Block, parents: readonly Vertex[]): Vertex {
    const votes: Vertex[] = []
    for (const parent of parents) if (parent.round === block.round - 1) votes.push(parent)
    const vertex: Vertex = {
      block,
      author: block.author,
      round: block.round,
      index: this.#accepted++,
      parents,
      votes,
      other: undefined,
      voters: 0,
      certifiers: 0,
      certifies: 0,
      certified: NO_VERTICES,
      linearised: false,
      tallied: 0,
      inOwnHistory: false,
      seen: 0,
      count: 0,
    }
    for (const vote of votes) vote.voters |= 1 << block.author
    this.#certify(vertex)
    this.#place(vertex)
    return vertex
  }

  /** cert(c, B) of section 7, for all B at once: each parent votes for at most one block of an author. */
  #certify(vertex: Vertex): void {
    const touched = this.#touched
    for (const parent of vertex.votes) {
      for (const voted of parent.votes) if (voted.count++ === 0) touched.push(voted)
    }
    const certified: Vertex[] = []
    for (const voted of touched) {
      if (voted.count >= this.epoch.q) {
        certified.push(voted)
        vertex.certifies |= 1 << voted.author
        voted.certifiers |= 1 << vertex.author
      }
      voted.count = 0
    }
    touched.length = 0
    vertex.certified = certified
  }

  #place(vertex: Vertex): void {
    const { round, author } = vertex
    if (round > this.maxRound) {
      while (round - this.collectedRound >= this.#rounds) this.#grow()
      this.maxRound = round
    }
    const at = round & (this.#rounds - 1)
    const slot = at * this.epoch.n + author
    const bit = 1 << author
    let last = this.#slots[slot]
    if (last === undefined) this.#slots[slot] = vertex
    else {
      while (last.other !== undefined) last = last.other
      last.other = vertex
      this.#forked[at] = (this.#forked[at] as number) | bit
    }
    const authors = (this.#authors[at] as number) | bit
    this.#authors[at] = authors
    if (round > this.quorumRound && authorCount(authors) >= this.epoch.q) this.quorumRound = round
    if (round > (this.#last[author] as number)) this.#last[author] = round
  }

  #drop(round: number): void {
    const at = round & (this.#rounds - 1)
    const { n } = this.epoch
    for (let slot = at * n; slot < (at + 1) * n; slot++) {
      for (let vertex = this.#slots[slot]; vertex !== undefined; vertex = vertex.other) {
        // Its children may be kept for long; their chain of ancestors must not be.
        vertex.parents = NO_VERTICES
        vertex.votes = NO_VERTICES
        vertex.certified = NO_VERTICES
      }
      this.#slots[slot] = undefined
    }
    this.#authors[at] = 0
    this.#forked[at] = 0
  }

  /** Doubles the window: rounds run ahead of the steps while those cannot be decided. */
  #grow(): void {
    const { n } = this.epoch
    const rounds = this.#rounds * 2
    const slots = new Array<Vertex | undefined>(rounds * n).fill(undefined)
    const authors = new Int32Array(rounds)
    const forked = new Int32Array(rounds)
    for (let round = this.collectedRound + 1; round <= this.maxRound; round++) {
      const from = round & (this.#rounds - 1)
      const to = round & (rounds - 1)
      for (let author = 0; author < n; author++) slots[to * n + author] = this.#slots[from * n + author]
      authors[to] = this.#authors[from] as number
      forked[to] = this.#forked[from] as number
    }
    this.#rounds = rounds
    this.#slots = slots
    this.#authors = authors
    this.#forked = forked
  }
}
