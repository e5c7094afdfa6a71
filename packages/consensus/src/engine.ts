/**
 * The ordering engine of one node, as a pure machine: inputs in, effects out (consensus.md). It composes the parts: making
 * blocks, spreading them, deciding, fair order, the log and its checkpoints.
 *
 *   frame ▶ verified ▶ graph accepts ▶ committer decides ▶ fair order ▶ positions ▶ emit
 *                            ▲                                             └▶ log tree ▶ checkpoint
 *   submit ▶ own queue ▶ own block ▶ persist ▶ durable ▶ send
 *
 * No clock, no randomness, no waiting: the host gives times, bytes and answers. The same inputs give the same effects.
 */
import { decodeBlock } from './bytes/block-codec.ts'
import { Domain } from './bytes/domain.ts'
import { decodeFrame, encodeBlockFrame, type Frame } from './bytes/frames.ts'
import { Agreement, type EmissionSink } from './core/agreement.ts'
import { CatchingUp } from './core/catching-up.ts'
import { Clock } from './core/clock.ts'
import type { EpochContext } from './core/context.ts'
import { control } from './core/control.ts'
import type { Plan } from './core/maker.ts'
import { OrderedOutput } from './core/ordered-output.ts'
import { Outbox } from './core/outbox.ts'
import { Pacer } from './core/pacer.ts'
import { Peers } from './core/peers.ts'
import { Random } from './core/random.ts'
import { RecordKind, readBlockRecord, readSeqRecord, readSubmissionRecord, submissionRecord } from './core/records.ts'
import { Serving } from './core/serving.ts'
import { Stall } from './core/stall.ts'
import { Submissions } from './core/submissions.ts'
import { defaultTunables, type Tunables } from './core/tunables.ts'
import type { Block } from './model/block.ts'
import type { Cryptography } from './model/cryptography.ts'
import type { Effect, OrderedMessage, WalRecord } from './model/effect.ts'
import type { Epoch } from './model/epoch.ts'
import type { Input } from './model/input.ts'
import type { Mode, Status } from './model/status.ts'

export interface EngineOptions {
  /** The network's first epoch, which the operator trusts. Later ones come from the write-ahead log or from peers, proven. */
  readonly genesis: Epoch
  /** This node's key; its index in a book follows from it. */
  readonly publicKey: Uint8Array
  readonly cryptography: Cryptography
  /** For choices among peers that do not matter to the order. */
  readonly seed: number
  /** Positions below this one are kept by the application: need not be emitted again. */
  readonly appliedPosition: number
  /** The write-ahead log is lost or in doubt: the node may have made blocks that it no longer knows (section 11). */
  readonly amnesia: boolean
  readonly tunables?: Partial<Tunables>
}

export class Engine {
  readonly #tunables: Tunables
  readonly #clock = new Clock()
  readonly #outbox = new Outbox()
  readonly #submissions: Submissions
  readonly #output: OrderedOutput
  #agreement: Agreement
  #serving: Serving
  #catchingUp: CatchingUp
  #stall: Stall
  /** The status that the host was told last. */
  #told: Status
  /** The order is in doubt: nothing is made or decided any more. */
  #halted = false
  /** Submissions to be told when a barrier is durable. */
  readonly #toKeep = new Map<number, number>()

  private constructor(options: EngineOptions) {
    const { genesis, cryptography } = options
    this.#tunables = { ...defaultTunables, ...options.tunables }
    this.#submissions = new Submissions(this.#tunables, genesis.constants)
    this.#output = new OrderedOutput(genesis, cryptography, this.#outbox, options.appliedPosition)
    this.#agreement = new Agreement(this.#contextOf(genesis, options), this.#sink(), 0)
    const { graph, table } = this.#agreement
    this.#serving = new Serving(this.#outbox, table, (name) => graph.waitingBlock(name))
    this.#catchingUp = new CatchingUp(this.#agreement, this.#serving, () => 0)
    this.#stall = new Stall(this.#agreement.context)
    this.#told = this.status
  }

  /**
   * An engine that knows what its write-ahead log says; `records` are all that the log still holds, in order. The first input
   * must be `start`; what was emitted before the stop and is at or above `appliedPosition` is emitted again then.
   */
  static open(options: EngineOptions, records: Iterable<WalRecord>): Engine {
    const engine = new Engine(options)
    engine.#replay(records)
    return engine
  }

  /** How the node stands now. */
  get status(): Status {
    const { graph, committer, context } = this.#agreement
    return {
      mode: this.#mode(),
      epoch: context.epoch.number,
      round: graph.quorumRound,
      nextStep: committer.nextStep,
      position: this.#output.next,
      consensusUs: this.#agreement.consensusUs,
      checkpointStep: 0,
      connected: context.peers.connected,
      jailed: committer.jailed,
      demoted: committer.demoted,
      fairCuts: this.#agreement.fairCuts,
      fairLate: this.#agreement.reports.late,
      queuedMessages: this.#submissions.queuedMessages,
      queuedBytes: this.#submissions.queuedBytes,
    }
  }

  #mode(): Mode {
    if (this.#halted || this.#agreement.committer.broken) return 'halted'
    if (this.#stall.stalled) return 'stalled'
    return this.#agreement.context.epoch.n === 1 ? 'solo' : 'active'
  }

  /** Takes one input; gives what is to be done for it, in order. */
  step(input: Input): readonly Effect[] {
    this.#take(input)
    this.#agreement.advance()
    this.#make()
    this.#catchingUp.tick(this.#agreement.need)
    this.#agreement.fetcher.tick()
    this.#agreement.fetcher.flush()
    this.#stall.tick(this.#agreement.committer.nextStep, this.#submissions.openMessages > 0)
    this.#tellStatus()
    this.#arm()
    return this.#outbox.take()
  }

  /** Says how the node stands whenever what an operator looks at has changed. */
  #tellStatus(): void {
    const { context, committer } = this.#agreement
    const mode = this.#mode()
    const told = this.#told
    if (
      told.mode === mode &&
      told.connected === context.peers.connected &&
      told.jailed === committer.jailed &&
      told.demoted === committer.demoted &&
      told.epoch === context.epoch.number
    ) {
      return
    }
    this.#told = this.status
    this.#outbox.push({ type: 'status', status: this.#told })
  }

  #take(input: Input): void {
    switch (input.type) {
      case 'frame':
        this.#clock.observe(input.arrivalUs)
        return this.#frame(input.from, input.bytes, input.arrivalUs)
      case 'cost':
        return this.#agreement.context.pacer.spent(input.cpuUs)
      case 'rtt':
        return this.#measured(input.peer, input.rttUs)
      default:
        this.#clock.observe(input.nowUs)
    }
    switch (input.type) {
      case 'start':
        return
      case 'timer':
        return this.#outbox.timerCame()
      case 'verified':
        return this.#outbox.verified(input.handle, input.ok)
      case 'read':
        return this.#outbox.readDone(input.handle, input.bytes)
      case 'durable':
        return this.#durable(input.barrier)
      case 'submit':
        return this.#submit(input)
      case 'link':
        return this.#link(input.peer, input.up)
      case 'applied':
        return this.#output.applied(input.position)
      case 'appState':
        return
    }
  }

  #frame(from: number, bytes: Uint8Array, arrivalUs: number): void {
    const { context, intake } = this.#agreement
    const decoded = decodeFrame(bytes, context.epoch.constants.blockBytesMax)
    if (!decoded.ok) return context.peers.misbehaved(from, decoded.problem, this.#clock.nowUs)
    const frame = decoded.value
    switch (frame.type) {
      case 'block':
        intake.receive(frame.bytes, from, arrivalUs)
        return
      case 'blocks':
        return this.#blocks(from, frame, arrivalUs)
      case 'fetch':
      case 'range':
        return this.#serving.ask(from, frame)
      case 'status':
        return this.#catchingUp.status(from, frame)
      default:
        return
    }
  }

  /** An answer to FETCH or RANGE. */
  #blocks(from: number, frame: Extract<Frame, { type: 'blocks' }>, arrivalUs: number): void {
    const { request, last, entries } = frame
    let highest = 0
    let news = 0
    for (const entry of entries) {
      if (entry.type !== 'block') continue
      const round = this.#agreement.intake.receive(entry.bytes, from, arrivalUs)
      if (round > 0) news++
      highest = Math.max(highest, round)
    }
    this.#catchingUp.answered(from, { request, last, highest, news })
  }

  #measured(peer: number, rttUs: number): void {
    const { context, committer } = this.#agreement
    context.peers.measured(peer, rttUs)
    context.pacer.farthestRttUs = context.peers.farthestRttUs(~committer.jailed)
  }

  #link(peer: number, up: boolean): void {
    this.#agreement.context.peers.link(peer, up)
    if (up) this.#catchingUp.sendStatus(peer)
    else this.#catchingUp.linkDown(peer)
  }

  #submit(input: Extract<Input, { type: 'submit' }>): void {
    const { id, kind, bytes, keep } = input
    const message = this.#submissions.submit(id, kind, bytes, this.#clock.stamp())
    if (typeof message === 'string') return this.#outbox.push({ type: 'refused', id, why: message })
    if (keep !== true) return
    const barrier = this.#outbox.persistThen([this.#outbox.record(RecordKind.submission, submissionRecord(message))])
    this.#toKeep.set(barrier, id)
  }

  #durable(barrier: number): void {
    for (const [written, id] of this.#toKeep) {
      if (written > barrier) break
      this.#toKeep.delete(written)
      this.#outbox.push({ type: 'kept', id })
    }
    const block = this.#agreement.maker.durable(barrier)
    if (block === undefined) return
    this.#outbox.send('all', encodeBlockFrame(block))
    this.#agreement.ownDurable(block)
  }

  /** The next own block, if this node may make one. */
  #plan(): Plan | undefined {
    const { maker, need, committer } = this.#agreement
    if (this.#halted || committer.broken) return undefined
    if (this.#output.unappliedBytes > this.#tunables.unappliedBytesMax) return undefined
    return maker.plan(need)
  }

  /** Makes the next own block, if it is time. */
  #make(): void {
    const { maker, need } = this.#agreement
    const plan = this.#plan()
    if (plan !== undefined && plan.atUs <= this.#clock.nowUs) maker.make(plan.round, need)
  }

  /** One timer for whatever comes first. */
  #arm(): void {
    const { fetcher } = this.#agreement
    const makeAtUs = this.#plan()?.atUs ?? Number.POSITIVE_INFINITY
    const deadline = Math.min(makeAtUs, fetcher.deadlineUs, this.#catchingUp.deadlineUs, this.#stall.deadlineUs)
    if (deadline < Number.POSITIVE_INFINITY) this.#outbox.timerAt(deadline, this.#clock.wallUsOf(deadline))
  }

  #replay(records: Iterable<WalRecord>): void {
    this.#outbox.replaying = true
    for (const record of records) {
      this.#outbox.usedMark(record.mark)
      this.#replayRecord(record)
    }
    this.#agreement.reports.resume()
    this.#outbox.replaying = false
  }

  #replayRecord({ kind, mark, bytes }: WalRecord): void {
    switch (kind) {
      case RecordKind.block:
      case RecordKind.own: {
        const { arrivalUs, block } = readBlockRecord(bytes)
        const { epoch, domain } = this.#agreement.context
        const decoded = decodeBlock(block, epoch, domain)
        if (decoded.ok) this.#replayBlock(decoded.value, arrivalUs, mark)
        return
      }
      case RecordKind.seq:
        return this.#submissions.reserve(readSeqRecord(bytes))
      case RecordKind.submission:
        return this.#submissions.restoreMessage(readSubmissionRecord(bytes))
    }
  }

  #replayBlock(block: Block, arrivalUs: number, mark: number): void {
    this.#agreement.restore(block, arrivalUs, mark)
    this.#agreement.advance()
  }

  #contextOf(epoch: Epoch, options: EngineOptions): EpochContext {
    const self = epoch.nodes.findIndex((node) => node.publicKey.every((byte, i) => byte === options.publicKey[i]))
    return {
      epoch,
      self,
      domain: new Domain(epoch.hash, options.cryptography),
      clock: this.#clock,
      outbox: this.#outbox,
      peers: new Peers(self, epoch.n, this.#outbox),
      pacer: new Pacer(this.#tunables, epoch.constants.reportAgeRounds),
      random: new Random(options.seed),
      submissions: this.#submissions,
      tunables: this.#tunables,
      cryptography: options.cryptography,
    }
  }

  #tellPlaced(messages: readonly OrderedMessage[]): void {
    for (const { seq, position, consensusUs } of messages) {
      const id = this.#submissions.placed(seq)
      if (id !== undefined) this.#outbox.push({ type: 'placed', id, position, consensusUs })
    }
  }

  #sink(): EmissionSink {
    return {
      emit: (emission, block, at) => {
        const messages = this.#output.place(emission, block, at)
        if (emission.author === this.#agreement.context.self) this.#tellPlaced(messages)
        return control(this.#agreement.context, messages, at.jailed).convicted
      },
      linearised: (authors) => {
        this.#output.linearised |= authors
      },
      stepDone: () => false,
    }
  }
}
