/**
 * The fixed header: first byte and remaining length (5.0 sections 2.1 and 1.5.5, 3.1.1 section 2.2).
 *
 * Nothing here allocates: results go into an object of the caller, since both the server's conversation and the framer
 * read a header per packet.
 */
import { PacketType, type ProtocolVersion } from '../packets/types.ts'
import { ReasonCode } from '../reason-codes.ts'
import { type Refusal, refuse } from '../refusal.ts'

/** Largest number that four bytes of seven bits hold. */
export const remainingLengthMax = 268_435_455

/** Where `readRemainingLength` puts what it found. */
export interface RemainingLength {
  value: number
  /** Offset of the first byte behind the number. */
  next: number
}

/**
 * Reads a variable byte integer at `at`. `out` is valid when the answer is `ok`. More bytes than needed are `ok` here:
 * 3.1 and 3.1.1 do not forbid them; `isOverlong` tells, for 5.0 [MQTT-1.5.5-1].
 */
export function readRemainingLength(
  buf: Uint8Array,
  at: number,
  end: number,
  out: RemainingLength,
): 'ok' | 'incomplete' | 'malformed' {
  if (at >= end) return 'incomplete'
  let byte = buf[at] as number
  let value = byte & 0x7f
  let next = at + 1
  for (let shift = 7; byte >= 0x80; shift += 7) {
    if (shift === 28) return 'malformed'
    if (next >= end) return 'incomplete'
    byte = buf[next++] as number
    value |= (byte & 0x7f) << shift
  }
  out.value = value
  out.next = next
  return 'ok'
}

/** Whether `value`, read from `bytes` bytes, would have fitted into fewer. */
export function isOverlong(value: number, bytes: number): boolean {
  return bytes !== remainingLengthBytes(value)
}

/** Writes `value` (0..268,435,455) in the fewest bytes and returns the offset behind it. */
export function writeRemainingLength(buf: Uint8Array, at: number, value: number): number {
  let rest = value
  let to = at
  while (rest >= 0x80) {
    buf[to++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  buf[to++] = rest
  return to
}

/** Bytes that `value` needs as a variable byte integer. */
export function remainingLengthBytes(value: number): 1 | 2 | 3 | 4 {
  if (value < 128) return 1
  if (value < 16_384) return 2
  return value < 2_097_152 ? 3 : 4
}

/**
 * What is wrong with the first byte of a packet. Without a version only what no version allows is refused: 3.1 lets a
 * sender set DUP on a repeated PUBREL, SUBSCRIBE and UNSUBSCRIBE (its section 2.1), and AUTH exists in 5.0 alone.
 */
export function firstByteProblem(firstByte: number, version?: ProtocolVersion): Refusal | undefined {
  const type = firstByte >> 4
  const flags = firstByte & 0x0f
  if (type === PacketType.publish) {
    if ((flags & 0x06) === 0x06) {
      return refuse(ReasonCode.malformedPacket, version === 5 ? 'MQTT-3.3.1-4' : 'MQTT3-3.3.1-4', 'PUBLISH with QoS 3')
    }
    if ((flags & 0x0e) === 0x08) {
      return refuse(
        ReasonCode.malformedPacket,
        version === 5 ? 'MQTT-3.3.1-2' : 'MQTT3-3.3.1-2',
        'PUBLISH with QoS 0 and DUP',
      )
    }
    return undefined
  }
  if (type === 0) return refuse(ReasonCode.malformedPacket, version === 5 ? '2.1.2' : 'MQTT3-2.2.1', 'Packet type 0')
  if (type === PacketType.auth && version !== undefined && version !== 5) {
    return refuse(ReasonCode.malformedPacket, 'MQTT3-2.2.1', 'Packet type 15 before 5.0')
  }
  const asked = reservedFlags(type)
  if (flags === asked) return undefined
  if (asked === 0x02 && flags === 0x0a && version !== 4 && version !== 5) return undefined
  const detail = `Flags ${flags.toString(2).padStart(4, '0')} on packet type ${type}`
  return refuse(ReasonCode.malformedPacket, flagStatement(type, version), detail)
}

/** The statement about a type's reserved flags, where it has one of its own. */
function flagStatement(type: number, version: ProtocolVersion | undefined): string {
  const prefix = version === 5 ? 'MQTT-' : 'MQTT3-'
  switch (type) {
    case PacketType.pubrel:
      return `${prefix}3.6.1-1`
    case PacketType.subscribe:
      return `${prefix}3.8.1-1`
    case PacketType.unsubscribe:
      return `${prefix}3.10.1-1`
    case PacketType.disconnect:
      return `${prefix}3.14.1-1`
    case PacketType.auth:
      return 'MQTT-3.15.1-1'
    default:
      return version === 5 ? 'MQTT-2.1.3-1' : 'MQTT3-2.2.2-2'
  }
}

/** The four reserved bits of every type but PUBLISH [MQTT-2.1.3-1] [MQTT3-2.2.2-1]. */
function reservedFlags(type: number): number {
  return type === PacketType.pubrel || type === PacketType.subscribe || type === PacketType.unsubscribe ? 0x02 : 0x00
}
