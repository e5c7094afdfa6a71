/** What the state is made of: the unit of the hash, of snapshots, and of what goes to disk. */
import type { Writer } from '../encoding/writer.ts'

/** Beyond the bits of `Changes`. */
const GONE = 256
const MARKED = 512

/** The place of a record in the hash. */
export interface Hashed {
  readonly bucket: number
  /** Flush with which it got there. */
  readonly bornAt: number
  digest: Uint8Array
}

/** Something that has a place in the hash. Its form begins with the kind and the key. */
export abstract class StateRecord {
  /** Bits of `Changes` and of the table. Two fields for all that is not the record's own: there are very many records. */
  marks = 0
  /** Belongs to the table; undefined: the record has no place in the hash. */
  hashed: Hashed | undefined = undefined

  /** It is no part of the state any more. */
  get gone(): boolean {
    return (this.marks & GONE) !== 0
  }

  set gone(gone: boolean) {
    this.marks = gone ? this.marks | GONE : this.marks & ~GONE
  }

  /** It is to be hashed again. */
  get marked(): boolean {
    return (this.marks & MARKED) !== 0
  }

  set marked(marked: boolean) {
    this.marks = marked ? this.marks | MARKED : this.marks & ~MARKED
  }

  /** Whether it is kept on disk, where a disk is. */
  get durable(): boolean {
    return true
  }

  /** How many messages it stands for where records are counted to bound the work of a save. */
  get weight(): number {
    return 1
  }

  /** Writes kind and key: what tells the record from all others. */
  abstract writeKey(writer: Writer): void
  /** Writes the rest. */
  abstract writeValue(writer: Writer): void
}
