/**
 * Frames between nodes (consensus.md section 16): `type u8 | length u32 | body`, the same over QUIC and TLS. The engine makes
 * and reads most of them; HELLO, PING, PONG, CHALLENGE (16) and FAREWELL (17: why a link is refused) belong to the link itself,
 * RELAY (18: messages that skip the order) and TAKEN (19: how far they were taken) to the broker, REMOVED (20) to
 * `host/removal.ts`; SETTINGS (21) is in `settings-difference.ts`.
 *
 * The reader hands out views of what was received where a frame lies in one chunk, and joins chunks where it does not; half a
 * frame holds memory up to `frameBytesMax` and no more.
 */

export const FrameType = {
  hello: 1,
  block: 3,
  blocks: 5,
  cert: 8,
  snap: 10,
  ping: 14,
  pong: 15,
  challenge: 16,
  farewell: 17,
  relay: 18,
  taken: 19,
  removed: 20,
  settings: 21,
} as const

/** Types above this one are unknown, and end the link. */
const TYPE_MAX = 31
export const FRAME_HEAD_BYTES = 5

/** What leaves first when a link cannot send everything at once. */
export const Priority = { blocks: 0, control: 1, relay: 2, bulk: 3 } as const
export type Priority = (typeof Priority)[keyof typeof Priority]

export function priorityOf(frame: Uint8Array): Priority {
  switch (frame[0]) {
    case FrameType.block:
      return Priority.blocks
    case FrameType.relay:
      return Priority.relay
    case FrameType.blocks:
    case FrameType.cert:
    case FrameType.snap:
      return Priority.bulk
    default:
      return Priority.control
  }
}

export function encodeFrame(type: number, body: Uint8Array): Uint8Array {
  const frame = new Uint8Array(FRAME_HEAD_BYTES + body.length)
  frame[0] = type
  new DataView(frame.buffer).setUint32(1, body.length)
  frame.set(body, FRAME_HEAD_BYTES)
  return frame
}

/** What follows the head. */
export function bodyOf(frame: Uint8Array): Uint8Array {
  return frame.subarray(FRAME_HEAD_BYTES)
}

/** Why the bytes are no frames; the link cannot go on, since nobody knows where the next one begins. */
export type FrameFault = 'unknown frame type' | 'frame too long'

export class FrameReader {
  /** Bytes of a frame, head included; may be raised when more is known of the peer. */
  frameBytesMax: number
  /** The parts of a frame that is not complete. */
  #parts: Uint8Array[] = []
  #partBytes = 0
  /** Bytes of the whole frame, when its head is here; else those of a head. */
  #wanted = FRAME_HEAD_BYTES

  constructor(frameBytesMax: number) {
    this.frameBytesMax = frameBytesMax
  }

  /** Bytes held of a frame that is not complete. */
  get heldBytes(): number {
    return this.#partBytes
  }

  /**
   * Takes what was read and calls `take` with each whole frame, head included; the frames are views and stay valid. `take`
   * gives false to stop: nothing more is read from this chunk. Gives why it cannot go on, if so.
   */
  push(chunk: Uint8Array, take: (frame: Uint8Array) => boolean): FrameFault | undefined {
    let at = 0
    while (at < chunk.length) {
      if (this.#partBytes === 0) {
        const end = this.#endOfFrame(chunk, at)
        if (typeof end === 'string') return end
        if (end !== undefined && end <= chunk.length) {
          if (!take(chunk.subarray(at, end))) return undefined
          at = end
          continue
        }
      }
      const missing = Math.min(this.#wanted - this.#partBytes, chunk.length - at)
      this.#parts.push(chunk.subarray(at, at + missing))
      this.#partBytes += missing
      at += missing
      if (this.#partBytes < this.#wanted) continue
      const joined = this.#join()
      if (this.#wanted === FRAME_HEAD_BYTES) {
        const length = this.#lengthOf(joined, 0)
        if (typeof length === 'string') return length
        this.#wanted = length
        if (length > FRAME_HEAD_BYTES) {
          this.#parts = [joined]
          this.#partBytes = joined.length
          continue
        }
      }
      this.#wanted = FRAME_HEAD_BYTES
      if (!take(joined)) return undefined
    }
    return undefined
  }

  /** Where the frame at `at` ends, which may be behind the chunk; undefined: its head is not whole. */
  #endOfFrame(chunk: Uint8Array, at: number): number | undefined | FrameFault {
    if (at + FRAME_HEAD_BYTES > chunk.length) return undefined
    const length = this.#lengthOf(chunk, at)
    if (typeof length === 'string') return length
    // Kept for the case that the frame goes on in the next chunk.
    this.#wanted = at + length <= chunk.length ? FRAME_HEAD_BYTES : length
    return at + length
  }

  /** Bytes of a frame, head included, by its head at `at`. */
  #lengthOf(bytes: Uint8Array, at: number): number | FrameFault {
    const type = bytes[at] ?? 0
    if (type === 0 || type > TYPE_MAX) return 'unknown frame type'
    const length =
      FRAME_HEAD_BYTES +
      ((bytes[at + 1] ?? 0) * 0x1000000 +
        (((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 8) | (bytes[at + 4] ?? 0)))
    return length > this.frameBytesMax ? 'frame too long' : length
  }

  #join(): Uint8Array {
    const [only] = this.#parts
    const joined = this.#parts.length === 1 && only !== undefined ? only : Buffer.concat(this.#parts, this.#partBytes)
    this.#parts = []
    this.#partBytes = 0
    return joined
  }
}
