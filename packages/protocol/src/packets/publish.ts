/**
 * PUBLISH (5.0 and 3.1.1 section 3.3).
 *
 *     ┌──────────────┬───────────────┬─────────────────┬────────────┬─────────┐
 *     │ topic length │ topic name    │ packet id (QoS) │ properties │ payload │
 *     └──────────────┴───────────────┴─────────────────┴────────────┴─────────┘
 *
 * `scanPublish` is the hot path: it checks everything and leaves offsets, no string, no object. `decodePublish` is that
 * scan plus the strings. So the rules are written once; only the wording of a refusal about properties comes from the
 * property codec, which is run again for it.
 *
 * A topic name that is no topic name gets 0x90: the standard names it for well-formed names a server does not accept, but
 * it tells the sender what to look at, and 4.13 leaves the choice open.
 *
 * Absent: what depends on the connection (topic alias maximum, a client that sends subscription identifiers, QoS and
 * retain as announced), and a check of the payload against the payload format indicator, which is optional [3.3.2.3.2].
 */
import { isOverlong, type RemainingLength, readRemainingLength } from '../framing/fixed-header.ts'
import { checkNoProperties, decodeProperties, writeProperties } from '../properties/codec.ts'
import { quote } from '../quote.ts'
import { ReasonCode } from '../reason-codes.ts'
import { isRefusal, type Refusal, refuse } from '../refusal.ts'
import { topicNameProblem } from '../topics/topic-name.ts'
import { utf8Decode, utf8Problem, utf8ProblemAt } from '../utf8.ts'
import { PacketWriter } from './packet-writer.ts'
import { PacketType, type ProtocolVersion, type PublishPacket, type QoS } from './types.ts'

/** Offsets of one PUBLISH in place. One instance is reused. */
export class PublishScan {
  topicStart = 0
  topicEnd = 0
  /** 0 at QoS 0. */
  packetId = 0
  /** First byte after the property length; equal to `propertiesEnd` where there are none. */
  propertiesStart = 0
  propertiesEnd = 0
  payloadStart = 0
  /** 0: none. */
  topicAlias = 0
  /** Offset of the property's identifier byte, 3 bytes in all; -1: none. */
  topicAliasAt = -1
  /** Offset of the property's identifier byte, 5 bytes in all; -1: none. */
  expiryAt = -1
  /** Message expiry interval in seconds; -1: none. */
  expirySeconds = -1
  /** Whether subscription identifiers are there, which only a server may send [MQTT-3.3.4-6]. */
  subscriptionIdentifiers = false
}

const hash = 0x23
const plus = 0x2b
/** 1 for each byte of a topic name that needs a closer look: U+0000, wildcards, and what is not ASCII. */
const isSpecial = Uint8Array.from({ length: 256 }, (_, b) => (b === 0 || b === plus || b === hash || b >= 0x80 ? 1 : 0))
const length: RemainingLength = { value: 0, next: 0 }

/**
 * Checks one PUBLISH and notes where its parts lie. `scan` is meaningful when undefined comes back. `bodyEnd` may cut off
 * the end of the payload, so that a large packet can be judged before all of it is there.
 */
export function scanPublish(
  firstByte: number,
  buf: Uint8Array,
  bodyStart: number,
  bodyEnd: number,
  version: ProtocolVersion,
  scan: PublishScan,
): Refusal | undefined {
  const qos = (firstByte >> 1) & 3
  if (qos === 3) return malformed(version, 'MQTT-3.3.1-4', 'MQTT3-3.3.1-4', 'PUBLISH with QoS 3')
  if (qos === 0 && (firstByte & 0x08) !== 0) {
    return malformed(version, 'MQTT-3.3.1-2', 'MQTT3-3.3.1-2', 'PUBLISH with QoS 0 and DUP')
  }
  if (bodyStart + 2 > bodyEnd) return truncated(version, 'topic name')
  const topicStart = bodyStart + 2
  const topicEnd = topicStart + (((buf[bodyStart] as number) << 8) | (buf[bodyStart + 1] as number))
  if (topicEnd > bodyEnd) return truncated(version, 'topic name')
  if (!isTopicName(buf, topicStart, topicEnd)) return topicProblem(version, buf, topicStart, topicEnd)
  scan.topicStart = topicStart
  scan.topicEnd = topicEnd
  scan.packetId = 0
  scan.topicAlias = 0
  scan.topicAliasAt = -1
  scan.expiryAt = -1
  scan.expirySeconds = -1
  scan.subscriptionIdentifiers = false
  let at = topicEnd
  if (qos > 0) {
    if (at + 2 > bodyEnd) return truncated(version, 'packet identifier')
    scan.packetId = ((buf[at] as number) << 8) | (buf[at + 1] as number)
    at += 2
    if (scan.packetId === 0) {
      const statement = version === 5 ? 'MQTT-2.2.1-3' : 'MQTT3-2.3.1-1'
      return refuse(ReasonCode.protocolError, statement, 'PUBLISH with packet identifier 0')
    }
  }
  if (version === 5) {
    const problem = scanPropertySection(buf, at, bodyEnd, scan)
    if (problem !== undefined) return problem
    at = scan.propertiesEnd
  } else {
    scan.propertiesStart = at
    scan.propertiesEnd = at
  }
  scan.payloadStart = at
  if (topicStart === topicEnd && scan.topicAlias === 0) {
    return version === 5
      ? refuse(ReasonCode.protocolError, '3.3.2.1', 'PUBLISH with neither topic name nor topic alias')
      : refuse(ReasonCode.topicNameInvalid, 'MQTT3-4.7.3-1', 'PUBLISH with an empty topic name')
  }
  return undefined
}

/** Decodes a PUBLISH. The payload is a view on `buf`, valid as long as that is; everything else is copied. */
export function decodePublish(
  firstByte: number,
  buf: Uint8Array,
  bodyStart: number,
  bodyEnd: number,
  version: ProtocolVersion,
): PublishPacket | Refusal {
  const scan = new PublishScan()
  const problem = scanPublish(firstByte, buf, bodyStart, bodyEnd, version, scan)
  if (problem !== undefined) return problem
  const properties = decodeProperties(buf, scan.propertiesStart, scan.propertiesEnd, 'publish')
  if (isRefusal(properties)) return properties
  return {
    type: PacketType.publish,
    topic: utf8Decode(buf, scan.topicStart, scan.topicEnd),
    payload: buf.subarray(scan.payloadStart, bodyEnd),
    qos: ((firstByte >> 1) & 3) as QoS,
    retain: (firstByte & 0x01) !== 0,
    dup: (firstByte & 0x08) !== 0,
    ...(scan.packetId > 0 ? { packetId: scan.packetId } : {}),
    ...(properties !== undefined ? { properties } : {}),
  }
}

/** Encodes a PUBLISH; the payload is copied once. */
export function encodePublish(packet: PublishPacket, version: ProtocolVersion): Uint8Array {
  const { topic, payload, qos, properties } = packet
  const writer = new PacketWriter('PUBLISH', version, topic.length * 3 + payload.length + 64)
  writer.checkInteger(qos, 0, 2, 'QoS')
  if (qos === 0 && packet.dup) writer.fail('DUP', 'is set at QoS 0 [MQTT-3.3.1-2]', 'clear it')
  if (qos === 0 && packet.packetId !== undefined) {
    writer.fail(`packet identifier ${packet.packetId}`, 'is given at QoS 0 [MQTT-2.2.1-2]', 'leave it out')
  }
  if (!(topic === '' && version === 5 && properties?.topicAlias !== undefined)) {
    const problem = topicNameProblem(topic)
    if (problem !== undefined)
      writer.fail(`topic ${quote(topic)}`, `${problem} [MQTT-3.3.2-2]`, 'publish to a topic name')
  }
  writer.string(topic, 'topic')
  if (qos > 0) writer.packetId(packet.packetId ?? 0)
  if (version === 5) writeProperties(writer, properties, 'publish')
  else checkNoProperties(writer, properties)
  writer.raw(payload)
  return writer.finish((PacketType.publish << 4) | (packet.dup ? 0x08 : 0) | (qos << 1) | (packet.retain ? 0x01 : 0))
}

/** One pass for UTF-8, U+0000 and wildcards. */
function isTopicName(buf: Uint8Array, start: number, end: number): boolean {
  return utf8ProblemAt(buf, start, end, isSpecial) === end
}

function scanPropertySection(buf: Uint8Array, at: number, end: number, scan: PublishScan): Refusal | undefined {
  // Most 5.0 publishers send no property: one zero byte.
  if (at < end && buf[at] === 0) {
    scan.propertiesStart = at + 1
    scan.propertiesEnd = at + 1
    return undefined
  }
  const found = readRemainingLength(buf, at, end, length)
  if (found === 'incomplete') return truncated(5, 'property length')
  if (found === 'malformed' || isOverlong(length.value, length.next - at)) {
    return refuse(ReasonCode.malformedPacket, 'MQTT-1.5.5-1', 'Property length of PUBLISH is not in the fewest bytes')
  }
  const start = length.next
  const stop = start + length.value
  if (stop > end) return truncated(5, 'properties')
  scan.propertiesStart = start
  scan.propertiesEnd = stop
  if (scanProperties(buf, start, stop, scan)) return undefined
  const refusal = decodeProperties(buf, start, stop, 'publish')
  return isRefusal(refusal) ? refusal : refuse(ReasonCode.malformedPacket, '2.2.2.2', 'Properties of PUBLISH')
}

/** Walks over the eight properties of PUBLISH. False: something is wrong, and the property codec will say what. */
function scanProperties(buf: Uint8Array, start: number, end: number, scan: PublishScan): boolean {
  let seen = 0
  let at = start
  while (at < end) {
    const id = buf[at] as number
    const value = at + 1
    if (id < 0x20 && id !== 0x0b) {
      // Those that may stand once and lie below 0x20 have a bit each.
      if ((seen & (1 << id)) !== 0) return false
      seen |= 1 << id
    }
    switch (id) {
      case 0x01: // payload format indicator
        if (value >= end || (buf[value] as number) > 1) return false
        at = value + 1
        break
      case 0x02: // message expiry interval
        if (value + 4 > end) return false
        scan.expiryAt = at
        scan.expirySeconds = uint16(buf, value) * 65_536 + uint16(buf, value + 2)
        at = value + 4
        break
      case 0x03: // content type
        at = stringEnd(buf, value, end)
        break
      case 0x08: // response topic
        at = stringEnd(buf, value, end)
        if (at === value + 2 || (at !== -1 && hasWildcard(buf, value + 2, at))) return false
        break
      case 0x09: // correlation data
        at = fieldEnd(buf, value, end)
        break
      case 0x0b: // subscription identifier
        if (readRemainingLength(buf, value, end, length) !== 'ok' || length.value === 0) return false
        if (isOverlong(length.value, length.next - value)) return false
        scan.subscriptionIdentifiers = true
        at = length.next
        break
      case 0x23: // topic alias
        if (scan.topicAliasAt !== -1 || value + 2 > end || uint16(buf, value) === 0) return false
        scan.topicAliasAt = at
        scan.topicAlias = uint16(buf, value)
        at = value + 2
        break
      case 0x26: // user property
        at = stringEnd(buf, value, end)
        if (at !== -1) at = stringEnd(buf, at, end)
        break
      default:
        return false
    }
    if (at === -1) return false
  }
  return true
}

function uint16(buf: Uint8Array, at: number): number {
  return ((buf[at] as number) << 8) | (buf[at + 1] as number)
}

/** Offset behind a field with two bytes of length, -1 if it does not end before `end`. */
function fieldEnd(buf: Uint8Array, at: number, end: number): number {
  if (at + 2 > end) return -1
  const stop = at + 2 + uint16(buf, at)
  return stop > end ? -1 : stop
}

function stringEnd(buf: Uint8Array, at: number, end: number): number {
  const stop = fieldEnd(buf, at, end)
  return stop === -1 || utf8Problem(buf, at + 2, stop) !== undefined ? -1 : stop
}

function hasWildcard(buf: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (buf[at] === plus || buf[at] === hash) return true
  return false
}

function topicProblem(version: ProtocolVersion, buf: Uint8Array, start: number, end: number): Refusal {
  const problem = utf8Problem(buf, start, end)
  if (problem === 'illFormed') {
    return malformed(version, 'MQTT-1.5.4-1', 'MQTT3-1.5.3-1', 'Topic name of PUBLISH is not well-formed UTF-8')
  }
  if (problem === 'nul')
    return malformed(version, 'MQTT-1.5.4-2', 'MQTT3-1.5.3-2', 'Topic name of PUBLISH contains U+0000')
  const statement = version === 5 ? 'MQTT-3.3.2-2' : 'MQTT3-3.3.2-2'
  return refuse(ReasonCode.topicNameInvalid, statement, 'Topic name of PUBLISH contains a wildcard')
}

function truncated(version: ProtocolVersion, what: string): Refusal {
  return malformed(version, 'MQTT-4.13.1-1', 'MQTT3-4.8.0-1', `PUBLISH ends inside ${what}`)
}

function malformed(version: ProtocolVersion, five: string, three: string, detail: string): Refusal {
  return refuse(ReasonCode.malformedPacket, version === 5 ? five : three, detail)
}
