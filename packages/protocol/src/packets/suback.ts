/**
 * SUBACK (section 3.9): packet identifier, properties (5.0), one code for each topic filter.
 *
 * 3.1 has no code for a failure. 0x80 of 3.1.1 is taken and written there too: the alternative, granting a subscription
 * that does not exist, is a lie, and a 3.1 client that knows nothing of 0x80 sees at worst a QoS it did not ask for.
 */
import { checkNoProperties, readProperties, writeProperties } from '../properties/codec.ts'
import { ReasonCode } from '../reason-codes.ts'
import type { Refusal } from '../refusal.ts'
import { PacketReader } from './packet-reader.ts'
import { PacketWriter } from './packet-writer.ts'
import { PacketType, type ProtocolVersion, type SubackPacket } from './types.ts'

/** Reason codes of 5.0 (table 3-8) [MQTT-3.9.3-2]. */
export const subackReasonCodes: ReadonlySet<number> = new Set([
  0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2,
])
/** Return codes of 3.1.1 [MQTT3-3.9.3-2]. */
export const subackReturnCodes: ReadonlySet<number> = new Set([0x00, 0x01, 0x02, 0x80])

export function decodeSuback(
  buf: Uint8Array,
  bodyStart: number,
  bodyEnd: number,
  version: ProtocolVersion,
): SubackPacket | Refusal {
  const allowed = version === 5 ? subackReasonCodes : subackReturnCodes
  const reader = new PacketReader(buf, bodyStart, bodyEnd, version)
  const packetId = reader.packetId('SUBACK', reader.cite('2.2.1', 'MQTT3-2.3.1'))
  const properties = version === 5 && reader.problem === undefined ? readProperties(reader, 'suback') : undefined
  if (reader.problem === undefined && reader.left === 0) {
    reader.refuse(ReasonCode.protocolError, reader.cite('MQTT-3.8.4-6', 'MQTT3-3.8.4-5'), 'SUBACK without a code')
  }
  const reasonCodes: number[] = []
  while (reader.left > 0) {
    const code = reader.byte('reason code')
    if (!allowed.has(code)) {
      const statement = reader.cite('MQTT-3.9.3-2', 'MQTT3-3.9.3-2')
      reader.refuse(ReasonCode.protocolError, statement, `SUBACK with code ${code}`)
    }
    reasonCodes.push(code)
  }
  if (reader.problem !== undefined) return reader.problem
  return { type: PacketType.suback, packetId, reasonCodes, ...(properties !== undefined ? { properties } : {}) }
}

export function encodeSuback(packet: SubackPacket, version: ProtocolVersion): Uint8Array {
  const allowed = version === 5 ? subackReasonCodes : subackReturnCodes
  const writer = new PacketWriter('SUBACK', version)
  writer.packetId(packet.packetId)
  if (version === 5) writeProperties(writer, packet.properties, 'suback')
  else checkNoProperties(writer, packet.properties)
  if (packet.reasonCodes.length === 0) writer.fail('codes', 'are empty [MQTT-3.8.4-6]', 'give one for each filter')
  for (const code of packet.reasonCodes) {
    if (!allowed.has(code)) {
      writer.fail(`code ${code}`, 'is none of this version [MQTT-3.9.3-2]', 'use one of section 3.9.3')
    }
    writer.byte(code, 'code')
  }
  return writer.finish(PacketType.suback << 4)
}
