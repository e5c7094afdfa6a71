/**
 * One epoch on this node: its graph, its commit rule, its fair order, and the own blocks in it. Blocks come in, steps go out:
 *
 *   take(block) ─▶ table (who reports what) ─▶ graph ─▶ committer ─▶ step ─▶ fair order ─▶ emissions
 *        ▲                    │ reports                                                        │ one by one, as bytes are here
 *        └── fetched ◀── lacking                                                               ▼
 *                                                                                       EmissionSink
 *
 * A step is closed only after all its emissions were taken, since what they say (evidence, an end of the epoch) may change the
 * steps after it (consensus.md 8.7). Making blocks goes on meanwhile.
 */
import { blockMessages } from '../bytes/block-codec.ts'
import { encodeEvidence } from '../bytes/evidence.ts'
import type { Committer, Step } from '../commit/committer.ts'
import type { Graph } from '../graph/graph.ts'
import type { Vertex } from '../graph/vertex.ts'
import { authorCount } from '../graph/vertex.ts'
import { type Block, type BlockName, isUnit, MessageKind } from '../model/block.ts'
import type { Emission, FairOrder } from '../order/fair-order.ts'
import { BlockTable, type Known } from './block-table.ts'
import type { EpochContext } from './context.ts'
import { Fetcher } from './fetcher.ts'
import { Intake } from './intake.ts'
import { Maker } from './maker.ts'
import { Reports } from './reports.ts'
import type { EpochState } from './snapshot.ts'
import { engineItself } from './submissions.ts'

/** Versions of one (author, round) that are fetched when a single node names them. */
const VERSIONS_MAX = 8
/** Rounds below the collected ones whose blocks are still served, in units of G. */
const SERVED_ROUNDS = 3
/** Units of rounds too far ahead that are held until they are admissible, per author. */
const EARLY_MAX = 64

/** What a step emits goes here, one unit after the other. */
export interface EmissionSink {
  /**
   * A unit has its place, and here are its bytes; `jailed` are authors that were jailed before it (bit i: author i). Answers
   * the authors that the unit convicts.
   */
  emit(emission: Emission, block: Block, at: { step: number; jailed: number }): number
  /** Blocks of these authors were included by a step (bit i: author i). */
  linearised(authors: number): void
  /** All of this step is emitted. True: the epoch ends with it. */
  stepDone(step: number): boolean
}

interface OpenStep {
  readonly step: Step
  readonly emissions: readonly Emission[]
  next: number
  convicted: number
}

export class Agreement {
  readonly context: EpochContext
  readonly state: EpochState
  readonly graph: Graph
  readonly committer: Committer
  readonly table: BlockTable
  readonly reports: Reports
  readonly maker: Maker
  readonly fetcher: Fetcher
  readonly intake: Intake
  /** The step after which this epoch ends; undefined: it goes on. */
  endStep: number | undefined
  /** Rounds from this one on are served however old they are: a checkpoint that peers may use stands on them. */
  servedFrom = 0
  /** Blocks that the graph had no room for. */
  dropped = 0
  /** Units that could not wait for their fair place. */
  fairCuts = 0
  /** Highest round of an own block that came from a peer and is newer than all that this node knows to have made; 0: none. */
  forgottenRound = 0
  readonly #fair: FairOrder
  readonly #sink: EmissionSink
  #open: OpenStep | undefined
  /** Units too far ahead to be reported, by author. */
  readonly #early: Known[] = []
  /** Authors whose fork this node has told of. */
  #told = 0
  /** Authors jailed by the last step: the next one voids their units. */
  #swept = 0

  /** From the begin of an epoch, or from a snapshot of it. */
  constructor(context: EpochContext, state: EpochState, sink: EmissionSink) {
    const { epoch } = context
    this.context = context
    this.state = state
    this.#sink = sink
    this.graph = state.graph
    this.committer = state.committer
    this.#fair = state.fair
    this.table = new BlockTable(epoch.n)
    this.reports = new Reports(context, this.table)
    this.maker = new Maker(context, this.graph, this.committer, this.table, this.reports)
    this.fetcher = new Fetcher(context, (name) => this.#isWanted(name))
    this.intake = new Intake(context, this.table, this.graph, (block, from, arrivalUs) =>
      this.take(block, from, arrivalUs),
    )
  }

  get consensusUs(): number {
    return this.#fair.consensusUs
  }

  /** Rounds from this one on are served to peers. */
  get horizonRound(): number {
    return this.table.horizon
  }

  /** Whether this node has something to say or to see through (section 5). */
  get need(): boolean {
    return this.context.submissions.queuedMessages > 0 || this.reports.length > 0 || this.table.openUnits > 0
  }

  /** A block whose signature is good, from a peer or from the log. */
  take(block: Block, from: number, arrivalUs: number): void {
    this.fetcher.got(block)
    if (block.author === this.context.self && block.round > Math.max(this.maker.last, this.forgottenRound)) {
      this.forgottenRound = block.round
    }
    this.#noteReports(block)
    if (isUnit(block)) this.#noteUnit(block, arrivalUs)
    const received = this.graph.receive(block)
    switch (received.type) {
      case 'accepted':
        this.#accepted(received.vertices, arrivalUs)
        break
      case 'waiting':
        for (const name of received.missing) {
          const held = this.table.find(name)?.block
          if (held === undefined) this.fetcher.want(name, name.namers | (from === block.author ? 0 : 1 << from))
          else this.take(held, from, arrivalUs)
        }
        break
      case 'dropped':
        this.dropped++
        break
      case 'known':
      case 'collected':
        break
    }
    for (const { author, first, second } of this.graph.takeForks()) this.#tellFork(author, first, second)
  }

  /** An own block is on disk: it counts, and may be shown. */
  ownDurable(block: Block): void {
    this.#accepted(this.#received(block), block.tsUs)
  }

  /** A block out of the write-ahead log. Own ones come in the order of their rounds. */
  restore(block: Block, arrivalUs: number, mark: number): void {
    this.#named(block)
    if (block.round <= this.graph.collectedRound) return this.table.holdStored(block, mark)
    if (block.author === this.context.self) this.#restoreOwn(block)
    this.take(block, block.author, arrivalUs)
    const known = this.table.find(block)
    if (known?.held === true) known.mark = mark
  }

  /** Goes as far as decided slots and bytes allow. */
  advance(): void {
    while ((this.#open !== undefined || this.#nextStep()) && this.#emitOpen()) this.#close()
  }

  #restoreOwn(block: Block): void {
    this.maker.restore(block)
    const reports = block.references
      .filter((reference) => reference.report)
      .map((reference) => ({ known: this.#named(reference), recvUs: reference.recvUs }))
    this.reports.restore(block.round, reports)
    if (!isUnit(block)) return
    const known = this.#hold(block, block.tsUs)
    known.first = true
    known.mine = true
    if (known.settled) return
    this.table.opened(known)
    this.context.submissions.restoreBlock(block.round, blockMessages(block))
  }

  /** The entry of a name; a snapshot may have settled units that were never named here. */
  #named(name: BlockName): Known {
    const found = this.table.find(name)
    if (found !== undefined) return found
    const known = this.table.named(name)
    if (this.#fair.fate(name) !== 'open') this.table.settle(known)
    return known
  }

  #hold(block: Block, arrivalUs: number): Known {
    this.#named(block)
    return this.table.hold(block, arrivalUs)
  }

  #received(block: Block): readonly Vertex[] {
    const received = this.graph.receive(block)
    return received.type === 'accepted' ? received.vertices : []
  }

  #accepted(vertices: readonly Vertex[], arrivalUs: number): void {
    for (const vertex of vertices) {
      this.fetcher.got(vertex.block)
      const known = this.#hold(vertex.block, arrivalUs)
      known.accepted = true
      this.committer.accept(vertex)
      this.maker.accepted(vertex, known)
    }
    if (this.#early.length > 0) this.#admitEarly()
  }

  /** What a block says others sent: whom it may be fetched from, and who stands for it. */
  #noteReports(block: Block): void {
    const oldest = this.committer.nextStep - 1 - this.context.epoch.constants.voidRounds
    for (const reference of block.references) {
      if (!reference.report) break
      if (reference.round <= oldest) continue
      const known = this.#named(reference)
      known.reporters |= 1 << block.author
      if (known.held) this.reports.witnessed(known, arrivalOf(this.context))
      else if (!known.settled && this.#mayFetch(known)) this.fetcher.want(known, 1 << block.author)
    }
  }

  #noteUnit(block: Block, arrivalUs: number): void {
    const oldest = this.committer.nextStep - 1 - this.context.epoch.constants.voidRounds
    if (block.round <= oldest || block.author === this.context.self) return
    const ahead = block.round > this.graph.quorumRound + this.context.epoch.constants.reportAheadRounds
    if (ahead && this.#early.filter(({ author }) => author === block.author).length >= EARLY_MAX) return
    if (this.table.find(block)?.held === true) return
    const first = !this.#hasHeldVersion(block)
    const held = this.#hold(block, arrivalUs)
    held.first = first
    if (ahead) this.#early.push(held)
    else this.reports.received(held, arrivalUs)
  }

  #admitEarly(): void {
    const highest = this.graph.quorumRound + this.context.epoch.constants.reportAheadRounds
    for (let at = 0; at < this.#early.length; ) {
      const known = this.#early[at]!
      if (known.round > highest) at++
      else {
        this.#early.splice(at, 1)
        this.reports.received(known, arrivalOf(this.context))
      }
    }
  }

  #hasHeldVersion(block: Block): boolean {
    for (let known = this.table.versions(block.round, block.author); known !== undefined; known = known.next) {
      if (known.held) return true
    }
    return false
  }

  /** One version too many is fetched only if a correct node names it. */
  #mayFetch(known: Known): boolean {
    let versions = 0
    for (let other = this.table.versions(known.round, known.author); other !== undefined; other = other.next) versions++
    return versions <= VERSIONS_MAX || authorCount(known.reporters) >= this.context.epoch.w
  }

  #isWanted(name: BlockName): boolean {
    if (this.graph.isMissing(name)) return true
    const known = this.table.find(name)
    if (known === undefined || known.held) return false
    if (this.#open?.emissions[this.#open.next]?.digest === name.digest) return true
    return !known.settled && known.reporters !== 0
  }

  /** Tells everybody of a fork, as a message in the order: the parents alone may never show both versions. */
  #tellFork(author: number, first: Block, second: Block): void {
    if (((this.#told >>> author) & 1) === 1) return
    this.#told |= 1 << author
    if (this.context.outbox.replaying || ((this.committer.jailed >>> author) & 1) === 1) return
    const { submissions, clock } = this.context
    submissions.submit(engineItself, MessageKind.evidence, encodeEvidence(first, second), clock.stamp())
  }

  /** Takes the next decided step: linearises it and orders its units. */
  #nextStep(): boolean {
    if (this.endStep !== undefined || this.committer.broken) return false
    const step = this.committer.next()
    if (step === undefined) return false
    let authors = 0
    for (const { vertex, convicts } of step.linearised) {
      this.#fair.evidence(vertex.block, step.round)
      if (convicts) this.#fair.jail(vertex.author)
      authors |= 1 << vertex.author
      if (vertex.author === this.context.self) this.reports.included(vertex.round)
    }
    if (authors !== 0) this.#sink.linearised(authors)
    const { emissions, cuts } = this.#fair.step(step.round)
    if (cuts > 0) this.#cut(cuts)
    if (this.#swept !== 0) this.#sweep()
    this.#open = { step, emissions, next: 0, convicted: 0 }
    return true
  }

  #cut(count: number): void {
    this.fairCuts += count
    this.context.outbox.push({ type: 'alarm', what: { type: 'fairCut', count } })
  }

  /** Hands out emissions as far as their bytes are here; true: all of the step's. */
  #emitOpen(): boolean {
    const open = this.#open!
    while (open.next < open.emissions.length) {
      const emission = open.emissions[open.next]!
      const block = this.#bytesOf(emission)
      if (block === undefined) return false
      const convicted = this.#sink.emit(emission, block, { step: open.step.round, jailed: this.#fair.jailed })
      for (let rest = convicted; rest !== 0; rest &= rest - 1) this.#fair.jail(31 - Math.clz32(rest & -rest))
      open.convicted |= convicted
      open.next++
      this.#settle(emission)
    }
    return true
  }

  #bytesOf(emission: Emission): Block | undefined {
    const known = this.table.named(emission)
    // A unit whose parents are lacking has its place all the same; an own one, from before the log was lost, is nowhere else.
    const block = known.block ?? this.graph.waitingBlock(emission)
    if (block !== undefined) return block
    if (!known.held) this.fetcher.want(emission, known.reporters)
    return undefined
  }

  #settle(emission: Emission): void {
    const known = this.table.find(emission)
    if (known === undefined) return
    this.table.settle(known)
    if (known.mine) this.context.submissions.settled(known.round)
  }

  #close(): void {
    const { step, convicted } = this.#open!
    this.#open = undefined
    const jailedBefore = this.committer.jailed
    const { collectRound } = this.committer.finish(convicted)
    const jailed = this.committer.jailed & ~jailedBefore
    if (jailed !== 0) this.#jailed(jailed)
    this.#expire(step.round - this.context.epoch.constants.voidRounds)
    if (collectRound > this.graph.collectedRound) this.#collect(collectRound)
    if (this.#sink.stepDone(step.round)) this.endStep = step.round
  }

  #jailed(authors: number): void {
    const { outbox, submissions, self } = this.context
    this.#swept |= authors
    for (let rest = authors; rest !== 0; rest &= rest - 1) {
      outbox.push({ type: 'alarm', what: { type: 'jailed', author: 31 - Math.clz32(rest & -rest) } })
    }
    if (this.committer.broken) outbox.push({ type: 'alarm', what: { type: 'tooManyJailed' } })
    if (((authors >>> self) & 1) === 0) return
    for (const id of submissions.abandon()) outbox.push({ type: 'refused', id, why: 'stopped' })
  }

  /** What jailed authors had that was not solid is void since the fair order's last step. */
  #sweep(): void {
    const authors = this.#swept
    this.#swept = 0
    this.table.eachOpen((known) => {
      if (((authors >>> known.author) & 1) === 1 && this.#fair.fate(known) === 'gone') this.#void(known)
    })
  }

  /** Units of this round that are not solid are void now. */
  #expire(round: number): void {
    if (round < 1) return
    for (const known of this.table.ofRound(round)) {
      if (!known.settled && this.#fair.fate(known) !== 'open') this.#void(known)
    }
    this.table.dropNames(round)
  }

  #void(known: Known): void {
    this.table.settle(known)
    if (known.mine) this.context.submissions.requeue(known.round)
  }

  #collect(round: number): void {
    const before = this.graph.collectedRound
    this.#accepted(this.graph.collect(round), arrivalOf(this.context))
    for (let lost = before + 1; lost <= round; lost++) {
      this.reports.lost(lost)
      this.context.submissions.requeue(lost)
    }
    this.table.unload(this.context.tunables.blockBytesInMemoryMax, round)
    const horizon = Math.min(round - SERVED_ROUNDS * this.context.epoch.constants.keepRounds, this.servedFrom)
    if (horizon > this.table.horizon) this.table.forget(horizon)
  }
}

/** Now, for something that was here before and counts from now on. */
function arrivalOf(context: EpochContext): number {
  return context.clock.wallUs
}
