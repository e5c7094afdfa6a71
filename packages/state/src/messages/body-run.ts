/**
 * Messages of a run in their places, as one record: what differs in the payload only, published and queued together. Most such
 * messages are sent, acknowledged and gone together, too, and nothing was ever made for one of them alone.
 *
 *   queue entry ─▶ (run, number in it) ─▶ references, payload        until the next save
 *                         └─takeApart─▶ body ─▶ shelf                 from then on: as any other message
 *
 * Only where there is a disk and nothing is hashed: hash and snapshot know single messages. The log has the whole run in one
 * change (`saving/delta.ts`), written once, whatever becomes of its messages before the store has them.
 */
import type { Writer } from '../encoding/writer.ts'
import { RecordKind } from '../records/kinds.ts'
import type { RecordTable } from '../records/record-table.ts'
import { StateRecord } from '../records/state-record.ts'
import { Body } from './body.ts'
import { type MessageHead, messageOfRun } from './message.ts'
import { messageBytes, writeHead } from './message-codec.ts'
import { PackedPayloads } from './payloads.ts'

const NO_BYTES = new Uint8Array(0)
const NO_PAYLOADS = new PackedPayloads(NO_BYTES, new Int32Array(0), new Int32Array(0))

export interface RunPlace {
  readonly position: number
  /** Of its first message; those of the others follow. */
  readonly index: number
  readonly timeUs: number
}

export class BodyRun extends StateRecord {
  readonly head: MessageHead
  readonly position: number
  readonly index: number
  readonly timeUs: number
  readonly count: number
  /** When all of them expire, microseconds since 1970. */
  readonly expiresUs: number
  /** What each counts for beside its payload, bytes. */
  readonly headBytes: number
  /** How many of its messages queue entries refer to. */
  live = 0
  #payloads: PackedPayloads
  readonly #references: Uint32Array
  #bodies: (Body | undefined)[] | undefined

  constructor(head: MessageHead, payloads: PackedPayloads, place: RunPlace) {
    super()
    this.head = head
    this.#payloads = payloads
    this.position = place.position
    this.index = place.index
    this.timeUs = place.timeUs
    this.count = payloads.length
    const bare = new Body(messageOfRun(head, NO_BYTES), place)
    this.expiresUs = bare.expiresUs
    this.headBytes = messageBytes(bare.message)
    this.#references = new Uint32Array(payloads.length)
  }

  /** Gone with the last reference. */
  get payloads(): PackedPayloads {
    return this.#payloads
  }

  /** What all of them count for under a maximum of bytes. */
  get bytes(): number {
    return this.count * this.headBytes + this.#payloads.total
  }

  bytesAt(i: number): number {
    return this.headBytes + this.#payloads.size(i)
  }

  /** One of them, as it is now: nothing refers to the object. */
  body(i: number): Body {
    const { position, index, timeUs } = this
    const message = messageOfRun(this.head, this.#payloads.at(i) as Uint8Array)
    return new Body(message, { position, index: index + i, timeUs })
  }

  /** What became of a message when the run was taken apart; undefined: it was not. */
  apart(i: number): Body | undefined {
    return this.#bodies?.[i]
  }

  /** One more queue refers to all of them. It is that of a kept session. */
  refer(records: RecordTable): void {
    const references = this.#references
    for (let i = 0; i < references.length; i++) references[i] = (references[i] as number) + 1
    this.live = references.length
    records.add(this)
    records.changes?.mark(this)
  }

  /** One fewer refers to message `i`. */
  release(records: RecordTable, i: number): void {
    const left = (this.#references[i] as number) - 1
    this.#references[i] = left
    if (left > 0 || --this.live > 0) return
    records.remove(this)
    records.changes?.mark(this)
    this.#payloads = NO_PAYLOADS
  }

  /** From now on each of its messages that is left is one of its own. They are on their way to the shelf. */
  takeApart(): readonly Body[] {
    const bodies: (Body | undefined)[] = []
    const left: Body[] = []
    for (const [i, references] of this.#references.entries()) {
      const body = references === 0 ? undefined : this.body(i)
      bodies.push(body)
      if (body === undefined) continue
      body.references = body.keptReferences = references
      left.push(body)
    }
    this.#bodies = bodies
    this.#payloads = NO_PAYLOADS
    return left
  }

  /** Who refers to it decides, as with a single message. */
  override get durable(): boolean {
    return false
  }

  override get weight(): number {
    return this.count
  }

  /** That of its first message. */
  override writeKey(writer: Writer): void {
    writer.u8(RecordKind.message)
    writer.u53(this.position)
    writer.u32(this.index)
  }

  /** For the log alone: sizes, then the payloads. Most runs have payloads of one size, which is said once. */
  override writeValue(writer: Writer): void {
    const { bytes, starts, ends } = this.#payloads
    const size = this.#payloads.size(0)
    let isEven = true
    for (let i = 1; isEven && i < this.count; i++) isEven = this.#payloads.size(i) === size
    writer.u53(this.timeUs)
    writeHead(writer, this.head)
    writer.u32(this.count)
    writer.u8(isEven ? 1 : 0)
    if (isEven) writer.u32(size)
    else for (let i = 0; i < this.count; i++) writer.u32(this.#payloads.size(i))
    const begun = writer.begin()
    for (let i = 0; i < this.count; i++) writer.rawFrom(bytes, starts[i] as number, ends[i] as number)
    writer.end(begun)
  }
}
