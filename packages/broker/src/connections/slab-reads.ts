/**
 * The reads of a connection that sends large packets: into a slab of its own, each behind the one before, so that a packet lies
 * there in one piece and goes out from there without a copy.
 *
 *   slab │ taken ┄┄┄ │ begun, not whole │ next read ┄┄┄ │
 *                    ▲ #from            ▲ #to
 *
 * It begins when a packet is cut that is worth it, and ends when a few reads in a row were of no use; then the connection
 * reads into the memory that all share (`shared-reads.ts`).
 */
import { SLAB_BYTES, type Slab, slabsToSpare, takeSlab } from '../delivery/slab.ts'

/** Bytes of a packet that is not whole from which on a slab pays. */
export const LARGE_BYTES_MIN = 16_384
/** Where less is left behind what was read, the next read gets another slab. */
const ROOM_BYTES_MIN = 65_536
/** Reads of no use in a row after which it ends. */
const IDLE_READS_MAX = 8

export class SlabReads {
  #slab: Slab
  #from = 0
  #to: number
  #idleReads = 0

  /** `begun`: the bytes of a packet that is not whole, copied. */
  constructor(slab: Slab, begun: Uint8Array) {
    this.#slab = slab
    slab.bytes.set(begun)
    this.#to = begun.length
  }

  /** Where the next read goes. */
  get room(): Uint8Array {
    return this.#slab.bytes.subarray(this.#to)
  }

  /** What is to be taken. */
  get begun(): Uint8Array {
    return this.#slab.bytes.subarray(this.#from, this.#to)
  }

  /** A read brought so many bytes into `room`. */
  arrived(bytes: number): void {
    this.#to += bytes
  }

  /** Of `begun` all but so many bytes at the end were taken. False: the reads should go elsewhere. */
  taken({ left, wasFull }: { readonly left: number; readonly wasFull: boolean }): boolean {
    const slab = this.#slab
    this.#from = this.#to - left
    const isOfUse = left >= LARGE_BYTES_MIN || slab.isLent
    slab.flush()
    this.#idleReads = isOfUse ? 0 : this.#idleReads + 1
    if (this.#idleReads >= IDLE_READS_MAX) return false
    if (left === 0 && !wasFull && !slabsToSpare()) return false
    if (left === 0 && slab.isFree) {
      this.#from = 0
      this.#to = 0
      return true
    }
    return SLAB_BYTES - this.#to >= ROOM_BYTES_MIN || this.#move()
  }

  /** What is begun goes to the start of a slab. */
  #move(): boolean {
    const begun = this.begun
    if (this.#slab.isFree) this.#slab.bytes.copyWithin(0, this.#from, this.#to)
    else {
      const other = takeSlab()
      if (other === undefined) return false
      other.bytes.set(begun)
      this.#slab.letGo()
      this.#slab = other
    }
    this.#from = 0
    this.#to = begun.length
    return this.#to < SLAB_BYTES
  }

  /** No more reads. */
  end(): void {
    this.#slab.letGo()
  }
}
