/**
 * Reads what `Writer` wrote, from a party that may lie. A fault is remembered in `problem` and every later read answers
 * zero or empty, so that decoders need no check per field: they look at `problem` once, before they use anything.
 */
import { utf8Decode, utf8Problem } from '@concordmq/protocol'

const TWO_21 = 0x20_0000
const TWO_32 = 0x1_0000_0000
const NOTHING = new Uint8Array(0)

export class Reader {
  /** The first fault; undefined: none so far. */
  problem: string | undefined = undefined
  readonly #bytes: Uint8Array
  #at: number
  readonly #end: number

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.#bytes = bytes
    this.#at = start
    this.#end = end
  }

  /** Bytes not read yet. */
  get left(): number {
    return this.#end - this.#at
  }

  fail(problem: string): void {
    this.problem ??= problem
    this.#at = this.#end
  }

  u8(): number {
    return this.#has(1) ? (this.#bytes[this.#at++] as number) : 0
  }

  u16(): number {
    return this.#has(2) ? this.u8() * 256 + this.u8() : 0
  }

  u32(): number {
    return this.#has(4) ? this.u16() * 65536 + this.u16() : 0
  }

  u53(): number {
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

  /** A value of one byte that is at most `max`. */
  upTo(max: number, name: string): number {
    const value = this.u8()
    if (value > max) this.fail(`${name} is above ${max}`)
    return this.problem === undefined ? value : 0
  }

  string(): string {
    const size = this.u16()
    if (!this.#has(size)) return ''
    const start = this.#at
    this.#at += size
    if (utf8Problem(this.#bytes, start, this.#at) !== undefined) {
      this.fail('string is not MQTT UTF-8')
      return ''
    }
    return utf8Decode(this.#bytes, start, this.#at)
  }

  /** A copy, so that nothing kept pins what it came in. */
  bytes(): Uint8Array {
    return this.raw(this.u32())
  }

  /** A copy of the next `size` bytes. */
  raw(size: number): Uint8Array {
    if (!this.#has(size)) return NOTHING
    const start = this.#at
    this.#at += size
    // Not `slice`: that of a Node Buffer is a view.
    return new Uint8Array(this.#bytes.subarray(start, this.#at))
  }

  /** A number of elements that follow, each of at least `bytesMin` bytes: a count that cannot be true is a fault. */
  count(bytesMin: number): number {
    const count = this.u32()
    if (count * bytesMin > this.left) {
      this.fail('count is above what follows')
      return 0
    }
    return count
  }

  /** Nothing may follow. */
  end(): void {
    if (this.left > 0) this.fail('bytes follow the end')
  }

  #has(count: number): boolean {
    if (this.problem !== undefined) return false
    if (this.#end - this.#at >= count) return true
    this.fail('cut short')
    return false
  }
}
