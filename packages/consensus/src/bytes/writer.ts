/**
 * Writes the canonical binary forms of the engine: blocks, frames, records, snapshots (consensus.md section 3). Big-endian;
 * byte strings have a length of four bytes in front. One value has exactly one form, since hashes and signatures are taken of it.
 */
const SIZE_MIN = 256
const TWO_32 = 0x1_0000_0000
const NOTHING = new Uint8Array(0)

/**
 * Small arrays are cut from slabs: one with memory of its own costs more to make than to fill. What is kept for long keeps its slab,
 * which is small for that reason.
 */
const SLAB_BYTES = 8192
const CUT_BYTES_MAX = 1024
let slab = new Uint8Array(SLAB_BYTES)
let cutBytes = 0

function newBytes(size: number): Uint8Array {
  if (size > CUT_BYTES_MAX) return new Uint8Array(size)
  if (size > SLAB_BYTES - cutBytes) {
    slab = new Uint8Array(SLAB_BYTES)
    cutBytes = 0
  }
  const start = cutBytes
  cutBytes += size
  return new Uint8Array(slab.buffer, start, size)
}

export class Writer {
  /** How many bytes are written. */
  length = 0
  #bytes: Uint8Array

  constructor(sizeMin = SIZE_MIN) {
    this.#bytes = newBytes(sizeMin)
  }

  u8(value: number): void {
    this.#room(1)
    this.#bytes[this.length++] = value
  }

  u16(value: number): void {
    this.#room(2)
    this.#bytes[this.length++] = value >>> 8
    this.#bytes[this.length++] = value
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
  u64(value: number): void {
    this.u32(Math.floor(value / TWO_32))
    this.u32(value % TWO_32)
  }

  /** Bytes with their length in front. */
  bytes(value: Uint8Array): void {
    this.u32(value.length)
    this.raw(value)
  }

  /** Bytes without a length. */
  raw(value: Uint8Array): void {
    this.#room(value.length)
    this.#bytes.set(value, this.length)
    this.length += value.length
  }

  /** Characters of ASCII, one byte each, with their number in front. */
  ascii(value: string): void {
    this.u32(value.length)
    this.rawAscii(value)
  }

  /** Characters of ASCII without a length. */
  rawAscii(value: string): void {
    this.#room(value.length)
    for (let i = 0; i < value.length; i++) this.#bytes[this.length++] = value.charCodeAt(i)
  }

  /** Writes again what stands at `at`. */
  u16At(at: number, value: number): void {
    this.#bytes[at] = value >>> 8
    this.#bytes[at + 1] = value
  }

  /** Writes again what stands at `at`. */
  u32At(at: number, value: number): void {
    const bytes = this.#bytes
    bytes[at] = value >>> 24
    bytes[at + 1] = value >>> 16
    bytes[at + 2] = value >>> 8
    bytes[at + 3] = value
  }

  /** What is written, the caller's from now on; the writer begins anew. Without a copy where the size was known from the start. */
  take(): Uint8Array {
    const bytes = this.#bytes
    const { length } = this
    this.#bytes = NOTHING
    this.length = 0
    if (length === bytes.length) return bytes
    const taken = newBytes(length)
    taken.set(bytes.subarray(0, length))
    return taken
  }

  /** What is written, without a copy: valid until the next write. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.length)
  }

  /** Forgets what is written from `length` on. */
  cut(length = 0): void {
    this.length = length
  }

  #room(count: number): void {
    const wanted = this.length + count
    if (wanted <= this.#bytes.length) return
    let size = Math.max(SIZE_MIN, this.#bytes.length * 2)
    while (size < wanted) size *= 2
    const grown = new Uint8Array(size)
    grown.set(this.view())
    this.#bytes = grown
  }
}
