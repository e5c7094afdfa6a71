/**
 * A node whose write-ahead log is lost or in doubt may have made blocks that it no longer knows; a second block for one of their
 * rounds would be a fork (consensus.md section 11, amnesia). So it makes none until q others told, signed, the newest block they
 * made themselves, and those blocks are here. Let M be the highest of their rounds: a lost own block is of round M+1 at most,
 * since it had q parents of the round before, and these and the q answers share a correct author. From M+2 on it is free.
 *
 * Who answers stays awake until its steps have passed what it said; an idle cluster would never get the asker that far.
 *
 * A node without a log may as well be new. It is, if q others with itself never saw a block of it: what it may have made reached f
 * nodes at most. Only once somebody saw one does it ask. Where blocks were collected, so that they may be forgotten, it begins above.
 * That somebody says so is no proof; a block with its signature is one, before it counts itself as new and behind that.
 */
import { decodeBlock, encodeBlock } from '../bytes/block-codec.ts'
import { signedBlockBytes, signedBytes } from '../bytes/domain.ts'
import { encodeFrame, type Frame, ownLastContent, type PeerStatus } from '../bytes/frames.ts'
import { sameBytes } from '../bytes/order.ts'
import type { Block } from '../model/block.ts'
import type { Agreement } from './agreement.ts'
import type { EpochContext } from './context.ts'
import type { Journal } from './journal.ts'
import { readBlockRecord } from './records.ts'

const ASK_US = 1_000_000
/** A peer gets a new answer so often at most, µs: each keeps this node awake for some rounds. */
const ANSWER_US = 60_000_000

interface Told {
  readonly nonce: Uint8Array
  readonly frame: Uint8Array
  readonly atUs: number
}

export class Amnesia {
  /** Whether this node still has to find out. */
  active: boolean
  /** Whether blocks are lost for certain: the log is, or somebody saw one that this node does not know. */
  isLost: boolean
  readonly #context: EpochContext
  readonly #agreement: Agreement
  readonly #nonce: Uint8Array
  #mayBeNew: boolean
  /** The newest own blocks of peers; round 0: none. */
  readonly #answers = new Map<number, Block | undefined>()
  /** What peers were answered last. */
  readonly #told = new Map<number, Told>()
  #askedAtUs = Number.NEGATIVE_INFINITY
  /** Too few peers have said how far they are. */
  #inquires = false
  /** Highest round that this node told anybody of. */
  #toldRound = 0

  /** `nonce`: of this start of the node, 32 bytes; the same in all epochs, so that an answer is repeated and not refused. */
  constructor(
    context: EpochContext,
    agreement: Agreement,
    given: { readonly memory: Journal['memory']; readonly nonce: Uint8Array },
  ) {
    this.#context = context
    this.#agreement = agreement
    this.active = given.memory !== 'whole'
    this.isLost = given.memory === 'lost'
    this.#mayBeNew = given.memory === 'perhaps'
    this.#nonce = given.nonce
  }

  /** Whether somebody who lost its log waits for steps that this node has to help with. */
  get need(): boolean {
    return this.#toldRound > 0 && this.#agreement.committer.nextStep <= this.#toldRound + 1
  }

  get deadlineUs(): number {
    return this.isLost || this.#inquires ? this.#askedAtUs + ASK_US : Number.POSITIVE_INFINITY
  }

  /**
   * Asks who has not answered, of these peers (bit i: peer i); once enough is known, answers from which round on blocks may be
   * made. `statuses`: what peers said last, by index.
   */
  tick(peers: number, statuses: readonly (PeerStatus | undefined)[]): number | undefined {
    if (!this.active) return undefined
    if (this.#agreement.forgottenRound > 0) {
      this.isLost = true
      this.#mayBeNew = false
    }
    const round = (this.#mayBeNew ? this.#newFrom(peers, statuses) : undefined) ?? this.#lostUpTo(peers)
    if (round === undefined) return undefined
    this.active = false
    this.isLost = false
    this.#inquires = false
    return round
  }

  /** Where a node begins of which q - 1 others have no block. */
  #newFrom(peers: number, statuses: readonly (PeerStatus | undefined)[]): number | undefined {
    const { epoch, self } = this.#context
    const collected: number[] = []
    for (const status of statuses) {
      if (status === undefined) continue
      if ((status.lastRounds[self] ?? 0) > 0) this.isLost = true
      else collected.push(status.collectedRound)
    }
    this.#inquires = self >= 0 && !this.isLost && collected.length < epoch.q - 1
    if (this.#inquires) this.#inquire(peers, statuses)
    if (self < 0 || collected.length < epoch.q - 1) return undefined
    // As many as may lie have collected more: one of those that do not has collected this much.
    const highest = collected.sort((one, other) => other - one)[epoch.w - 1] ?? collected.at(-1) ?? 0
    return this.#agreement.committer.nextStep > highest ? highest + 1 : undefined
  }

  /** Has peers say how far they are that have not: what they said when this node entered the epoch may have come too early. */
  #inquire(peers: number, statuses: readonly (PeerStatus | undefined)[]): void {
    const { clock, outbox } = this.#context
    if (clock.nowUs < this.#askedAtUs + ASK_US) return
    this.#askedAtUs = clock.nowUs
    const frame = encodeFrame({ type: 'range', request: 0, round: this.#agreement.graph.collectedRound + 1 })
    for (const [peer, status] of statuses.entries()) {
      if (status === undefined && ((peers >>> peer) & 1) === 1) outbox.send(peer, frame)
    }
  }

  #lostUpTo(peers: number): number | undefined {
    if (!this.isLost) return undefined
    const { clock, outbox, epoch } = this.#context
    if (clock.nowUs >= this.#askedAtUs + ASK_US) {
      this.#askedAtUs = clock.nowUs
      const frame = encodeFrame({ type: 'ownLastRequest', nonce: this.#nonce })
      for (let peer = 0; peer < epoch.n; peer++) {
        if (((peers >>> peer) & 1) === 1 && !this.#answers.has(peer)) outbox.send(peer, frame)
      }
    }
    const counted = [...this.#answers.values()].filter((block) => block === undefined || this.#isHere(block))
    if (counted.length < epoch.q) return undefined
    const highest = counted.reduce((round, block) => Math.max(round, block?.round ?? 0), 0)
    return this.#agreement.committer.nextStep > highest + 1 ? highest + 2 : undefined
  }

  /** A peer lost its log. It is told of the newest own block; the same again if it asks again. */
  asked(peer: number, nonce: Uint8Array): void {
    const { clock, outbox, self } = this.#context
    if (this.active || self < 0) return
    const told = this.#told.get(peer)
    if (told !== undefined && sameBytes(told.nonce, nonce)) return outbox.send(peer, told.frame)
    if (told !== undefined && clock.nowUs < told.atUs + ANSWER_US) return
    const { maker, table } = this.#agreement
    if (maker.last === 0) return this.#answer(peer, nonce, undefined)
    const known = table.versions(maker.shown, self)
    if (known?.block !== undefined) return this.#answer(peer, nonce, known.block)
    if (known === undefined || known.mark === 0) return
    outbox.read({ type: 'record', mark: known.mark }, (bytes) => {
      const block = bytes === undefined ? undefined : this.#decode(readBlockRecord(bytes).block)
      if (block !== undefined) this.#answer(peer, nonce, block)
    })
  }

  /** A peer's answer; its block is handed on, since only what is here counts. */
  answered(peer: number, frame: Extract<Frame, { type: 'ownLast' }>, arrivalUs: number): void {
    const { self, epoch, cryptography, peers, clock } = this.#context
    if (!this.active || frame.asker !== self || !sameBytes(frame.nonce, this.#nonce)) return
    const block = frame.block.length === 0 ? undefined : this.#decode(frame.block)
    const isOwn = frame.block.length === 0 || block?.author === peer
    const content = signedBytes('ownlast', epoch.hash, ownLastContent(frame.nonce, self, block))
    const { publicKey } = epoch.nodes[peer]!
    const isSigned =
      cryptography.verify(publicKey, content, frame.signature) &&
      (block === undefined || cryptography.verify(publicKey, signedBlockBytes(block.digest), block.signature))
    if (!isOwn || !isSigned) return peers.misbehaved(peer, 'answer about the newest own block is wrong', clock.nowUs)
    this.#answers.set(peer, block)
    if (block !== undefined) this.#agreement.take(block, peer, arrivalUs)
  }

  #answer(peer: number, nonce: Uint8Array, block: Block | undefined): void {
    const { clock, outbox, epoch, cryptography } = this.#context
    this.#toldRound = Math.max(this.#toldRound, block?.round ?? 0)
    const signature = cryptography.sign(signedBytes('ownlast', epoch.hash, ownLastContent(nonce, peer, block)))
    const encoded = block === undefined ? new Uint8Array(0) : encodeBlock(block)
    const frame = encodeFrame({ type: 'ownLast', nonce, asker: peer, block: encoded, signature })
    this.#told.set(peer, { nonce: nonce.slice(), frame, atUs: clock.nowUs })
    outbox.send(peer, frame)
  }

  #decode(bytes: Uint8Array): Block | undefined {
    const decoded = decodeBlock(bytes, this.#context.epoch, this.#context.domain)
    return decoded.ok ? decoded.value : undefined
  }

  #isHere(block: Block): boolean {
    const { graph } = this.#agreement
    return block.round <= graph.collectedRound || graph.find(block) !== undefined
  }
}
