/**
 * The peers of this node, by index in the current book: which are connected, how far away they are, and how much nonsense they
 * sent (consensus.md section 6, limits).
 */
import type { Outbox } from './outbox.ts'

/** Bad frames that a peer may send at once, and how fast that is forgiven, µs each. */
const BAD_FRAMES_MAX = 10
const FORGIVEN_US = 1_000_000
/** Round trip assumed until one is measured, µs. */
const RTT_US_USUAL = 2000

interface Peer {
  up: boolean
  rttUs: number
  bad: number
  badAtUs: number
}

export class Peers {
  readonly self: number
  readonly n: number
  /** Bit i: peer i is connected. */
  connected = 0
  /** Frames that broke a rule, all peers. */
  badFrames = 0
  readonly #outbox: Outbox
  readonly #peers: Peer[]

  constructor(self: number, n: number, outbox: Outbox) {
    this.self = self
    this.n = n
    this.#outbox = outbox
    this.#peers = Array.from({ length: n }, () => ({ up: false, rttUs: 0, bad: 0, badAtUs: 0 }))
  }

  link(peer: number, up: boolean): void {
    const state = this.#peers[peer]
    if (state === undefined || peer === this.self) return
    state.up = up
    this.connected = up ? this.connected | (1 << peer) : this.connected & ~(1 << peer)
  }

  isUp(peer: number): boolean {
    return this.#peers[peer]?.up ?? false
  }

  measured(peer: number, rttUs: number): void {
    const state = this.#peers[peer]
    if (state !== undefined) state.rttUs = Math.max(0, rttUs)
  }

  /** Round trip to a peer, µs; a usual one if it was never measured. */
  rttUs(peer: number): number {
    return this.#peers[peer]?.rttUs || RTT_US_USUAL
  }

  /** The largest measured round trip among the connected peers in `mask`; 0 if none was measured. */
  farthestRttUs(mask: number): number {
    let farthest = 0
    for (let index = 0; index < this.n; index++) {
      const peer = this.#peers[index] as Peer
      if (peer.up && ((mask >>> index) & 1) === 1 && peer.rttUs > farthest) farthest = peer.rttUs
    }
    return farthest
  }

  /** A frame from this peer broke a rule. Too many close its link. */
  misbehaved(peer: number, why: string, nowUs: number): void {
    const state = this.#peers[peer]
    this.badFrames++
    if (state === undefined) return
    state.bad = Math.max(0, state.bad - (nowUs - state.badAtUs) / FORGIVEN_US) + 1
    state.badAtUs = nowUs
    if (state.bad < BAD_FRAMES_MAX) return
    state.bad = 0
    this.#outbox.push({ type: 'drop', peer, why })
  }

  /** The connected peer behind `after`, round robin; undefined if none is connected. */
  next(after: number): number | undefined {
    for (let i = 1; i <= this.n; i++) {
      const peer = (after + i) % this.n
      if (this.#peers[peer]?.up === true) return peer
    }
    return undefined
  }
}
