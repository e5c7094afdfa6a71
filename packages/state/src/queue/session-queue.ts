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
 * Entries lie in parts of 64 numbers; a part is one record of the state and is gone when its last entry is. `sentBelow` is
 * fixed whenever a connection of the session ends: what lies below may have reached the client, so it is sent again with
 * DUP = 1, never expires, is never dropped by a policy and, at QoS 2, never passes to another member of a shared group.
 */
import type { QoS } from '@concordmq/protocol'
import { NEVER } from '../deadlines/deadlines.ts'
import type { DeliveryTerms } from '../effects.ts'
import type { Writer } from '../encoding/writer.ts'
import { type Body, refer, release } from '../messages/body.ts'
import type { PlacedMessage } from '../messages/message.ts'
import { RecordKind } from '../records/kinds.ts'
import { type RecordTable, StateRecord } from '../records/record-table.ts'

export const PART_SIZE = 64
/**
 * Numbers from `base` to `next`: an entry that is never settled holds the base while others come and go. At this many
 * nothing more is queued, so that walking over the gap stays short.
 */
export const SPAN_OF_QUEUE_MAX = 2 ** 26

/** A queue entry as the driver reads it. */
export interface QueueEntry {
  readonly q: number
  readonly placed: PlacedMessage
  readonly terms: DeliveryTerms
  readonly state: 'queued' | 'received'
}

/** A queue entry inside the machine. */
export interface Queued extends QueueEntry {
  readonly placed: Body
  readonly state: 'queued' | 'received'
  /** Whole filter of the shared subscription that it came by; empty: none. */
  readonly share: string
}

export class QueuePart extends StateRecord {
  readonly clientId: string
  readonly number: number
  readonly entries: (Queued | undefined)[] = new Array(PART_SIZE).fill(undefined)
  used = 0

  constructor(clientId: string, number: number) {
    super()
    this.clientId = clientId
    this.number = number
  }

  override writeKey(writer: Writer): void {
    writer.u8(RecordKind.queuePart)
    writer.string(this.clientId)
    writer.u53(this.number)
  }

  override writeValue(writer: Writer): void {
    writer.u8(this.used)
    for (const entry of this.entries) {
      if (entry === undefined) continue
      const { terms } = entry
      writer.u8(entry.q % PART_SIZE)
      writer.u8(terms.qos | (terms.retain ? 4 : 0) | (entry.state === 'received' ? 8 : 0))
      writer.u53(entry.placed.position)
      writer.u32(entry.placed.index)
      writer.string(entry.share)
      writer.u32(terms.subscriptionIds.length)
      for (const id of terms.subscriptionIds) writer.u32(id)
    }
  }
}

export class SessionQueue {
  /** Oldest number not settled; `next` when all are. */
  base = 0
  /** The number that the next message gets. */
  next = 0
  /** Numbers below may have been sent by a connection that is over. */
  sentBelow = 0
  /** How many entries there are. */
  messages = 0
  /** What their messages count for together. */
  bytes = 0
  /** No entry expires before, microseconds since 1970: a lower bound, made exact by a sweep. */
  expiryFloorUs = NEVER
  readonly #clientId: string
  readonly #records: RecordTable
  /** The record that carries base, next and the other numbers. */
  readonly #owner: StateRecord
  /** Made with the first entry: most sessions never have one. */
  #parts: Map<number, QueuePart> | undefined
  #last: QueuePart | undefined
  /** No entry that may be dropped lies below: saves `oldestUnsent` from walking over what was dropped before. */
  #unsentFrom = 0

  constructor(clientId: string, records: RecordTable, owner: StateRecord) {
    this.#clientId = clientId
    this.#records = records
    this.#owner = owner
  }

  /** The entry under a number; undefined when it is settled or not given yet. Reading in order costs an index. */
  entry(q: number): QueueEntry | undefined {
    return this.queued(q)
  }

  /** Whether `q` may have been sent by an earlier connection: it goes out with DUP = 1 [MQTT-3.3.1-1]. */
  mayHaveBeenSent(q: number): boolean {
    return q < this.sentBelow
  }

  queued(q: number): Queued | undefined {
    return this.#part(Math.floor(q / PART_SIZE))?.entries[q % PART_SIZE]
  }

  /** Queues a message; returns its number. */
  append(body: Body, terms: DeliveryTerms, share: string): number {
    this.#records.touch(this.#owner)
    const q = this.next++
    this.enter({ q, placed: body, terms, state: 'queued', share })
    if (body.expiresUs < this.expiryFloorUs) this.expiryFloorUs = body.expiresUs
    return q
  }

  /** Puts an entry in its place; used alone when a snapshot is read. */
  enter(entry: Queued): void {
    const number = Math.floor(entry.q / PART_SIZE)
    let part = this.#part(number)
    if (part === undefined) {
      part = new QueuePart(this.#clientId, number)
      this.#parts ??= new Map()
      this.#parts.set(number, part)
      this.#last = part
      this.#records.add(part)
    } else this.#records.touch(part)
    part.entries[entry.q % PART_SIZE] = entry
    part.used++
    refer(this.#records, entry.placed)
    this.messages++
    this.bytes += entry.placed.bytes
  }

  /** PUBREC arrived. */
  receive(entry: Queued): void {
    const part = this.#part(Math.floor(entry.q / PART_SIZE)) as QueuePart
    this.#records.touch(part)
    part.entries[entry.q % PART_SIZE] = { ...entry, state: 'received' }
  }

  /** Takes an entry out, for whatever reason. */
  settle(entry: Queued): void {
    this.#records.touch(this.#owner)
    const number = Math.floor(entry.q / PART_SIZE)
    const part = this.#part(number) as QueuePart
    if (part.used === 1) {
      this.#records.remove(part)
      this.#parts?.delete(number)
      this.#last = undefined
    } else this.#records.touch(part)
    part.entries[entry.q % PART_SIZE] = undefined
    part.used--
    release(this.#records, entry.placed)
    this.messages--
    this.bytes -= entry.placed.bytes
    if (entry.q === this.base) this.base = this.#firstFrom(entry.q + 1)
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
    const slot = this.#part(lowest)?.entries.findIndex((entry) => entry !== undefined) ?? 0
    return this.base === lowest * PART_SIZE + slot
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
    this.#records.touch(this.#owner)
    this.sentBelow = Math.max(this.sentBelow, Math.min(bound, this.next))
  }

  /** The first number from `q` on that has an entry; `next` if none has. */
  #firstFrom(q: number): number {
    while (q < this.next) {
      const part = this.#part(Math.floor(q / PART_SIZE))
      if (part === undefined) q += PART_SIZE - (q % PART_SIZE)
      else if (part.entries[q % PART_SIZE] !== undefined) return q
      else q++
    }
    return this.next
  }

  #part(number: number): QueuePart | undefined {
    if (this.#last?.number === number) return this.#last
    const part = this.#parts?.get(number)
    if (part !== undefined) this.#last = part
    return part
  }
}

const NO_IDS: readonly number[] = []
const PLAIN: readonly DeliveryTerms[] = [0, 1, 2].map((qos) => ({
  qos: qos as QoS,
  retain: false,
  subscriptionIds: NO_IDS,
}))

/** Terms; those without flag and identifiers are shared, since most deliveries have no others. */
export function termsOf(qos: QoS, retain: boolean, subscriptionIds: readonly number[]): DeliveryTerms {
  if (!retain && subscriptionIds.length === 0) return PLAIN[qos] as DeliveryTerms
  return { qos, retain, subscriptionIds }
}
