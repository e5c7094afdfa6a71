/**
 * A chunk of the shelf, as memory knows it: how many queue entries refer to each of its messages, their bytes, when they
 * expire. Its content is in the store. Places are kept only while messages are still added.
 */
import { NEVER } from '../deadlines/deadlines.ts'
import type { Reader } from '../encoding/reader.ts'
import type { Writer } from '../encoding/writer.ts'
import { RecordKind } from '../records/kinds.ts'
import { StateRecord } from '../records/state-record.ts'

/** Messages of one chunk. */
export const CHUNK_MESSAGES_MAX = 1024
/** Bytes of messages at which a chunk takes no further one. */
const CHUNK_BYTES_MIN = 262_144
/** A chunk is written anew when it has at least so many messages and fewer than a quarter are left. */
const SHRINK_MESSAGES_MIN = 64

/** What a chunk knows of one of its messages. */
export interface Shelved {
  readonly slot: number
  readonly position: number
  readonly index: number
  readonly bytes: number
  readonly expiresUs: number
}

/** Whoever holds the chunks is told when one has no references any more. */
export interface ChunkOwner {
  drop(chunk: Chunk): void
}

export class Chunk extends StateRecord {
  readonly id: number
  /** Messages that are still referred to. */
  live = 0
  /** Slots below are known to be in the store. Until then the log names a message by its place. */
  committedBelow = 0
  /** What its messages count for so far, about the bytes of its content. */
  contentBytes = 0
  readonly #shelf: ChunkOwner
  /** Slots in use, ascending; undefined: 0, 1, 2, … */
  #slots: Uint16Array | undefined
  #count = 0
  #references = new Uint32Array(0)
  #bytes = new Uint32Array(0)
  #expiresUs: Float64Array | undefined
  /** For the value: places are kept in memory only while the chunk may still be written. */
  #directory: Shelved[] = []

  constructor(id: number, shelf: ChunkOwner) {
    super()
    this.id = id
    this.#shelf = shelf
  }

  get messages(): number {
    return this.#count
  }

  get isFull(): boolean {
    return this.#count >= CHUNK_MESSAGES_MAX || this.contentBytes >= CHUNK_BYTES_MIN
  }

  bytesAt(slot: number): number {
    return this.#bytes[this.#at(slot)] as number
  }

  expiresUsAt(slot: number): number {
    return this.#expiresUs === undefined ? NEVER : (this.#expiresUs[this.#at(slot)] as number)
  }

  holds(slot: number): boolean {
    return this.#at(slot) >= 0
  }

  /** Whether an entry refers to the message; if none does, it may be gone from the store. */
  isLive(slot: number): boolean {
    const at = this.#at(slot)
    return at >= 0 && (this.#references[at] as number) > 0
  }

  isCommitted(slot: number): boolean {
    return slot < this.committedBelow
  }

  refer(slot: number, count = 1): void {
    const at = this.#at(slot)
    if (this.#references[at] === 0) this.live++
    this.#references[at] = (this.#references[at] as number) + count
  }

  release(slot: number): void {
    const at = this.#at(slot)
    const left = (this.#references[at] as number) - 1
    this.#references[at] = left
    if (left === 0 && --this.live === 0) this.#shelf.drop(this)
  }

  add(message: Shelved): void {
    const at = this.#count++
    if (at >= this.#bytes.length) this.#grow()
    this.#bytes[at] = message.bytes
    if (message.expiresUs !== NEVER) this.#expiresUs ??= new Float64Array(this.#bytes.length).fill(NEVER)
    if (this.#expiresUs !== undefined) this.#expiresUs[at] = message.expiresUs
    if (message.slot !== at) this.#slots ??= Uint16Array.from({ length: CHUNK_MESSAGES_MAX }, (_, i) => i)
    if (this.#slots !== undefined) this.#slots[at] = message.slot
    this.#directory.push(message)
  }

  /** No further message comes: what only `add` and the value need is let go. */
  seal(): void {
    this.#directory = []
    const count = this.#count
    if (this.#bytes.length === count) return
    this.#bytes = this.#bytes.slice(0, count)
    this.#references = this.#references.slice(0, count)
    this.#expiresUs = this.#expiresUs?.slice(0, count)
    this.#slots = this.#slots?.slice(0, count)
  }

  /** Whether it is worth writing anew. */
  get isSparse(): boolean {
    if (this.#count < SHRINK_MESSAGES_MIN || this.live * 4 >= this.#count) return false
    // What a save under way has added is not in the content that the store would give.
    return this.isCommitted(this.#slots?.[this.#count - 1] ?? this.#count - 1)
  }

  /** Leaves out what is gone; the others keep their slots. Returns what is left of `messages`. */
  shrink<T extends Shelved>(messages: readonly T[]): readonly T[] {
    const left = messages.filter(({ slot }) => (this.#references[this.#at(slot)] ?? 0) > 0)
    const references = left.map(({ slot }) => this.#references[this.#at(slot)] as number)
    this.#count = 0
    this.#slots = undefined
    this.#bytes = new Uint32Array(0)
    this.#references = new Uint32Array(0)
    this.#expiresUs = undefined
    this.#directory = []
    for (const [i, message] of left.entries()) {
      this.add(message)
      this.#references[i] = references[i] as number
    }
    return left
  }

  override writeKey(writer: Writer): void {
    writer.u8(RecordKind.chunk)
    writer.u53(this.id)
  }

  override writeValue(writer: Writer): void {
    writer.u16(this.#directory.length)
    for (const { slot, position, index, bytes, expiresUs } of this.#directory) {
      writer.u16(slot)
      writer.u53(position)
      writer.u32(index)
      writer.u32(bytes)
      writer.u53(expiresUs)
    }
  }

  #grow(): void {
    const length = Math.min(CHUNK_MESSAGES_MAX, Math.max(8, this.#bytes.length * 2))
    const bytes = new Uint32Array(length)
    bytes.set(this.#bytes)
    this.#bytes = bytes
    const references = new Uint32Array(length)
    references.set(this.#references)
    this.#references = references
    if (this.#expiresUs === undefined) return
    const expiresUs = new Float64Array(length).fill(NEVER)
    expiresUs.set(this.#expiresUs)
    this.#expiresUs = expiresUs
  }

  #at(slot: number): number {
    const slots = this.#slots
    if (slots === undefined) return slot < this.#count ? slot : -1
    let low = 0
    let high = this.#count
    while (low < high) {
      const middle = (low + high) >> 1
      if ((slots[middle] as number) < slot) low = middle + 1
      else high = middle
    }
    return low < this.#count && slots[low] === slot ? low : -1
  }
}

/** The messages that a chunk's value names; malformed ones leave a problem in the reader. */
export function readDirectory(reader: Reader): Shelved[] {
  const messages: Shelved[] = []
  let last = -1
  for (let left = reader.u16(); left > 0 && reader.problem === undefined; left--) {
    const slot = reader.u16()
    if (slot <= last || slot >= CHUNK_MESSAGES_MAX) reader.fail('slots of a chunk are out of order')
    last = slot
    messages.push({ slot, position: reader.u53(), index: reader.u32(), bytes: reader.u32(), expiresUs: reader.u53() })
  }
  return messages
}
