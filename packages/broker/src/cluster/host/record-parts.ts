/**
 * A long record in parts: it lies in the log behind those of its append, a part in each of the groups that follow, so that no group
 * that somebody waits for is as long as it is. The record is there when its last part is.
 *
 *   record of 320 KB ─▶ part │ part │ … │ part        each a record of kind 255: kind u8 │ offset u32 │ length of the whole u32 │ bytes
 *
 * A crash between two parts leaves some that lead to nothing, and so does a log whose front was dropped: readers pass over them.
 */
import type { WalRecord } from '@concordmq/consensus'

/** No kind of the engine's. */
export const PART_KIND = 255
/** A record that is no longer goes at once; a part has so many bytes at least … */
export const PART_BYTES_MIN = 4096
/** … and more where there would be more parts than these: they have to be through before the next one comes, some 500 rounds later. */
const PARTS_MAX = 128
const PART_HEAD_BYTES = 9

/** Cuts a record. */
export class PartsOfRecord {
  readonly #record: WalRecord
  readonly #partBytes: number
  #at = 0

  constructor(record: WalRecord) {
    this.#record = record
    this.#partBytes = Math.max(PART_BYTES_MIN, Math.ceil(record.bytes.length / PARTS_MAX))
  }

  /** Whether the last part was taken. */
  get isOver(): boolean {
    return this.#at >= this.#record.bytes.length
  }

  get mark(): number {
    return this.#record.mark
  }

  next(): WalRecord {
    const { kind, mark, bytes } = this.#record
    const from = this.#at
    this.#at = Math.min(bytes.length, from + this.#partBytes)
    const part = Buffer.allocUnsafe(PART_HEAD_BYTES + this.#at - from)
    part[0] = kind
    part.writeUInt32BE(from, 1)
    part.writeUInt32BE(bytes.length, 5)
    part.set(bytes.subarray(from, this.#at), PART_HEAD_BYTES)
    return { kind: PART_KIND, mark, bytes: part }
  }
}

/** Puts parts together, of one record after the other. */
export class PartsGathered {
  #mark = -1
  #parts: Uint8Array[] = []
  #bytes = 0

  /** The whole record if this was its last part. */
  take({ mark, bytes: part }: WalRecord): WalRecord | undefined {
    if (part.length < PART_HEAD_BYTES) return undefined
    const head = Buffer.from(part.buffer, part.byteOffset, PART_HEAD_BYTES)
    const from = head.readUInt32BE(1)
    if (from === 0) this.#begin(mark)
    if (mark !== this.#mark || from !== this.#bytes) return undefined
    this.#parts.push(part.subarray(PART_HEAD_BYTES))
    this.#bytes += part.length - PART_HEAD_BYTES
    if (this.#bytes < head.readUInt32BE(5)) return undefined
    const bytes = Buffer.concat(this.#parts)
    this.#begin(-1)
    return { kind: head[0] ?? 0, mark, bytes }
  }

  #begin(mark: number): void {
    this.#mark = mark
    this.#parts = []
    this.#bytes = 0
  }
}
