/**
 * PUBLISH packets on their way in, in place: consecutive packets of one connection with the same topic, the same QoS and
 * nothing else to tell them apart are handed on as one *run*, so that they are routed once and copied once.
 *
 *      buf ┄┄┄│ packet 0      │ packet 1      │ packet 2      │┄┄┄
 *             ▲start = heads[0]▲heads[1]       ▲heads[2]       ▲end
 *                   ▲ids[0]  ▲payloads[0]
 *
 * One instance serves the whole process and is filled anew for each run: whoever needs something longer copies it. The bytes
 * themselves stay as they are, unless they are lent: then they are gone when the read has been taken, and whoever keeps a
 * reference calls `own()` before. What has RETAIN, DUP or properties makes a run of its own; a large packet may lie in
 * pieces, of which `parts` are the later ones; they are never lent.
 */
import { PublishScan } from '../packets/publish.ts'
import type { ProtocolVersion, QoS } from '../packets/types.ts'

/** Packets in one run; a longer series makes several. */
export const RUN_PACKETS_MAX = 8192

const BY_HAND_BYTES_MAX = 128

const EMPTY = new Uint8Array(0)

export class PublishRun {
  /** Whether a conversation is parsing. What arrives meanwhile, for it or another one, waits: an effect must not get here. */
  inUse = false
  /** The conversations for which something arrived meanwhile. */
  readonly after: { consumeBacklog(): void }[] = []
  buf: Uint8Array = EMPTY
  start = 0
  end = 0
  count = 0
  version: ProtocolVersion = 4
  qos: QoS = 0
  retain = false
  dup = false
  /** The topic name as bytes: in `topicBuf`, which is `buf` unless a topic alias stood for it. */
  topicBuf: Uint8Array = EMPTY
  topicStart = 0
  topicEnd = 0
  /** True if the topic is that of the run before, as `ServerConversation.lastTopic` says. */
  sameTopic = false
  /** Offset of each packet's first byte. */
  readonly heads = new Int32Array(RUN_PACKETS_MAX)
  /** Offset of each packet identifier (QoS 1 and 2). */
  readonly ids = new Int32Array(RUN_PACKETS_MAX)
  /** Offset of each payload. */
  readonly payloads = new Int32Array(RUN_PACKETS_MAX)
  /** Whether the one packet carries 5.0 properties; then `scan` tells where. */
  hasProperties = false
  /** Offsets of the one packet when `hasProperties`; otherwise only its topic alias is meaningful. */
  readonly scan = new PublishScan()
  /** Further pieces of the payload of a single large packet, after `buf`. */
  parts: readonly Uint8Array[] | undefined = undefined
  /** Bytes of the payload in `parts`. */
  partsBytes = 0

  /** The read that is parsed now, in memory that is used again afterwards. */
  #lent: Uint8Array | undefined = undefined
  /** A copy of it, made when first asked for. */
  #owned: Uint8Array | undefined = undefined

  /** Largest packet that, if it is not whole at the end of the lent read, is given again. 0: none. */
  carriedBytesMax = 0
  /** Bytes of the lent read that are to be given again. */
  carriedBytes = 0

  /** Parsing of a read in lent memory begins. */
  lend(chunk: Uint8Array, carriedBytesMax = 0): void {
    this.#lent = chunk
    this.carriedBytesMax = carriedBytesMax
  }

  /** The lent memory is used again. */
  giveBack(): void {
    this.#lent = undefined
    this.#owned = undefined
  }

  /** Whether `buf` is lent memory. */
  lends(buf: Uint8Array): boolean {
    return buf === this.#lent
  }

  /** Whether the bytes of the run are. */
  get lent(): boolean {
    return this.buf === this.#lent
  }

  /** Makes the bytes of the run last, at the same offsets. All runs of one read share one copy. */
  own(): void {
    if (this.buf !== this.#lent) return
    this.#owned ??= new Uint8Array(this.#lent)
    if (this.topicBuf === this.buf) this.topicBuf = this.#owned
    this.buf = this.#owned
  }

  /** Offset just after packet `i`. */
  endOf(i: number): number {
    return i + 1 < this.count ? (this.heads[i + 1] as number) : this.end
  }

  /** Payload of packet `i`, bytes. */
  payloadBytes(i: number): number {
    return this.endOf(i) - (this.payloads[i] as number) + this.partsBytes
  }

  /** A copy of the payload of packet `i` that outlives the read buffer. */
  copyPayload(i: number): Uint8Array {
    const from = this.payloads[i] as number
    const to = this.endOf(i)
    const { buf } = this
    const copy = new Uint8Array(to - from + this.partsBytes)
    // A view costs more than copying a few bytes by hand.
    if (to - from <= BY_HAND_BYTES_MAX) for (let at = from; at < to; at++) copy[at - from] = buf[at] as number
    else copy.set(buf.subarray(from, to), 0)
    if (this.parts !== undefined) {
      let at = to - from
      for (const part of this.parts) {
        copy.set(part, at)
        at += part.length
      }
    }
    return copy
  }

  /** Packet identifier of packet `i` (QoS 1 and 2). */
  packetId(i: number): number {
    const at = this.ids[i] as number
    return ((this.buf[at] as number) << 8) | (this.buf[at + 1] as number)
  }

  /** Forgets the buffers, so that nothing is kept alive between runs. */
  clear(): void {
    this.buf = EMPTY
    this.topicBuf = EMPTY
    this.parts = undefined
    this.partsBytes = 0
    this.count = 0
  }
}
