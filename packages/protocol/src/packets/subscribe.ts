/** SUBSCRIBE (section 3.8): packet identifier, properties (5.0), then pairs of topic filter and subscription options. */
import { checkNoProperties, readProperties, writeProperties } from '../properties/codec.ts'
import { quote } from '../quote.ts'
import { ReasonCode } from '../reason-codes.ts'
import type { Refusal } from '../refusal.ts'
import { filterProblem, parseShare } from '../topics/topic-filter.ts'
import { PacketReader } from './packet-reader.ts'
import { PacketWriter } from './packet-writer.ts'
import { PacketType, type ProtocolVersion, type QoS, type SubscribePacket, type SubscriptionRequest } from './types.ts'

const option = { noLocal: 0x04, retainAsPublished: 0x08, reserved: 0xc0 } as const
const retainHandlingShift = 4

export function decodeSubscribe(
  buf: Uint8Array,
  bodyStart: number,
  bodyEnd: number,
  version: ProtocolVersion,
): SubscribePacket | Refusal {
  const reader = new PacketReader(buf, bodyStart, bodyEnd, version)
  const packetId = reader.packetId('SUBSCRIBE', reader.cite('MQTT-2.2.1-3', 'MQTT3-2.3.1-1'))
  const properties = version === 5 && reader.problem === undefined ? readProperties(reader, 'subscribe') : undefined
  if (reader.problem === undefined && reader.left === 0) {
    const statement = reader.cite('MQTT-3.8.3-2', 'MQTT3-3.8.3-3')
    reader.refuse(ReasonCode.protocolError, statement, 'SUBSCRIBE without a topic filter')
  }
  const subscriptions: SubscriptionRequest[] = []
  while (reader.left > 0) subscriptions.push(readRequest(reader))
  if (reader.problem !== undefined) return reader.problem
  return { type: PacketType.subscribe, packetId, subscriptions, ...(properties !== undefined ? { properties } : {}) }
}

export function encodeSubscribe(packet: SubscribePacket, version: ProtocolVersion): Uint8Array {
  const writer = new PacketWriter('SUBSCRIBE', version)
  writer.packetId(packet.packetId)
  if (version === 5) writeProperties(writer, packet.properties, 'subscribe')
  else checkNoProperties(writer, packet.properties)
  if (packet.subscriptions.length === 0) writer.fail('subscriptions', 'are empty [MQTT-3.8.3-2]', 'give one at least')
  for (const request of packet.subscriptions) writeRequest(writer, request)
  return writer.finish((PacketType.subscribe << 4) | 0x02)
}

function readRequest(reader: PacketReader): SubscriptionRequest {
  const filter = reader.string('topic filter')
  const problem = reader.problem === undefined ? filterProblem(filter, reader.version) : undefined
  if (problem !== undefined) reader.refuse(problem.reasonCode, problem.statement, problem.detail)
  const options = reader.byte('subscription options')
  if (reader.version === 5) checkOptions(reader, filter, options)
  else if (options > 2) {
    // [MQTT3-3.8.3-4] reserved bits and QoS 3 alike.
    reader.malformed('MQTT3-3.8.3-4', `Requested QoS byte is ${options}`)
  }
  return {
    filter,
    qos: (options & 3) as QoS,
    noLocal: (options & option.noLocal) !== 0,
    retainAsPublished: (options & option.retainAsPublished) !== 0,
    retainHandling: ((options >> retainHandlingShift) & 3) as 0 | 1 | 2,
  }
}

function checkOptions(reader: PacketReader, filter: string, options: number): void {
  if ((options & option.reserved) !== 0) {
    reader.malformed('MQTT-3.8.3-5', `Subscription options are ${options}`)
  } else if ((options & 3) === 3) {
    reader.refuse(ReasonCode.protocolError, '3.8.3.1', 'Maximum QoS of a subscription is 3')
  } else if (options >> retainHandlingShift === 3) {
    reader.refuse(ReasonCode.protocolError, '3.8.3.1', 'Retain handling of a subscription is 3')
  } else if ((options & option.noLocal) !== 0 && parseShare(filter) !== undefined) {
    reader.refuse(ReasonCode.protocolError, 'MQTT-3.8.3-4', 'No local on a shared subscription')
  }
}

function writeRequest(writer: PacketWriter, request: SubscriptionRequest): void {
  const { filter, qos, noLocal, retainAsPublished, retainHandling } = request
  const problem = filterProblem(filter, writer.version)
  if (problem !== undefined) writer.fail('topic filter', `${problem.detail} [${problem.statement}]`, 'correct it')
  writer.checkInteger(qos, 0, 2, 'QoS')
  writer.checkInteger(retainHandling, 0, 2, 'retain handling')
  if (writer.version !== 5 && (noLocal || retainAsPublished || retainHandling !== 0)) {
    writer.fail('subscription options', 'exist in MQTT 5.0 only', 'leave false, false and 0')
  }
  if (noLocal && parseShare(filter) !== undefined) {
    writer.fail(`no local on ${quote(filter)}`, 'is a shared subscription [MQTT-3.8.3-4]', 'clear no local')
  }
  writer.string(filter, 'topic filter')
  const flags = (noLocal ? option.noLocal : 0) | (retainAsPublished ? option.retainAsPublished : 0)
  writer.byte(qos | flags | (retainHandling << retainHandlingShift), 'subscription options')
}
