/**
 * PUBACK, PUBREC, PUBREL, PUBCOMP (sections 3.4 to 3.7): one shape, four types.
 *
 *     packet identifier │ reason code (5.0, may be left out) │ properties (5.0, may be left out)
 *
 * Before 5.0 the packet identifier is all there is. The server reads the common two-byte form in place without coming
 * here; so does whoever writes it.
 */
import { checkNoProperties, isEmpty, readProperties, writeProperties } from '../properties/codec.ts'
import type { PropertyContext } from '../properties/table.ts'
import { ReasonCode } from '../reason-codes.ts'
import type { Refusal } from '../refusal.ts'
import { PacketReader } from './packet-reader.ts'
import { PacketWriter } from './packet-writer.ts'
import { type AckPacket, PacketType, type ProtocolVersion } from './types.ts'

interface Kind {
  readonly name: string
  readonly where: PropertyContext
  /** Statement that limits the reason codes. */
  readonly statement: string
  readonly reasonCodes: ReadonlySet<number>
}

const published: ReadonlySet<number> = new Set([0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99])
const released: ReadonlySet<number> = new Set([0x00, 0x92])

const kinds: Readonly<Record<AckPacket['type'], Kind>> = {
  [PacketType.puback]: { name: 'PUBACK', where: 'puback', statement: 'MQTT-3.4.2-1', reasonCodes: published },
  [PacketType.pubrec]: { name: 'PUBREC', where: 'pubrec', statement: 'MQTT-3.5.2-1', reasonCodes: published },
  [PacketType.pubrel]: { name: 'PUBREL', where: 'pubrel', statement: 'MQTT-3.6.2-1', reasonCodes: released },
  [PacketType.pubcomp]: { name: 'PUBCOMP', where: 'pubcomp', statement: 'MQTT-3.7.2-1', reasonCodes: released },
}

/** Reason codes that an acknowledgement of a type may carry. */
export function acknowledgementReasonCodes(type: AckPacket['type']): ReadonlySet<number> {
  return kinds[type].reasonCodes
}

export function decodeAcknowledgement(
  type: AckPacket['type'],
  buf: Uint8Array,
  bodyStart: number,
  bodyEnd: number,
  version: ProtocolVersion,
): AckPacket | Refusal {
  const { name, where, statement, reasonCodes } = kinds[type]
  const reader = new PacketReader(buf, bodyStart, bodyEnd, version)
  const packetId = reader.packetId(name, reader.cite('2.2.1', 'MQTT3-2.3.1'))
  let reasonCode = 0
  if (version === 5 && reader.left > 0) {
    reasonCode = reader.byte('reason code')
    if (!reasonCodes.has(reasonCode)) {
      reader.refuse(ReasonCode.protocolError, statement, `${name} with reason code ${reasonCode}`)
    }
  }
  const properties = version === 5 && reader.left > 0 ? readProperties(reader, where) : undefined
  reader.finish(name)
  if (reader.problem !== undefined) return reader.problem
  return { type, packetId, reasonCode, ...(properties !== undefined ? { properties } : {}) }
}

export function encodeAcknowledgement(packet: AckPacket, version: ProtocolVersion): Uint8Array {
  const { type, packetId, reasonCode, properties } = packet
  const { name, where, statement, reasonCodes } = kinds[type]
  const writer = new PacketWriter(name, version)
  if (!reasonCodes.has(reasonCode)) {
    writer.fail(`reason code ${reasonCode}`, `is none of this packet [${statement}]`, 'use one of its table')
  }
  writer.packetId(packetId)
  if (version !== 5) {
    if (reasonCode !== 0) writer.fail(`reason code ${reasonCode}`, 'exists in MQTT 5.0 only', 'use 0')
    checkNoProperties(writer, properties)
  } else if (reasonCode !== 0 || !isEmpty(properties)) {
    writer.byte(reasonCode, 'reason code')
    if (!isEmpty(properties)) writeProperties(writer, properties, where)
  }
  return writer.finish((type << 4) | (type === PacketType.pubrel ? 0x02 : 0))
}
