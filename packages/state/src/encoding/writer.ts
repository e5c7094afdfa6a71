/**
 * Writes the canonical binary forms of this package: commands, records, snapshots. Big-endian; strings with a length of
 * two bytes, byte strings with four. One value has exactly one form, since hashes are taken of it.
 */
import { utf8Length, utf8Write } from '@concordmq/protocol'

const SIZE_MIN = 256
/** Bytes up to which a loop is faster than a view. */
const COPIED_MAX = 64
const TWO_32 = 0x1_0000_0000

export class Writer {
  /** How many bytes are written. */
  length = 0
  #bytes = new Uint8Array(SIZE_MIN)

  u8(value: number): void {
    this.#room(1)
    this.#bytes[this.length++] = value
  }

  u16(value: number): void {
    this.#room(2)
    this.#bytes[this.length++] = value >>> 8
    this.#bytes[this.length++] = value
  }

  /** Puts a number over what is written at `at`. */
  u16At(at: number, value: number): void {
    this.#bytes[at] = value >>> 8
    this.#bytes[at + 1] = value
  }

  u32(value: number): void {
    this.#room(4)
    const bytes = this.#bytes
    bytes[this.length++] = value >>> 24
    bytes[this.length++] = value >>> 16
    bytes[this.length++] = value >>> 8
    bytes[this.length++] = value
  }

  /** An integer 0..2^53-1 in eight bytes. */
  u53(value: number): void {
    this.u32(Math.floor(value / TWO_32))
    this.u32(value % TWO_32)
  }

  /** At most 65,535 bytes of UTF-8; a lone surrogate becomes U+FFFD. */
  string(value: string): void {
    const size = utf8Length(value)
    this.u16(size)
    this.#room(size)
    utf8Write(value, this.#bytes, this.length)
    this.length += size
  }

  bytes(value: Uint8Array): void {
    this.u32(value.length)
    this.raw(value)
  }

  /** Leaves room for the length of what is written until `end`, in the form of `bytes`; returns where. */
  begin(): number {
    this.u32(0)
    return this.length
  }

  end(begun: number): void {
    const { length } = this
    this.length = begun - 4
    this.u32(length - begun)
    this.length = length
  }

  /** Bytes without a length. */
  raw(value: Uint8Array): void {
    this.#room(value.length)
    this.#bytes.set(value, this.length)
    this.length += value.length
  }

  /** Bytes `[start, end)` of a buffer, without a length: cheaper than `raw` of a view where there are few. */
  rawFrom(bytes: Uint8Array, start: number, end: number): void {
    const size = end - start
    if (size > COPIED_MAX) {
      this.raw(bytes.subarray(start, end))
      return
    }
    this.#room(size)
    const own = this.#bytes
    let at = this.length
    for (let i = start; i < end; i++) own[at++] = bytes[i] as number
    this.length = at
  }

  /** A copy of what is written. */
  take(): Uint8Array {
    return this.#bytes.slice(0, this.length)
  }

  /** What is written, without a copy: valid until the next write. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.length)
  }

  clear(): void {
    this.length = 0
  }

  #room(count: number): void {
    const wanted = this.length + count
    if (wanted <= this.#bytes.length) return
    let size = this.#bytes.length * 2
    while (size < wanted) size *= 2
    const grown = new Uint8Array(size)
    grown.set(this.view())
    this.#bytes = grown
  }
}
