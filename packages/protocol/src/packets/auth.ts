/**
 * AUTH (5.0, section 3.15). Success without properties is an empty packet; any other names the authentication method,
 * which it is a protocol error to leave out (3.15.2.2.2).
 */
import { isEmpty, readProperties, writeProperties } from '../properties/codec.ts'
import { ReasonCode } from '../reason-codes.ts'
import { type Refusal, refuse } from '../refusal.ts'
import { PacketReader } from './packet-reader.ts'
import { PacketWriter } from './packet-writer.ts'
import { type AuthPacket, PacketType, type ProtocolVersion } from './types.ts'

/** Reason codes (table 3-11) [MQTT-3.15.2-1]. */
export const authReasonCodes: ReadonlySet<number> = new Set([0x00, 0x18, 0x19])

export function decodeAuth(
  buf: Uint8Array,
  bodyStart: number,
  bodyEnd: number,
  version: ProtocolVersion,
): AuthPacket | Refusal {
  if (version !== 5) return refuse(ReasonCode.malformedPacket, 'MQTT3-2.2.1', 'Packet type 15 before 5.0')
  if (bodyStart === bodyEnd) return { type: PacketType.auth, reasonCode: 0 }
  const reader = new PacketReader(buf, bodyStart, bodyEnd, version)
  const reasonCode = reader.byte('reason code')
  if (!authReasonCodes.has(reasonCode)) {
    reader.refuse(ReasonCode.protocolError, 'MQTT-3.15.2-1', `AUTH with reason code ${reasonCode}`)
  }
  const properties = reader.problem === undefined ? readProperties(reader, 'auth') : undefined
  reader.finish('AUTH')
  if (reader.problem !== undefined) return reader.problem
  if (properties?.authenticationMethod === undefined) {
    return refuse(ReasonCode.protocolError, '3.15.2.2.2', 'AUTH without authentication method')
  }
  return { type: PacketType.auth, reasonCode, properties }
}

export function encodeAuth(packet: AuthPacket, version: ProtocolVersion): Uint8Array {
  const { reasonCode, properties } = packet
  const writer = new PacketWriter('AUTH', version)
  if (version !== 5) writer.fail('packet', 'exists in MQTT 5.0 only', 'leave it out')
  if (!authReasonCodes.has(reasonCode)) {
    writer.fail(`reason code ${reasonCode}`, 'is none of this packet [MQTT-3.15.2-1]', 'use 0, 0x18 or 0x19')
  }
  if (reasonCode === 0 && isEmpty(properties)) return writer.finish(PacketType.auth << 4)
  if (properties?.authenticationMethod === undefined) {
    writer.fail('authentication method', 'is missing [3.15.2.2.2]', 'give the method of CONNECT')
  }
  writer.byte(reasonCode, 'reason code')
  writeProperties(writer, properties, 'auth')
  return writer.finish(PacketType.auth << 4)
}
