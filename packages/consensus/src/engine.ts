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
import { blockMessages, decodeBlock } from './bytes/block-codec.ts'
import { Domain } from './bytes/domain.ts'
import { decodeFrame, encodeBlockFrame, encodeFrame, type Frame, nonceBytes } from './bytes/frames.ts'
import { sameBytes } from './bytes/order.ts'
import { Writer } from './bytes/writer.ts'
import type { Agreement } from './core/agreement.ts'
import { Amnesia } from './core/amnesia.ts'
import type { Taken } from './core/checkpoints.ts'
import { Clock } from './core/clock.ts'
import type { EpochContext } from './core/context.ts'
import { LIST_CHUNK } from './core/download.ts'
import { EpochRun, type EpochSink } from './core/epoch-run.ts'
import { Joining, type Snapshot } from './core/joining.ts'
import { Journal } from './core/journal.ts'
import { MUTE, type Plan } from './core/maker.ts'
import { OrderedOutput } from './core/ordered-output.ts'
import { Outbox } from './core/outbox.ts'
import { Pacer } from './core/pacer.ts'
import { Peers } from './core/peers.ts'
import { Random } from './core/random.ts'
import {
  type CheckpointRecord,
  RecordKind,
  readBlockRecord,
  readCheckpointRecord,
  readDoubtRecord,
  readSeqRecord,
  readSubmissionRecord,
  submissionRecord,
} from './core/records.ts'
import { planReplay, type ReplayPlan } from './core/replay.ts'
import { type EpochState, freshState, readState } from './core/snapshot.ts'
import { Submissions } from './core/submissions.ts'
import { defaultTunables, type Tunables } from './core/tunables.ts'
import { type Certificate, certificateBytes, readCertificate } from './log/checkpoint.ts'
import { type EpochLink, epochLinkBytes, followLink, readEpochLink } from './log/epoch-chain.ts'
import type { Block, BlockName } from './model/block.ts'
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
  /** For choices among peers that do not matter to the order, and nonces: another one at every start. */
  readonly seed: number
  /** Positions below this one are kept by the application: need not be emitted again. */
  readonly appliedPosition: number
  /** The write-ahead log is lost or in doubt: the node may have made blocks that it no longer knows (section 11). */
  readonly amnesia: boolean
  readonly tunables?: Partial<Tunables>
}

export class Engine {
  readonly #options: EngineOptions
  readonly #tunables: Tunables
  readonly #clock = new Clock()
  readonly #outbox = new Outbox()
  readonly #random: Random
  /** Of this start. */
  readonly #nonce: Uint8Array
  readonly #submissions: Submissions
  readonly #output: OrderedOutput
  readonly #journal: Journal
  #run: EpochRun
  #joining: Joining
  #amnesia: Amnesia
  /** The epoch before, as long as peers may still need its blocks. */
  #before: EpochRun | undefined
  /** The epochs that peers are in, as they said last, by index. */
  #peerEpochs: number[] = []
  /** The status that the host was told last. */
  #told: Status | undefined
  /** The order is in doubt: nothing is made or decided any more. */
  #halted = false
  /** Submissions to be told when a barrier is durable. */
  readonly #toKeep = new Map<number, number>()

  private constructor(options: EngineOptions) {
    const { genesis, cryptography } = options
    this.#options = options
    this.#tunables = { ...defaultTunables, ...options.tunables }
    this.#random = new Random(options.seed)
    this.#submissions = new Submissions(this.#tunables, genesis.constants)
    this.#output = new OrderedOutput(genesis, cryptography, this.#outbox, options.appliedPosition)
    this.#journal = new Journal(this.#outbox, this.#submissions)
    this.#nonce = nonceOf(this.#random, cryptography)
    const context = this.#contextOf(genesis)
    this.#run = this.#runOf(context, freshState(genesis, context.domain, 0))
    this.#joining = this.#joiningOf(context)
    this.#amnesia = this.#amnesiaOf(context)
  }

  /**
   * An engine that knows what its write-ahead log says. `records` are all that the log still holds, in order; they are gone
   * through twice. The first input must be `start`; what was emitted before the stop and is at or above `appliedPosition` is
   * emitted again then.
   */
  static open(options: EngineOptions, records: Iterable<WalRecord>): Engine {
    const engine = new Engine(options)
    engine.#outbox.replaying = true
    engine.#replay(records)
    engine.#outbox.replaying = false
    return engine
  }

  /** How the node stands now. */
  get status(): Status {
    const { agreement, checkpoints, context } = this.#run
    return {
      mode: this.#mode(),
      epoch: context.epoch.number,
      round: agreement.graph.quorumRound,
      nextStep: agreement.committer.nextStep,
      position: this.#output.next,
      consensusUs: agreement.state.fair.consensusUs,
      checkpointStep: checkpoints.newestStep,
      connected: context.peers.connected,
      jailed: agreement.committer.jailed,
      demoted: agreement.committer.demoted,
      fairCuts: agreement.fairCuts,
      fairLate: agreement.reports.late,
      queuedMessages: this.#submissions.queuedMessages,
      queuedBytes: this.#submissions.queuedBytes,
    }
  }

  /** Takes one input; gives what is to be done for it, in order. */
  step(input: Input): readonly Effect[] {
    this.#take(input)
    this.#work()
    this.#tellStatus()
    this.#arm()
    return this.#outbox.take()
  }

  #take(input: Input): void {
    switch (input.type) {
      case 'frame':
        this.#clock.observe(input.arrivalUs)
        return this.#frame(input.from, input.bytes, input.arrivalUs)
      case 'cost':
        return this.#run.context.pacer.spent(input.cpuUs)
      case 'rtt':
        return this.#measured(input.peer, input.rttUs)
      default:
        this.#clock.observe(input.nowUs)
    }
    switch (input.type) {
      case 'start':
        return this.#start()
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
        return this.#run.checkpoints.appState(input.step, input.hashes)
    }
  }

  /** What follows from the input: steps, an own block, questions to peers. */
  #work(): void {
    if (this.#halted) return
    this.#run.agreement.advance()
    const plan = this.#plan()
    if (plan !== undefined && plan.atUs <= this.#clock.nowUs) this.#run.agreement.maker.make(plan.round, this.#need)
    const isBehind = this.#isBehind()
    this.#run.catchingUp.tick(this.#need)
    this.#joining.tick(isBehind)
    const round = this.#amnesia.tick(isBehind ? 0 : this.#run.context.peers.connected)
    if (round !== undefined) this.#remembered(round)
    this.#run.agreement.fetcher.tick()
    this.#run.agreement.fetcher.flush()
    this.#run.stall.tick(this.#run.agreement.committer.nextStep, this.#submissions.openMessages > 0)
  }

  /** Whether this node has something to say or to see through (section 5). */
  get #need(): boolean {
    return this.#run.need || this.#amnesia.need
  }

  #start(): void {
    const { context, agreement } = this.#run
    const { epoch } = context
    if (this.#options.amnesia || this.#journal.inDoubt) {
      this.#journal.doubt({ epoch: epoch.number, round: 0 })
      agreement.maker.roundMin = MUTE
      this.#amnesia = this.#amnesiaOf(context)
      this.#outbox.push({ type: 'alarm', what: { type: 'amnesia' } })
    }
    this.#tellEpoch()
  }

  /** Peers told enough about the blocks of before: from this round on, and with fresh numbers, this node is heard again. */
  #remembered(round: number): void {
    const { context, agreement } = this.#run
    this.#journal.doubt({ epoch: context.epoch.number, round })
    agreement.maker.roundMin = round
    const highest = this.#output.positions.highestSeq(context.self)
    this.#submissions.reserve(highest + 1 + 2 * context.epoch.constants.seqWindow)
  }

  #frame(from: number, bytes: Uint8Array, arrivalUs: number): void {
    const { context, agreement, checkpoints } = this.#run
    const decoded = decodeFrame(bytes, context.epoch.constants.blockBytesMax)
    if (!decoded.ok) return context.peers.misbehaved(from, decoded.problem, this.#clock.nowUs)
    const frame = decoded.value
    switch (frame.type) {
      case 'block':
        agreement.intake.receive(frame.bytes, from, arrivalUs)
        return
      case 'blocks':
        return this.#blocks(from, frame, arrivalUs)
      case 'fetch':
        return this.#runOfNames(frame.names).serving.ask(from, frame)
      case 'range':
        return (this.#isBefore(from) ? this.#before! : this.#run).serving.ask(from, frame)
      case 'status':
        return this.#peerStatus(from, frame)
      case 'checkpointVote':
        return checkpoints.vote(from, frame.content, frame.signature)
      case 'certificateRequest':
        return this.#sendCertificate(from)
      case 'certificate':
        return this.#joining.certificate(from, frame)
      case 'snapshotRequest':
        return this.#sendChunk(from, frame.hash, frame.chunk)
      case 'snapshot':
        return this.#joining.chunk(from, frame)
      case 'ownLastRequest':
        return this.#amnesia.asked(from, frame.nonce)
      case 'ownLast':
        // Who is in a later epoch signs for that one.
        if (!this.#isBehind()) this.#amnesia.answered(from, frame, arrivalUs)
        return
      case 'hello':
      case 'ping':
      case 'pong':
        return
    }
  }

  /** An answer to FETCH or RANGE. */
  #blocks(from: number, frame: Extract<Frame, { type: 'blocks' }>, arrivalUs: number): void {
    const { request, last, entries } = frame
    const { agreement, catchingUp } = this.#run
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

  #peerStatus(from: number, frame: Extract<Frame, { type: 'status' }>): void {
    this.#peerEpochs[from] = frame.epoch
    const { epoch } = this.#run.context
    if (frame.epoch === epoch.number) return this.#run.catchingUp.status(from, frame)
    if (frame.epoch > epoch.number) return
    this.#run.catchingUp.sendStatus(from)
    if (this.#isBefore(from)) this.#before!.catchingUp.status(from, frame)
  }

  /** Whether a peer is in the epoch before this one. */
  #isBefore(peer: number): boolean {
    return this.#before !== undefined && this.#peerEpochs[peer] === this.#before.context.epoch.number
  }

  /** Whose blocks these names are of: digests of epochs differ, so it is enough to look. */
  #runOfNames(names: readonly BlockName[]): EpochRun {
    const before = this.#before
    return before !== undefined && names.some((name) => before.agreement.table.find(name)?.held) ? before : this.#run
  }

  /** What this node lacks is not to be had block by block. */
  #isBehind(): boolean {
    const { context, catchingUp, agreement } = this.#run
    if (context.self < 0 || catchingUp.isBehind || agreement.fetcher.isCollected) return true
    return this.#peerEpochs.some((epoch, peer) => epoch > context.epoch.number && context.peers.isUp(peer))
  }

  #measured(peer: number, rttUs: number): void {
    const { context, agreement } = this.#run
    context.peers.measured(peer, rttUs)
    context.pacer.farthestRttUs = context.peers.farthestRttUs(~agreement.committer.jailed)
  }

  #link(peer: number, up: boolean): void {
    this.#run.context.peers.link(peer, up)
    if (up) {
      this.#run.catchingUp.sendStatus(peer)
      this.#run.checkpoints.sendVotes(peer)
    } else {
      this.#run.catchingUp.linkDown(peer)
      this.#before?.serving.drop(peer)
      this.#peerEpochs[peer] = 0
    }
  }

  #submit(input: Extract<Input, { type: 'submit' }>): void {
    const { id, kind, bytes, keep = false } = input
    if (!this.#mayMake()) return this.#outbox.push({ type: 'refused', id, why: 'stopped' })
    if (this.#journal.inDoubt) return this.#outbox.push({ type: 'refused', id, why: 'busy' })
    const message = this.#submissions.submit({ id, keep }, kind, bytes, this.#clock.stamp())
    if (typeof message === 'string') return this.#outbox.push({ type: 'refused', id, why: message })
    if (!keep) return
    const barrier = this.#outbox.persistThen([this.#outbox.record(RecordKind.submission, submissionRecord(message))])
    this.#toKeep.set(barrier, id)
  }

  #durable(barrier: number): void {
    for (const [written, id] of this.#toKeep) {
      if (written > barrier) break
      this.#toKeep.delete(written)
      this.#outbox.push({ type: 'kept', id })
    }
    const { agreement } = this.#run
    this.#journal.durable(barrier)
    const block = agreement.maker.durable(barrier)
    if (block === undefined) return
    this.#outbox.send('all', encodeBlockFrame(block))
    agreement.ownDurable(block)
  }

  /** Whether this node is heard in this epoch, and knows no reason to be silent for ever. */
  #mayMake(): boolean {
    const { context, agreement } = this.#run
    if (this.#halted || context.self < 0 || agreement.committer.broken) return false
    return ((agreement.committer.jailed >>> context.self) & 1) === 0
  }

  /** The next own block, if this node may make one. */
  #plan(): Plan | undefined {
    if (!this.#mayMake() || this.#output.unappliedBytes > this.#tunables.unappliedBytesMax) return undefined
    return this.#run.agreement.maker.plan(this.#need)
  }

  /** One timer for whatever comes first. */
  #arm(): void {
    if (this.#halted) return
    const { agreement, catchingUp, stall } = this.#run
    const deadline = Math.min(
      this.#plan()?.atUs ?? Number.POSITIVE_INFINITY,
      agreement.fetcher.deadlineUs,
      catchingUp.deadlineUs,
      this.#joining.deadlineUs,
      this.#amnesia.deadlineUs,
      stall.deadlineUs,
    )
    if (deadline < Number.POSITIVE_INFINITY) this.#outbox.timerAt(deadline, this.#clock.wallUsOf(deadline))
  }

  #mode(): Mode {
    const { context, agreement, stall } = this.#run
    if (this.#halted || agreement.committer.broken) return 'halted'
    if (this.#journal.inDoubt && context.epoch.f === 0) return 'halted'
    if (context.self < 0 || this.#journal.inDoubt) return 'joining'
    if (this.#joining.active) return 'syncing'
    if (stall.stalled) return 'stalled'
    return context.epoch.n === 1 ? 'solo' : 'active'
  }

  /** Says how the node stands whenever what an operator looks at has changed. */
  #tellStatus(): void {
    const { context, agreement } = this.#run
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
    this.#outbox.push({ type: 'status', status: this.#told })
  }

  /** The newest certificate, and the chain that leads to its epoch. */
  #sendCertificate(to: number): void {
    const { certificate, links } = this.#journal
    if (certificate === undefined) return
    this.#outbox.send(to, encodeFrame({ type: 'certificate', certificate, chain: links }))
  }

  #sendChunk(to: number, hash: Uint8Array, chunk: number): void {
    const found = this.#run.checkpoints.find(hash) ?? this.#before?.checkpoints.find(hash)
    const answer = (bytes: Uint8Array | undefined): void => {
      this.#outbox.send(to, encodeFrame({ type: 'snapshot', hash, chunk, bytes: bytes ?? new Uint8Array(0) }))
    }
    if (found === undefined) return answer(undefined)
    const { taken, of } = found
    if (chunk === LIST_CHUNK) return answer(of === 'engine' ? taken.engine.hashes : taken.appHashes)
    if (of === 'engine') return answer(taken.engine.chunks[chunk - 1])
    this.#outbox.read({ type: 'appChunk', step: taken.step, chunk: chunk - 1 }, answer)
  }

  /** A certified change of the book: the next epoch begins, and the one before is only served. */
  #enter(link: EpochLink): void {
    const { cryptography } = this.#options
    const followed = followLink(this.#run.context.epoch, link, (bytes) => cryptography.sha256(bytes))
    if (!followed.ok) return this.#halt(link.certificate.checkpoint.step)
    const { next } = followed.value
    const { consensusUs } = this.#run.agreement.state.fair
    this.#run.agreement.maker.flush()
    this.#journal.epoch(epochLinkBytes(link))
    this.#before = this.#run
    this.#submissions.enter(next.constants)
    this.#output.enter(next)
    const context = this.#contextOf(next)
    this.#begin(context, freshState(next, context.domain, consensusUs))
  }

  #tellEpoch(): void {
    const { epoch, self } = this.#run.context
    const links = this.#journal.links.slice()
    this.#outbox.push({ type: 'epoch', epoch, self: self < 0 ? undefined : self, links })
  }

  /** Another epoch, or the same from a snapshot. */
  #begin(context: EpochContext, state: EpochState): void {
    const { epoch, self } = context
    const isNext = epoch !== this.#run.context.epoch
    this.#run = this.#runOf(context, state)
    this.#joining = this.#joiningOf(context)
    this.#amnesia = this.#amnesiaOf(context)
    if (this.#journal.inDoubt) this.#run.agreement.maker.roundMin = MUTE
    if (!isNext) return this.#run.catchingUp.sendStatus('all')
    this.#peerEpochs = []
    if (!this.#outbox.replaying) this.#tellEpoch()
    if (self < 0)
      for (const id of this.#submissions.abandon()) this.#outbox.push({ type: 'refused', id, why: 'stopped' })
  }

  /** In place of all that was decided here: a snapshot that a quorum vouches for. */
  #install(snapshot: Snapshot): void {
    const { certificate, epoch, links, state: bytes } = snapshot
    const { step, logSize } = certificate.checkpoint
    const before = this.#run.agreement
    const same = epoch.number === this.#run.context.epoch.number
    const context = same ? this.#run.context : this.#contextOf(epoch)
    for (const link of links) {
      if (link.certificate.checkpoint.epoch < epoch.number) this.#journal.epoch(epochLinkBytes(link))
    }
    this.#output.enter(epoch)
    const state = readState(bytes, epoch, context.domain, this.#output)
    if (state === undefined) return this.#halt(step)
    this.#submissions.enter(epoch.constants)
    const { consensusUs } = state.fair
    this.#output.installed(logSize)
    this.#outbox.push({ type: 'install', step, position: logSize, consensusUs })
    this.#before = undefined
    this.#begin(context, state)
    const { maker } = this.#run.agreement
    if (same) this.#carryOver(before)
    this.#tellPlacedBefore(logSize, consensusUs)
    const end = links.find((link) => sameBytes(link.certificate.content, certificate.content))
    const ending = end && { number: epoch.number + 1, nodes: end.nodes, constants: end.constants, signatures: [] }
    this.#journal.checkpoint({ epoch: epoch.number, step, position: logSize, ...maker.used, ending, state: bytes })
    this.#run.checkpoints.adopt(certificate)
    if (end !== undefined) this.#enter(end)
  }

  /** Blocks that were here before a snapshot of the same epoch came, as far as they are above it. */
  #carryOver(before: Agreement): void {
    const { agreement } = this.#run
    this.#submissions.requeueAll()
    agreement.maker.resume(before.maker.used)
    for (let round = agreement.graph.collectedRound + 1; round <= before.table.roundMax; round++) {
      for (const { block, arrivalUs, mark } of before.table.ofRound(round)) {
        if (block !== undefined) agreement.restore(block, arrivalUs, mark)
      }
    }
  }

  /** Own messages whose places are within an installed snapshot: which ones nobody here knows, except that they are below. */
  #tellPlacedBefore(position: number, consensusUs: number): void {
    const { self } = this.#run.context
    if (self < 0) return
    for (const seq of this.#submissions.openSeqs()) {
      if (!this.#output.positions.has(self, seq)) continue
      const id = this.#submissions.placed(seq)
      if (id !== undefined) this.#outbox.push({ type: 'placed', id, position: position - 1, consensusUs })
    }
  }

  #halt(step: number): void {
    this.#halted = true
    this.#outbox.push({ type: 'alarm', what: { type: 'divergence', step } })
  }

  /** Begins where the log allows it, and tells again what is behind that. */
  #replay(records: Iterable<WalRecord>): void {
    const { isBroken, base, links } = planReplay(records, this.#options.appliedPosition)
    if (isBroken) this.#journal.inDoubt = true
    if (base !== undefined) this.#resume(base, links)
    for (const record of records) {
      this.#outbox.usedMark(record.mark)
      if (!isBroken) this.#replayRecord(record)
    }
    this.#run.agreement.reports.resume()
  }

  #resume(base: CheckpointRecord, links: ReplayPlan['links']): void {
    const { genesis, cryptography } = this.#options
    let epoch = genesis
    for (const { link, bytes } of links) {
      const followed = followLink(epoch, link, (content) => cryptography.sha256(content))
      if (!followed.ok) return this.#halt(base.step)
      epoch = followed.value.next
      this.#journal.links.push(bytes)
    }
    const context = epoch === genesis ? this.#run.context : this.#contextOf(epoch)
    this.#output.enter(epoch)
    const state = readState(base.state, epoch, context.domain, this.#output)
    if (state === undefined) return this.#halt(base.step)
    this.#submissions.enter(epoch.constants)
    this.#begin(context, state)
    this.#run.agreement.maker.resume(base)
    const { step, position } = this.#run.resumeAt(base)
    if (position === this.#options.appliedPosition) this.#outbox.push({ type: 'checkpoint', step, position })
  }

  #replayRecord({ kind, mark, bytes }: WalRecord): void {
    switch (kind) {
      case RecordKind.block:
      case RecordKind.own:
        return this.#replayBlock(bytes, mark)
      case RecordKind.seq:
        return this.#submissions.reserve(readSeqRecord(bytes))
      case RecordKind.submission:
        return this.#submissions.restoreMessage(readSubmissionRecord(bytes))
      case RecordKind.checkpoint: {
        const { position, since } = readCheckpointRecord(bytes)
        return this.#journal.restored(position, since)
      }
      case RecordKind.certificate: {
        const certificate = readCertificate(bytes)
        if (certificate?.checkpoint.epoch === this.#run.context.epoch.number) this.#run.checkpoints.adopt(certificate)
        return
      }
      case RecordKind.doubt: {
        const { epoch, round } = readDoubtRecord(bytes)
        this.#journal.inDoubt = round === 0
        if (epoch === this.#run.context.epoch.number) {
          this.#run.agreement.maker.resume({ last: 0, lastTsUs: 0, roundMin: round })
        }
        return
      }
      case RecordKind.epoch: {
        const link = readEpochLink(bytes)
        if (link?.certificate.checkpoint.epoch === this.#run.context.epoch.number) this.#enter(link)
      }
    }
  }

  #replayBlock(bytes: Uint8Array, mark: number): void {
    const { context, agreement } = this.#run
    const { arrivalUs, block: encoded } = readBlockRecord(bytes)
    const decoded = decodeBlock(encoded, context.epoch, context.domain)
    if (!decoded.ok) return
    const block = decoded.value
    agreement.restore(block, arrivalUs, mark)
    if (block.author === context.self && agreement.table.find(block)?.settled === true) this.#restoreUnplaced(block)
    agreement.advance()
  }

  /** An own block that will not be ordered any more: what of it never got a place is queued again. */
  #restoreUnplaced(block: Block): void {
    for (const message of blockMessages(block)) {
      if (!this.#output.positions.has(block.author, message.seq)) this.#submissions.restoreMessage(message)
    }
  }

  #contextOf(epoch: Epoch): EpochContext {
    const { publicKey, cryptography } = this.#options
    const self = epoch.nodes.findIndex((node) => sameBytes(node.publicKey, publicKey))
    return {
      epoch,
      self,
      domain: new Domain(epoch.hash, cryptography),
      clock: this.#clock,
      outbox: this.#outbox,
      peers: new Peers(self, epoch.n, this.#outbox),
      pacer: new Pacer(this.#tunables, epoch.constants.reportAgeRounds),
      random: this.#random,
      submissions: this.#submissions,
      tunables: this.#tunables,
      cryptography,
    }
  }

  #runOf(context: EpochContext, state: EpochState): EpochRun {
    const sink: EpochSink = {
      placed: (messages) => this.#tellPlaced(messages),
      checkpointed: (run, taken) => this.#checkpointed(run, taken),
      certified: (run, certificate) => this.#certified(run, certificate),
      diverged: (step) => this.#halt(step),
    }
    return new EpochRun(context, state, this.#output, sink)
  }

  #amnesiaOf(context: EpochContext): Amnesia {
    return new Amnesia(context, this.#run.agreement, { active: this.#journal.inDoubt, nonce: this.#nonce })
  }

  #joiningOf(context: EpochContext): Joining {
    return new Joining(context, {
      isAtEnd: () => this.#run.agreement.endStep !== undefined,
      nextStep: () => this.#run.agreement.committer.nextStep,
      enter: (link) => this.#enter(link),
      install: (snapshot) => this.#install(snapshot),
    })
  }

  #tellPlaced(messages: readonly OrderedMessage[]): void {
    for (const { seq, position, consensusUs } of messages) {
      const id = this.#submissions.placed(seq)
      if (id !== undefined) this.#outbox.push({ type: 'placed', id, position, consensusUs })
    }
  }

  #checkpointed(run: EpochRun, { step, position, state }: Taken): void {
    if (position >= this.#options.appliedPosition) this.#outbox.push({ type: 'checkpoint', step, position })
    if (this.#outbox.replaying) return
    const epoch = run.context.epoch.number
    const { ending } = run
    this.#journal.checkpoint({ epoch, step, position, ...run.agreement.maker.used, ending, state })
  }

  #certified(run: EpochRun, certificate: Certificate): void {
    const { agreement, checkpoints, context, ending } = run
    this.#journal.certified(certificateBytes(certificate))
    agreement.servedFrom = checkpoints.secondStep - context.epoch.constants.keepRounds
    this.#journal.forget(this.#output.appliedPosition, agreement.table.markMin() ?? Number.POSITIVE_INFINITY)
    if (run !== this.#run) return
    if (ending !== undefined && certificate.checkpoint.step === agreement.endStep) {
      this.#enter({ certificate, nodes: ending.nodes, constants: ending.constants })
    } else this.#before = undefined
  }
}

/** Nobody else's, and another one at every start. */
function nonceOf(random: Random, cryptography: Cryptography): Uint8Array {
  const writer = new Writer(nonceBytes)
  for (let i = 0; i < nonceBytes / 4; i++) writer.u32(random.below(0x1_0000_0000))
  return cryptography.sha256(writer.view()).slice(0, nonceBytes)
}
