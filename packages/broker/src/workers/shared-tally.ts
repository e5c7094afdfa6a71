/** A count in shared memory: one word. */
import type { Tally } from '../model/tally.ts'

export class SharedTally implements Tally {
  readonly #word: Int32Array

  constructor(buffer: SharedArrayBuffer) {
    this.#word = new Int32Array(buffer)
  }

  static share(): SharedArrayBuffer {
    return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)
  }

  add(by: number): number {
    return Atomics.add(this.#word, 0, by)
  }
}
