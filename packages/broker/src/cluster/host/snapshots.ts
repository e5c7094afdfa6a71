/**
 * Snapshots of the application at checkpoints: held while peers may ask for them, and the one that comes from peers, collected on
 * disk until it is whole. Nothing here holds all of a state in memory.
 */
import { join } from 'node:path'
import type { Files, LogFile } from '../../model/files.ts'
import type { OrderedSnapshot, SnapshotSource } from '../../model/ordered-log.ts'

/** Bytes of a chunk, of each but the last. */
const CHUNK_BYTES = 256 * 1024
/** Certified ones that are kept, and all together. */
const CERTIFIED_KEPT = 2
const HELD_MAX = 4

export class HeldSnapshots {
  readonly #held = new Map<number, OrderedSnapshot>()
  readonly #certified: number[] = []

  add(step: number, snapshot: OrderedSnapshot): void {
    this.#held.set(step, snapshot)
    for (const oldest of this.#held.keys()) {
      if (this.#held.size <= HELD_MAX) break
      this.#release(oldest)
    }
  }

  /** A quorum vouches for this one: those older than the certified one before it are needed no more. */
  certified(step: number): void {
    this.#certified.push(step)
    if (this.#certified.length > CERTIFIED_KEPT) this.#certified.shift()
    const oldest = this.#certified.length < CERTIFIED_KEPT ? 0 : (this.#certified[0] ?? 0)
    for (const held of this.#held.keys()) if (held < oldest) this.#release(held)
  }

  /** Undefined: it is not held any more, or has no such chunk. */
  async read(step: number, chunk: number): Promise<Uint8Array | undefined> {
    try {
      return await this.#held.get(step)?.read(chunk)
    } catch {
      return undefined
    }
  }

  releaseAll(): void {
    for (const step of this.#held.keys()) this.#release(step)
  }

  #release(step: number): void {
    this.#held.get(step)?.release()
    this.#held.delete(step)
  }
}

/** Chunks that come one by one, checked already. */
export class IncomingSnapshot {
  readonly step: number
  readonly #files: Files
  readonly #path: string
  readonly #lengths: number[] = []
  #file: Promise<LogFile> | undefined
  #written: Promise<void> = Promise.resolve()

  constructor(step: number, files: Files, directory: string) {
    this.step = step
    this.#files = files
    this.#path = join(directory, 'incoming-snapshot')
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
