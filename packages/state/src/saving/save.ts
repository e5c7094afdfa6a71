/**
 * What changed since the state store was last told, as one transaction: with it the store has the state as it is at one
 * place, and the log up to there is no longer needed.
 */
import { Writer } from '../encoding/writer.ts'
import { Body, sortByPlace } from '../messages/body.ts'
import { BodyRun } from '../messages/body-run.ts'
import type { Chunk } from '../messages/chunk.ts'
import { type ContentPart, readContent, shrinkChunk } from '../messages/shelf.ts'
import { QueuePart } from '../queue/queue-part.ts'
import { RecordKind } from '../records/kinds.ts'
import type { StateRecord } from '../records/state-record.ts'
import type { State } from '../state.ts'

/** To be applied whole or not at all, in the order of the fields. */
export interface Save {
  /** The place that the store has reached with it. */
  readonly position: number
  /** Keys of records that are gone. */
  readonly gone: readonly Uint8Array[]
  /** Records with their new values. */
  readonly records: readonly { readonly key: Uint8Array; readonly value: Uint8Array }[]
  /** Chunks whose content is gone. */
  readonly chunksGone: readonly number[]
  readonly contents: readonly ContentPart[]
}

const writer = new Writer()

/** A save that another thread writes: stands for what this machine may let go of when it is on disk. */
export interface PassedSave {
  /** As that of the save. */
  readonly position: number
}

/** What a save does not say of itself: who is told when it is on disk. */
interface Taken {
  readonly chunks: readonly (readonly [Chunk, number])[]
  readonly parts: readonly QueuePart[]
}

/** Records that the store does not have as they are. */
interface Unsaved {
  readonly gone: readonly StateRecord[]
  /** Messages for the shelf, by their places: where they come to lie must not depend on who was told what when. */
  readonly bodies: readonly Body[]
  readonly parts: readonly QueuePart[]
  readonly others: readonly StateRecord[]
}

export class Saver {
  readonly #state: State
  readonly #taken = new Map<PassedSave, Taken>()
  /** Keys that the store has and the state has not: read at start and overtaken by the log. */
  #stale: Uint8Array[] = []
  /** Chunks that are written anew. */
  #shrunk: ContentPart[] = []
  readonly #changed = new Set<Chunk>()

  constructor(state: State) {
    this.#state = state
  }

  addStale(keys: Iterable<Uint8Array>): void {
    this.#stale.push(...keys)
  }

  sparseChunks(max: number): number[] {
    const ids: number[] = []
    for (const chunk of this.#state.shelf.chunks()) {
      if (ids.length >= max) break
      if (chunk.isSparse && !this.#state.shelf.isOpen(chunk) && !this.#changed.has(chunk)) ids.push(chunk.id)
    }
    return ids
  }

  shrink(id: number, content: Uint8Array): string | undefined {
    const chunk = this.#state.shelf.chunk(id)
    // It may have gone while its content was read.
    if (chunk?.isSparse !== true) return undefined
    const bodies = readContent(content)
    if ('malformed' in bodies) return bodies.malformed
    this.#shrunk.push({ chunk: id, part: 0, anew: true, content: shrinkChunk(chunk, bodies) })
    this.#changed.add(chunk)
    return undefined
  }

  /** Everything that the store does not have. The log must have been told just before. */
  take(): Save {
    const state = this.#state
    const gone = this.#stale
    this.#stale = []
    const unsaved = this.#unsaved()
    for (const record of unsaved.gone) gone.push(keyOf(record))
    const records: { key: Uint8Array; value: Uint8Array }[] = []
    const contents: ContentPart[] = this.#shrunk
    this.#shrunk = []
    const chunks = new Map<Chunk, number>()
    for (const chunk of this.#changed) chunks.set(chunk, 0)
    this.#changed.clear()
    // First of all: from now on the parts name these messages by their place on the shelf.
    state.shelf.put(unsaved.bodies, { isWritten: true }, (chunk, content) => {
      chunks.set(chunk, chunk.messages)
      contents.push(content)
    })
    for (const part of unsaved.parts) records.push({ key: keyOf(part), value: formOf((w) => part.writeSaved(w)) })
    const chunksGone = state.shelf.takeDropped()
    for (const id of chunksGone) gone.push(chunkKey(id))
    const dropped = new Set(chunksGone)
    const written = [...chunks.keys()].filter(({ id }) => !dropped.has(id))
    for (const record of [...unsaved.others, ...written]) {
      records.push({ key: keyOf(record), value: formOf((w) => record.writeValue(w)) })
    }
    for (const chunk of chunks.keys()) if (!state.shelf.isOpen(chunk)) chunk.seal()
    records.push({ key: keyOf(state.clock), value: formOf((w) => state.clock.writeValue(w)) })
    const save = {
      position: state.clock.position,
      gone,
      records,
      chunksGone,
      contents: contents.filter(({ chunk }) => !dropped.has(chunk)),
    }
    this.#taken.set(save, { chunks: [...chunks], parts: unsaved.parts })
    return save
  }

  /** The same where another thread, whose machine is in the same state, takes the save and writes it. */
  pass(): PassedSave {
    const { shelf, clock } = this.#state
    this.#stale = []
    const { bodies, parts } = this.#unsaved()
    const chunks = new Map<Chunk, number>()
    shelf.put(bodies, { isWritten: false }, (chunk) => chunks.set(chunk, chunk.messages))
    shelf.takeDropped()
    for (const chunk of chunks.keys()) if (!shelf.isOpen(chunk)) chunk.seal()
    const save = { position: clock.position }
    this.#taken.set(save, { chunks: [...chunks], parts })
    return save
  }

  #unsaved(): Unsaved {
    const gone: StateRecord[] = []
    const bodies: Body[] = []
    const parts: QueuePart[] = []
    const others: StateRecord[] = []
    this.#state.records.changes?.takeUnsaved((record) => {
      if (record instanceof Body) {
        if (record.keptReferences > 0 && record.chunk === undefined) bodies.push(record)
      } else if (record instanceof BodyRun) {
        // One by one: an argument for each message of a long run would be too many.
        if (record.live > 0) for (const body of record.takeApart()) bodies.push(body)
      } else if (record.gone) gone.push(record)
      else if (record instanceof QueuePart) parts.push(record)
      else others.push(record)
    })
    return { gone, bodies: sortByPlace(bodies), parts, others }
  }

  /** A save is on disk: memory may let go of what it holds. */
  done(save: PassedSave): void {
    const taken = this.#taken.get(save)
    if (taken === undefined) return
    this.#taken.delete(save)
    for (const [chunk, below] of taken.chunks) chunk.committedBelow = Math.max(chunk.committedBelow, below)
    for (const part of taken.parts) part.owner.letGo(part)
  }
}

function keyOf(record: StateRecord): Uint8Array {
  return formOf((w) => record.writeKey(w))
}

function chunkKey(id: number): Uint8Array {
  return formOf((w) => {
    w.u8(RecordKind.chunk)
    w.u53(id)
  })
}

function formOf(write: (writer: Writer) => void): Uint8Array {
  writer.clear()
  write(writer)
  return writer.take()
}
