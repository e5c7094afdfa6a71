/**
 * Writes the fields of one packet and puts the fixed header before them when all are there.
 *
 *     [ 5 bytes kept free ][ body …            ][ spare ]
 *         └ header ends where the body starts, so nothing is moved
 *
 * Every value is checked: what does not fit is the calling program's mistake and throws a `ProtocolEncodeError`.
 */
import { cannotEncode } from '../encode-error.ts'
import { remainingLengthBytes, remainingLengthMax, writeRemainingLength } from '../framing/fixed-header.ts'
import { stringBytesMax, stringProblem, utf8Length, utf8Write } from '../utf8.ts'
import type { ProtocolVersion } from './types.ts'

const headerBytesMax = 5

export class PacketWriter {
  /** Name of the packet, for messages. */
  readonly what: string
  readonly version: ProtocolVersion
  #buf: Uint8Array
  #at = headerBytesMax

  constructor(what: string, version: ProtocolVersion, bytesExpected = 123) {
    this.what = what
    this.version = version
    this.#buf = new Uint8Array(headerBytesMax + bytesExpected)
  }

  /** Bytes of body so far. */
  get length(): number {
    return this.#at - headerBytesMax
  }

  byte(value: number, field: string): void {
    this.checkInteger(value, 0, 0xff, field)
    this.#room(1)
    this.#buf[this.#at++] = value
  }

  uint16(value: number, field: string): void {
    this.checkInteger(value, 0, 0xffff, field)
    this.#room(2)
    this.#buf[this.#at++] = value >> 8
    this.#buf[this.#at++] = value & 0xff
  }

  uint32(value: number, field: string): void {
    this.checkInteger(value, 0, 0xffff_ffff, field)
    this.uint16(Math.floor(value / 65_536), field)
    this.uint16(value % 65_536, field)
  }

  varint(value: number, field: string): void {
    this.checkInteger(value, 0, remainingLengthMax, field)
    this.#room(4)
    this.#at = writeRemainingLength(this.#buf, this.#at, value)
  }

  string(value: string, field: string): void {
    if (typeof value !== 'string') this.fail(field, 'is not a string', 'give a string')
    if (stringProblem(value) !== undefined) {
      this.fail(field, 'contains U+0000 or a lone surrogate [MQTT-1.5.4-1] [MQTT-1.5.4-2]', 'remove it')
    }
    const bytes = utf8Length(value)
    if (bytes > stringBytesMax) this.fail(field, `has ${bytes} bytes, 65535 are possible`, 'shorten it')
    this.uint16(bytes, field)
    this.#room(bytes)
    this.#at = utf8Write(value, this.#buf, this.#at)
  }

  binary(value: Uint8Array, field: string): void {
    if (!(value instanceof Uint8Array)) this.fail(field, 'is not a Uint8Array', 'give bytes')
    if (value.length > stringBytesMax) this.fail(field, `has ${value.length} bytes, 65535 are possible`, 'shorten it')
    this.uint16(value.length, field)
    this.raw(value)
  }

  packetId(value: number): void {
    this.checkInteger(value, 1, 0xffff, 'packet identifier')
    this.uint16(value, 'packet identifier')
  }

  raw(bytes: Uint8Array): void {
    this.#room(bytes.length)
    this.#buf.set(bytes, this.#at)
    this.#at += bytes.length
  }

  /** Puts the length of everything written since `mark` (an earlier `length`) before it, as a variable byte integer. */
  prefixLength(mark: number): void {
    const start = headerBytesMax + mark
    const bytes = this.#at - start
    this.checkInteger(bytes, 0, remainingLengthMax, 'property length')
    const shift = remainingLengthBytes(bytes)
    this.#room(shift)
    this.#buf.copyWithin(start + shift, start, this.#at)
    writeRemainingLength(this.#buf, start, bytes)
    this.#at += shift
  }

  /** The packet. Nothing may be written afterwards. */
  finish(firstByte: number): Uint8Array {
    this.checkInteger(this.length, 0, remainingLengthMax, 'remaining length')
    const start = headerBytesMax - 1 - remainingLengthBytes(this.length)
    this.#buf[start] = firstByte
    writeRemainingLength(this.#buf, start + 1, this.length)
    return this.#buf.subarray(start, this.#at)
  }

  /** What was written, without a header. */
  body(): Uint8Array {
    return this.#buf.subarray(headerBytesMax, this.#at)
  }

  checkInteger(value: number, min: number, max: number, field: string): void {
    if (!Number.isInteger(value) || value < min || value > max) {
      this.fail(`${field} ${value}`, `is not an integer from ${min} to ${max}`, 'give one')
    }
  }

  fail(field: string, rule: string, remedy: string): never {
    return cannotEncode(`${this.what} ${field}`, rule, remedy)
  }

  #room(bytes: number): void {
    const wanted = this.#at + bytes
    if (wanted <= this.#buf.length) return
    const larger = new Uint8Array(Math.max(wanted, this.#buf.length * 2))
    larger.set(this.#buf.subarray(0, this.#at))
    this.#buf = larger
  }
}
