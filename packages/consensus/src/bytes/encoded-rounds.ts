/**
 * What snapshots say of rounds that hardly change any more, kept as the bytes it is: a snapshot names thousands of rounds, and to
 * find what it says of each anew would hold a step up for milliseconds, on all nodes at once. Whoever changes something of a
 * round forgets its bytes.
 *
 *     round mod size ─▶ round | length | bytes
 *
 * A cache only: what is not in it is written as if it did not exist, to the same bytes.
 */
export class EncodedRounds {
  readonly #size: number
  readonly #bytesMax: number
  #bytes: Uint8Array | undefined
  /** Which round each place holds; 0: none. */
  #rounds: Float64Array = new Float64Array(0)
  #lengths: Uint32Array = new Uint32Array(0)

  /** For rounds of which at most `span` count together, of up to `bytesMax` bytes each; longer ones are not kept. */
  constructor(span: number, bytesMax: number) {
    this.#size = 1 << (32 - Math.clz32(span))
    this.#bytesMax = bytesMax
  }

  /** A view, valid until the next `set`; undefined: not known. */
  get(round: number): Uint8Array | undefined {
    const at = round & (this.#size - 1)
    if (this.#rounds[at] !== round) return undefined
    return this.#bytes?.subarray(at * this.#bytesMax, at * this.#bytesMax + (this.#lengths[at] as number))
  }

  /** Rounds begin at 1. The bytes are copied. */
  set(round: number, bytes: Uint8Array): void {
    if (bytes.length > this.#bytesMax) return
    if (this.#bytes === undefined) {
      this.#bytes = new Uint8Array(this.#size * this.#bytesMax)
      this.#rounds = new Float64Array(this.#size)
      this.#lengths = new Uint32Array(this.#size)
    }
    const at = round & (this.#size - 1)
    this.#bytes.set(bytes, at * this.#bytesMax)
    this.#lengths[at] = bytes.length
    this.#rounds[at] = round
  }

  forget(round: number): void {
    const at = round & (this.#size - 1)
    if (this.#rounds[at] === round) this.#rounds[at] = 0
  }
}
