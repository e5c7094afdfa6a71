/**
 * Which submission numbers of one author have their place (consensus.md 8.6): a bitmap over the last `size` numbers up to the
 * highest one. Restarts and reserved blocks of numbers leave gaps for ever, so a mark below which all are taken, with a set
 * above it, would grow without end; here a number that is `size` or more below the highest is refused.
 */
import type { Reader } from '../bytes/reader.ts'
import type { Writer } from '../bytes/writer.ts'

export class SeqWindow {
  /** The highest number that has its place; -1 before the first. */
  #highest = -1
  readonly #size: number
  /** Bit `seq mod size`. */
  readonly #words: Int32Array<ArrayBuffer>

  constructor(size: number) {
    this.#size = size
    this.#words = new Int32Array((size + 31) >>> 5)
  }

  get size(): number {
    return this.#size
  }

  get highest(): number {
    return this.#highest
  }

  /** Whether the number has its place, or is too old to get one. */
  has(seq: number): boolean {
    return this.#refuses(seq)
  }

  /** Whether the number is new, and takes it. */
  take(seq: number): boolean {
    if (this.#refuses(seq)) return false
    if (seq > this.#highest) this.#advance(seq)
    this.#set(seq)
    return true
  }

  /** The same with another size, in which what was refused remains refused. */
  resized(size: number): SeqWindow {
    const window = new SeqWindow(size)
    window.#highest = this.#highest
    for (let seq = Math.max(0, this.#highest - size + 1); seq <= this.#highest; seq++) {
      if (this.#refuses(seq)) window.#set(seq)
    }
    return window
  }

  /** The highest number, and runs of equal words that have a one: most of a window is empty or full. */
  write(writer: Writer): void {
    const words = this.#words
    writer.u64(this.#highest + 1)
    const countAt = writer.length
    let runs = 0
    writer.u32(0)
    // In a window that is not full yet nothing is behind the highest number.
    const end = this.#highest < this.#size ? (this.#highest + 32) >>> 5 : words.length
    for (let at = 0; at < end; ) {
      const word = words[at] as number
      const from = at++
      if (word === 0) continue
      while (at < end && words[at] === word) at++
      writer.u32(from)
      writer.u32(at - from)
      writer.u32(word)
      runs++
    }
    writer.u32At(countAt, runs)
  }

  read(reader: Reader): void {
    this.#highest = reader.u64() - 1
    this.#words.fill(0)
    const runs = reader.u32()
    let free = 0
    for (let i = 0; i < runs && reader.problem === undefined; i++) {
      const from = reader.u32()
      const to = from + reader.u32()
      const word = reader.u32() | 0
      const continues = from === free && free > 0 && word === this.#words[from - 1]
      if (from < free || from >= to || to > this.#words.length || word === 0 || continues) {
        reader.fail('submission numbers are not runs in order')
      } else this.#words.fill(word, from, to)
      free = to
    }
  }

  #refuses(seq: number): boolean {
    if (seq <= this.#highest - this.#size) return true
    if (seq > this.#highest) return false
    const bit = seq % this.#size
    return (((this.#words[bit >>> 5] as number) >>> (bit & 31)) & 1) === 1
  }

  #set(seq: number): void {
    const bit = seq % this.#size
    this.#words[bit >>> 5] = (this.#words[bit >>> 5] as number) | (1 << (bit & 31))
  }

  /** Nothing between the old highest number and the new one is taken. */
  #advance(seq: number): void {
    if (seq - this.#highest >= this.#size) this.#words.fill(0)
    else {
      // After a restart thousands of numbers are left out.
      const from = (this.#highest + 1) % this.#size
      const to = from + seq - this.#highest - 1
      this.#clear(from, Math.min(to, this.#size))
      if (to > this.#size) this.#clear(0, to - this.#size)
    }
    this.#highest = seq
  }

  /** Clears bits from `from` up to before `to`. */
  #clear(from: number, to: number): void {
    if (from >= to) return
    const first = from >>> 5
    const last = (to - 1) >>> 5
    const low = -1 << (from & 31)
    const high = -1 >>> (31 - ((to - 1) & 31))
    if (first === last) this.#words[first] = (this.#words[first] as number) & ~(low & high)
    else {
      this.#words[first] = (this.#words[first] as number) & ~low
      this.#words.fill(0, first + 1, last)
      this.#words[last] = (this.#words[last] as number) & ~high
    }
  }
}
