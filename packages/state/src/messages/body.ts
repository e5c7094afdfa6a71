/**
 * A message in its place, and how many queue entries refer to it. A message is a record of the state exactly while one
 * does; a publish that nobody has to keep leaves nothing behind. Where there is a disk, a message that a kept session waits
 * for goes to the shelf (`shelf.ts`) with the next save, and from then on memory need not hold it.
 */
import { NEVER } from '../deadlines/deadlines.ts'
import type { Reader } from '../encoding/reader.ts'
import type { Writer } from '../encoding/writer.ts'
import { RecordKind } from '../records/kinds.ts'
import type { RecordTable } from '../records/record-table.ts'
import { StateRecord } from '../records/state-record.ts'
import type { Chunk } from './chunk.ts'
import type { Message, PlacedMessage } from './message.ts'
import { messageBytes, readMessage, writeMessage } from './message-codec.ts'

export class Body extends StateRecord implements PlacedMessage {
  readonly message: Message
  readonly position: number
  readonly index: number
  readonly timeUs: number
  /** What it counts for under a maximum of bytes. */
  readonly bytes: number
  /** Queue entries that refer to it. */
  references = 0
  /** Those of kept sessions among them, until it is on the shelf; from then on the chunk counts. */
  keptReferences = 0
  /** Where it lies on the shelf. */
  chunk: Chunk | undefined = undefined
  slot = 0

  constructor(message: Message, place: { readonly position: number; readonly index: number; readonly timeUs: number }) {
    super()
    this.message = message
    this.position = place.position
    this.index = place.index
    this.timeUs = place.timeUs
    this.bytes = messageBytes(message)
  }

  /** When it expires, microseconds since 1970. */
  get expiresUs(): number {
    const { expirySeconds } = this.message
    return expirySeconds === undefined ? NEVER : this.timeUs + expirySeconds * 1_000_000
  }

  /** Who refers to it decides, see `refer`. */
  override get durable(): boolean {
    return false
  }

  override writeKey(writer: Writer): void {
    writer.u8(RecordKind.message)
    writer.u53(this.position)
    writer.u32(this.index)
  }

  override writeValue(writer: Writer): void {
    writer.u53(this.timeUs)
    writeMessage(writer, this.message)
  }
}

export function readBody(reader: Reader): Body {
  const position = reader.u53()
  const index = reader.u32()
  const timeUs = reader.u53()
  return new Body(readMessage(reader), { position, index, timeUs })
}

/** One more queue entry refers to it, `kept`: one of a kept session. */
export function refer(records: RecordTable, body: Body, { kept }: { readonly kept: boolean }): void {
  if (body.references++ === 0) records.add(body)
  const { changes } = records
  if (!kept || changes === undefined) return
  // A retained message outlives the queues that had it. What no queue has is not on the shelf any more, or soon not.
  if (body.chunk !== undefined && changes.isOn && !body.chunk.isLive(body.slot)) body.chunk = undefined
  if (body.chunk !== undefined) body.chunk.refer(body.slot)
  else if (body.keptReferences++ === 0) changes.mark(body)
}

/** One fewer refers to it. */
export function release(records: RecordTable, body: Body, { kept }: { readonly kept: boolean }): void {
  if (--body.references === 0) records.remove(body)
  if (!kept || records.changes === undefined) return
  if (body.chunk !== undefined) body.chunk.release(body.slot)
  else if (--body.keptReferences === 0) records.changes.mark(body)
}

/** Negative when `a` came before `b`. */
export function comparePlaces(a: PlacedMessage, b: PlacedMessage): number {
  return a.position - b.position || a.index - b.index
}

/** From so many on the numbers are sorted alone: sixteen times as fast as calls of a function that compares. */
const SORTED_AS_NUMBERS_MIN = 256

/** Ascending by place, in place or in a new list. */
export function sortByPlace<P extends PlacedMessage>(placed: P[]): P[] {
  const count = placed.length
  if (count < SORTED_AS_NUMBERS_MIN) return placed.sort(comparePlaces)
  // Asked for once: each may lie anywhere in memory.
  const keys = new Float64Array(count)
  let first = Number.MAX_SAFE_INTEGER
  let last = 0
  for (let i = 0; i < count; i++) {
    const { position } = placed[i] as P
    keys[i] = position
    if (position < first) first = position
    if (position > last) last = position
  }
  if ((last - first + 1) * count > Number.MAX_SAFE_INTEGER) return placed.sort(comparePlaces)
  for (let i = 0; i < count; i++) keys[i] = ((keys[i] as number) - first) * count + i
  keys.sort()
  const sorted: P[] = []
  let before = -1
  let isUnique = true
  for (const key of keys) {
    const at = key % count
    sorted.push(placed[at] as P)
    isUnique &&= key - at !== before
    before = key - at
  }
  // What one command caused is told apart by the index; nearly in order, that is quick.
  return isUnique ? sorted : sorted.sort(comparePlaces)
}
