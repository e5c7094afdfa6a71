/**
 * The state of the machine as it was at a checkpoint, in chunks that other nodes may ask for.
 *
 *   machine ─ slices, copied on write ─▶ chunks of 256 KiB ─ SHA-256 ▶ hashes, signed by a quorum ▶ read by a node that catches up
 *
 * It is taken a slice per turn of the event loop, which goes on meanwhile. A machine can be read by one walk at a time:
 * whoever needs the next snapshot before this one is whole calls `finish`.
 */
import { createHash } from 'node:crypto'
import type { OrderedSnapshot } from '../model/ordered-log.ts'

const CHUNK_BYTES = 256 * 1024

export class HeldSnapshot implements OrderedSnapshot {
  readonly #slices: IterableIterator<Uint8Array>
  readonly #chunks: Uint8Array[] = []
  readonly #hashes: Uint8Array[] = []
  #gathered: Uint8Array[] = []
  #gatheredBytes = 0
  #whole = false
  #released = false
  readonly #done: Promise<void>
  #resolve: () => void = () => {}
  #turn: NodeJS.Immediate | undefined

  constructor(slices: IterableIterator<Uint8Array>) {
    this.#slices = slices
    this.#done = new Promise((resolve) => {
      this.#resolve = resolve
    })
    this.#later()
  }

  async hashes(): Promise<readonly Uint8Array[]> {
    await this.#done
    return this.#hashes
  }

  async read(chunk: number): Promise<Uint8Array> {
    await this.#done
    const bytes = this.#chunks[chunk]
    if (bytes === undefined || this.#released)
      throw new RangeError(`Cannot read chunk ${chunk} of a snapshot: it has none`)
    return bytes
  }

  release(): void {
    this.#released = true
    if (this.#turn !== undefined) clearImmediate(this.#turn)
    if (!this.#whole) this.#slices.return?.()
    this.#whole = true
    this.#chunks.length = 0
    this.#gathered = []
    this.#resolve()
  }

  /** Takes all that is left now. */
  finish(): void {
    while (!this.#whole) this.#take()
  }

  #later(): void {
    this.#turn = setImmediate(() => {
      this.#turn = undefined
      // At most 64 KiB, which are 600 sessions and 4 ms.
      this.#take()
      if (!this.#whole) this.#later()
    })
  }

  #take(): void {
    const { value, done } = this.#slices.next()
    if (done !== true) {
      this.#gathered.push(value)
      this.#gatheredBytes += value.length
      if (this.#gatheredBytes >= CHUNK_BYTES) this.#cut()
      return
    }
    this.#whole = true
    while (this.#gatheredBytes > 0) this.#cut()
    this.#resolve()
  }

  #cut(): void {
    const all = Buffer.concat(this.#gathered)
    const chunk = all.subarray(0, CHUNK_BYTES)
    const rest = all.subarray(CHUNK_BYTES)
    this.#gathered = rest.length > 0 ? [rest] : []
    this.#gatheredBytes = rest.length
    this.#chunks.push(new Uint8Array(chunk))
    this.#hashes.push(createHash('sha256').update(chunk).digest())
  }
}
