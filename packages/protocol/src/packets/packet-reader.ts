/**
 * Reads the fields of one packet, in order, without throwing.
 *
 * The first problem stays in `problem`, the reader jumps to its end, and every later read answers with an empty value: so
 * a decoder reads straight on and looks at `problem` where it decides something. Byte fields are copied, because what
 * holds them (a CONNECT, a property) outlives the read buffer; the payload of PUBLISH is not read here.
 */
import { isOverlong, type RemainingLength, readRemainingLength } from '../framing/fixed-header.ts'
import { ReasonCode } from '../reason-codes.ts'
import { type Refusal, refuse } from '../refusal.ts'
import { utf8Decode, utf8Problem } from '../utf8.ts'
import type { ProtocolVersion } from './types.ts'

const none = new Uint8Array(0)

export class PacketReader {
  readonly buf: Uint8Array
  at: number
  readonly end: number
  /** CONNECT sets it once it has read it. */
  version: ProtocolVersion
  problem: Refusal | undefined = undefined
  readonly #length: RemainingLength = { value: 0, next: 0 }

  constructor(buf: Uint8Array, start: number, end: number, version: ProtocolVersion) {
    this.buf = buf
    this.at = start
    this.end = end
    this.version = version
  }

  /** Bytes not read yet. */
  get left(): number {
    return this.end - this.at
  }

  byte(what: string): number {
    if (this.#short(1, what)) return 0
    return this.buf[this.at++] as number
  }

  uint16(what: string): number {
    if (this.#short(2, what)) return 0
    const value = ((this.buf[this.at] as number) << 8) | (this.buf[this.at + 1] as number)
    this.at += 2
    return value
  }

  uint32(what: string): number {
    const high = this.uint16(what)
    return high * 65_536 + this.uint16(what)
  }

  /** A variable byte integer inside a packet; these exist in 5.0 only, so the fewest bytes are a must [MQTT-1.5.5-1]. */
  varint(what: string): number {
    const found = readRemainingLength(this.buf, this.at, this.end, this.#length)
    if (found === 'incomplete') {
      this.malformed('MQTT-4.13.1-1', `Packet ends inside ${what}`)
      return 0
    }
    if (found === 'malformed' || isOverlong(this.#length.value, this.#length.next - this.at)) {
      this.malformed('MQTT-1.5.5-1', `${what} is not a variable byte integer in the fewest bytes`)
      return 0
    }
    this.at = this.#length.next
    return this.#length.value
  }

  /** A string with two bytes of length, well-formed and without U+0000. */
  string(what: string): string {
    const start = this.#field(what)
    if (start === -1) return ''
    const problem = utf8Problem(this.buf, start, this.at)
    if (problem === 'illFormed') {
      this.malformed(this.cite('MQTT-1.5.4-1', 'MQTT3-1.5.3-1'), `${what} is not well-formed UTF-8`)
      return ''
    }
    if (problem === 'nul') {
      this.malformed(this.cite('MQTT-1.5.4-2', 'MQTT3-1.5.3-2'), `${what} contains U+0000`)
      return ''
    }
    return utf8Decode(this.buf, start, this.at)
  }

  /** A copy of binary data with two bytes of length. */
  binary(what: string): Uint8Array {
    const start = this.#field(what)
    if (start === -1) return none
    // Not `slice`: on a Buffer that is a view.
    const copy = new Uint8Array(this.at - start)
    copy.set(this.buf.subarray(start, this.at))
    return copy
  }

  /** A packet identifier, which is never 0. */
  packetId(what: string, statement: string): number {
    const id = this.uint16(`packet identifier of ${what}`)
    if (id === 0) this.refuse(ReasonCode.protocolError, statement, `${what} with packet identifier 0`)
    return id
  }

  /** Refuses bytes behind the last field. */
  finish(what: string): void {
    if (this.at < this.end) {
      this.malformed(this.cite('MQTT-4.13.1-1', 'MQTT3-4.8.0-1'), `${what} has ${this.left} bytes too many`)
    }
  }

  malformed(statement: string, detail: string): void {
    this.refuse(ReasonCode.malformedPacket, statement, detail)
  }

  refuse(reasonCode: number, statement: string, detail: string): void {
    this.problem ??= refuse(reasonCode, statement, detail)
    this.at = this.end
  }

  /** The statement of the version at hand: 5.0, or 3.1.1, whose rules hold for 3.1 where that says nothing else. */
  cite(five: string, three: string): string {
    return this.version === 5 ? five : three
  }

  /** Passes over two bytes of length and as many bytes as they say; the offset of the first, or -1. */
  #field(what: string): number {
    const length = this.uint16(`length of ${what}`)
    if (this.problem !== undefined || this.#short(length, what)) return -1
    const start = this.at
    this.at += length
    return start
  }

  #short(bytes: number, what: string): boolean {
    if (this.at + bytes <= this.end) return false
    this.malformed(this.cite('MQTT-4.13.1-1', 'MQTT3-4.8.0-1'), `Packet ends inside ${what}`)
    return true
  }
}
