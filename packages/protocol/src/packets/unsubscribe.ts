/** UNSUBSCRIBE (section 3.10): packet identifier, properties (5.0), topic filters. */
import { checkNoProperties, readProperties, writeProperties } from '../properties/codec.ts'
import { ReasonCode } from '../reason-codes.ts'
import type { Refusal } from '../refusal.ts'
import { filterProblem } from '../topics/topic-filter.ts'
import { PacketReader } from './packet-reader.ts'
import { PacketWriter } from './packet-writer.ts'
import { PacketType, type ProtocolVersion, type UnsubscribePacket } from './types.ts'

export function decodeUnsubscribe(
  buf: Uint8Array,
  bodyStart: number,
  bodyEnd: number,
  version: ProtocolVersion,
): UnsubscribePacket | Refusal {
  const reader = new PacketReader(buf, bodyStart, bodyEnd, version)
  const packetId = reader.packetId('UNSUBSCRIBE', reader.cite('MQTT-2.2.1-3', 'MQTT3-2.3.1-1'))
  const properties = version === 5 && reader.problem === undefined ? readProperties(reader, 'unsubscribe') : undefined
  if (reader.problem === undefined && reader.left === 0) {
    const statement = reader.cite('MQTT-3.10.3-2', 'MQTT3-3.10.3-2')
    reader.refuse(ReasonCode.protocolError, statement, 'UNSUBSCRIBE without a topic filter')
  }
  const filters: string[] = []
  while (reader.left > 0) {
    const filter = reader.string('topic filter')
    const problem = reader.problem === undefined ? filterProblem(filter, version) : undefined
    if (problem !== undefined) reader.refuse(problem.reasonCode, problem.statement, problem.detail)
    filters.push(filter)
  }
  if (reader.problem !== undefined) return reader.problem
  return { type: PacketType.unsubscribe, packetId, filters, ...(properties !== undefined ? { properties } : {}) }
}

export function encodeUnsubscribe(packet: UnsubscribePacket, version: ProtocolVersion): Uint8Array {
  const writer = new PacketWriter('UNSUBSCRIBE', version)
  writer.packetId(packet.packetId)
  if (version === 5) writeProperties(writer, packet.properties, 'unsubscribe')
  else checkNoProperties(writer, packet.properties)
  if (packet.filters.length === 0) writer.fail('filters', 'are empty [MQTT-3.10.3-2]', 'give one at least')
  for (const filter of packet.filters) {
    const problem = filterProblem(filter, version)
    if (problem !== undefined) writer.fail('topic filter', `${problem.detail} [${problem.statement}]`, 'correct it')
    writer.string(filter, 'topic filter')
  }
  return writer.finish((PacketType.unsubscribe << 4) | 0x02)
}
