/**
 * DISCONNECT (section 3.14): nothing at all before 5.0, where only the client sends it; in 5.0 reason code and properties,
 * each left out when it says nothing.
 */
import { checkNoProperties, isEmpty, readProperties, writeProperties } from '../properties/codec.ts'
import { ReasonCode } from '../reason-codes.ts'
import type { Refusal } from '../refusal.ts'
import { PacketReader } from './packet-reader.ts'
import { PacketWriter } from './packet-writer.ts'
import { type DisconnectPacket, PacketType, type ProtocolVersion } from './types.ts'

/** Reason codes (table 3-10) [MQTT-3.14.2-1]; 0x8C is missing there, but table 2-6 gives it to DISCONNECT. */
export const disconnectReasonCodes: ReadonlySet<number> = new Set([
  0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97,
  0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
])

export function decodeDisconnect(
  buf: Uint8Array,
  bodyStart: number,
  bodyEnd: number,
  version: ProtocolVersion,
): DisconnectPacket | Refusal {
  const reader = new PacketReader(buf, bodyStart, bodyEnd, version)
  let reasonCode = 0
  if (version === 5 && reader.left > 0) {
    reasonCode = reader.byte('reason code')
    if (!disconnectReasonCodes.has(reasonCode)) {
      reader.refuse(ReasonCode.protocolError, 'MQTT-3.14.2-1', `DISCONNECT with reason code ${reasonCode}`)
    }
  }
  const properties = version === 5 && reader.left > 0 ? readProperties(reader, 'disconnect') : undefined
  reader.finish('DISCONNECT')
  if (reader.problem !== undefined) return reader.problem
  return { type: PacketType.disconnect, reasonCode, ...(properties !== undefined ? { properties } : {}) }
}

export function encodeDisconnect(packet: DisconnectPacket, version: ProtocolVersion): Uint8Array {
  const { reasonCode, properties } = packet
  const writer = new PacketWriter('DISCONNECT', version)
  if (!disconnectReasonCodes.has(reasonCode)) {
    writer.fail(`reason code ${reasonCode}`, 'is none of this packet [MQTT-3.14.2-1]', 'use one of section 3.14.2.1')
  }
  if (version !== 5) {
    if (reasonCode !== 0) writer.fail(`reason code ${reasonCode}`, 'exists in MQTT 5.0 only', 'use 0')
    checkNoProperties(writer, properties)
  } else if (reasonCode !== 0 || !isEmpty(properties)) {
    writer.byte(reasonCode, 'reason code')
    if (!isEmpty(properties)) writeProperties(writer, properties, 'disconnect')
  }
  return writer.finish(PacketType.disconnect << 4)
}
