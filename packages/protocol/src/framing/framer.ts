/**
 * Cuts a stream of bytes into packets, whatever the borders of the chunks.
 *
 *     chunk   ┄┄│ packet │ packet │ pac      a whole packet is handed on in place;
 *     chunk     ket │ packet │┄┄             one that straddles a border is joined in a buffer of its own
 *
 * A bad first byte and a packet over the maximum are refused as soon as they can be seen, before anything is kept of them.
 * Memory held is at most twice what has arrived of one packet, and never more than the packet: an announced length alone
 * costs nothing. After a refusal every later call gives the same refusal, since the stream has lost its rhythm.
 */
import type { ProtocolVersion } from '../packets/types.ts'
import { ReasonCode } from '../reason-codes.ts'
import { type Refusal, refuse } from '../refusal.ts'
import { firstByteProblem, isOverlong, type RemainingLength, readRemainingLength } from './fixed-header.ts'

export interface FramerOptions {
  /** Largest packet taken, fixed header included. */
  readonly packetBytesMax: number
  /** Side that reads; it decides which statement a packet over the maximum breaks. Default `server`. */
  readonly side?: 'server' | 'client'
}

/** What is called for each packet; its body is `buf[bodyStart..bodyEnd)`. */
export type OnPacket = (firstByte: number, buf: Uint8Array, bodyStart: number, bodyEnd: number) => void

const headerBytesMax = 5
const firstBufferBytes = 4096

export class Framer {
  /** Set once CONNECT has told it: what only this version forbids is then refused early as well. */
  version: ProtocolVersion | undefined = undefined
  readonly #packetBytesMax: number
  readonly #tooLarge: string
  readonly #length: RemainingLength = { value: 0, next: 0 }
  /** A header that straddles a border. */
  readonly #head = new Uint8Array(headerBytesMax)
  #headBytes = 0
  /** A body that straddles a border: `#bodyBytes` of `#bodyWanted` have come. */
  #body: Uint8Array | undefined = undefined
  #bodyBytes = 0
  #bodyWanted = 0
  #firstByte = 0
  #refusal: Refusal | undefined = undefined

  constructor(options: FramerOptions) {
    this.#packetBytesMax = options.packetBytesMax
    this.#tooLarge = options.side === 'client' ? 'MQTT-3.1.2-24' : 'MQTT-3.2.2-15'
  }

  /** Bytes kept of a packet that is not complete yet. */
  get bytesHeld(): number {
    return this.#headBytes + this.#bodyBytes
  }

  /**
   * Takes the next bytes. Packets in place are valid as long as the chunk is; a joined one has a buffer that is not used
   * again.
   */
  push(chunk: Uint8Array, onPacket: OnPacket): Refusal | undefined {
    let at = 0
    while (at < chunk.length && this.#refusal === undefined) {
      if (this.#body !== undefined) at = this.#continueBody(chunk, at, onPacket)
      else if (this.#headBytes > 0) at = this.#continueHead(chunk, at, onPacket)
      else at = this.#begin(chunk, at, onPacket)
    }
    return this.#refusal
  }

  /** Reads a header in place. */
  #begin(chunk: Uint8Array, at: number, onPacket: OnPacket): number {
    const firstByte = chunk[at] as number
    this.#refusal = firstByteProblem(firstByte, this.version)
    if (this.#refusal !== undefined) return at
    const found = readRemainingLength(chunk, at + 1, chunk.length, this.#length)
    if (found === 'incomplete') {
      this.#head.set(chunk.subarray(at))
      this.#headBytes = chunk.length - at
      return chunk.length
    }
    if (!this.#accepts(found, this.#length.next - at - 1)) return at
    return this.#beginBody(firstByte, chunk, this.#length.next, onPacket)
  }

  /** Adds one byte to a header that began in an earlier chunk. */
  #continueHead(chunk: Uint8Array, at: number, onPacket: OnPacket): number {
    this.#head[this.#headBytes++] = chunk[at] as number
    const found = readRemainingLength(this.#head, 1, this.#headBytes, this.#length)
    if (found === 'incomplete') return at + 1
    if (!this.#accepts(found, this.#headBytes - 1)) return at
    this.#headBytes = 0
    return this.#beginBody(this.#head[0] as number, chunk, at + 1, onPacket)
  }

  /** Judges the remaining length just read from `bytes` bytes. */
  #accepts(found: 'ok' | 'malformed', bytes: number): boolean {
    if (found === 'malformed') {
      const statement = this.version === 3 || this.version === 4 ? 'MQTT3-2.2.3' : 'MQTT-1.5.5-1'
      this.#refusal = refuse(ReasonCode.malformedPacket, statement, 'Remaining length has more than four bytes')
    } else if (this.version === 5 && isOverlong(this.#length.value, bytes)) {
      const detail = `Remaining length ${this.#length.value} is written in ${bytes} bytes`
      this.#refusal = refuse(ReasonCode.malformedPacket, 'MQTT-1.5.5-1', detail)
    } else if (1 + bytes + this.#length.value > this.#packetBytesMax) {
      const detail = `Packet has ${1 + bytes + this.#length.value} bytes, maximum is ${this.#packetBytesMax}`
      this.#refusal = refuse(ReasonCode.packetTooLarge, this.#tooLarge, detail)
    }
    return this.#refusal === undefined
  }

  #beginBody(firstByte: number, chunk: Uint8Array, start: number, onPacket: OnPacket): number {
    const end = start + this.#length.value
    if (end <= chunk.length) {
      onPacket(firstByte, chunk, start, end)
      return end
    }
    const held = chunk.length - start
    this.#firstByte = firstByte
    this.#bodyWanted = this.#length.value
    this.#bodyBytes = held
    this.#body = new Uint8Array(Math.min(this.#bodyWanted, Math.max(firstBufferBytes, held * 2)))
    this.#body.set(chunk.subarray(start))
    return chunk.length
  }

  #continueBody(chunk: Uint8Array, at: number, onPacket: OnPacket): number {
    const take = Math.min(this.#bodyWanted - this.#bodyBytes, chunk.length - at)
    const body = this.#bodyWithRoom(take)
    body.set(chunk.subarray(at, at + take), this.#bodyBytes)
    this.#bodyBytes += take
    if (this.#bodyBytes === this.#bodyWanted) {
      const bytes = this.#bodyBytes
      this.#body = undefined
      this.#bodyBytes = 0
      onPacket(this.#firstByte, body, 0, bytes)
    }
    return at + take
  }

  #bodyWithRoom(bytes: number): Uint8Array {
    const body = this.#body as Uint8Array
    const wanted = this.#bodyBytes + bytes
    if (wanted <= body.length) return body
    const larger = new Uint8Array(Math.min(this.#bodyWanted, Math.max(wanted, body.length * 2)))
    larger.set(body.subarray(0, this.#bodyBytes))
    this.#body = larger
    return larger
  }
}
