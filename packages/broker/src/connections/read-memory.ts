/**
 * Gives the memory of what was read back in time.
 *
 * Node reads into memory outside the engine's heap, and what is kept of a lent read is copied there, too. Its owners are small
 * and die young, but the engine looks for dead ones only when its heap fills, and small owners fill it slowly: long before
 * that the bytes outside have grown by 8 MiB since it last marked everything alive, at which it does so again, and again. With
 * payloads of 64 KiB that was three quarters of all CPU, with 1 KiB two thirds; with 10 MB/s of messages that wait for a
 * moment, a pause of 5 to 15 ms twice a second. So where the bytes outside have grown by a part of that, the engine is asked
 * for a collection of its young generation alone, which costs a fraction of a millisecond; the memory is then used again while
 * it still lies in the processor's cache.
 *
 * There is no function for that but the one that `--expose-gc` shows. It is fetched from a context of its own with the flag
 * set for that moment, so a program around the broker sees nothing of it. Absent: a fallback; where the engine has no such
 * function, it does as it likes.
 */
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Read between two looks at the memory outside the heap: what a look costs is nothing beside so many bytes. */
const LOOK_BYTES = 1 << 20
/** Grown outside the heap between two collections. With 16 MiB some scenarios are as fast, with 32 others are as slow as without. */
const COLLECT_BYTES = 4 << 20

/** Collects the young generation; undefined: this engine offers no way. */
export function youngCollector(): (() => void) | undefined {
  setFlagsFromString('--expose-gc')
  try {
    const collect: unknown = runInNewContext('typeof gc === "function" ? gc : undefined')
    return typeof collect === 'function' ? () => collect({ type: 'minor' }) : undefined
  } finally {
    setFlagsFromString('--no-expose-gc')
  }
}

/** Bytes that the engine knows of outside its heap. */
function bytesOutside(): number {
  return getHeapStatistics().external_memory
}

export class ReadMemory {
  /** Read since the last look. */
  #read = 0
  /** Outside the heap after the last collection, or less. */
  #least = Number.POSITIVE_INFINITY
  readonly #find: () => (() => void) | undefined
  readonly #outside: () => number
  #collect: (() => void) | undefined
  #isFound = false

  /** `find` is asked when the first collection is due: a broker that reads little needs none. `outside`: what is to be bounded, bytes. */
  constructor(find: () => (() => void) | undefined = youngCollector, outside: () => number = bytesOutside) {
    this.#find = find
    this.#outside = outside
  }

  /** So many bytes were read. */
  took(bytes: number): void {
    this.#read += bytes
    if (this.#read >= LOOK_BYTES) this.#look()
  }

  #look(): void {
    this.#read = 0
    const outside = this.#outside()
    // The engine frees beside the program: less may be left than there was right after a collection.
    if (outside < this.#least) this.#least = outside
    if (outside - this.#least < COLLECT_BYTES) return
    if (!this.#isFound) {
      this.#isFound = true
      this.#collect = this.#find()
    }
    this.#collect?.()
    this.#least = this.#outside()
  }
}
