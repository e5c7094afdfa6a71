/**
 * Gives peers the blocks they ask for (consensus.md section 6, FETCH and RANGE): from memory, or read back from the write-ahead
 * log. One answer per peer is under way at a time, of at most 4 MiB, in frames that fit; what is asked meanwhile waits in a
 * short queue, and beyond that is dropped, since whoever needs it asks again. A question of 21 bytes may be answered by megabytes,
 * so each peer has an allowance in the long run; who has used it up waits.
 */
import { encodeBlock } from '../bytes/block-codec.ts'
import { type BlocksEntry, encodeFrame } from '../bytes/frames.ts'
import type { Block, BlockName } from '../model/block.ts'
import type { BlockTable, Known } from './block-table.ts'
import type { Clock } from './clock.ts'
import type { Outbox } from './outbox.ts'
import { readBlockRecord } from './records.ts'

/** Bytes of one answer, and of the entries of one frame of it. */
const ANSWER_BYTES_MAX = 4 * 1024 * 1024
const FRAME_BYTES = 256 * 1024
/** Requests of one peer that wait for the one before. */
const WAITING_MAX = 8
/** Entries in one frame. */
const ENTRIES_MAX = 4096

/** What one peer may be given at once, and per second; and what an entry costs beside its bytes, in bytes. */
const BURST_BYTES = 16 * 1024 * 1024
const BYTES_PER_SECOND = 16 * 1024 * 1024
const ENTRY_BYTES = 256

/** What is asked: names, everything from a round on, or what this node made in some rounds. */
type Request =
  | { readonly type: 'fetch'; readonly request: number; readonly names: readonly BlockName[] }
  | { readonly type: 'range'; readonly request: number; readonly round: number }
  | { readonly type: 'own'; readonly self: number; readonly above: number; readonly upTo: number }

interface Allowance {
  /** Below 0: nothing more for now. */
  bytes: number
  atUs: number
}

interface Answer {
  readonly request: number
  readonly known: readonly (Known | BlocksEntry)[]
  next: number
  sentBytes: number
  entries: BlocksEntry[]
  entryBytes: number
}

export class Serving {
  readonly #outbox: Outbox
  readonly #table: BlockTable
  /** Blocks that wait for parents are served too, from where they wait. */
  readonly #waiting: (name: BlockName) => Block | undefined
  readonly #answers = new Map<number, Answer>()
  readonly #requests = new Map<number, Request[]>()
  readonly #clock: Clock
  readonly #allowances = new Map<number, Allowance>()

  constructor(
    { outbox, clock }: { readonly outbox: Outbox; readonly clock: Clock },
    table: BlockTable,
    waiting: (name: BlockName) => Block | undefined,
  ) {
    this.#outbox = outbox
    this.#clock = clock
    this.#table = table
    this.#waiting = waiting
  }

  ask(peer: number, request: Request): void {
    if (!this.#answers.has(peer) && this.#mayAnswer(peer)) return this.#begin(peer, request)
    const waiting = this.#requests.get(peer) ?? []
    const isRepeated = request.type === 'own' && waiting.some(({ type }) => type === 'own')
    if (waiting.length >= WAITING_MAX || isRepeated) return
    waiting.push(request)
    this.#requests.set(peer, waiting)
  }

  /** The own blocks above a round, ascending: what a peer lacks by its status. */
  sendOwn(peer: number, self: number, above: number, upTo: number): void {
    if (above < upTo) this.ask(peer, { type: 'own', self, above, upTo })
  }

  /** When `tick` must be called at the latest. */
  get deadlineUs(): number {
    let deadlineUs = Number.POSITIVE_INFINITY
    for (const peer of this.#requests.keys()) {
      const { bytes, atUs } = this.#allowanceOf(peer)
      if (!this.#answers.has(peer))
        deadlineUs = Math.min(deadlineUs, atUs + Math.ceil((-bytes / BYTES_PER_SECOND) * 1e6) + 1)
    }
    return deadlineUs
  }

  /** Answers those who had to wait for their allowance. */
  tick(): void {
    for (const peer of this.#requests.keys()) if (!this.#answers.has(peer)) this.#next(peer)
  }

  /** The link to a peer is down: nothing is owed to it. */
  drop(peer: number): void {
    this.#answers.delete(peer)
    this.#requests.delete(peer)
  }

  #begin(peer: number, request: Request): void {
    switch (request.type) {
      case 'fetch': {
        const found = request.names.map((name) => this.#find(name))
        return this.#start(peer, request.request, found)
      }
      case 'range':
        return this.#start(peer, request.request, this.#from(request.round))
      case 'own': {
        const own = this.#own(request)
        return own.length > 0 ? this.#start(peer, 0, own) : this.#next(peer)
      }
    }
  }

  /** The next of what a peer asked, as far as it may have it now. */
  #next(peer: number): void {
    const waiting = this.#requests.get(peer)
    if (waiting === undefined || !this.#mayAnswer(peer)) return
    const next = waiting.shift()
    if (waiting.length === 0) this.#requests.delete(peer)
    if (next !== undefined) this.#begin(peer, next)
  }

  #mayAnswer(peer: number): boolean {
    return this.#allowanceOf(peer).bytes >= 0
  }

  /** As of now. */
  #allowanceOf(peer: number): Allowance {
    const { nowUs } = this.#clock
    const allowance = this.#allowances.get(peer) ?? { bytes: BURST_BYTES, atUs: nowUs }
    const earned = Math.floor(((nowUs - allowance.atUs) * BYTES_PER_SECOND) / 1e6)
    allowance.bytes = Math.min(BURST_BYTES, allowance.bytes + earned)
    allowance.atUs = nowUs
    this.#allowances.set(peer, allowance)
    return allowance
  }

  #own({ self, above, upTo }: Extract<Request, { type: 'own' }>): Known[] {
    const own: Known[] = []
    for (let round = Math.max(above + 1, this.#table.horizon); round <= upTo; round++) {
      const known = this.#table.versions(round, self)
      if (known?.accepted === true) own.push(known)
    }
    return own
  }

  #find(name: BlockName): Known | BlocksEntry {
    const known = this.#table.find(name)
    if (known?.held === true) return known
    const waiting = this.#waiting(name)
    if (waiting !== undefined) return { type: 'block', bytes: encodeBlock(waiting) }
    const { author, round, digest } = name
    return { type: round < this.#table.horizon ? 'collected' : 'unknown', author, round, digest }
  }

  /** All accepted blocks from a round on, ascending, as far as one answer goes. */
  #from(round: number): Known[] {
    const found: Known[] = []
    let bytes = 0
    for (let at = Math.max(round, this.#table.horizon); at <= this.#table.roundMax && bytes < ANSWER_BYTES_MAX; at++) {
      for (const known of this.#table.ofRound(at)) {
        if (!known.accepted) continue
        found.push(known)
        bytes += known.bytes
      }
    }
    return found
  }

  #start(peer: number, request: number, known: readonly (Known | BlocksEntry)[]): void {
    const answer: Answer = { request, known, next: 0, sentBytes: 0, entries: [], entryBytes: 0 }
    this.#answers.set(peer, answer)
    this.#goOn(peer, answer)
  }

  #goOn(peer: number, answer: Answer): void {
    while (answer.next < answer.known.length && answer.sentBytes < ANSWER_BYTES_MAX) {
      const item = answer.known[answer.next]!
      const entry = 'type' in item ? item : this.#entry(item)
      if (entry === undefined) return this.#readBack(peer, answer, item as Known)
      answer.next++
      this.#add(peer, answer, entry)
    }
    this.#flush(peer, answer, true)
    this.#answers.delete(peer)
    this.#next(peer)
  }

  #entry(known: Known): BlocksEntry | undefined {
    if (known.block !== undefined) return { type: 'block', bytes: encodeBlock(known.block) }
    if (known.mark > 0) return undefined
    return { type: 'unknown', author: known.author, round: known.round, digest: known.digest }
  }

  #readBack(peer: number, answer: Answer, known: Known): void {
    this.#outbox.read({ type: 'record', mark: known.mark }, (bytes) => {
      if (this.#answers.get(peer) !== answer) return
      const { author, round, digest } = known
      answer.next++
      if (bytes === undefined) this.#add(peer, answer, { type: 'collected', author, round, digest })
      else this.#add(peer, answer, { type: 'block', bytes: readBlockRecord(bytes).block })
      this.#goOn(peer, answer)
    })
  }

  #add(peer: number, answer: Answer, entry: BlocksEntry): void {
    const bytes = entry.type === 'block' ? entry.bytes.length : 64
    if (answer.entryBytes > 0 && answer.entryBytes + bytes > FRAME_BYTES) this.#flush(peer, answer, false)
    answer.entries.push(entry)
    answer.entryBytes += bytes
    answer.sentBytes += bytes
    this.#allowanceOf(peer).bytes -= bytes + ENTRY_BYTES
    if (answer.entries.length >= ENTRIES_MAX) this.#flush(peer, answer, false)
  }

  #flush(peer: number, answer: Answer, last: boolean): void {
    if (answer.entries.length === 0 && !last) return
    const { request, entries } = answer
    this.#outbox.send(peer, encodeFrame({ type: 'blocks', request, last, entries }))
    answer.entries = []
    answer.entryBytes = 0
  }
}
