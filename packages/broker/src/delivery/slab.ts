/**
 * Memory of large reads that outputs refer to instead of copying, and that is used again when the last of them has let go.
 *
 *   reader ───┐
 *   outputs ──┴─▶ slab │packet │packet │pack┄ the next read goes behind │
 *                  └──▶ nobody holds it: back to the pool
 *
 * A read is lent: whoever knows nothing of slabs copies what it keeps, as of any lent memory. An output that does holds the
 * slab until the system has taken its bytes. Mostly that is before the next read, since those that hold a slab are flushed
 * when its read has been taken; then one slab, warm in the processor's cache, serves all reads of a connection.
 */
import { Buffer } from 'node:buffer'

/** Room for four payloads of 64 KiB with their headers, so that streams of that size leave little to be moved. */
export const SLAB_BYTES = 4 * 65_536 + 16_384
/** In use at once in a thread. Each may be held for a few bytes by a client that does not read, so this bounds the memory. */
const SLABS_MAX = 128
/** In use above which nobody keeps one for what may come. */
const SPARE_BELOW = 32
/** Not in use and kept. */
const POOL_MAX = 32

/** An output that refers to bytes of a slab. */
export interface Borrower {
  flush(): void
}

const pool: Slab[] = []
const byMemory = new WeakMap<ArrayBufferLike, Slab>()
let used = 0

export class Slab {
  readonly bytes = Buffer.allocUnsafeSlow(SLAB_BYTES)
  /** What refers to it and has not been flushed. */
  readonly #borrowers: Borrower[] = []
  #users = 0
  #isLost = false

  constructor() {
    byMemory.set(this.bytes.buffer, this)
  }

  /** Whether nobody but its reader holds it. */
  get isFree(): boolean {
    return this.#users === 1
  }

  /** Whether an output refers to it that has not been flushed. */
  get isLent(): boolean {
    return this.#borrowers.length > 0
  }

  hold(): void {
    this.#users++
  }

  /** The same for an output, which is flushed as soon as the read has been taken. */
  lend(borrower: Borrower): void {
    this.#users++
    this.#borrowers.push(borrower)
  }

  flush(): void {
    for (const borrower of this.#borrowers) borrower.flush()
    this.#borrowers.length = 0
  }

  letGo(): void {
    if (--this.#users > 0) return
    used--
    if (!this.#isLost && pool.length < POOL_MAX) pool.push(this)
  }

  /** Lets go of bytes that the system may still be reading: the slab is not used again. */
  lose(): void {
    this.#isLost = true
    this.letGo()
  }
}

/** A slab that its reader holds; undefined: there are too many. */
export function takeSlab(): Slab | undefined {
  if (used === SLABS_MAX) return undefined
  used++
  const slab = pool.pop() ?? new Slab()
  slab.hold()
  return slab
}

/** Whether there are enough that a reader may keep an empty one. */
export function slabsToSpare(): boolean {
  return used < SPARE_BELOW
}

/** The slab that these bytes lie in. */
export function slabOf(bytes: Uint8Array): Slab | undefined {
  return byMemory.get(bytes.buffer)
}
