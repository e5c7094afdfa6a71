/**
 * The epochs of one node (consensus.md sections 11 and 13): the one that runs, the one before as long as peers need its blocks, and
 * the ways from one to another: a certified change of the book, a snapshot, a restart.
 *
 *   run ─ end certified ─▶ enter ─▶ run of the next epoch          before ─ served until the next certificate
 *    └── too far behind ─▶ install ─▶ run behind a snapshot
 */
import { Domain } from '../bytes/domain.ts'
import { encodeFrame, type Frame, nonceBytes } from '../bytes/frames.ts'
import { sameBytes } from '../bytes/order.ts'
import { Writer } from '../bytes/writer.ts'
import { type Certificate, certificateBytes } from '../log/checkpoint.ts'
import { type EpochLink, epochLinkBytes, followLink, keysOfLinks } from '../log/epoch-chain.ts'
import type { BlockName } from '../model/block.ts'
import type { Cryptography } from '../model/cryptography.ts'
import type { OrderedMessage } from '../model/effect.ts'
import type { Epoch } from '../model/epoch.ts'
import type { Agreement } from './agreement.ts'
import { Amnesia } from './amnesia.ts'
import type { Taken } from './checkpoints.ts'
import type { EpochContext, NodeParts } from './context.ts'
import { LIST_CHUNK } from './download.ts'
import { EpochRun, type EpochSink } from './epoch-run.ts'
import { Joining, type Snapshot } from './joining.ts'
import { MUTE } from './maker.ts'
import { Pacer } from './pacer.ts'
import { Peers } from './peers.ts'
import type { Random } from './random.ts'
import { type CheckpointRecord, perhapsLost } from './records.ts'
import { type EpochState, freshState, readState } from './snapshot.ts'

/** A link between epochs as it stands in the write-ahead log. */
export interface WrittenLink {
  readonly link: EpochLink
  readonly bytes: Uint8Array
}

export class Epochs {
  /** The epoch that runs. */
  run: EpochRun
  joining: Joining
  amnesia: Amnesia
  /** The epoch before, as long as peers may still need its blocks. */
  before: EpochRun | undefined
  /** The order is in doubt: nothing is made or decided any more. */
  halted = false
  readonly #node: NodeParts
  /** The epochs that peers are in, as they said last, by index. */
  #peerEpochs: number[] = []
  /** Of this start. */
  readonly #nonce: Uint8Array

  constructor(node: NodeParts) {
    const { genesis, cryptography } = node.options
    this.#node = node
    this.#nonce = nonceOf(node.random, cryptography)
    const context = this.#contextOf(genesis)
    this.run = this.#runOf(context, freshState(genesis, context.domain, 0))
    this.joining = this.#joiningOf(context)
    this.amnesia = this.#amnesiaOf(context)
  }

  /** A peer's link came up, or went down. */
  link(peer: number, up: boolean): void {
    this.run.context.peers.link(peer, up)
    if (up) {
      this.run.catchingUp.sendStatus(peer)
      this.run.checkpoints.sendVotes(peer)
    } else {
      this.run.catchingUp.linkDown(peer)
      this.before?.serving.drop(peer)
      this.#peerEpochs[peer] = 0
    }
  }

  /** The node runs. What it does not know about its own blocks it has to find out first. */
  start(): void {
    const { context, agreement } = this.run
    const { epoch } = context
    const { journal } = this.#node
    const { amnesia } = this.#node.options
    if (amnesia === true) journal.memory = 'lost'
    else if (amnesia === 'unlessNew' && !journal.inDoubt) journal.memory = 'perhaps'
    if (journal.inDoubt) {
      journal.doubt({ epoch: epoch.number, round: journal.memory === 'lost' ? 0 : perhapsLost })
      agreement.maker.roundMin = MUTE
      this.amnesia = this.#amnesiaOf(context)
      if (journal.memory === 'lost') this.#node.outbox.push({ type: 'alarm', what: { type: 'amnesia' } })
    }
    this.#tellEpoch()
    if (!this.#node.journal.inDoubt) this.#node.sealing.giveShares()
  }

  /** From which round on blocks may be made, when that was in doubt and is known now. */
  recollect(isBehind: boolean): void {
    const { context, catchingUp } = this.run
    const wasLost = this.amnesia.isLost
    const round = this.amnesia.tick(isBehind ? 0 : context.peers.connected, catchingUp.statuses)
    if (this.amnesia.isLost && !wasLost) this.#node.outbox.push({ type: 'alarm', what: { type: 'amnesia' } })
    if (round !== undefined) this.#remembered(round)
  }

  /** If a peer had a block of this node that it does not know, its log is not all that it ever had. Before any block is made. */
  doubt(): void {
    const { context, agreement } = this.run
    const { forgottenRound, maker } = agreement
    if (this.amnesia.active || forgottenRound <= maker.last || forgottenRound < maker.roundMin) return
    this.#node.journal.doubt({ epoch: context.epoch.number, round: 0 })
    maker.roundMin = MUTE
    this.amnesia = this.#amnesiaOf(context)
    this.#node.outbox.push({ type: 'alarm', what: { type: 'amnesia' } })
  }

  /** A peer says how far it is, and in which epoch. */
  peerStatus(from: number, frame: Extract<Frame, { type: 'status' }>): void {
    this.#peerEpochs[from] = frame.epoch
    const { epoch } = this.run.context
    if (frame.epoch === epoch.number) return this.run.catchingUp.status(from, frame)
    if (frame.epoch > epoch.number) return
    this.run.catchingUp.sendStatus(from)
    if (this.isBefore(from)) this.before!.catchingUp.status(from, frame)
  }

  /** Whether a peer is in the epoch before this one. */
  isBefore(peer: number): boolean {
    return this.before !== undefined && this.#peerEpochs[peer] === this.before.context.epoch.number
  }

  /** The epoch that a peer is in, as far as this node knows its blocks. */
  runOf(peer: number): EpochRun {
    return this.isBefore(peer) ? (this.before as EpochRun) : this.run
  }

  /** Whose blocks these names are of: digests of epochs differ, so it is enough to look. */
  runOfNames(names: readonly BlockName[]): EpochRun {
    const before = this.before
    return before !== undefined && names.some((name) => before.agreement.table.find(name)?.held) ? before : this.run
  }

  /** What this node lacks is not to be had block by block. */
  isBehind(): boolean {
    const { context, catchingUp, agreement } = this.run
    if (context.self < 0 || catchingUp.isBehind || agreement.fetcher.isCollected) return true
    const { number } = context.epoch
    for (let peer = 0; peer < this.#peerEpochs.length; peer++) {
      if ((this.#peerEpochs[peer] as number) > number && context.peers.isUp(peer)) return true
    }
    return false
  }

  /** The newest certificate, and the chain that leads to its epoch. */
  sendCertificate(to: number): void {
    const { certificate, links } = this.#node.journal
    if (certificate === undefined) return
    this.#node.outbox.send(to, encodeFrame({ type: 'certificate', certificate, chain: links }))
  }

  /** A chunk of a snapshot, or of the list of its hashes; empty: not here. */
  sendChunk(to: number, hash: Uint8Array, chunk: number): void {
    const found = this.run.checkpoints.find(hash) ?? this.before?.checkpoints.find(hash)
    const answer = (bytes: Uint8Array | undefined): void => {
      this.#node.outbox.send(to, encodeFrame({ type: 'snapshot', hash, chunk, bytes: bytes ?? new Uint8Array(0) }))
    }
    if (found === undefined) return answer(undefined)
    const { taken, of } = found
    if (chunk === LIST_CHUNK) return answer(of === 'engine' ? taken.engine.hashes : taken.appHashes)
    if (of === 'engine') return answer(taken.engine.chunks[chunk - 1])
    this.#node.outbox.read({ type: 'appChunk', step: taken.step, chunk: chunk - 1 }, answer)
  }

  /** A certified change of the book: the next epoch begins, and the one before is only served. */
  enter(link: EpochLink): void {
    const { cryptography } = this.#node.options
    const followed = followLink(this.run.context.epoch, link, (bytes) => cryptography.sha256(bytes))
    if (!followed.ok) return this.halt(link.certificate.checkpoint.step)
    const { next } = followed.value
    const { consensusUs } = this.run.agreement.state.fair
    this.run.agreement.maker.flush()
    this.#node.journal.epoch(epochLinkBytes(link))
    const certificate = certificateBytes(link.certificate)
    // Not yet known where votes did not come and a peer told: those who follow are shown this one.
    if (!isSame(this.#node.journal.certificate, certificate)) this.#node.journal.certified(certificate)
    this.before = this.run
    this.#node.submissions.enter(next.constants)
    this.#node.output.enter(next)
    this.#node.sealing.enter(next)
    const context = this.#contextOf(next)
    this.#begin(context, freshState(next, context.domain, consensusUs))
  }

  /**
   * Peers told enough about the blocks of before: from this round on, and with fresh numbers, this node is heard again. What was
   * submitted meanwhile has old numbers.
   */
  #remembered(round: number): void {
    const { context, agreement } = this.run
    agreement.maker.roundMin = round
    if (round > 1) {
      for (const id of this.#node.submissions.abandon()) this.#node.outbox.push({ type: 'refused', id, why: 'busy' })
      const highest = this.#node.output.positions.highestSeq(context.self)
      this.#node.submissions.reserve(highest + 1 + 2 * context.epoch.constants.seqWindow)
    }
    this.#node.journal.doubt({ epoch: context.epoch.number, round })
  }

  #tellEpoch(): void {
    const { epoch, self } = this.run.context
    const links = this.#node.journal.links.slice()
    this.#node.outbox.push({ type: 'epoch', epoch, self: self < 0 ? undefined : self, links })
  }

  /** Another epoch, or the same from a snapshot. */
  #begin(context: EpochContext, state: EpochState): void {
    const { epoch, self } = context
    const isNext = epoch !== this.run.context.epoch
    this.run = this.#runOf(context, state)
    this.joining = this.#joiningOf(context)
    this.amnesia = this.#amnesiaOf(context)
    if (this.#node.journal.inDoubt) this.run.agreement.maker.roundMin = MUTE
    if (!isNext) return this.run.catchingUp.sendStatus('all')
    this.#peerEpochs = []
    if (!this.#node.outbox.replaying) this.#tellEpoch()
    if (self < 0)
      for (const id of this.#node.submissions.abandon()) this.#node.outbox.push({ type: 'refused', id, why: 'stopped' })
  }

  /** Begins behind a checkpoint of before a restart, which may be of a later epoch. */
  resume(base: CheckpointRecord, links: readonly WrittenLink[]): void {
    const { genesis, cryptography } = this.#node.options
    let epoch = genesis
    for (const { link, bytes } of links) {
      const followed = followLink(epoch, link, (content) => cryptography.sha256(content))
      if (!followed.ok) return this.halt(base.step)
      epoch = followed.value.next
      this.#node.journal.links.push(bytes)
    }
    const context = epoch === genesis ? this.run.context : this.#contextOf(epoch)
    this.#node.output.enter(epoch)
    this.#node.sealing.enter(epoch)
    const state = readState(base.state, epoch, context.domain, this.#node)
    if (state === undefined) return this.halt(base.step)
    this.#node.submissions.enter(epoch.constants)
    this.#begin(context, state)
    this.run.agreement.maker.resume(base)
    const { step, position } = this.run.resumeAt(base)
    if (position === this.#node.options.appliedPosition) this.#node.outbox.push({ type: 'checkpoint', step, position })
  }

  /** In place of all that was decided here: a snapshot that a quorum vouches for. */
  install(snapshot: Snapshot): void {
    const { certificate, epoch, links, state: bytes } = snapshot
    const { step, logSize } = certificate.checkpoint
    const before = this.run.agreement
    const same = epoch.number === this.run.context.epoch.number
    for (const link of links) {
      if (link.certificate.checkpoint.epoch < epoch.number) this.#node.journal.epoch(epochLinkBytes(link))
    }
    const context = same ? this.run.context : this.#contextOf(epoch)
    this.#node.output.enter(epoch)
    this.#node.sealing.enter(epoch)
    const state = readState(bytes, epoch, context.domain, this.#node)
    if (state === undefined) return this.halt(step)
    this.#node.submissions.enter(epoch.constants)
    const { consensusUs } = state.fair
    this.#node.output.installed(logSize)
    this.#node.outbox.push({ type: 'install', step, position: logSize, consensusUs })
    this.before = undefined
    this.#begin(context, state)
    const { maker } = this.run.agreement
    if (same) this.#carryOver(before)
    this.#tellPlacedBefore(logSize, consensusUs)
    const end = links.find((link) => sameBytes(link.certificate.content, certificate.content))
    const ending = end && { number: epoch.number + 1, nodes: end.nodes, constants: end.constants, signatures: [] }
    this.#node.journal.checkpoint({ epoch: epoch.number, step, position: logSize, ...maker.used, ending, state: bytes })
    this.run.checkpoints.adopt(certificate)
    if (end !== undefined) this.enter(end)
    this.#node.sealing.giveShares()
  }

  /** Blocks that were here before a snapshot of the same epoch came, as far as they are above it. */
  #carryOver(before: Agreement): void {
    const { agreement } = this.run
    this.#node.submissions.requeueAll()
    agreement.maker.takeOver(before.maker)
    for (let round = agreement.graph.collectedRound + 1; round <= before.table.roundMax; round++) {
      for (const { block, mine, accepted, arrivalUs, mark } of before.table.ofRound(round)) {
        // An own block that is not on disk yet counts for nothing yet.
        if (block !== undefined && (accepted || !mine)) agreement.restore(block, arrivalUs, mark)
      }
    }
  }

  /** Own messages whose places are within an installed snapshot: which ones nobody here knows, except that they are below. */
  #tellPlacedBefore(position: number, consensusUs: number): void {
    const { self } = this.run.context
    if (self < 0 || this.#node.journal.inDoubt) return
    for (const seq of this.#node.submissions.openSeqs()) {
      if (!this.#node.output.positions.has(self, seq)) continue
      const id = this.#node.submissions.placed(seq)
      if (id !== undefined) this.#node.outbox.push({ type: 'placed', id, position: position - 1, consensusUs })
    }
  }

  /** The order is in doubt. */
  halt(step: number): void {
    this.halted = true
    this.#node.outbox.push({ type: 'alarm', what: { type: 'divergence', step } })
  }

  #contextOf(epoch: Epoch): EpochContext {
    const { publicKey, cryptography, genesis, knownBlocks } = this.#node.options
    const self = epoch.nodes.findIndex((node) => sameBytes(node.publicKey, publicKey))
    return {
      epoch,
      self,
      domain: new Domain(epoch.hash, cryptography),
      clock: this.#node.clock,
      outbox: this.#node.outbox,
      peers: new Peers(self, epoch.n, this.#node.outbox),
      pacer: new Pacer(this.#node.tunables, epoch.constants.reportAgeRounds),
      random: this.#node.random,
      submissions: this.#node.submissions,
      tunables: this.#node.tunables,
      cryptography,
      knownBlocks,
      everNodes: [
        ...genesis.nodes.map((node) => node.publicKey),
        ...keysOfLinks(this.#node.journal.links, epoch.number),
      ],
    }
  }

  #runOf(context: EpochContext, state: EpochState): EpochRun {
    const sink: EpochSink = {
      placed: (messages) => this.#tellPlaced(messages),
      checkpointed: (run, taken) => this.#checkpointed(run, taken),
      certified: (run, certificate) => this.#certified(run, certificate),
      diverged: (step) => this.halt(step),
    }
    return new EpochRun(context, state, this.#node, sink)
  }

  #amnesiaOf(context: EpochContext): Amnesia {
    return new Amnesia(context, this.run.agreement, { memory: this.#node.journal.memory, nonce: this.#nonce })
  }

  #joiningOf(context: EpochContext): Joining {
    return new Joining(context, {
      isAtEnd: () => this.run.agreement.endStep !== undefined,
      nextStep: () => this.run.agreement.committer.nextStep,
      enter: (link) => this.enter(link),
      install: (snapshot) => this.install(snapshot),
    })
  }

  /** As long as this node does not know what it said before, it says nothing: what has a place is not what it was given since. */
  #tellPlaced(messages: readonly OrderedMessage[]): void {
    if (this.#node.journal.inDoubt) return
    for (const { seq, position, consensusUs } of messages) {
      const id = this.#node.submissions.placed(seq)
      if (id !== undefined) this.#node.outbox.push({ type: 'placed', id, position, consensusUs })
    }
  }

  #checkpointed(run: EpochRun, { step, position, state }: Taken): void {
    if (position >= this.#node.options.appliedPosition) this.#node.outbox.push({ type: 'checkpoint', step, position })
    if (this.#node.outbox.replaying) return
    const epoch = run.context.epoch.number
    const { ending } = run
    this.#node.journal.checkpoint({ epoch, step, position, ...run.agreement.maker.used, ending, state })
  }

  #certified(run: EpochRun, certificate: Certificate): void {
    const { agreement, checkpoints, context, ending } = run
    this.#node.journal.certified(certificateBytes(certificate))
    agreement.servedFrom = checkpoints.secondStep - context.epoch.constants.keepRounds
    this.#node.journal.forget(this.#node.output.appliedPosition, agreement.table.markMin() ?? Number.POSITIVE_INFINITY)
    if (run !== this.run) return
    if (ending !== undefined && certificate.checkpoint.step === agreement.endStep) {
      this.enter({ certificate, nodes: ending.nodes, constants: ending.constants })
    } else this.before = undefined
  }
}

function isSame(one: Uint8Array | undefined, other: Uint8Array): boolean {
  return one !== undefined && sameBytes(one, other)
}

/** Nobody else's, and another one at every start. */
function nonceOf(random: Random, cryptography: Cryptography): Uint8Array {
  const writer = new Writer(nonceBytes)
  for (let i = 0; i < nonceBytes / 4; i++) writer.u32(random.below(0x1_0000_0000))
  return cryptography.sha256(writer.view()).slice(0, nonceBytes)
}
