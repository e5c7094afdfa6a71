/**
 * Messages of kept sessions that lie on disk, read when they are about to be sent. A chunk is read whole: the messages of
 * one queue lie behind each other, and sessions that were absent together want the same ones. The last chunks stay in memory
 * up to a number of bytes.
 */
import { type PlacedMessage, readContent } from '@concordmq/state'
import { reasonOf } from '../errors.ts'
import type { Logger } from '../telemetry/logger.ts'

/** Contents kept in memory: bytes as they lie on disk, and what a message costs as an object. */
export const CACHE_BYTES_MAX = 16 * 1024 * 1024
/** Measured in a heap of 55,000 messages with small payloads: body, message, topic, payload with its buffer. */
export const MESSAGE_BYTES = 512
const RETRY_MS = 1000

interface Content {
  readonly messages: readonly (PlacedMessage | undefined)[]
  /** What it counts for under `CACHE_BYTES_MAX`. */
  readonly bytes: number
}

export class ContentReader {
  readonly #load: (chunk: number) => Promise<Uint8Array>
  readonly #logger: Logger
  /** In the order in which they were read. */
  readonly #contents = new Map<number, Content>()
  readonly #waiting = new Map<number, (() => void)[]>()
  #bytes = 0

  /** `load` answers with the content of a chunk. */
  constructor(load: (chunk: number) => Promise<Uint8Array>, logger: Logger) {
    this.#load = load
    this.#logger = logger
  }

  /** Undefined: it must be read first. */
  get(chunk: number, slot: number): PlacedMessage | undefined {
    return this.#contents.get(chunk)?.messages[slot]
  }

  /**
   * Calls `done` when the chunk is in memory as the store has it now. What cannot be read is tried again: a message is
   * never skipped in silence.
   */
  read(chunk: number, done: () => void): void {
    const waiting = this.#waiting.get(chunk)
    if (waiting !== undefined) {
      waiting.push(done)
      return
    }
    this.#waiting.set(chunk, [done])
    this.#fetch(chunk)
  }

  /** A message that a queue refers to is not in its chunk. */
  lost(chunk: number, q: number): void {
    this.#logger.error(
      { event: 'store.lost', chunk, q },
      'A stored message is missing: run `concordmq data check` on the data directory',
    )
  }

  #fetch(chunk: number): void {
    this.#load(chunk)
      .then((bytes) => this.#enter(chunk, bytes))
      .then(
        () => {
          const waiting = this.#waiting.get(chunk) ?? []
          this.#waiting.delete(chunk)
          for (const done of waiting) done()
        },
        (error: unknown) => {
          this.#logger.error(
            { event: 'store.unreadable', chunk, error: reasonOf(error) },
            'Cannot read stored messages: their receivers wait',
          )
          setTimeout(() => this.#fetch(chunk), RETRY_MS).unref()
        },
      )
  }

  #enter(chunk: number, bytes: Uint8Array): void {
    const bodies = readContent(bytes)
    if ('malformed' in bodies) throw new Error(`the content of chunk ${chunk} is damaged: ${bodies.malformed}`)
    const messages: (PlacedMessage | undefined)[] = []
    for (const { slot, body } of bodies) {
      while (messages.length < slot) messages.push(undefined)
      messages[slot] = body
    }
    const held = bytes.length + bodies.length * MESSAGE_BYTES
    this.#bytes += held - (this.#contents.get(chunk)?.bytes ?? 0)
    this.#contents.delete(chunk)
    this.#contents.set(chunk, { messages, bytes: held })
    for (const [oldest, content] of this.#contents) {
      if (this.#bytes <= CACHE_BYTES_MAX || oldest === chunk) break
      this.#contents.delete(oldest)
      this.#bytes -= content.bytes
    }
  }
}
