/**
 * What must come before a unit (`pred` of consensus.md 8.3): a set of bits over the units that were candidates when it became
 * solid. All units of one step share the list of candidates, so ten thousand units that become solid at once after a long
 * partition cost a bit per pair, not a reference. The set never changes; what is emitted or void is skipped by whoever reads.
 */

export class Predecessors<T> {
  readonly candidates: readonly T[]
  readonly #bits: Int32Array

  constructor(candidates: readonly T[]) {
    this.candidates = candidates
    this.#bits = new Int32Array((candidates.length + 31) >>> 5)
  }

  add(index: number): void {
    const word = index >>> 5
    this.#bits[word] = (this.#bits[word] as number) | (1 << (index & 31))
  }

  /** The first index of the set that is not below `from`, or -1. */
  next(from: number): number {
    let word = from >>> 5
    if (word >= this.#bits.length) return -1
    let bits = (this.#bits[word] as number) & (-1 << (from & 31))
    while (bits === 0) {
      if (++word === this.#bits.length) return -1
      bits = this.#bits[word] as number
    }
    return (word << 5) + (31 - Math.clz32(bits & -bits))
  }
}
