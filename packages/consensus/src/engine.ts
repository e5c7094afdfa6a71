/**
 * The ordering engine of one node, as a pure machine: inputs in, effects out (consensus.md). It composes the parts: making
 * blocks, spreading them, deciding, fair order, the log and its checkpoints; and it leads from one epoch to the next.
 *
 *   frame ▶ verified ▶ graph accepts ▶ committer decides ▶ fair order ▶ positions ▶ emit
 *                            ▲                                             └▶ log tree ▶ checkpoint ▶ certificate
 *   submit ▶ own queue ▶ own block ▶ persist ▶ durable ▶ send                                            └▶ next epoch
 *
 * No clock, no randomness, no waiting: the host gives times, bytes and answers. The same inputs give the same effects.
 */
import { decodeFrame, encodeBlockFrame, type Frame } from './bytes/frames.ts'
import type { Reconfiguration } from './bytes/reconfiguration.ts'
import { Clock } from './core/clock.ts'
import type { NodeParts } from './core/context.ts'
import { Epochs } from './core/epochs.ts'
import { Journal } from './core/journal.ts'
import type { Plan } from './core/maker.ts'
import type { EngineOptions } from './core/options.ts'
import { OrderedOutput } from './core/ordered-output.ts'
import { Outbox } from './core/outbox.ts'
import { Random } from './core/random.ts'
import { RecordKind, submissionRecord } from './core/records.ts'
import { replay } from './core/replay.ts'
import { Sealing } from './core/sealing.ts'
import { type OwnMessage, Submissions } from './core/submissions.ts'
import { defaultTunables } from './core/tunables.ts'
import type { Effect, WalRecord } from './model/effect.ts'
import type { Input } from './model/input.ts'
import type { Mode, Status } from './model/status.ts'

export class Engine {
  readonly #node: NodeParts
  readonly #epochs: Epochs
  /** The status that the host was told last. */
  #told: Status | undefined
  /** A quorum was connected since the start: before that nobody knows how far the order is. */
  #met = false
  /** All that the current input leads to is that a signature is checked: what follows comes with the answer. */
  #onlyChecks = false
  /** Submissions to be told when a barrier is durable. */
  readonly #toKeep = new Map<number, number>()

  private constructor(options: EngineOptions) {
    const { genesis, publicKey, cryptography, seed, appliedPosition: applied, emitFrom } = options
    const tunables = { ...defaultTunables, ...options.tunables }
    const outbox = new Outbox()
    const submissions = new Submissions(tunables, genesis.constants)
    const clock = new Clock()
    this.#node = {
      options,
      tunables,
      clock,
      outbox,
      random: new Random(seed),
      submissions,
      output: new OrderedOutput(genesis, cryptography, outbox, { applied, emitFrom }),
      journal: new Journal(outbox, submissions),
      sealing: new Sealing(genesis, { publicKey, cryptography, submissions, clock }),
    }
    this.#epochs = new Epochs(this.#node)
  }

  /**
   * An engine that knows what its write-ahead log says. `records` are all that the log still holds, in order; they are gone
   * through twice. The first input must be `start`; what was emitted before the stop and is at or above `appliedPosition` is
   * emitted again then.
   */
  static open(options: EngineOptions, records: Iterable<WalRecord>): Engine {
    const engine = new Engine(options)
    const { outbox } = engine.#node
    outbox.replaying = true
    replay(engine.#node, engine.#epochs, records)
    outbox.replaying = false
    return engine
  }

  /** How the node stands now. */
  get status(): Status {
    const { agreement, checkpoints, context } = this.#epochs.run
    return {
      mode: this.#mode(),
      epoch: context.epoch.number,
      round: agreement.graph.quorumRound,
      nextStep: agreement.committer.nextStep,
      position: this.#node.output.next,
      consensusUs: agreement.state.fair.consensusUs,
      checkpointStep: checkpoints.newestStep,
      connected: context.peers.connected,
      jailed: agreement.committer.jailed,
      demoted: agreement.committer.demoted,
      fairCuts: agreement.fairCuts,
      fairLate: agreement.reports.late,
      queuedMessages: this.#node.submissions.queuedMessages,
      queuedBytes: this.#node.submissions.queuedBytes,
    }
  }

  /** The change of the book that ends this epoch, while it is ordered and the next one has not begun. */
  get ending(): Reconfiguration | undefined {
    return this.#epochs.run.ending
  }

  /** Takes one input; gives what is to be done for it, in order. */
  step(input: Input): readonly Effect[] {
    const leadsOn = this.#leadsOn(input)
    this.#onlyChecks = false
    this.#take(input)
    if (leadsOn && !this.#onlyChecks) {
      this.#arm(this.#work())
      this.#tellStatus()
    }
    return this.#node.outbox.take()
  }

  /**
   * Whether anything can follow from an input beyond taking it. What only changes the pace leads to nothing by itself: the timer
   * that is set comes early at worst. And where a message waits for the next block already, one more changes nothing.
   */
  #leadsOn(input: Input): boolean {
    if (input.type === 'submit') return this.#node.submissions.queuedMessages === 0
    return input.type !== 'cost' && input.type !== 'rtt'
  }

  #take(input: Input): void {
    switch (input.type) {
      case 'frame':
        this.#node.clock.observeArrival(input.arrivalUs)
        return this.#frame(input.from, input.bytes, input.arrivalUs)
      case 'cost':
        return this.#epochs.run.context.pacer.spent(input.cpuUs)
      case 'rtt':
        return this.#measured(input.peer, input.rttUs)
      default:
        this.#node.clock.observe(input.nowUs)
    }
    switch (input.type) {
      case 'start':
        return this.#epochs.start()
      case 'timer':
        return this.#node.outbox.timerCame()
      case 'verified':
        return this.#node.outbox.verified(input.handle, input.ok)
      case 'read':
        return this.#node.outbox.readDone(input.handle, input.bytes)
      case 'durable':
        return this.#durable(input.barrier)
      case 'submit':
        return this.#submit(input)
      case 'keep': {
        const { journal, submissions } = this.#node
        // While it is in doubt what this node had promised, a message may be given another number.
        const message = journal.inDoubt ? undefined : submissions.keep(input.id)
        if (message !== undefined) this.#keep(message)
        return
      }
      case 'link':
        this.#epochs.link(input.peer, input.up)
        this.#met ||= this.#epochs.run.stall.quorum
        return
      case 'applied':
        return this.#node.output.applied(input.position)
      case 'appState':
        return this.#epochs.run.checkpoints.appState(input.step, input.hashes)
    }
  }

  /** What follows from the input: steps, an own block, questions to peers. Gives when the next own block is due, if nothing comes. */
  #work(): number {
    if (this.#epochs.halted) return Number.POSITIVE_INFINITY
    this.#epochs.run.agreement.advance()
    this.#epochs.doubt()
    let need = this.#need
    let plan = this.#plan(need)
    if (plan !== undefined && plan.atUs <= this.#node.clock.nowUs) {
      const isMade = this.#epochs.run.agreement.maker.make(plan.round, need)
      need = this.#need
      // Without its parents it waits for whatever comes, and not for a time that is over.
      plan = isMade ? this.#plan(need) : undefined
    }
    const isBehind = this.#epochs.isBehind()
    this.#epochs.run.catchingUp.tick(need)
    this.#epochs.joining.tick(isBehind)
    const wasInDoubt = this.#node.journal.inDoubt
    this.#epochs.recollect(isBehind)
    this.#epochs.run.serving.tick()
    this.#epochs.before?.serving.tick()
    this.#epochs.run.agreement.fetcher.tick()
    this.#epochs.run.agreement.fetcher.flush()
    this.#epochs.run.stall.tick(this.#epochs.run.agreement.committer.nextStep, this.#node.submissions.openMessages > 0)
    if (wasInDoubt !== this.#node.journal.inDoubt || this.#need !== need) plan = this.#plan(this.#need)
    return plan?.atUs ?? Number.POSITIVE_INFINITY
  }

  /** Whether this node has something to say or to see through (section 5). */
  get #need(): boolean {
    return this.#epochs.run.need || this.#epochs.amnesia.need
  }

  #frame(from: number, bytes: Uint8Array, arrivalUs: number): void {
    const { context, agreement, checkpoints } = this.#epochs.run
    const decoded = decodeFrame(bytes, context.epoch.constants.blockBytesMax)
    if (!decoded.ok) return context.peers.misbehaved(from, decoded.problem, this.#node.clock.nowUs)
    const frame = decoded.value
    switch (frame.type) {
      case 'block':
        this.#onlyChecks = agreement.intake.receive(frame.bytes, from, arrivalUs) > 0
        return
      case 'blocks':
        return this.#blocks(from, frame, arrivalUs)
      case 'fetch':
        return this.#epochs.runOfNames(frame.names).serving.ask(from, frame)
      case 'range': {
        const run = this.#epochs.runOf(from)
        run.serving.ask(from, frame)
        // Who is in need may be without a log, and only learns from what others say whether it is new (`core/amnesia.ts`). What they
        // said when it entered the epoch may have come too early.
        run.catchingUp.tellAgain(from)
        return
      }
      case 'status':
        return this.#epochs.peerStatus(from, frame)
      case 'checkpointVote':
        return checkpoints.vote(from, frame.content, frame.signature)
      case 'certificateRequest':
        return this.#epochs.sendCertificate(from)
      case 'certificate':
        return this.#epochs.joining.certificate(from, frame)
      case 'snapshotRequest':
        return this.#epochs.sendChunk(from, frame.hash, frame.chunk)
      case 'snapshot':
        return this.#epochs.joining.chunk(from, frame)
      case 'ownLastRequest':
        return this.#epochs.amnesia.asked(from, frame.nonce)
      case 'ownLast':
        // Who is in a later epoch signs for that one.
        if (!this.#epochs.isBehind()) this.#epochs.amnesia.answered(from, frame, arrivalUs)
        return
      case 'ping':
      case 'pong':
        return
    }
  }

  /** An answer to FETCH or RANGE. */
  #blocks(from: number, frame: Extract<Frame, { type: 'blocks' }>, arrivalUs: number): void {
    const { request, last, entries } = frame
    const { agreement, catchingUp } = this.#epochs.run
    let highest = 0
    let news = 0
    for (const entry of entries) {
      if (entry.type === 'collected') agreement.fetcher.collected(entry, from)
      if (entry.type !== 'block') continue
      const round = agreement.intake.receive(entry.bytes, from, arrivalUs)
      if (round > 0) news++
      highest = Math.max(highest, round)
    }
    catchingUp.answered(from, { request, last, highest, news })
  }

  #measured(peer: number, rttUs: number): void {
    const { context, agreement } = this.#epochs.run
    context.peers.measured(peer, rttUs)
    context.pacer.farthestRttUs = context.peers.farthestRttUs(~agreement.committer.jailed)
  }

  #submit(input: Extract<Input, { type: 'submit' }>): void {
    const { id, kind, bytes, keep = false } = input
    if (!this.#mayMake()) return this.#node.outbox.push({ type: 'refused', id, why: 'stopped' })
    const { memory } = this.#node.journal
    // A number is promised for ever; what is not kept can be given another one.
    if (memory === 'lost' || (memory === 'perhaps' && (keep || this.#epochs.amnesia.isLost)))
      return this.#node.outbox.push({ type: 'refused', id, why: 'busy' })
    const message = this.#node.submissions.submit({ id, keep }, kind, bytes, this.#node.clock.stamp())
    if (typeof message === 'string') return this.#node.outbox.push({ type: 'refused', id, why: message })
    if (keep) this.#keep(message)
  }

  /** Writes a submission to the log by itself, whatever becomes of its block. */
  #keep(message: OwnMessage): void {
    const { outbox } = this.#node
    const barrier = outbox.persistThen([outbox.record(RecordKind.submission, submissionRecord(message))])
    this.#toKeep.set(barrier, message.id)
  }

  #durable(barrier: number): void {
    for (const [written, id] of this.#toKeep) {
      if (written > barrier) break
      this.#toKeep.delete(written)
      this.#node.outbox.push({ type: 'kept', id })
    }
    const { agreement } = this.#epochs.run
    this.#node.journal.durable(barrier)
    const block = agreement.maker.durable(barrier)
    if (block === undefined) return
    this.#node.outbox.send('all', encodeBlockFrame(block))
    agreement.ownDurable(block)
  }

  /** Whether this node is heard in this epoch, and knows no reason to be silent for ever. */
  #mayMake(): boolean {
    const { context, agreement } = this.#epochs.run
    if (this.#epochs.halted || context.self < 0 || agreement.committer.broken) return false
    return ((agreement.committer.jailed >>> context.self) & 1) === 0
  }

  /** The next own block, if this node may make one. */
  #plan(need: boolean): Plan | undefined {
    if (!this.#mayMake() || this.#node.output.unappliedBytes > this.#node.tunables.unappliedBytesMax) return undefined
    return this.#epochs.run.agreement.maker.plan(need)
  }

  /** One timer for whatever comes first; `blockUs`: the next own block. */
  #arm(blockUs: number): void {
    if (this.#epochs.halted) return
    const { agreement, catchingUp, serving, stall } = this.#epochs.run
    const deadline = Math.min(
      blockUs,
      agreement.fetcher.deadlineUs,
      catchingUp.deadlineUs,
      serving.deadlineUs,
      this.#epochs.before?.serving.deadlineUs ?? Number.POSITIVE_INFINITY,
      this.#epochs.joining.deadlineUs,
      this.#epochs.amnesia.deadlineUs,
      stall.deadlineUs,
    )
    if (deadline < Number.POSITIVE_INFINITY) this.#node.outbox.timerAt(deadline, this.#node.clock.wallUsOf(deadline))
  }

  #mode(): Mode {
    const { context, agreement, stall } = this.#epochs.run
    if (this.#epochs.halted || agreement.committer.broken) return 'halted'
    const { isLost, active } = this.#epochs.amnesia
    if (isLost && context.epoch.f === 0) return 'halted'
    if (context.self < 0 || isLost) return 'joining'
    if (this.#epochs.joining.active) return 'syncing'
    if (stall.stalled) return 'stalled'
    if (context.epoch.n === 1) return 'solo'
    return this.#met && !active ? 'active' : 'syncing'
  }

  /** Says how the node stands whenever what an operator looks at has changed. */
  #tellStatus(): void {
    const { context, agreement } = this.#epochs.run
    const told = this.#told
    if (
      told !== undefined &&
      told.mode === this.#mode() &&
      told.connected === context.peers.connected &&
      told.jailed === agreement.committer.jailed &&
      told.demoted === agreement.committer.demoted &&
      told.epoch === context.epoch.number
    ) {
      return
    }
    this.#told = this.status
    this.#node.outbox.push({ type: 'status', status: this.#told })
  }
}
