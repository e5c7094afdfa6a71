/**
 * What waits to leave on one link: four lines, blocks before control before messages beside the order and bulk, and what
 * their stream has not taken yet. All is bounded. Bulk answers that find no room are dropped, since who asked asks again; without
 * room for anything else the peer is too slow to take part, and its link ends: after it comes back it is told what it missed in
 * one go.
 *
 *   push ─▶ blocks │ control │ relay │ bulk ─flush─▶ one write ─▶ stream (up to IN_FLIGHT_BYTES) ─drain─▶ flush
 *
 * Relayed messages and bulk take turns when both wait: else a busy topic would keep a node that catches up from ever getting
 * there.
 */
import type { Duplex } from 'node:stream'
import { Priority, priorityOf } from './frames.ts'

/** Bytes that may wait for one peer, by priority. Whoever relays keeps below its own (`ordering/relay.ts`). */
const QUEUE_BYTES_MAX = [32 * 1024 * 1024, 8 * 1024 * 1024, 8 * 1024 * 1024, 16 * 1024 * 1024] as const
/** So much is given to the stream and not yet sent; what is more important can overtake all else. */
const IN_FLIGHT_BYTES = 1024 * 1024
/** Frames up to this size are joined into one write; longer ones go as they are, uncopied. */
const JOIN_BYTES_MAX = 64 * 1024

export class SendQueue {
  readonly #stream: Duplex
  readonly #lines: readonly [Line, Line, Line, Line] = [new Line(), new Line(), new Line(), new Line()]
  readonly #overflow: () => void
  /** Frames in all lines. */
  #waiting = 0
  /** Bytes that went out of the line of relayed messages, less those of bulk, while there was something in both. */
  #relayAhead = 0
  /** Bulk frames that found no room. */
  dropped = 0
  sentBytes = 0
  sentFrames = 0

  /** `overflow` is called when the peer is too slow to be told what it must know. */
  constructor(stream: Duplex, overflow: () => void) {
    this.#stream = stream
    this.#overflow = overflow
    stream.on('drain', () => this.flush())
  }

  get queuedBytes(): number {
    return this.#lines.reduce((bytes, line) => bytes + line.bytes, 0)
  }

  /** Bytes that wait in the stream itself. */
  get inFlightBytes(): number {
    return this.#stream.writableLength
  }

  push(frame: Uint8Array): void {
    const priority = priorityOf(frame)
    const line = this.#lines[priority]
    if (line.bytes + frame.length > QUEUE_BYTES_MAX[priority]) {
      if (priority === Priority.bulk) this.dropped++
      else this.#overflow()
      return
    }
    line.push(frame)
    this.#waiting++
  }

  /** Gives the stream what it may take now, in one write. */
  flush(): void {
    // Links are flushed after whatever might have led to a frame, which most things do not.
    if (this.#waiting === 0 || this.#stream.destroyed || !this.#stream.writable) return
    let room = IN_FLIGHT_BYTES - this.#stream.writableLength
    const joined: Uint8Array[] = []
    let joinedBytes = 0
    while (room > 0) {
      const frame = this.#next()?.shift()
      if (frame === undefined) break
      room -= frame.length
      this.#waiting--
      this.sentFrames++
      if (joinedBytes + frame.length > JOIN_BYTES_MAX) {
        this.#write(joined, joinedBytes)
        joined.length = 0
        joinedBytes = 0
      }
      joined.push(frame)
      joinedBytes += frame.length
    }
    this.#write(joined, joinedBytes)
  }

  /** The line whose turn it is. */
  #next(): Line | undefined {
    const [blocks, control, relay, bulk] = this.#lines
    if (!blocks.isEmpty) return blocks
    if (!control.isEmpty) return control
    if (relay.isEmpty || bulk.isEmpty) this.#relayAhead = 0
    if (bulk.isEmpty) return relay.isEmpty ? undefined : relay
    if (relay.isEmpty) return bulk
    const line = this.#relayAhead > 0 ? bulk : relay
    this.#relayAhead += (line === relay ? 1 : -1) * line.firstBytes
    return line
  }

  #write(frames: readonly Uint8Array[], bytes: number): void {
    const [only] = frames
    if (only === undefined) return
    this.sentBytes += bytes
    this.#stream.write(frames.length === 1 ? only : Buffer.concat(frames, bytes))
  }
}

/** A queue that forgets its beginning now and then, so that taking from it does not move what is behind. */
class Line {
  bytes = 0
  #frames: Uint8Array[] = []
  #at = 0

  get isEmpty(): boolean {
    return this.#at === this.#frames.length
  }

  /** Of the next frame. */
  get firstBytes(): number {
    return this.#frames[this.#at]?.length ?? 0
  }

  push(frame: Uint8Array): void {
    this.#frames.push(frame)
    this.bytes += frame.length
  }

  /** Takes the next frame; there is one. */
  shift(): Uint8Array {
    const frame = this.#frames[this.#at] as Uint8Array
    this.bytes -= frame.length
    this.#at++
    if (this.#at === this.#frames.length || this.#at > 1024) {
      this.#frames = this.#frames.slice(this.#at)
      this.#at = 0
    }
    return frame
  }
}
