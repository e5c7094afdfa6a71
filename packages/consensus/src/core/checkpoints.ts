/**
 * Checkpoints of one epoch on this node (consensus.md section 10): taken where the log says, written for the own restart, voted
 * for once the application's state is known, and kept for peers that fell behind, when a quorum agrees.
 *
 *   step ─▶ due? ─▶ engine's snapshot ─▶ CKPT record        ─▶ appState ─▶ vote to all ─▶ q equal votes ─▶ certificate
 *                └▶ application: `checkpoint` effect ──────────┘
 */
import { encodeFrame } from '../bytes/frames.ts'
import { sameBytes } from '../bytes/order.ts'
import type { Reconfiguration } from '../bytes/reconfiguration.ts'
import {
  type Certificate,
  type Checkpoint,
  certificateBytes,
  checkpointBytes,
  nextBookHash,
  signedCheckpointBytes,
} from '../log/checkpoint.ts'
import type { CheckpointSchedule } from '../log/checkpoint-schedule.ts'
import { CheckpointVotes, type VoteOutcome } from '../log/checkpoint-votes.ts'
import type { EpochContext } from './context.ts'
import type { OrderedOutput } from './ordered-output.ts'
import { type Chunked, inChunks } from './snapshot.ts'

/** Checkpoints that wait for the application or for votes; of more, the oldest is given up. */
const PENDING_MAX = 4
/** Snapshots that are kept for peers. */
const SERVED_MAX = 2
const NO_HASH = new Uint8Array(32)

/** A checkpoint that this node took. */
export interface Taken {
  readonly step: number
  readonly position: number
  readonly consensusUs: number
  /** The engine's snapshot, whole and in chunks. */
  readonly state: Uint8Array
  readonly engine: Chunked
  readonly leafCount: number
  readonly logRoot: Uint8Array
  readonly nextBookHash: Uint8Array
  /** SHA-256 of each chunk of the application's snapshot, and of that list; undefined: not known yet. */
  appHashes: Uint8Array | undefined
  appHash: Uint8Array | undefined
}

/** What the rest of the engine does about checkpoints. */
export interface CheckpointSink {
  certified(certificate: Certificate): void
  diverged(step: number): void
}

export class Checkpoints {
  readonly votes: CheckpointVotes
  readonly #context: EpochContext
  readonly #output: OrderedOutput
  readonly #schedule: CheckpointSchedule
  readonly #sink: CheckpointSink
  /** Ascending by step; those with certificates first. */
  #taken: Taken[] = []
  /** Step of the certificate before the newest one; 0: none. */
  #secondStep = 0
  #newestStep = 0

  constructor(context: EpochContext, output: OrderedOutput, schedule: CheckpointSchedule, sink: CheckpointSink) {
    this.#context = context
    this.#output = output
    this.#schedule = schedule
    this.#sink = sink
    this.votes = new CheckpointVotes(context.epoch, context.self)
  }

  /** Step of the newest certificate of this epoch; 0: none. */
  get newestStep(): number {
    return this.#newestStep
  }

  /** Step of the certificate before it; 0: none. What is above it less G must stay readable (section 6). */
  get secondStep(): number {
    return this.#secondStep
  }

  /** Takes a checkpoint behind this step if one is due. `write` gives the engine's snapshot. */
  stepDone(
    { step, consensusUs }: { readonly step: number; readonly consensusUs: number },
    ending: Reconfiguration | undefined,
    write: () => Uint8Array,
  ): Taken | undefined {
    if (!this.#schedule.due(step, { epochEnds: ending !== undefined })) return undefined
    this.#schedule.taken(step)
    return this.take({ step, consensusUs }, ending, write())
  }

  /** Takes the checkpoint behind a step, of which `state` is the engine's snapshot; also the one that a replay begins at. */
  take(
    { step, consensusUs }: { readonly step: number; readonly consensusUs: number },
    ending: Reconfiguration | undefined,
    state: Uint8Array,
  ): Taken {
    const { cryptography } = this.#context
    const taken: Taken = {
      step,
      position: this.#output.next,
      consensusUs,
      state,
      engine: inChunks(state, cryptography),
      leafCount: this.#output.tree.leafCount,
      logRoot: this.#output.tree.root(),
      nextBookHash: ending === undefined ? NO_HASH : nextBookHash((bytes) => cryptography.sha256(bytes), ending),
      appHashes: undefined,
      appHash: undefined,
    }
    this.#taken.push(taken)
    const pending = this.#taken.filter((other) => other.step > this.#newestStep)
    if (pending.length > PENDING_MAX) this.#taken = this.#taken.filter((other) => other !== pending[0])
    return taken
  }

  /** The application's snapshot behind a step is taken: this node can vote. */
  appState(step: number, hashes: Uint8Array): void {
    const taken = this.#taken.find((other) => other.step === step)
    if (taken === undefined || taken.appHash !== undefined) return
    const { epoch, self, cryptography, outbox } = this.#context
    taken.appHashes = hashes
    taken.appHash = cryptography.sha256(hashes)
    if (self < 0) return
    const checkpoint: Checkpoint = {
      epoch: epoch.number,
      step,
      logSize: taken.position,
      leafCount: taken.leafCount,
      logRoot: taken.logRoot,
      engineStateHash: taken.engine.hash,
      appStateHash: taken.appHash,
      nextBookHash: taken.nextBookHash,
    }
    const content = checkpointBytes(checkpoint)
    const signature = cryptography.sign(signedCheckpointBytes(epoch, content))
    outbox.send('all', encodeFrame({ type: 'checkpointVote', content, signature }))
    this.#came(this.votes.own(checkpoint, signature))
  }

  /** A peer's vote. */
  vote(from: number, content: Uint8Array, signature: Uint8Array): void {
    if (!this.votes.wants(from, content)) return
    const { epoch, cryptography, peers, clock } = this.#context
    const { publicKey } = epoch.nodes[from]!
    if (!cryptography.verify(publicKey, signedCheckpointBytes(epoch, content), signature)) {
      return peers.misbehaved(from, 'signature of a checkpoint vote is wrong', clock.nowUs)
    }
    this.#came(this.votes.vote(from, content, signature))
  }

  /** A certificate whose signatures were checked, from a peer or from the log. */
  adopt(certificate: Certificate): void {
    this.#came(this.votes.adopt(certificate))
  }

  /** Own votes that no certificate has overtaken, for a peer that connected. */
  sendVotes(peer: number): void {
    for (const { content, signature } of this.votes.pending) {
      this.#context.outbox.send(peer, encodeFrame({ type: 'checkpointVote', content, signature }))
    }
  }

  /** What has this hash as the hash of its list: the engine's snapshot, or the application's behind a step. */
  find(hash: Uint8Array): { readonly taken: Taken; readonly of: 'engine' | 'app' } | undefined {
    for (const taken of this.#taken) {
      if (sameBytes(taken.engine.hash, hash)) return { taken, of: 'engine' }
      if (taken.appHash !== undefined && sameBytes(taken.appHash, hash)) return { taken, of: 'app' }
    }
    return undefined
  }

  #came(outcome: VoteOutcome): void {
    if (outcome.type === 'divergence') return this.#sink.diverged(outcome.step)
    if (outcome.type !== 'certified') return
    const { certificate } = outcome
    const { epoch, step } = certificate.checkpoint
    this.#secondStep = this.#newestStep
    this.#newestStep = step
    const served = this.#taken.filter((taken) => taken.step <= step).slice(-SERVED_MAX)
    this.#taken = this.#taken.filter((taken) => taken.step > step || served.includes(taken))
    this.#context.outbox.push({ type: 'certified', epoch, step, certificate: certificateBytes(certificate) })
    this.#sink.certified(certificate)
  }
}
