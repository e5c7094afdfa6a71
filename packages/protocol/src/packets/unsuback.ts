/** UNSUBACK (section 3.11): packet identifier, and in 5.0 properties and one reason code for each topic filter. */
import { checkNoProperties, readProperties, writeProperties } from '../properties/codec.ts'
import { ReasonCode } from '../reason-codes.ts'
import type { Refusal } from '../refusal.ts'
import { PacketReader } from './packet-reader.ts'
import { PacketWriter } from './packet-writer.ts'
import { PacketType, type ProtocolVersion, type UnsubackPacket } from './types.ts'

/** Reason codes of 5.0 (table 3-9) [MQTT-3.11.3-2]. */
export const unsubackReasonCodes: ReadonlySet<number> = new Set([0x00, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91])

export function decodeUnsuback(
  buf: Uint8Array,
  bodyStart: number,
  bodyEnd: number,
  version: ProtocolVersion,
): UnsubackPacket | Refusal {
  const reader = new PacketReader(buf, bodyStart, bodyEnd, version)
  const packetId = reader.packetId('UNSUBACK', reader.cite('2.2.1', 'MQTT3-2.3.1'))
  const properties = version === 5 && reader.problem === undefined ? readProperties(reader, 'unsuback') : undefined
  const reasonCodes = version === 5 ? readCodes(reader) : []
  reader.finish('UNSUBACK')
  if (reader.problem !== undefined) return reader.problem
  return { type: PacketType.unsuback, packetId, reasonCodes, ...(properties !== undefined ? { properties } : {}) }
}

export function encodeUnsuback(packet: UnsubackPacket, version: ProtocolVersion): Uint8Array {
  const writer = new PacketWriter('UNSUBACK', version)
  writer.packetId(packet.packetId)
  if (version !== 5) {
    checkNoProperties(writer, packet.properties)
    return writer.finish(PacketType.unsuback << 4)
  }
  writeProperties(writer, packet.properties, 'unsuback')
  if (packet.reasonCodes.length === 0) writer.fail('codes', 'are empty [MQTT-3.11.3-1]', 'give one for each filter')
  for (const code of packet.reasonCodes) {
    if (!unsubackReasonCodes.has(code)) {
      writer.fail(`code ${code}`, 'is none of this packet [MQTT-3.11.3-2]', 'use one of section 3.11.3')
    }
    writer.byte(code, 'code')
  }
  return writer.finish(PacketType.unsuback << 4)
}

function readCodes(reader: PacketReader): number[] {
  if (reader.problem === undefined && reader.left === 0) {
    reader.refuse(ReasonCode.protocolError, 'MQTT-3.11.3-1', 'UNSUBACK without a reason code')
  }
  const codes: number[] = []
  while (reader.left > 0) {
    const code = reader.byte('reason code')
    if (!unsubackReasonCodes.has(code)) {
      reader.refuse(ReasonCode.protocolError, 'MQTT-3.11.3-2', `UNSUBACK with reason code ${code}`)
    }
    codes.push(code)
  }
  return codes
}
