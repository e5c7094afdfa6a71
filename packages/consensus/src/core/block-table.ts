/**
 * Every block that this node knows, by name: those it holds, and those that others reported and it lacks (consensus.md
 * section 6). Beside the graph, which forgets collected rounds and holds no bytes for others: this table serves FETCH and RANGE
 * for the horizon, from memory or from the write-ahead log, and knows which units are open.
 *
 *     round ─▶ [author] ─▶ version ─▶ version …
 */
import { sameBytes } from '../bytes/order.ts'
import type { Block, BlockName } from '../model/block.ts'

export interface Known {
  readonly author: number
  readonly round: number
  digest: Uint8Array
  /** In memory; undefined: not held, or on disk only. */
  block: Block | undefined
  held: boolean
  /** Encoded size; 0 if not held. */
  bytes: number
  /** Of its record in the write-ahead log; 0: not there. */
  mark: number
  accepted: boolean
  isUnit: boolean
  /** When the last byte of it came, wall clock µs. */
  arrivalUs: number
  /** Bit i: a block of author i that came here reports it. */
  reporters: number
  /** Whether it was the first version of its (author, round) that came. */
  first: boolean
  /** `queued`: for the next own block. `made`: an own block reports it. */
  report: 'none' | 'queued' | 'made'
  mine: boolean
  /** Emitted or void. */
  settled: boolean
  /** Another version. */
  next: Known | undefined
}

export class BlockTable {
  /** Units that this node must see settled: its own, and those in its report queue or reported by it. */
  openUnits = 0
  /** Rounds below this one are forgotten. */
  horizon = 1
  /** No block of a higher round is held. */
  roundMax = 0
  readonly #n: number
  readonly #rounds = new Map<number, (Known | undefined)[]>()
  /** The lowest mark of each round that has one. Marks ascend, so what comes to a round later has a higher one. */
  readonly #markMins = new Map<number, number>()
  #bytesInMemory = 0
  /** Rounds below this one are on disk only. */
  #memoryFrom = 1

  constructor(n: number) {
    this.#n = n
  }

  get bytesInMemory(): number {
    return this.#bytesInMemory
  }

  find(name: BlockName): Known | undefined {
    let known = this.#rounds.get(name.round)?.[name.author]
    while (known !== undefined && !sameBytes(known.digest, name.digest)) known = known.next
    return known
  }

  /** The versions of an (author, round), in no order, linked by `next`. */
  versions(round: number, author: number): Known | undefined {
    return this.#rounds.get(round)?.[author]
  }

  /** The entry of a name, made if it is new; its digest is copied, since it is part of a block that may go. */
  named(name: BlockName): Known {
    return this.find(name) ?? this.#add(name, name.digest.slice())
  }

  /** Holds a block's bytes from now on. */
  hold(block: Block, arrivalUs: number): Known {
    const known = this.find(block) ?? this.#add(block, block.digest)
    if (known.held) return known
    this.roundMax = Math.max(this.roundMax, block.round)
    known.block = block
    known.digest = block.digest
    known.held = true
    known.bytes = block.header.length + block.signature.length + block.body.length
    known.isUnit = block.messageCount > 0
    known.arrivalUs = arrivalUs
    this.#bytesInMemory += known.bytes
    return known
  }

  /** A block of a collected round that is in the write-ahead log, for peers that ask for it. */
  holdStored(block: Block, mark: number): void {
    if (block.round < this.horizon) return
    const known = this.find(block) ?? this.#add(block, block.digest.slice())
    known.held = true
    known.accepted = true
    known.settled = true
    known.bytes = block.header.length + block.signature.length + block.body.length
    known.isUnit = block.messageCount > 0
    known.mark = mark
    this.roundMax = Math.max(this.roundMax, block.round)
  }

  /** Must be seen settled: it is reported, or this node's own. */
  opened(known: Known): void {
    if (!known.settled) this.openUnits++
  }

  /** Emitted, or void. */
  settle(known: Known): void {
    if (known.settled) return
    known.settled = true
    if ((known.mine && known.isUnit) || known.report !== 'none') this.openUnits--
  }

  /** Calls back for every unit that must be seen settled and is not. Not for the hot path. */
  eachOpen(open: (known: Known) => void): void {
    for (const round of this.#rounds.keys()) {
      for (const known of this.ofRound(round)) {
        if (!known.settled && (known.mine || known.report !== 'none')) open(known)
      }
    }
  }

  /** All known names of a round. */
  *ofRound(round: number): Generator<Known> {
    for (const first of this.#rounds.get(round) ?? []) {
      for (let known = first; known !== undefined; known = known.next) yield known
    }
  }

  /** Forgets settled names of a round under which nothing is held. */
  dropNames(round: number): void {
    const row = this.#rounds.get(round)
    if (row === undefined) return
    for (const [author, first] of row.entries()) {
      let kept: Known | undefined
      for (let known = first; known !== undefined; ) {
        const { next } = known
        if (known.held || !known.settled) {
          known.next = kept
          kept = known
        }
        known = next
      }
      row[author] = kept
    }
  }

  /** Forgets rounds below this one. */
  forget(below: number): void {
    if (below - this.horizon > this.#rounds.size) {
      for (const round of this.#rounds.keys()) if (round < below) this.#drop(round)
    } else {
      for (let round = this.horizon; round < below; round++) this.#drop(round)
    }
    this.horizon = Math.max(this.horizon, below)
    this.#memoryFrom = Math.max(this.#memoryFrom, this.horizon)
  }

  /** Lets go of the bytes of old rounds below `before` while more than `bytesMax` are in memory; they are in the log. */
  unload(bytesMax: number, before: number): void {
    while (this.#bytesInMemory > bytesMax && this.#memoryFrom < before) {
      for (const known of this.ofRound(this.#memoryFrom)) {
        if (known.block === undefined || known.mark === 0) continue
        known.block = undefined
        this.#bytesInMemory -= known.bytes
      }
      this.#memoryFrom++
    }
  }

  /** The lowest mark of a record that a block in this table needs; undefined if none is in the log. */
  markMin(): number | undefined {
    let min: number | undefined
    for (const round of this.#rounds.keys()) {
      const mark = this.#markMins.get(round) ?? this.#markMinOf(round)
      if (mark !== undefined && (min === undefined || mark < min)) min = mark
    }
    return min
  }

  #markMinOf(round: number): number | undefined {
    let min: number | undefined
    for (const { mark } of this.ofRound(round)) if (mark > 0 && (min === undefined || mark < min)) min = mark
    if (min !== undefined) this.#markMins.set(round, min)
    return min
  }

  #drop(round: number): void {
    for (const known of this.ofRound(round)) {
      if (known.block !== undefined) this.#bytesInMemory -= known.bytes
      this.settle(known)
    }
    this.#rounds.delete(round)
    this.#markMins.delete(round)
  }

  #add(name: BlockName, digest: Uint8Array): Known {
    let row = this.#rounds.get(name.round)
    if (row === undefined) {
      row = new Array<Known | undefined>(this.#n).fill(undefined)
      this.#rounds.set(name.round, row)
    }
    const made: Known = {
      author: name.author,
      round: name.round,
      digest,
      block: undefined,
      held: false,
      bytes: 0,
      mark: 0,
      accepted: false,
      isUnit: false,
      arrivalUs: 0,
      reporters: 0,
      first: false,
      report: 'none',
      mine: false,
      settled: false,
      next: row[name.author],
    }
    row[name.author] = made
    return made
  }
}
