/**
 * What stands above the engine of a simulated node: a state that every ordered message changes, saved to disk now and then, with
 * snapshots in several chunks for those who fell behind. Two nodes with one log have equal states, and chunks show it.
 *
 *     state := position u64 | 16 cells of 32 bytes; message m goes into cell (position mod 16), hashed over what was there
 *     chunk := 128 bytes of the state
 */
import type { OrderedMessage } from '../../../../packages/consensus/src/model/effect.ts'
import { fastHash } from './fast-cryptography.ts'

const cells = 16
const cellBytes = 32
const stateBytes = 8 + cells * cellBytes
const chunkBytes = 128
/** Snapshots kept: those of the two newest certified steps and a few newer ones. */
const snapshotsMax = 8

export class Application {
  /** Messages applied; the next one's position. */
  position = 0
  /** What the disk has: after a crash the engine must emit from here on. */
  savedPosition = 0
  #state = new Uint8Array(stateBytes)
  #saved = new Uint8Array(stateBytes)
  /** A cell and a message, before they are hashed. */
  #mixed = new Uint8Array(256)
  readonly #snapshots = new Map<number, Uint8Array>()
  readonly #incoming = new Map<number, Uint8Array[]>()

  apply(message: OrderedMessage): void {
    const at = 8 + (message.position % cells) * cellBytes
    const end = cellBytes + message.bytes.length
    if (this.#mixed.length < end) this.#mixed = new Uint8Array(2 * end)
    for (let i = 0; i < cellBytes; i++) this.#mixed[i] = this.#state[at + i] as number
    this.#mixed.set(message.bytes, cellBytes)
    this.#state.set(fastHash(this.#mixed.subarray(0, end), message.author), at)
    this.position = message.position + 1
    this.#writePosition()
  }

  save(): void {
    this.savedPosition = this.position
    this.#saved.set(this.#state)
  }

  /** A crash: back to what was saved. The snapshots are files. */
  restart(): void {
    this.position = this.savedPosition
    this.#state.set(this.#saved)
    this.#incoming.clear()
  }

  loseAll(): void {
    this.#saved.fill(0)
    this.savedPosition = 0
    this.#snapshots.clear()
    this.restart()
  }

  /** Takes a snapshot for this step; hashes of its chunks, one behind the other. */
  snapshot(step: number, hash: (bytes: Uint8Array) => Uint8Array): Uint8Array {
    this.#snapshots.set(step, this.#state.slice())
    for (const old of this.#snapshots.keys()) {
      if (this.#snapshots.size <= snapshotsMax) break
      this.#snapshots.delete(old)
    }
    const hashes = chunksOf(this.#state).map(hash)
    return Uint8Array.from(hashes.flatMap((each) => [...each]))
  }

  chunk(step: number, chunk: number): Uint8Array | undefined {
    const snapshot = this.#snapshots.get(step)
    return snapshot === undefined ? undefined : chunksOf(snapshot)[chunk]
  }

  /** A chunk of another node's snapshot came. */
  take(step: number, chunk: number, bytes: Uint8Array): void {
    const chunks = this.#incoming.get(step) ?? []
    chunks[chunk] = bytes
    this.#incoming.set(step, chunks)
  }

  /** All chunks of the step came: they are the state from now on. */
  install(step: number): void {
    const whole = Buffer.concat(this.#incoming.get(step) ?? [])
    if (whole.length !== stateBytes) throw new Error(`Snapshot of step ${step} has ${whole.length} bytes`)
    this.#incoming.clear()
    this.#state = Uint8Array.from(whole)
    const view = new DataView(this.#state.buffer)
    this.position = view.getUint32(0) * 4_294_967_296 + view.getUint32(4)
    this.#snapshots.set(step, this.#state.slice())
    this.save()
  }

  #writePosition(): void {
    const high = Math.floor(this.position / 4_294_967_296)
    for (let i = 0; i < 4; i++) {
      this.#state[i] = high >>> (24 - 8 * i)
      this.#state[4 + i] = this.position >>> (24 - 8 * i)
    }
  }
}

function chunksOf(state: Uint8Array): Uint8Array[] {
  const chunks: Uint8Array[] = []
  for (let at = 0; at < state.length; at += chunkBytes) chunks.push(state.slice(at, at + chunkBytes))
  return chunks
}
