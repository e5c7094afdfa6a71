/**
 * Counts by name in shared memory: connections of an address, or of a user, at all workers of a broker.
 *
 *   name ─SHA-256 with a secret─▶ bucket │ word │ word │ word │ …      a word: 43 bits of the hash, 20 bits of count
 *
 * A word changes as a whole, by compare-and-exchange, so no lock is held. Two threads that count a new name at the same time may
 * take a word each: a count is the sum of all words with its hash. A word whose count is 0 is free for any name.
 *
 * The secret keeps a remote party from choosing names that crowd one bucket. Where one is full all the same, the name is not
 * counted there, and counts as often as it does in the thread that asks.
 */
import { createHash, randomBytes } from 'node:crypto'
import { OwnTallies, type Tallies } from '../model/tally.ts'

const BUCKETS = 8192
const BUCKET_WORDS = 32
const SECRET_BYTES = 16
const COUNT_BITS = 20n
const COUNT_MAX = 2n ** COUNT_BITS - 1n

export class SharedTallies implements Tallies {
  readonly #words: BigInt64Array
  readonly #secret: Uint8Array
  /** Names for which there was no room. */
  readonly #own = new OwnTallies()

  constructor(buffer: SharedArrayBuffer) {
    this.#words = new BigInt64Array(buffer, 0, BUCKETS * BUCKET_WORDS)
    this.#secret = new Uint8Array(
      buffer,
      BUCKETS * BUCKET_WORDS * BigInt64Array.BYTES_PER_ELEMENT,
      SECRET_BYTES,
    ).slice()
  }

  static share(): SharedArrayBuffer {
    const wordsBytes = BUCKETS * BUCKET_WORDS * BigInt64Array.BYTES_PER_ELEMENT
    const buffer = new SharedArrayBuffer(wordsBytes + SECRET_BYTES)
    new Uint8Array(buffer, wordsBytes).set(randomBytes(SECRET_BYTES))
    return buffer
  }

  add(name: string, by: 1 | -1): number {
    const { bucket, tag } = this.#placeOf(name)
    const own = this.#own.count(name)
    if (own > 0 || !this.#change(bucket, tag, by)) return this.#own.add(name, by) + this.#sum(bucket, tag)
    return this.#sum(bucket, tag) - by
  }

  count(name: string): number {
    const { bucket, tag } = this.#placeOf(name)
    return this.#sum(bucket, tag) + this.#own.count(name)
  }

  /** False: there is no word for it. */
  #change(bucket: number, tag: bigint, by: 1 | -1): boolean {
    const words = this.#words
    for (const isFree of by > 0 ? [false, true] : [false]) {
      for (let at = bucket; at < bucket + BUCKET_WORDS; at++) {
        for (;;) {
          const word = Atomics.load(words, at)
          const count = word & COUNT_MAX
          const fits = isFree
            ? count === 0n
            : word >> COUNT_BITS === tag && count > 0n && count + BigInt(by) <= COUNT_MAX
          if (!fits) break
          const next = (tag << COUNT_BITS) | (isFree ? 1n : count + BigInt(by))
          if (Atomics.compareExchange(words, at, word, next) === word) return true
        }
      }
    }
    return false
  }

  #sum(bucket: number, tag: bigint): number {
    let sum = 0n
    for (let at = bucket; at < bucket + BUCKET_WORDS; at++) {
      const word = Atomics.load(this.#words, at)
      if (word >> COUNT_BITS === tag) sum += word & COUNT_MAX
    }
    return Number(sum)
  }

  #placeOf(name: string): { readonly bucket: number; readonly tag: bigint } {
    const hash = createHash('sha256').update(this.#secret).update(name).digest()
    // 43 bits, so that a word is never negative.
    const tag = hash.readBigUInt64BE(0) >> 21n
    return { bucket: (hash.readUInt32BE(8) % BUCKETS) * BUCKET_WORDS, tag }
  }
}
