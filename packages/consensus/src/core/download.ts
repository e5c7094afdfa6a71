/**
 * Gets one snapshot of which only the hash is trusted (consensus.md section 11): first the list of its chunks' hashes, then the
 * chunks, from several peers at a time. What does not fit its hash counts against the peer and is asked of another one.
 */
import { encodeFrame } from '../bytes/frames.ts'
import { sameBytes } from '../bytes/order.ts'
import type { EpochContext } from './context.ts'

/** In the place of a chunk's number: the list of hashes. */
export const LIST_CHUNK = 0
const HASH_BYTES = 32
const ASKED_PER_PEER = 4
const ANSWER_US_MAX = 2_000_000

interface Asked {
  readonly peer: number
  readonly dueUs: number
}

export class Download {
  readonly hash: Uint8Array
  readonly #context: EpochContext
  readonly #take: (chunk: number, bytes: Uint8Array) => void
  #hashes: Uint8Array | undefined
  /** Chunks that are here. */
  #here = new Set<number>()
  readonly #asked = new Map<number, Asked>()
  /** Peers that do not have it, or did not answer in time; bit i: peer i. */
  #without = 0
  #turn: number

  /** `take` is given each chunk once, in any order; chunks are numbered from 0. */
  constructor(context: EpochContext, hash: Uint8Array, take: (chunk: number, bytes: Uint8Array) => void) {
    this.#context = context
    this.hash = hash
    this.#take = take
    this.#turn = context.random.below(context.epoch.n)
  }

  get done(): boolean {
    return this.#hashes !== undefined && this.#here.size === this.#hashes.length / HASH_BYTES
  }

  /** No connected peer has it, or says so. */
  get hopeless(): boolean {
    return (this.#context.peers.connected & ~this.#without) === 0
  }

  /** How many chunks there are; undefined: not known yet. */
  get chunks(): number | undefined {
    return this.#hashes === undefined ? undefined : this.#hashes.length / HASH_BYTES
  }

  get deadlineUs(): number {
    let deadline = Number.POSITIVE_INFINITY
    for (const { dueUs } of this.#asked.values()) deadline = Math.min(deadline, dueUs)
    return deadline
  }

  /** Asks for what is lacking, as much as peers may be asked at a time. */
  ask(): void {
    const { nowUs } = this.#context.clock
    for (const [chunk, { peer, dueUs }] of this.#asked) {
      if (dueUs > nowUs && this.#context.peers.isUp(peer)) continue
      this.#asked.delete(chunk)
      // Not to be asked for ever: one that never answers would keep this node from a newer snapshot, which others have.
      if (dueUs <= nowUs) this.#without |= 1 << peer
    }
    if (this.#hashes === undefined) this.#askOne(LIST_CHUNK)
    else
      for (let i = 0; i < this.#hashes.length / HASH_BYTES; i++) if (!this.#here.has(i) && !this.#askOne(i + 1)) return
  }

  /** A peer's answer. */
  came(peer: number, chunk: number, bytes: Uint8Array): void {
    if (this.#asked.get(chunk)?.peer !== peer) return
    this.#asked.delete(chunk)
    if (bytes.length === 0) this.#without |= 1 << peer
    else if (!this.#accept(chunk, bytes)) {
      this.#without |= 1 << peer
      this.#context.peers.misbehaved(peer, 'chunk of a snapshot has another hash', this.#context.clock.nowUs)
    }
  }

  #accept(chunk: number, bytes: Uint8Array): boolean {
    const hash = this.#context.cryptography.sha256(bytes)
    if (chunk === LIST_CHUNK) {
      if (!sameBytes(hash, this.hash) || bytes.length % HASH_BYTES !== 0) return false
      this.#hashes = bytes.slice()
      return true
    }
    const at = (chunk - 1) * HASH_BYTES
    if (this.#hashes === undefined || !sameBytes(hash, this.#hashes.subarray(at, at + HASH_BYTES))) return false
    this.#here.add(chunk - 1)
    this.#take(chunk - 1, bytes)
    return true
  }

  /** False: no peer may be asked for more now. */
  #askOne(chunk: number): boolean {
    if (this.#asked.has(chunk)) return true
    const { peers, clock, outbox, epoch } = this.#context
    for (let i = 1; i <= epoch.n; i++) {
      const peer = (this.#turn + i) % epoch.n
      if (!peers.isUp(peer) || ((this.#without >>> peer) & 1) === 1) continue
      if ([...this.#asked.values()].filter((asked) => asked.peer === peer).length >= ASKED_PER_PEER) continue
      this.#turn = peer
      this.#asked.set(chunk, { peer, dueUs: clock.nowUs + ANSWER_US_MAX })
      outbox.send(peer, encodeFrame({ type: 'snapshotRequest', hash: this.hash, chunk }))
      return true
    }
    return false
  }
}
