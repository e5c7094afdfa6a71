/**
 * What a session has yet to settle at QoS 1 and 2, by queue number (architecture section 3.3). An entry refers to a message;
 * it never holds a copy.
 *
 *          base        sentBelow                    next
 *            │             │                          │
 *    settled │ □  ·  □  ■  │ □  □  ·  □  □  □  □  □  │     □ queued   ■ received (QoS 2)   · settled
 *            └── may have ─┘── surely not sent ───────┘
 *               been sent
 *
 * Entries lie in parts of 1,024 numbers (`queue-part.ts`); a part is one record of the state and is gone when its last entry
 * is. `sentBelow` is
 * fixed whenever a connection of the session ends: what lies below may have reached the client, so it is sent again with
 * DUP = 1, never expires, is never dropped by a policy and, at QoS 2, never passes to another member of a shared group.
 */
import type { QoS } from '@concordmq/protocol'
import { NEVER } from '../deadlines/deadlines.ts'
import type { DeliveryTerms } from '../effects.ts'
import type { Body } from '../messages/body.ts'
import type { BodyRun } from '../messages/body-run.ts'
import type { Chunk } from '../messages/chunk.ts'
import type { PlacedMessage } from '../messages/message.ts'
import type { Shelf } from '../messages/shelf.ts'
import type { RecordTable } from '../records/record-table.ts'
import type { StateRecord } from '../records/state-record.ts'
import { PART_SIZE, type PartOwner, type Queued, type QueueEntry, QueuePart, type RunEntries } from './queue-part.ts'

/**
 * Numbers from `base` to `next`: an entry that is never settled holds the base while others come and go. At this many
 * nothing more is queued, so that walking over the gap stays short.
 */
export const SPAN_OF_QUEUE_MAX = 2 ** 26

/** So many messages beyond the window stay in memory while a client is connected. */
const SOON_MESSAGES = 1024

/** What all queues share. */
export interface QueueState {
  readonly records: RecordTable
  readonly shelf: Shelf
}

/** The record that a queue belongs to: it carries base, next and the other numbers. */
export interface QueueOwner extends StateRecord {
  readonly clientId: string
  readonly persistent: boolean
  readonly connection: unknown
  readonly receiveMaximum: number
}

export class SessionQueue implements PartOwner {
  /** Oldest number not settled; `next` when all are. */
  base = 0
  /** The number that the next message gets. */
  next = 0
  /** Numbers below may have been sent by a connection that is over. */
  sentBelow = 0
  /** Numbers below are in the log: what is sent must be, or a restart would give its identifier to another message. */
  #loggedBelow = 0
  /** How many entries there are. */
  messages = 0
  /** What their messages count for together. */
  bytes = 0
  /** No entry expires before, microseconds since 1970: a lower bound, made exact by a sweep. */
  expiryFloorUs = NEVER
  readonly #owner: QueueOwner
  readonly #state: QueueState
  /** Made with the first entry: most sessions never have one. */
  #parts: Map<number, QueuePart> | undefined
  #last: QueuePart | undefined
  /** No entry that may be dropped lies below: saves `oldestUnsent` from walking over what was dropped before. */
  #unsentFrom = 0

  constructor(owner: QueueOwner, state: QueueState) {
    this.#owner = owner
    this.#state = state
  }

  get records(): RecordTable {
    return this.#state.records
  }

  get shelf(): Shelf {
    return this.#state.shelf
  }

  get clientId(): string {
    return this.#owner.clientId
  }

  get kept(): boolean {
    return this.#owner.persistent
  }

  /** Numbers below may be sent: all where nothing is kept on disk or others have it too, else those that are there. */
  get sendableBelow(): number {
    return this.kept && this.records.waitsForDisk ? this.#loggedBelow : this.next
  }

  /** Numbers below `bound` are on disk. */
  loggedBelow(bound: number): void {
    this.#loggedBelow = bound
  }

  /** The entry under a number; undefined when it is settled or not given yet. Reading in order costs an index. */
  entry(q: number): QueueEntry | undefined {
    return this.queued(q)
  }

  /** The message under `q` if its entry says nothing else but its QoS: most do, and this makes no object. */
  plain(q: number): PlacedMessage | undefined {
    const part = this.#part(Math.floor(q / PART_SIZE))
    return part?.plainBody(q - part.start)
  }

  /**
   * The messages under `q` and the numbers behind it, `max` at most, that are of one run, in memory, at one QoS, and say nothing
   * else; undefined: there is no such one under `q`.
   */
  plainRun(q: number, max: number): RunEntries | undefined {
    const part = this.#part(Math.floor(q / PART_SIZE))
    return part?.plainRun(q - part.start, max)
  }

  /** Whether `q` may have been sent by an earlier connection: it goes out with DUP = 1 [MQTT-3.3.1-1]. */
  mayHaveBeenSent(q: number): boolean {
    return q < this.sentBelow
  }

  queued(q: number): Queued | undefined {
    const part = this.#part(Math.floor(q / PART_SIZE))
    return part?.entry(q - part.start)
  }

  /** Queues a message; returns its number. */
  append(body: Body, terms: DeliveryTerms, share: string): number {
    this.records.touch(this.#owner)
    const q = this.next++
    this.enter(q, body, terms, share)
    if (body.expiresUs < this.expiryFloorUs) this.expiryFloorUs = body.expiresUs
    return q
  }

  /** Queues the messages of a run, which expire together; returns the number of the first. */
  appendRun(bodies: readonly Body[], terms: DeliveryTerms): number {
    this.records.touch(this.#owner)
    const first = this.next
    this.next += bodies.length
    let part: QueuePart | undefined
    for (let i = 0; i < bodies.length; i++) {
      const q = first + i
      const body = bodies[i] as Body
      if (part === undefined || q % PART_SIZE === 0) part = this.#partFor(q)
      part.put(q - part.start, body, terms, '')
      this.bytes += body.bytes
    }
    this.messages += bodies.length
    const expiresUs = bodies[0]?.expiresUs ?? NEVER
    if (expiresUs < this.expiryFloorUs) this.expiryFloorUs = expiresUs
    return first
  }

  /** The same for a run that is one record. */
  appendBodyRun(run: BodyRun, terms: DeliveryTerms): number {
    this.records.touch(this.#owner)
    const first = this.next
    this.next += run.count
    for (let i = 0; i < run.count; ) {
      const q = first + i
      const count = Math.min(run.count - i, PART_SIZE - (q % PART_SIZE))
      const part = this.#partFor(q)
      part.putRun(q - part.start, run, { first: i, count }, terms)
      i += count
    }
    run.refer(this.records)
    this.messages += run.count
    this.bytes += run.bytes
    if (run.expiresUs < this.expiryFloorUs) this.expiryFloorUs = run.expiresUs
    return first
  }

  /** Puts an entry in its place; used alone when the state is read. */
  enter(q: number, body: Body, terms: DeliveryTerms, share: string): void {
    const part = this.#partFor(q)
    part.put(q - part.start, body, terms, share)
    this.messages++
    this.bytes += body.bytes
  }

  /** The same for a message on the shelf. */
  enterShelved(q: number, chunk: Chunk, slot: number, terms: DeliveryTerms): void {
    const part = this.#partFor(q)
    part.putShelved(q - part.start, chunk, slot, terms)
    this.messages++
    this.bytes += chunk.bytesAt(slot)
  }

  /** PUBREC arrived for a number that has an entry. */
  receive(q: number): void {
    const part = this.#part(Math.floor(q / PART_SIZE)) as QueuePart
    this.records.touch(part)
    part.receive(q - part.start)
  }

  /** QoS of an entry; 0: there is none under this number. */
  qosOf(q: number): QoS {
    const part = this.#part(Math.floor(q / PART_SIZE))
    return part?.qosOf(q - part.start) ?? 0
  }

  /** Whether PUBREC arrived for an entry. */
  isReceived(q: number): boolean {
    const part = this.#part(Math.floor(q / PART_SIZE))
    return part?.isReceived(q - part.start) ?? false
  }

  /** Takes an entry out, for whatever reason; returns what it counted for, bytes. */
  settle(q: number): number {
    this.records.touch(this.#owner)
    const part = this.#part(Math.floor(q / PART_SIZE)) as QueuePart
    this.records.touch(part)
    const bytes = part.remove(q - part.start)
    if (part.used === 0) this.#drop(part)
    this.messages--
    this.bytes -= bytes
    if (q === this.base) this.base = this.#firstFrom(q + 1)
    return bytes
  }

  /** Takes the entries at QoS 1 out that are among `count` numbers from `q` on. */
  settleAcked(q: number, count: number): void {
    const end = Math.min(q + count, this.next)
    for (let from = Math.max(q, this.base); from < end; ) {
      const number = Math.floor(from / PART_SIZE)
      const to = Math.min(end, (number + 1) * PART_SIZE)
      const part = this.#part(number)
      if (part !== undefined) this.#settleAckedIn(part, Math.max(0, from - part.start), to - part.start)
      from = to
    }
    if (q <= this.base && this.base < end) this.base = this.#firstFrom(this.base)
  }

  #settleAckedIn(part: QueuePart, from: number, to: number): void {
    const { used } = part
    this.records.touch(part)
    this.bytes -= part.removeAcked(from, to)
    const settled = used - part.used
    if (settled === 0) return
    this.records.touch(this.#owner)
    this.messages -= settled
    if (part.used === 0) this.#drop(part)
  }

  #drop(part: QueuePart): void {
    this.records.remove(part)
    this.#parts?.delete(part.number)
    this.#last = undefined
  }

  /** The part that a number lies in, for whoever reads or saves the state. */
  partOf(q: number): QueuePart | undefined {
    return this.#part(Math.floor(q / PART_SIZE))
  }

  /** Entries from `q` on, ascending. Entries may be settled meanwhile. */
  *from(q: number): IterableIterator<Queued> {
    for (let at = this.#firstFrom(Math.max(q, this.base)); at < this.next; at = this.#firstFrom(at + 1)) {
      yield this.queued(at) as Queued
    }
  }

  /** Whether `base` is the oldest entry's number, found without walking over what lies between. */
  isBaseRight(): boolean {
    let lowest = NEVER
    for (const number of this.#parts?.keys() ?? []) lowest = Math.min(lowest, number)
    if (lowest === NEVER) return this.base === this.next
    return this.base === this.#firstFrom(lowest * PART_SIZE)
  }

  /** The oldest entry that surely was not sent; for a session without connection. */
  oldestUnsent(): Queued | undefined {
    const start = Math.max(this.#unsentFrom, this.sentBelow, this.base)
    const at = this.#firstFrom(start)
    this.#unsentFrom = at
    return at < this.next ? this.queued(at) : undefined
  }

  /**
   * The number below which everything may have been sent, while a connection is there or when it was lost without a word:
   * that of the entry behind the first `span` ones.
   */
  boundOfSent(span: number): number {
    if (this.messages <= span) return this.next
    if (this.next - this.base === this.messages) return Math.max(this.sentBelow, this.base + span)
    let left = span
    for (const entry of this.from(this.base)) if (left-- === 0) return Math.max(this.sentBelow, entry.q)
    return this.next
  }

  /** A connection is over: numbers below `bound` may have been sent. */
  closeSent(bound: number): void {
    this.records.touch(this.#owner)
    this.sentBelow = Math.max(this.sentBelow, Math.min(bound, this.next))
  }

  /**
   * Messages that are on disk are let go of, except, while a client is connected, those that it will soon be sent. What is
   * kept for hash and snapshot stays.
   */
  letGo(part: QueuePart): void {
    if (this.records.hashing) return
    const { connection, receiveMaximum } = this.#owner
    const from = connection === undefined ? 0 : this.base + receiveMaximum + SOON_MESSAGES
    part.letGo(Math.max(0, from - part.start))
  }

  /** The client is gone. */
  letGoAll(): void {
    for (const part of this.#parts?.values() ?? []) this.letGo(part)
  }

  /** The first number from `q` on that has an entry; `next` if none has. */
  #firstFrom(q: number): number {
    while (q < this.next) {
      const part = this.#part(Math.floor(q / PART_SIZE))
      if (part === undefined) q += PART_SIZE - (q % PART_SIZE)
      else if (part.has(q - part.start)) return q
      else q++
    }
    return this.next
  }

  #partFor(q: number): QueuePart {
    const number = Math.floor(q / PART_SIZE)
    let part = this.#part(number)
    if (part !== undefined) {
      this.records.touch(part)
      return part
    }
    part = new QueuePart(this, q)
    this.#parts ??= new Map()
    this.#parts.set(number, part)
    this.#last = part
    this.records.add(part)
    return part
  }

  #part(number: number): QueuePart | undefined {
    if (this.#last?.number === number) return this.#last
    const part = this.#parts?.get(number)
    if (part !== undefined) this.#last = part
    return part
  }
}
