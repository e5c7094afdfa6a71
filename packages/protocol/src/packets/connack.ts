/** CONNACK (section 3.2): acknowledge flags, then a reason code (5.0) or a return code 0..5 (3.1, 3.1.1). */
import { checkNoProperties, readProperties, writeProperties } from '../properties/codec.ts'
import { ReasonCode } from '../reason-codes.ts'
import type { Refusal } from '../refusal.ts'
import { PacketReader } from './packet-reader.ts'
import { PacketWriter } from './packet-writer.ts'
import { type ConnackPacket, PacketType, type ProtocolVersion } from './types.ts'

const returnCodeMax = 5

/** Reason codes of CONNACK (table 3-1) [MQTT-3.2.2-8]. */
export const connackReasonCodes: ReadonlySet<number> = new Set([
  0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b,
  0x9c, 0x9d, 0x9f,
])

export function decodeConnack(
  buf: Uint8Array,
  bodyStart: number,
  bodyEnd: number,
  version: ProtocolVersion,
): ConnackPacket | Refusal {
  const reader = new PacketReader(buf, bodyStart, bodyEnd, version)
  const flags = reader.byte('connect acknowledge flags')
  // 3.1 has no session present: there the whole byte is reserved.
  if (flags > 1 || (flags === 1 && version === 3)) {
    reader.malformed(reader.cite('MQTT-3.2.2-1', 'MQTT3-3.2.2'), `Connect acknowledge flags are ${flags}`)
  }
  const reasonCode = reader.byte('reason code')
  if (reader.problem === undefined && !isValid(reasonCode, version)) {
    const statement = reader.cite('MQTT-3.2.2-8', 'MQTT3-3.2.2.3')
    reader.refuse(ReasonCode.protocolError, statement, `CONNACK with code ${reasonCode}`)
  }
  if (flags === 1 && reasonCode !== 0) {
    const statement = reader.cite('MQTT-3.2.2-6', 'MQTT3-3.2.2-4')
    reader.refuse(ReasonCode.protocolError, statement, `CONNACK with session present and code ${reasonCode}`)
  }
  const properties = version === 5 && reader.problem === undefined ? readProperties(reader, 'connack') : undefined
  reader.finish('CONNACK')
  if (reader.problem !== undefined) return reader.problem
  return {
    type: PacketType.connack,
    sessionPresent: flags === 1,
    reasonCode,
    ...(properties !== undefined ? { properties } : {}),
  }
}

export function encodeConnack(packet: ConnackPacket, version: ProtocolVersion): Uint8Array {
  const { reasonCode, sessionPresent, properties } = packet
  const writer = new PacketWriter('CONNACK', version)
  if (!isValid(reasonCode, version)) {
    writer.fail(`code ${reasonCode}`, 'is none of this version [MQTT-3.2.2-8]', 'use one of section 3.2.2')
  }
  if (sessionPresent && reasonCode !== 0) {
    writer.fail(`code ${reasonCode}`, 'refuses, but session present is set [MQTT-3.2.2-6]', 'clear session present')
  }
  if (sessionPresent && version === 3) writer.fail('session present', 'does not exist in MQTT 3.1', 'clear it')
  writer.byte(sessionPresent ? 1 : 0, 'connect acknowledge flags')
  writer.byte(reasonCode, 'code')
  if (version === 5) writeProperties(writer, properties, 'connack')
  else checkNoProperties(writer, properties)
  return writer.finish(PacketType.connack << 4)
}

function isValid(code: number, version: ProtocolVersion): boolean {
  return version === 5 ? connackReasonCodes.has(code) : Number.isInteger(code) && code >= 0 && code <= returnCodeMax
}
