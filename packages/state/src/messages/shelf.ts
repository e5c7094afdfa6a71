/**
 * Messages that lie on disk and that queues of kept sessions refer to. They lie in chunks; of each message memory holds
 * what the rules ask for without its content: how many entries refer to it, its bytes, when it expires.
 *
 *   queue entry ─▶ (chunk, slot) ─▶ references, bytes, expiry         in memory, 8 to 16 bytes
 *                        └────────▶ content of the chunk              in the store, loaded when it is to be sent
 *
 * Saves fill one chunk after the other. Slots keep their numbers for good, since entries name them. A chunk without
 * references is deleted; one of which little is left is written anew without what is gone (`isSparse`, `shrink`).
 */
import { Reader } from '../encoding/reader.ts'
import { Writer } from '../encoding/writer.ts'
import { Body, readBody } from './body.ts'
import { CHUNK_MESSAGES_MAX, Chunk, type ChunkOwner, type Shelved } from './chunk.ts'
import type { PlacedMessage } from './message.ts'

export interface ShelvedBody {
  readonly slot: number
  readonly body: Body
}

/** Content that the next save puts into the store: whole (`anew`), or behind what a chunk has there. */
export interface ContentPart {
  readonly chunk: number
  /** Ascending within a chunk: the first slot. */
  readonly part: number
  readonly anew: boolean
  readonly content: Uint8Array
}

export class Shelf implements ChunkOwner {
  readonly #chunks = new Map<number, Chunk>()
  #nextId = 1
  /** The chunk that takes messages. */
  #open: Chunk | undefined
  /** Chunks that are gone and that the store may still have. */
  #dropped: number[] = []
  readonly #writer = new Writer()

  get size(): number {
    return this.#chunks.size
  }

  chunk(id: number): Chunk | undefined {
    return this.#chunks.get(id)
  }

  chunks(): Iterable<Chunk> {
    return this.#chunks.values()
  }

  /**
   * Puts messages on the shelf: each knows its place from now on, which follows from the messages and from what was put before.
   * Calls `filled` with every chunk that took some; without content where another thread writes it (`isWritten` false).
   */
  put(
    bodies: Iterable<Body>,
    { isWritten }: { readonly isWritten: boolean },
    filled: (chunk: Chunk, part: ContentPart) => void,
  ): void {
    const writer = this.#writer
    writer.clear()
    let first = -1
    const finish = (chunk: Chunk): void => {
      if (first < 0) return
      filled(chunk, { chunk: chunk.id, part: first, anew: first === 0, content: writer.take() })
      writer.clear()
      first = -1
    }
    for (const body of bodies) {
      const chunk = this.#chunkToFill()
      const slot = chunk.messages
      if (first < 0) first = slot
      if (isWritten) writeShelved(writer, slot, body)
      chunk.contentBytes += body.bytes
      chunk.add(shelved(slot, body))
      chunk.refer(slot, body.keptReferences)
      body.keptReferences = 0
      body.chunk = chunk
      body.slot = slot
      if (chunk.isFull) {
        finish(chunk)
        this.#open = undefined
      }
    }
    if (this.#open !== undefined) finish(this.#open)
  }

  /** A chunk as it was read at start; references come with the entries. It takes no further message. */
  enter(id: number, messages: readonly Shelved[]): Chunk {
    const chunk = new Chunk(id, this)
    for (const message of messages) chunk.add(message)
    chunk.seal()
    chunk.committedBelow = CHUNK_MESSAGES_MAX
    this.#chunks.set(id, chunk)
    if (id >= this.#nextId) this.#nextId = id + 1
    return chunk
  }

  drop(chunk: Chunk): void {
    this.#chunks.delete(chunk.id)
    this.#dropped.push(chunk.id)
    if (this.#open === chunk) this.#open = undefined
  }

  /** Takes the place of another shelf: what the store has of that one goes, and its numbers are not used again. */
  supersede(other: Shelf): void {
    this.#dropped.push(...other.#dropped, ...other.#chunks.keys())
    this.#nextId = Math.max(this.#nextId, other.#nextId)
  }

  takeDropped(): readonly number[] {
    const dropped = this.#dropped
    this.#dropped = []
    return dropped
  }

  isOpen(chunk: Chunk): boolean {
    return this.#open === chunk
  }

  #chunkToFill(): Chunk {
    if (this.#open !== undefined) return this.#open
    const chunk = new Chunk(this.#nextId++, this)
    this.#chunks.set(chunk.id, chunk)
    this.#open = chunk
    return chunk
  }
}

/** Leaves out what is gone of a chunk, given what the store has of it; the content that is left. */
export function shrinkChunk(chunk: Chunk, bodies: readonly ShelvedBody[]): Uint8Array {
  const writer = new Writer()
  const messages = bodies.map(({ slot, body }) => ({ ...shelved(slot, body), body }))
  for (const { slot, body } of chunk.shrink(messages)) writeShelved(writer, slot, body)
  return writer.take()
}

/** A content of messages in their slots, and what the record of its chunk says of them. */
export function contentOf(placed: readonly { readonly slot: number; readonly placed: PlacedMessage }[]): {
  readonly content: Uint8Array
  readonly messages: readonly Shelved[]
} {
  const writer = new Writer()
  const messages = placed.map(({ slot, placed: { message, ...place } }) => {
    const body = new Body(message, place)
    writeShelved(writer, slot, body)
    return shelved(slot, body)
  })
  return { content: writer.take(), messages }
}

/** What the record of a chunk says of a message in its content. */
export function shelved(slot: number, body: Body): Shelved {
  const { position, index, bytes, expiresUs } = body
  return { slot, position, index, bytes, expiresUs }
}

function writeShelved(writer: Writer, slot: number, body: Body): void {
  writer.u16(slot)
  writer.u53(body.position)
  writer.u32(body.index)
  body.writeValue(writer)
}

/** The messages in the content of a chunk, or what is wrong with it. */
export function readContent(content: Uint8Array): readonly ShelvedBody[] | { readonly malformed: string } {
  const reader = new Reader(content)
  const bodies: ShelvedBody[] = []
  while (reader.left > 0) bodies.push({ slot: reader.u16(), body: readBody(reader) })
  return reader.problem === undefined ? bodies : { malformed: reader.problem }
}

/** As much of a damaged content as can be read: what lies before the damage, each slot once. */
export function readWholeBodies(content: Uint8Array): {
  readonly bodies: readonly ShelvedBody[]
  readonly problem?: string
} {
  const reader = new Reader(content)
  const bodies: ShelvedBody[] = []
  let last = -1
  while (reader.left > 0) {
    const slot = reader.u16()
    const body = readBody(reader)
    if (slot <= last || slot >= CHUNK_MESSAGES_MAX) reader.fail('slots of a content are out of order')
    if (reader.problem !== undefined) return { bodies, problem: reader.problem }
    last = slot
    bodies.push({ slot, body })
  }
  return { bodies }
}
