/**
 * Makes this node's blocks (consensus.md section 5): when, on top of which round, with which contents; and sees to it that
 * everything a block stands on is on disk before anyone sees it.
 *
 *   may it? ─▶ contents ─▶ persist history, reports, block ─▶ durable ─▶ into the own graph, and to every peer
 *
 * A block counts for this node's own decisions only once it is durable: decided by a block that a crash erased, the order would
 * differ from everybody else's. So at most one own block is under way.
 */
import { makeBlock } from '../bytes/block-codec.ts'
import { signedBlockBytes } from '../bytes/domain.ts'
import type { Committer } from '../commit/committer.ts'
import type { Graph } from '../graph/graph.ts'
import type { Vertex } from '../graph/vertex.ts'
import type { Block } from '../model/block.ts'
import type { WalRecord } from '../model/effect.ts'
import type { BlockTable, Known } from './block-table.ts'
import { OwnHistory, referenceTable } from './content.ts'
import type { EpochContext } from './context.ts'
import { blockRecord, RecordKind, seqRecord } from './records.ts'
import type { Reports } from './reports.ts'
import { WaitingRules } from './waiting-rules.ts'

/** As the least round of an own block: none may be made. */
export const MUTE = Number.POSITIVE_INFINITY

/** What of this node's blocks in an epoch must never be used again: rounds up to `last` and below `roundMin`. */
export interface UsedRounds {
  readonly last: number
  readonly lastTsUs: number
  readonly roundMin: number
}

/** The next own block: on top of which round, and when, if nothing more comes. */
export interface Plan {
  readonly round: number
  readonly atUs: number
}

export class Maker {
  /** Round of the last own block, durable or not; 0: none in this epoch. */
  last = 0
  /** Round of the last own block that peers may have seen; 0: none. */
  shown = 0
  /** No own block below this round (section 11, amnesia); `MUTE` while that is not known. */
  roundMin = 0
  readonly #context: EpochContext
  readonly #graph: Graph
  readonly #committer: Committer
  readonly #table: BlockTable
  readonly #reports: Reports
  readonly #rules: WaitingRules
  readonly #history: OwnHistory
  /** Accepted and not yet in the write-ahead log. */
  #unwritten: Known[] = []
  #underWay: { readonly block: Block; readonly barrier: number } | undefined
  #quorumRound = 0
  /** When the next own block could be made for the first time. */
  #quorumAtUs = 0
  #lastTsUs = 0
  /** There was something to do ever since the last block was made. */
  #busy = false

  constructor(context: EpochContext, graph: Graph, committer: Committer, table: BlockTable, reports: Reports) {
    this.#context = context
    this.#graph = graph
    this.#committer = committer
    this.#table = table
    this.#reports = reports
    this.#rules = new WaitingRules(graph, committer, context.self)
    this.#history = new OwnHistory(graph, context.self)
  }

  /** A block was accepted by the graph. */
  accepted(vertex: Vertex, known: Known): void {
    this.#history.accepted(vertex)
    if (known.mark === 0) this.#unwritten.push(known)
    if (this.#graph.quorumRound === this.#quorumRound) return
    // A node that waits for slow peers goes on waiting from the same moment on, however far the others come meanwhile: with a wait
    // longer than their rounds it would never make a block again.
    if (this.#quorumRound < this.last) this.#quorumAtUs = this.#context.clock.nowUs
    this.#quorumRound = this.#graph.quorumRound
  }

  get used(): UsedRounds {
    return { last: this.last, lastTsUs: this.#lastTsUs, roundMin: this.roundMin === MUTE ? 0 : this.roundMin }
  }

  /** What was used before is used for ever. */
  resume({ last, lastTsUs, roundMin }: UsedRounds): void {
    this.roundMin = Math.max(this.roundMin, roundMin)
    this.last = Math.max(this.last, last)
    this.#lastTsUs = Math.max(this.#lastTsUs, lastTsUs)
    this.#context.clock.usedStamp(lastTsUs)
  }

  /** Goes on in place of another maker of the same epoch, whose last block may be on its way to the disk. */
  takeOver(other: Maker): void {
    this.resume(other.used)
    this.shown = other.shown
    this.#underWay = other.#underWay
  }

  /** An own block of before a restart. Its round is used. */
  restore(block: Block): void {
    this.resume({ last: block.round, lastTsUs: block.tsUs, roundMin: 0 })
    this.shown = Math.max(this.shown, block.round)
  }

  /**
   * When to make the next block, and of which round; undefined: not before something else happens. `need`: there is something
   * to say or to see through; without it a node only follows, which opens no round (section 5).
   */
  plan(need: boolean): Plan | undefined {
    // What passes until there is something to do again is no round's time.
    if (!need) this.#busy = false
    const round = this.#nextRound(need)
    if (round === undefined || this.#underWay !== undefined || !this.#lastIsPlaced()) return undefined
    const { clock, pacer } = this.#context
    const base = round - 1
    const earliestUs = pacer.earliestUs(clock.nowUs)
    if (this.#rules.ready(base)) return { round, atUs: earliestUs }
    const quorumAtUs = base === this.#quorumRound ? this.#quorumAtUs : 0
    const leadUs = pacer.leadUs(round - this.#committer.nextStep)
    return { round, atUs: Math.max(earliestUs, quorumAtUs + leadUs) }
  }

  /** Makes the block of this round, and has it written. False if its parents are not there. */
  make(round: number, need: boolean): boolean {
    const { clock, pacer } = this.#context
    const parents = this.#history.parents(round - 1, this.last)
    if (parents === undefined) return false
    const block = this.#build(round, parents)
    this.#rules.made(round - 1)
    pacer.made(clock.nowUs, this.#busy ? round - this.last : 0)
    this.#busy = need
    this.last = round
    this.#lastTsUs = block.tsUs
    const known = this.#table.hold(block, block.tsUs)
    known.first = true
    known.mine = true
    if (known.isUnit) this.#table.opened(known)
    this.#underWay = { block, barrier: this.#write(block, known) }
    return true
  }

  /** A barrier is durable: the own block behind it, if it is the one, which may now be shown. */
  durable(barrier: number): Block | undefined {
    if (this.#underWay === undefined || barrier < this.#underWay.barrier) return undefined
    const { block } = this.#underWay
    this.#underWay = undefined
    this.shown = block.round
    return block
  }

  /** Writes what was accepted and is in no own block's history yet, without waiting for the disk. */
  flush(): void {
    this.#context.outbox.persist(this.#takeUnwritten())
  }

  #nextRound(need: boolean): number | undefined {
    const round = need ? this.#graph.quorumRound + 1 : this.#graph.maxRound
    if (round <= this.last || round < this.roundMin) return undefined
    // Behind a snapshot the blocks of old rounds come first; what is said in one that is over gets no place.
    if (round < this.#committer.nextStep - this.#context.epoch.constants.voidRounds) return undefined
    return round === 1 || round - 1 > this.#graph.collectedRound ? round : undefined
  }

  /** The own block before must be in the graph, or so old that it is collected: it is the next one's parent. */
  #lastIsPlaced(): boolean {
    return this.last <= this.#graph.collectedRound || this.#graph.first(this.last, this.#context.self) !== undefined
  }

  #build(round: number, parents: readonly Vertex[]): Block {
    const { epoch, domain, self, clock, submissions, cryptography } = this.#context
    const reports = this.#reports.take(round, epoch.constants.refsMax - parents.length)
    const messages = submissions.take(round)
    const lastReportUs = reports.at(-1)?.recvUs ?? 0
    const tsUs = Math.max(clock.stamp(), this.#lastTsUs + 1, lastReportUs)
    const references = referenceTable(parents, reports)
    return makeBlock({ author: self, round, tsUs, references, messages }, epoch, domain, (digest) =>
      cryptography.sign(signedBlockBytes(digest)),
    )
  }

  /** Everything that the block stands on, then the block, then one sync. */
  #write(block: Block, known: Known): number {
    const { outbox, submissions } = this.#context
    const records: WalRecord[] = []
    const range = submissions.rangeForBlock(block.round)
    if (range !== undefined) records.push(outbox.record(RecordKind.seq, seqRecord(range)))
    records.push(...this.#takeUnwritten())
    for (const reference of block.references) {
      if (!reference.report) break
      const reported = this.#table.find(reference)
      if (reported !== undefined && reported.mark === 0) records.push(this.#record(reported))
    }
    const own = outbox.record(RecordKind.own, blockRecord(block.tsUs, block))
    known.mark = own.mark
    records.push(own)
    return outbox.persistThen(records)
  }

  #takeUnwritten(): WalRecord[] {
    const unwritten = this.#unwritten
    this.#unwritten = []
    return unwritten
      .filter((known) => known.mark === 0 && known.block !== undefined)
      .map((known) => this.#record(known))
  }

  #record(known: Known): WalRecord {
    const record = this.#context.outbox.record(RecordKind.block, blockRecord(known.arrivalUs, known.block!))
    known.mark = record.mark
    return record
  }
}
