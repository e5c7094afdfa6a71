/**
 * Snapshots of the application at checkpoints: held while peers may ask for them, and the one that comes from peers, collected on
 * disk until it is whole. Nothing here holds all of a state in memory.
 */
import { join } from 'node:path'
import type { Files, LogFile } from '../../model/files.ts'
import type { OrderedSnapshot, SnapshotSource } from '../../model/ordered-log.ts'

/** Files of snapshots that come begin so. */
export const incomingPrefix = 'incoming-snapshot-'
/** Bytes of a chunk, of each but the last. */
const CHUNK_BYTES = 256 * 1024
/** Certified ones that are kept, and all together. */
const CERTIFIED_KEPT = 2
const HELD_MAX = 4

/** Steps count anew in each epoch, so what is older is told by the order in which it came, never by its step. */
interface Held {
  readonly step: number
  readonly snapshot: OrderedSnapshot
  certified: boolean
}

export class HeldSnapshots {
  /** The oldest first. */
  #held: Held[] = []

  add(step: number, snapshot: OrderedSnapshot): void {
    this.#held.push({ step, snapshot, certified: false })
    this.#releaseBefore(this.#held.length - HELD_MAX)
  }

  /** A quorum vouches for this one: those older than the certified one before it are needed no more. */
  certified(step: number): void {
    const newest = this.#held.findLast((held) => held.step === step)
    if (newest === undefined) return
    newest.certified = true
    const certified = this.#held.filter((held) => held.certified)
    const oldest = certified.at(-CERTIFIED_KEPT)
    if (oldest !== undefined) this.#releaseBefore(this.#held.indexOf(oldest))
  }

  /** Undefined: it is not held any more, or has no such chunk. */
  async read(step: number, chunk: number): Promise<Uint8Array | undefined> {
    try {
      return await this.#held.findLast((held) => held.step === step)?.snapshot.read(chunk)
    } catch {
      return undefined
    }
  }

  releaseAll(): void {
    this.#releaseBefore(this.#held.length)
  }

  #releaseBefore(count: number): void {
    if (count <= 0) return
    for (const { snapshot } of this.#held.splice(0, count)) snapshot.release()
  }
}

/** Chunks that come one by one, checked already. */
export class IncomingSnapshot {
  readonly epoch: number
  readonly step: number
  readonly #files: Files
  readonly #path: string
  readonly #lengths: number[] = []
  #file: Promise<LogFile> | undefined
  #written: Promise<void> = Promise.resolve()

  /** Behind which step of which epoch it was taken: another one begins anew. */
  constructor({ epoch, step }: Pick<IncomingSnapshot, 'epoch' | 'step'>, files: Files, directory: string) {
    this.epoch = epoch
    this.step = step
    this.#files = files
    // Of its own: the file of the one before may go only after this one came.
    this.#path = join(directory, `${incomingPrefix}${epoch}-${step}`)
  }

  add(chunk: number, bytes: Uint8Array): void {
    this.#lengths[chunk] = bytes.length
    this.#file ??= this.#files.open(this.#path)
    const file = this.#file
    this.#written = this.#written.then(async () => (await file).write(bytes, chunk * CHUNK_BYTES))
    // Who waits for it is told; until then nobody is.
    this.#written.catch(() => {})
  }

  /** What the application installs; rejects when it could not be written. */
  async source(position: number, consensusUs: number): Promise<SnapshotSource> {
    await this.#written
    return {
      position,
      consensusUs,
      chunks: this.#lengths.length,
      read: async (chunk) => await this.#files.readPart(this.#path, chunk * CHUNK_BYTES, this.#lengths[chunk] ?? 0),
    }
  }

  async remove(): Promise<void> {
    await this.#written.catch(() => {})
    await (await this.#file)?.close()
    await this.#files.remove(this.#path)
  }
}
