/** What the state is made of: the unit of the hash, of snapshots, and of what goes to disk. */
import type { Writer } from '../encoding/writer.ts'

/** Something that has a place in the hash. Its form begins with the kind and the key. */
export abstract class StateRecord {
  /** The fields below belong to the table. */
  bucket = -1
  marked = false
  gone = false
  bornAt = 0
  digest: Uint8Array | undefined = undefined
  /** Belongs to `Changes`. */
  marks = 0

  /** Whether it is kept on disk, where a disk is. */
  get durable(): boolean {
    return true
  }

  /** Writes kind and key: what tells the record from all others. */
  abstract writeKey(writer: Writer): void
  /** Writes the rest. */
  abstract writeValue(writer: Writer): void
}
