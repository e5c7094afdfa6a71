/**
 * Which submission numbers of one author have their place (consensus.md 8.6): a bitmap over the last `size` numbers up to the
 * highest one. Restarts and reserved blocks of numbers leave gaps for ever, so a mark below which all are taken, with a set
 * above it, would grow without end; here a number that is `size` or more below the highest is refused.
 */

export class SeqWindow {
  /** The highest number that has its place; -1 before the first. */
  #highest = -1
  readonly #size: number
  /** Bit `seq mod size`. */
  readonly #words: Int32Array<ArrayBuffer>

  /** `size` is a multiple of 32. */
  constructor(size: number) {
    this.#size = size
    this.#words = new Int32Array(size / 32)
  }

  get highest(): number {
    return this.#highest
  }

  /** Whether the number is new, and takes it. */
  take(seq: number): boolean {
    if (seq <= this.#highest - this.#size) return false
    const bit = seq % this.#size
    if (seq > this.#highest) this.#advance(seq)
    else if (((this.#words[bit >>> 5] as number) >>> (bit & 31)) & 1) return false
    this.#words[bit >>> 5] = (this.#words[bit >>> 5] as number) | (1 << (bit & 31))
    return true
  }

  /** Nothing between the old highest number and the new one is taken. */
  #advance(seq: number): void {
    if (seq - this.#highest >= this.#size) this.#words.fill(0)
    else {
      for (let between = this.#highest + 1; between < seq; between++) {
        const bit = between % this.#size
        this.#words[bit >>> 5] = (this.#words[bit >>> 5] as number) & ~(1 << (bit & 31))
      }
    }
    this.#highest = seq
  }
}
