/**
 * Gives the memory of what was read back in time.
 *
 * Node reads into fresh memory outside the engine's heap, at 64 KiB a read when much arrives. Its owners are small and die
 * young, but the engine looks for dead ones only when its heap fills, and small owners fill it slowly: long before that the
 * bytes outside reach 64 MiB, at which the engine marks everything alive, again and again. With payloads of 64 KiB that was
 * three quarters of all CPU, with 1 KiB two thirds. So after every few MiB read the engine is asked for a collection of its
 * young generation alone, which costs a fraction of a millisecond; the memory is then used again while it still lies in the
 * processor's cache.
 *
 * There is no function for that but the one that `--expose-gc` shows. It is fetched from a context of its own with the flag
 * set for that moment, so a program around the broker sees nothing of it. Absent: a fallback; where the engine has no such
 * function, it does as it likes.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Read between two collections. With 16 MiB some scenarios are as fast, with 32 others are as slow as without. */
const COLLECT_BYTES = 8 << 20

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

export class ReadMemory {
  #bytes = 0
  readonly #find: () => (() => void) | undefined
  #collect: (() => void) | undefined
  #isFound = false

  /** `find` is asked when the first collection is due: a broker that reads little needs none. */
  constructor(find: () => (() => void) | undefined = youngCollector) {
    this.#find = find
  }

  /** So many bytes were read. */
  took(bytes: number): void {
    this.#bytes += bytes
    if (this.#bytes < COLLECT_BYTES) return
    this.#bytes = 0
    if (!this.#isFound) {
      this.#isFound = true
      this.#collect = this.#find()
    }
    this.#collect?.()
  }
}
