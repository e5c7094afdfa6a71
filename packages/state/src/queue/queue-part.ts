/**
 * A part of a session's queue: 1,024 numbers in one record of the state, small while it holds little.
 *
 * An entry is two words, and the message it refers to is in memory or on the shelf (`messages/shelf.ts`):
 *
 *   word 0   chunk on the shelf                      0 for an entry in memory, its number in a run for one of a run
 *   word 1   slot in the chunk (16) │ QoS (2) │ retain │ received │ used │ changed │ extra
 *
 * Entries come in ascending order, and the part begins with the first that it gets (`start`): a queue that is emptied again and again
 * makes small parts. Its methods count from there, and below it there is nothing.
 *
 * `extra` says that share and subscription identifiers lie beside it: most entries have neither.
 */
import type { QoS } from '@concordmq/protocol'
import type { DeliveryTerms } from '../effects.ts'
import type { Writer } from '../encoding/writer.ts'
import { type Body, refer, release } from '../messages/body.ts'
import { BodyRun } from '../messages/body-run.ts'
import type { Chunk } from '../messages/chunk.ts'
import type { MessageHead, PlacedMessage } from '../messages/message.ts'
import type { PackedPayloads } from '../messages/payloads.ts'
import type { Shelf } from '../messages/shelf.ts'
import { RecordKind } from '../records/kinds.ts'
import type { RecordTable } from '../records/record-table.ts'
import { StateRecord } from '../records/state-record.ts'

export const PART_SIZE = 1024
const SLOTS_MIN = 4

const SLOT = 0xffff
const QOS_SHIFT = 16
const RETAIN = 1 << 18
const RECEIVED = 1 << 19
const USED = 1 << 20
const CHANGED = 1 << 21
const EXTRA = 1 << 22
const QOS_MASK = 3 << QOS_SHIFT
/** An entry at QoS 1. */
const ACKED = USED | (1 << QOS_SHIFT)
/** Of these bits an entry without anything but a QoS has only QoS and `USED`. */
const PLAIN_MASK = QOS_MASK | RETAIN | RECEIVED | USED | EXTRA

/**
 * Flags of an entry in the forms on disk; the lower two bits are its QoS. `run` and `goneRun`, in the log alone, stand for as many
 * entries as the number says that follows.
 */
export const EntryFlag = { retain: 4, received: 8, onShelf: 16, extra: 32, run: 64, goneRun: 254, gone: 255 } as const

/** A queue entry as the driver reads it. */
export interface QueueEntry {
  readonly q: number
  /** Undefined: it lies on the shelf at (`chunk`, `slot`) and must be loaded. */
  readonly placed: PlacedMessage | undefined
  readonly chunk: number
  readonly slot: number
  /** What it counts for under a maximum of bytes. */
  readonly bytes: number
  /** Microseconds since 1970. */
  readonly expiresUs: number
  readonly terms: DeliveryTerms
  readonly state: 'queued' | 'received'
}

/** A queue entry inside the machine. */
export interface Queued extends QueueEntry {
  readonly placed: Body | undefined
  /** Whole filter of the shared subscription that it came by; empty: none. Its message stays in memory. */
  readonly share: string
}

/** Entries one behind the other whose messages are of one run. */
export interface RunEntries {
  readonly head: MessageHead
  readonly payloads: PackedPayloads
  /** Number of the first in the run. */
  readonly first: number
  readonly count: number
  readonly qos: QoS
}

interface Extra {
  readonly share: string
  readonly subscriptionIds: readonly number[]
}

/** What a part needs to know of its queue. */
export interface PartOwner {
  readonly clientId: string
  /** Whether it is kept on disk. */
  readonly kept: boolean
  readonly records: RecordTable
  readonly shelf: Shelf
  /** A save that has the part is on disk. */
  letGo(part: QueuePart): void
}

export class QueuePart extends StateRecord {
  readonly owner: PartOwner
  readonly number: number
  /** Number in the queue of the first entry. */
  readonly start: number
  /** How many entries it has. */
  used = 0
  #words = new Uint32Array(2 * SLOTS_MIN)
  /** Messages in memory, by slot; undefined when there are none. */
  #bodies: (Body | BodyRun | undefined)[] | undefined
  #extras: Map<number, Extra> | undefined
  /** Which changed since the log last took the part. */
  #changed: number[] = []

  /** `start`: number of the first entry, which is about to be put. */
  constructor(owner: PartOwner, start: number) {
    super()
    this.owner = owner
    this.number = Math.floor(start / PART_SIZE)
    this.start = start
  }

  override get durable(): boolean {
    return this.owner.kept
  }

  has(at: number): boolean {
    return ((this.#words[2 * at + 1] ?? 0) & USED) !== 0
  }

  /** QoS of an entry; 0: there is none. */
  qosOf(at: number): QoS {
    const word = this.#words[2 * at + 1] ?? 0
    return (word & USED) === 0 ? 0 : (((word >> QOS_SHIFT) & 3) as QoS)
  }

  isReceived(at: number): boolean {
    return ((this.#words[2 * at + 1] ?? 0) & RECEIVED) !== 0
  }

  /** The message of an entry that is in memory, without received mark, RETAIN and subscription identifiers. */
  plainBody(at: number): Body | undefined {
    if (((this.#words[2 * at + 1] ?? 0) & (RETAIN | RECEIVED | USED | EXTRA)) !== USED) return undefined
    const held = this.#held(at)
    return held instanceof BodyRun ? held.body(this.#words[2 * at] as number) : held
  }

  /** The same for the messages of a run from `at` on, `max` at most; undefined: there is no message of a run. */
  plainRun(at: number, max: number): RunEntries | undefined {
    const held = this.#held(at)
    if (!(held instanceof BodyRun)) return undefined
    const bodies = this.#bodies as (Body | BodyRun | undefined)[]
    const words = this.#words
    const first = words[2 * at] as number
    const plain = (words[2 * at + 1] as number) & PLAIN_MASK
    if ((plain & (RETAIN | RECEIVED | USED | EXTRA)) !== USED) return undefined
    const end = Math.min(at + max, bodies.length)
    let next = at + 1
    while (
      next < end &&
      bodies[next] === held &&
      words[2 * next] === first + next - at &&
      ((words[2 * next + 1] as number) & PLAIN_MASK) === plain
    ) {
      next++
    }
    const qos = ((plain >> QOS_SHIFT) & 3) as QoS
    return { head: held.head, payloads: held.payloads, first, count: next - at, qos }
  }

  entry(at: number): Queued | undefined {
    const word = this.#words[2 * at + 1] ?? 0
    if ((word & USED) === 0) return undefined
    const q = this.start + at
    const qos = ((word >> QOS_SHIFT) & 3) as QoS
    const extra = (word & EXTRA) === 0 ? undefined : this.#extras?.get(at)
    const terms = termsOf(qos, (word & RETAIN) !== 0, extra?.subscriptionIds ?? NO_IDS)
    const state = (word & RECEIVED) === 0 ? 'queued' : 'received'
    const share = extra?.share ?? ''
    const held = this.#held(at)
    const placed = held instanceof BodyRun ? held.body(this.#words[2 * at] as number) : held
    if (placed !== undefined) {
      const { bytes, expiresUs } = placed
      return { q, placed, chunk: 0, slot: 0, bytes, expiresUs, terms, state, share }
    }
    const id = this.#words[2 * at] as number
    const slot = word & SLOT
    const chunk = this.owner.shelf.chunk(id) as Chunk
    const bytes = chunk.bytesAt(slot)
    const expiresUs = chunk.expiresUsAt(slot)
    return { q, placed: undefined, chunk: id, slot, bytes, expiresUs, terms, state, share }
  }

  /** A new entry with its message in memory. */
  put(at: number, body: Body, terms: DeliveryTerms, share: string): void {
    this.#grow(at)
    this.#bodies ??= []
    while (this.#bodies.length < at) this.#bodies.push(undefined)
    this.#bodies[at] = body
    this.#set(at, 0, 0, terms, share)
    refer(this.owner.records, body, this.owner)
  }

  /** New entries for `count` messages of a run from number `first` on, which the run counts as references. */
  putRun(
    at: number,
    run: BodyRun,
    { first, count }: { readonly first: number; readonly count: number },
    terms: DeliveryTerms,
  ): void {
    this.#grow(at + count - 1)
    this.#bodies ??= []
    const bodies = this.#bodies
    while (bodies.length < at) bodies.push(undefined)
    for (let i = 0; i < count; i++) {
      bodies[at + i] = run
      this.#set(at + i, first + i, 0, terms, '')
    }
  }

  /** A new entry with its message on the shelf; used alone when the state is read from disk. */
  putShelved(at: number, chunk: Chunk, slot: number, terms: DeliveryTerms): void {
    this.#grow(at)
    this.#set(at, chunk.id, slot, terms, '')
    chunk.refer(slot)
  }

  /** PUBREC arrived. */
  receive(at: number): void {
    this.#words[2 * at + 1] = (this.#words[2 * at + 1] as number) | RECEIVED
    this.#change(at)
  }

  /** Takes an entry out; returns what its message counted for, bytes. */
  remove(at: number): number {
    const { records, shelf } = this.owner
    const word = this.#words[2 * at + 1] as number
    const body = this.#held(at)
    let bytes = 0
    if (body instanceof BodyRun) {
      const i = this.#words[2 * at] as number
      bytes = body.bytesAt(i)
      body.release(records, i)
    } else if (body !== undefined) {
      bytes = body.bytes
      release(records, body, this.owner)
    } else {
      const chunk = shelf.chunk(this.#words[2 * at] as number) as Chunk
      bytes = chunk.bytesAt(word & SLOT)
      chunk.release(word & SLOT)
    }
    if (this.#bodies !== undefined) this.#bodies[at] = undefined
    if ((word & EXTRA) !== 0) this.#extras?.delete(at)
    this.#words[2 * at + 1] = word & CHANGED
    this.used--
    this.#change(at)
    return bytes
  }

  /** Takes the entries at QoS 1 in [from, to) out; returns what their messages counted for, bytes. */
  removeAcked(from: number, to: number): number {
    let bytes = 0
    const end = Math.min(to, this.#words.length / 2)
    for (let at = from; at < end; at++) {
      if (((this.#words[2 * at + 1] as number) & (USED | QOS_MASK)) === ACKED) bytes += this.remove(at)
    }
    return bytes
  }

  /**
   * Lets go of messages that lie on the shelf for good, from slot `first` on. What came by a shared group stays: it may
   * have to pass to another member, and then its content counts.
   */
  letGo(first: number): void {
    const bodies = this.#bodies
    if (bodies === undefined) return
    let held = 0
    for (let at = 0; at < bodies.length; at++) {
      const body = this.#held(at)
      if (body === undefined) continue
      const shared = this.#extras?.get(at)?.share ?? ''
      if (at < first || body instanceof BodyRun || body.chunk?.isCommitted(body.slot) !== true || shared !== '') {
        held++
        continue
      }
      bodies[at] = undefined
      this.#words[2 * at] = body.chunk.id
      this.#words[2 * at + 1] = ((this.#words[2 * at + 1] as number) & ~SLOT) | body.slot
    }
    if (held === 0) this.#bodies = undefined
  }

  override writeKey(writer: Writer): void {
    writer.u8(RecordKind.queuePart)
    writer.string(this.owner.clientId)
    writer.u53(this.number)
  }

  /** The canonical form, of hash and snapshot: messages by their place, wherever they lie. All are in memory then. */
  override writeValue(writer: Writer): void {
    this.#write(writer, { canonical: true })
  }

  /** The form of the store: messages by their place on the shelf, where the same save has put them. */
  writeSaved(writer: Writer): void {
    this.#write(writer, { canonical: false })
  }

  /** What changed since the last call, for the log. */
  writeChanged(writer: Writer): void {
    const changed = this.#changed
    this.#changed = []
    const items = writer.length
    writer.u16(0)
    let count = 0
    for (let i = 0; i < changed.length; count++) {
      const at = changed[i] as number
      const alike = this.#alike(changed, i)
      const word = (this.#words[2 * at + 1] as number) & ~CHANGED
      for (let k = 0; k < alike; k++)
        this.#words[2 * (at + k) + 1] = (this.#words[2 * (at + k) + 1] as number) & ~CHANGED
      writer.u16((this.start + at) % PART_SIZE)
      if ((word & USED) === 0) {
        writer.u8(alike === 1 ? EntryFlag.gone : EntryFlag.goneRun)
        if (alike > 1) writer.u16(alike)
      } else if (alike > 1) this.#writeRun(writer, at, word, alike)
      else this.#writeEntry(writer, at, word, !this.#isCommitted(at))
      i += alike
    }
    writer.u16At(items, count)
  }

  /** How many of the changed slots from the one at `i` on are written as one: gone, or new of one run. */
  #alike(changed: readonly number[], i: number): number {
    const words = this.#words
    const at = changed[i] as number
    const word = words[2 * at + 1] as number
    const held = this.#held(at)
    const isGone = (word & USED) === 0
    if (!isGone && (!(held instanceof BodyRun) || (word & EXTRA) !== 0)) return 1
    let count = 1
    while (i + count < changed.length && changed[i + count] === at + count) {
      const next = words[2 * (at + count) + 1] as number
      if (isGone) {
        if ((next & USED) !== 0) break
      } else if (
        next !== word ||
        this.#held(at + count) !== held ||
        words[2 * (at + count)] !== (words[2 * at] as number) + count
      )
        break
      count++
    }
    return count
  }

  #writeRun(writer: Writer, at: number, word: number, count: number): void {
    const run = this.#held(at) as BodyRun
    writer.u8(flagsOf(word) | EntryFlag.run)
    writer.u16(count)
    writer.u53(run.position)
    writer.u32(run.index + (this.#words[2 * at] as number))
  }

  /** The same where another thread writes the log. */
  passChanged(): void {
    for (const at of this.#changed) this.#words[2 * at + 1] = (this.#words[2 * at + 1] as number) & ~CHANGED
    this.#changed = []
  }

  #write(writer: Writer, { canonical }: { readonly canonical: boolean }): void {
    writer.u16(this.used)
    for (let at = 0; at < this.#words.length / 2; at++) {
      const word = this.#words[2 * at + 1] as number
      if ((word & USED) === 0) continue
      writer.u16((this.start + at) % PART_SIZE)
      this.#writeEntry(writer, at, word, canonical)
    }
  }

  #writeEntry(writer: Writer, at: number, word: number, byPlace: boolean): void {
    const held = this.#held(at)
    const body = held instanceof BodyRun ? held.body(this.#words[2 * at] as number) : held
    const extra = (word & EXTRA) === 0 ? undefined : this.#extras?.get(at)
    const onShelf = !byPlace && (body === undefined || body.chunk !== undefined)
    writer.u8(flagsOf(word) | (onShelf ? EntryFlag.onShelf : 0) | (extra === undefined ? 0 : EntryFlag.extra))
    if (onShelf) {
      writer.u32(body?.chunk?.id ?? (this.#words[2 * at] as number))
      writer.u16(body?.slot ?? word & SLOT)
    } else {
      writer.u53(body?.position ?? 0)
      writer.u32(body?.index ?? 0)
    }
    if (extra === undefined) return
    writer.string(extra.share)
    writer.u16(extra.subscriptionIds.length)
    for (const id of extra.subscriptionIds) writer.u32(id)
  }

  #set(at: number, chunk: number, slot: number, terms: DeliveryTerms, share: string): void {
    const { subscriptionIds } = terms
    const extra = share !== '' || subscriptionIds.length > 0
    if (extra) {
      this.#extras ??= new Map()
      this.#extras.set(at, { share, subscriptionIds })
    }
    const before = (this.#words[2 * at + 1] as number) & CHANGED
    this.#words[2 * at] = chunk
    this.#words[2 * at + 1] =
      slot | (terms.qos << QOS_SHIFT) | (terms.retain ? RETAIN : 0) | (extra ? EXTRA : 0) | USED | before
    this.used++
    this.#change(at)
  }

  #change(at: number): void {
    if (!this.durable || this.owner.records.changes?.isOn !== true) return
    const word = this.#words[2 * at + 1] as number
    if ((word & CHANGED) !== 0) return
    this.#words[2 * at + 1] = word | CHANGED
    this.#changed.push(at)
  }

  /** Whether the store is known to have the message. */
  #isCommitted(at: number): boolean {
    const body = this.#held(at)
    if (body instanceof BodyRun) return false
    return body === undefined || body.chunk?.isCommitted(body.slot) === true
  }

  /** What holds the message of a slot in memory: of a run that was taken apart meanwhile, the message itself. */
  #held(at: number): Body | BodyRun | undefined {
    const held = this.#bodies?.[at]
    if (!(held instanceof BodyRun)) return held
    const body = held.apart(this.#words[2 * at] as number)
    if (body === undefined) return held
    ;(this.#bodies as (Body | BodyRun | undefined)[])[at] = body
    this.#words[2 * at] = 0
    return body
  }

  #grow(at: number): void {
    let slots = this.#words.length / 2
    if (at < slots) return
    while (slots <= at) slots *= 2
    const words = new Uint32Array(2 * slots)
    words.set(this.#words)
    this.#words = words
  }
}

function flagsOf(word: number): number {
  return (
    ((word >> QOS_SHIFT) & 3) |
    ((word & RETAIN) === 0 ? 0 : EntryFlag.retain) |
    ((word & RECEIVED) === 0 ? 0 : EntryFlag.received)
  )
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
