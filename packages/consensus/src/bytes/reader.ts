/**
 * Reads what `Writer` wrote, from a party that may lie. A fault is remembered in `problem` and every later read answers zero or
 * empty, so that decoders need no check per field: they look at `problem` once, before they use anything. Byte strings are views:
 * whoever keeps one longer than the frame it came in makes a copy.
 */
const TWO_21 = 0x20_0000
const TWO_32 = 0x1_0000_0000
const NOTHING = new Uint8Array(0)

export class Reader {
  /** The first fault; undefined: none so far. */
  problem: string | undefined = undefined
  /** Offset of the next byte. */
  at: number
  readonly #bytes: Uint8Array
  #end: number

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.#bytes = bytes
    this.at = start
    this.#end = end
  }

  /** Bytes not read yet. */
  get left(): number {
    return this.#end - this.at
  }

  fail(problem: string): void {
    this.problem ??= problem
    this.#end = this.at
  }

  u8(): number {
    return this.#has(1) ? (this.#bytes[this.at++] as number) : 0
  }

  u16(): number {
    if (!this.#has(2)) return 0
    const bytes = this.#bytes
    const at = this.at
    this.at = at + 2
    return ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
  }

  u32(): number {
    if (!this.#has(4)) return 0
    const bytes = this.#bytes
    const at = this.at
    this.at = at + 4
    return (
      (((bytes[at] as number) << 24) |
        ((bytes[at + 1] as number) << 16) |
        ((bytes[at + 2] as number) << 8) |
        (bytes[at + 3] as number)) >>>
      0
    )
  }

  /** An integer 0..2^53-1; a larger one is a fault. */
  u64(): number {
    const high = this.u32()
    const low = this.u32()
    if (high >= TWO_21) {
      this.fail('number is 2^53 or more')
      return 0
    }
    return high * TWO_32 + low
  }

  /** 0 or 1. */
  flag(): boolean {
    const value = this.u8()
    if (value > 1) this.fail('flag is neither 0 nor 1')
    return value === 1
  }

  /** Bytes with their length in front; longer than `max` is a fault. */
  bytes(max: number): Uint8Array {
    const size = this.u32()
    if (size > max) this.fail(`byte string is longer than ${max}`)
    return this.raw(size)
  }

  /** The next `size` bytes. */
  raw(size: number): Uint8Array {
    if (!this.#has(size)) return NOTHING
    const start = this.at
    this.at += size
    return this.#bytes.subarray(start, this.at)
  }

  /** Visible characters of ASCII with their number in front. */
  ascii(max: number): string {
    const bytes = this.bytes(max)
    let text = ''
    for (const byte of bytes) {
      if (byte < 0x21 || byte > 0x7e) this.fail('text has other than visible characters of ASCII')
      text += String.fromCharCode(byte)
    }
    return this.problem === undefined ? text : ''
  }

  /** Nothing may follow. Answers whether all went well. */
  end(): boolean {
    if (this.problem === undefined && this.left > 0) this.fail('bytes follow the end')
    return this.problem === undefined
  }

  #has(count: number): boolean {
    if (this.#end - this.at >= count && this.problem === undefined) return true
    this.fail('cut short')
    return false
  }
}
