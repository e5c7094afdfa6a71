/**
 * Follows those who are too far ahead to be followed block by block (consensus.md sections 11 and 13): gets the newest
 * certificate with the chain of epochs before it, then the two snapshots it vouches for, the engine's and the application's.
 *
 *   peers no longer serve what is missing, or are in a later epoch
 *      ─▶ CERT_REQ ─▶ chain and signatures hold ─▶ next epoch, if this node is at the end of its own
 *                                               └▶ snapshots ─▶ install ─▶ blocks by RANGE
 */
import { encodeFrame, type Frame } from '../bytes/frames.ts'
import { type Certificate, certificateChecks, readCertificate, type SignatureCheck } from '../log/checkpoint.ts'
import { type EpochLink, followLink, readEpochLink } from '../log/epoch-chain.ts'
import type { Epoch } from '../model/epoch.ts'
import type { EpochContext } from './context.ts'
import { Download } from './download.ts'
import { chunkBytesMax } from './snapshot.ts'

const ASK_US = 500_000
/** How long nodes in an ended epoch try to decide its last step by themselves, µs. */
const PATIENCE_US = 2_000_000

/** A certificate, with how it follows from the epoch that this node is in. */
export interface Proven {
  readonly certificate: Certificate
  /** The epoch that it is of. */
  readonly epoch: Epoch
  /** From the own epoch onwards: to that one, and to the next one if the certificate ends it. */
  readonly links: readonly EpochLink[]
}

/** A snapshot that came whole. */
export interface Snapshot extends Proven {
  readonly state: Uint8Array
}

/** What the engine tells and does. */
export interface JoiningSink {
  /** Whether the own epoch is over, as far as this node has decided. */
  isAtEnd(): boolean
  nextStep(): number
  /** Proven: what follows the own epoch. */
  enter(link: EpochLink): void
  install(snapshot: Snapshot): void
}

export class Joining {
  readonly #context: EpochContext
  readonly #sink: JoiningSink
  /** Others are ahead, since when; infinite: no. */
  #behindSinceUs = Number.POSITIVE_INFINITY
  #askedAtUs = 0
  /** Peers whose certificates were asked for; bit i: peer i. */
  #asked = 0
  #proven: Proven | undefined
  #engine: Download | undefined
  #app: Download | undefined
  readonly #engineChunks = new Map<number, Uint8Array>()

  constructor(context: EpochContext, sink: JoiningSink) {
    this.#context = context
    this.#sink = sink
  }

  /** Whether a snapshot is on its way. */
  get active(): boolean {
    return this.#proven !== undefined
  }

  get deadlineUs(): number {
    if (this.#behindSinceUs === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY
    const downloads = Math.min(this.#engine?.deadlineUs ?? Infinity, this.#app?.deadlineUs ?? Infinity)
    return Math.min(this.#askedAtUs + ASK_US, downloads)
  }

  /** `behind`: what this node lacks is not to be had block by block, or others are in a later epoch. */
  tick(behind: boolean): void {
    const { clock, peers, outbox } = this.#context
    if (!behind && this.#proven === undefined) {
      this.#behindSinceUs = Number.POSITIVE_INFINITY
      return
    }
    if (this.#behindSinceUs === Number.POSITIVE_INFINITY) this.#behindSinceUs = clock.nowUs
    this.#engine?.ask()
    this.#app?.ask()
    if (clock.nowUs < this.#askedAtUs + ASK_US) return
    this.#askedAtUs = clock.nowUs
    if (this.#proven !== undefined && this.#engine?.hopeless !== true && this.#app?.hopeless !== true) return
    this.#proven = undefined
    this.#asked = peers.connected
    outbox.send('all', encodeFrame({ type: 'certificateRequest', step: 0 }))
  }

  /** A peer's answer: the newest certificate it has. */
  certificate(peer: number, frame: Extract<Frame, { type: 'certificate' }>): void {
    if (((this.#asked >>> peer) & 1) === 0) return
    this.#asked &= ~(1 << peer)
    const proven = this.#prove(frame)
    if (typeof proven === 'string') return this.#context.peers.misbehaved(peer, proven, this.#context.clock.nowUs)
    const { certificate, epoch, links } = proven
    const [next] = links
    if (next !== undefined && this.#sink.isAtEnd()) return this.#sink.enter(next)
    const { step } = certificate.checkpoint
    const later = epoch.number > this.#context.epoch.number
    if (!later && step < this.#sink.nextStep()) return
    if (next !== undefined && this.#context.clock.nowUs < this.#behindSinceUs + PATIENCE_US) return
    // Whose snapshot was on its way may be a peer that is behind, or that says what is true no more.
    if (this.#proven !== undefined && !isNewer(certificate, this.#proven.certificate)) return
    this.#start(proven)
  }

  /** A chunk of a snapshot came. */
  chunk(peer: number, { hash, chunk, bytes }: Extract<Frame, { type: 'snapshot' }>): void {
    if (bytes.length > chunkBytesMax + chunkBytesMax) return
    for (const download of [this.#engine, this.#app]) {
      if (download !== undefined && hash.every((byte, i) => byte === download.hash[i]))
        download.came(peer, chunk, bytes)
    }
    this.#engine?.ask()
    this.#app?.ask()
    if (this.#proven === undefined || this.#engine?.done !== true || this.#app?.done !== true) return
    const parts = Array.from({ length: this.#engine.chunks ?? 0 }, (_, i) => this.#engineChunks.get(i)!)
    const proven = this.#proven
    this.#proven = undefined
    this.#engine = undefined
    this.#app = undefined
    this.#sink.install({ ...proven, state: joined(parts) })
  }

  #start(proven: Proven): void {
    const { engineStateHash, appStateHash, epoch, step } = proven.certificate.checkpoint
    this.#proven = proven
    this.#engineChunks.clear()
    this.#engine = new Download(this.#context, engineStateHash, (chunk, bytes) => {
      this.#engineChunks.set(chunk, bytes.slice())
    })
    this.#app = new Download(this.#context, appStateHash, (chunk, bytes) => {
      this.#context.outbox.push({ type: 'appChunk', epoch, step, chunk, bytes })
    })
    this.#engine.ask()
    this.#app.ask()
  }

  /** Follows the chain from the own epoch; a word says why it does not hold. */
  #prove(frame: Extract<Frame, { type: 'certificate' }>): Proven | string {
    const certificate = readCertificate(frame.certificate)
    if (certificate === undefined) return 'certificate cannot be read'
    const links: EpochLink[] = []
    const epochs = [this.#context.epoch]
    for (const bytes of frame.chain) {
      const link = readEpochLink(bytes)
      if (link === undefined) return 'link between epochs cannot be read'
      const before = epochs.at(-1)!
      if (link.certificate.checkpoint.epoch < before.number) continue
      const followed = followLink(before, link, (content) => this.#context.cryptography.sha256(content))
      if (!followed.ok) return followed.problem
      if (!this.#hold(followed.value.checks)) return 'signature of a certificate is wrong'
      links.push(link)
      epochs.push(followed.value.next)
    }
    const epoch = epochs.find(({ number }) => number === certificate.checkpoint.epoch)
    if (epoch === undefined) return 'certificate is of an epoch that the chain does not lead to'
    const checks = certificateChecks(epoch, certificate)
    if (!checks.ok) return checks.problem
    return this.#hold(checks.value) ? { certificate, epoch, links } : 'signature of a certificate is wrong'
  }

  #hold(checks: readonly SignatureCheck[]): boolean {
    return checks.every((check) => this.#context.cryptography.verify(check.publicKey, check.bytes, check.signature))
  }
}

function isNewer({ checkpoint: one }: Certificate, { checkpoint: other }: Certificate): boolean {
  return one.epoch > other.epoch || (one.epoch === other.epoch && one.step > other.step)
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((size, part) => size + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}
