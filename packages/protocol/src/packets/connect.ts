/**
 * CONNECT (section 3.1), the one packet that says itself which version it is.
 *
 * 3.1 is read by the rules of 3.1.1 with one difference: user name and password may be missing at the end although their
 * flags are set (3.1 specification, section 3.1, "User name flag": the remaining length takes precedence), and the packet
 * then counts as one without them.
 *
 * A refusal carries the protocol level once that was read, since it decides in which version the answer goes. Absent: what
 * a server decides about a well-formed CONNECT, such as the length of the client identifier (1 to 23 characters in 3.1).
 */
import { checkNoProperties, readProperties, writeProperties } from '../properties/codec.ts'
import type { Properties } from '../properties/types.ts'
import { quote } from '../quote.ts'
import { ReasonCode } from '../reason-codes.ts'
import type { Refusal } from '../refusal.ts'
import { topicNameProblem } from '../topics/topic-name.ts'
import { PacketReader } from './packet-reader.ts'
import { PacketWriter } from './packet-writer.ts'
import { type ConnectPacket, PacketType, type ProtocolVersion, type QoS, type Will } from './types.ts'

const flag = { reserved: 0x01, cleanStart: 0x02, will: 0x04, willRetain: 0x20, password: 0x40, username: 0x80 } as const
const willQosShift = 3
const bridgeBit = 0x80

export function decodeConnect(buf: Uint8Array, bodyStart: number, bodyEnd: number): ConnectPacket | Refusal {
  const reader = new PacketReader(buf, bodyStart, bodyEnd, 5)
  const level = readVersion(reader)
  const packet = reader.problem === undefined ? readConnect(reader, (level & bridgeBit) !== 0) : undefined
  if (reader.problem === undefined && packet !== undefined) return packet
  const problem = reader.problem as Refusal
  return level === -1 ? problem : { ...problem, level: level & ~bridgeBit }
}

export function encodeConnect(packet: ConnectPacket): Uint8Array {
  const { version, will, username, password } = packet
  const writer = new PacketWriter('CONNECT', version)
  if (version !== 3 && version !== 4 && version !== 5) {
    writer.fail(`version ${String(version)}`, 'does not exist', 'use 3, 4 or 5')
  }
  if (packet.bridge === true && version === 5) writer.fail('bridge', 'has no bit in MQTT 5.0', 'leave it out')
  if (version !== 5 && password !== undefined && username === undefined) {
    writer.fail('password', 'stands without user name before 5.0 [MQTT3-3.1.2-22]', 'give a user name')
  }
  writer.string(version === 3 ? 'MQIsdp' : 'MQTT', 'protocol name')
  writer.byte(packet.bridge === true ? version | bridgeBit : version, 'protocol level')
  writer.byte(flagsOf(packet, writer), 'connect flags')
  writer.uint16(packet.keepAlive, 'keep alive')
  if (version === 5) {
    checkAuthentication(writer, packet.properties)
    writeProperties(writer, packet.properties, 'connect')
  } else checkNoProperties(writer, packet.properties)
  writer.string(packet.clientId, 'client identifier')
  if (will !== undefined) writeWill(writer, will)
  if (username !== undefined) writer.string(username, 'user name')
  if (password !== undefined) writer.binary(password, 'password')
  return writer.finish(PacketType.connect << 4)
}

/** Reads protocol name and level and sets the reader's version. -1: the level was not reached. */
function readVersion(reader: PacketReader): number {
  const name = reader.string('protocol name')
  if (reader.problem !== undefined) return -1
  if (name !== 'MQTT' && name !== 'MQIsdp') {
    reader.malformed('MQTT-3.1.2-1', 'Protocol name is neither MQTT nor MQIsdp')
    return -1
  }
  const level = reader.byte('protocol level')
  if (reader.problem !== undefined) return -1
  const version = level & ~bridgeBit
  const known = name === 'MQIsdp' ? version === 3 : version === 4 || version === 5
  // 5.0 has no bridge bit: bridges of that version need none, having No Local and Retain As Published.
  if (!known || level === (bridgeBit | 5)) {
    const statement = version > 4 ? 'MQTT-3.1.2-2' : 'MQTT3-3.1.2-2'
    reader.refuse(ReasonCode.unsupportedProtocolVersion, statement, `Protocol level ${level} of ${name}`)
    return level
  }
  reader.version = version as ProtocolVersion
  return level
}

function readConnect(reader: PacketReader, bridge: boolean): ConnectPacket | undefined {
  const flags = reader.byte('connect flags')
  checkFlags(reader, flags)
  const keepAlive = reader.uint16('keep alive')
  if (reader.problem !== undefined) return undefined
  const properties = reader.version === 5 ? readProperties(reader, 'connect') : undefined
  if (properties?.authenticationData !== undefined && properties.authenticationMethod === undefined) {
    reader.refuse(ReasonCode.protocolError, '3.1.2.11.10', 'CONNECT with authentication data and no method')
  }
  const clientId = reader.string('client identifier')
  const will = (flags & flag.will) !== 0 ? readWill(reader, flags) : undefined
  const username = (flags & flag.username) !== 0 && !leftOut(reader) ? reader.string('user name') : undefined
  const password = (flags & flag.password) !== 0 && !leftOut(reader) ? reader.binary('password') : undefined
  reader.finish('CONNECT')
  if (reader.problem !== undefined) return undefined
  return {
    type: PacketType.connect,
    version: reader.version,
    clientId,
    cleanStart: (flags & flag.cleanStart) !== 0,
    keepAlive,
    ...(username !== undefined ? { username } : {}),
    ...(password !== undefined ? { password } : {}),
    ...(will !== undefined ? { will } : {}),
    ...(properties !== undefined ? { properties } : {}),
    ...(bridge ? { bridge } : {}),
  }
}

/** 3.1 lets user name and password be missing in spite of their flags. */
function leftOut(reader: PacketReader): boolean {
  return reader.version === 3 && reader.problem === undefined && reader.left === 0
}

function checkFlags(reader: PacketReader, flags: number): void {
  if ((flags & flag.reserved) !== 0) {
    reader.malformed(reader.cite('MQTT-3.1.2-3', 'MQTT3-3.1.2-3'), 'Reserved connect flag is set')
  }
  const willQos = (flags >> willQosShift) & 3
  if (willQos === 3) reader.malformed(reader.cite('MQTT-3.1.2-12', 'MQTT3-3.1.2-14'), 'Will QoS is 3')
  if ((flags & flag.will) === 0) {
    if (willQos !== 0) {
      reader.malformed(reader.cite('MQTT-3.1.2-11', 'MQTT3-3.1.2-13'), `Will QoS is ${willQos} without a will`)
    }
    if ((flags & flag.willRetain) !== 0) {
      reader.malformed(reader.cite('MQTT-3.1.2-13', 'MQTT3-3.1.2-15'), 'Will retain is set without a will')
    }
  }
  if (reader.version !== 5 && (flags & (flag.username | flag.password)) === flag.password) {
    reader.malformed('MQTT3-3.1.2-22', 'Password flag is set without user name flag')
  }
}

function readWill(reader: PacketReader, flags: number): Will {
  const properties = reader.version === 5 ? readProperties(reader, 'will') : undefined
  const topic = reader.string('will topic')
  const problem = reader.problem === undefined ? topicNameProblem(topic) : undefined
  if (problem !== undefined) {
    // The server publishes the will to this name, so what holds for topic names holds here.
    const statement =
      topic === '' ? reader.cite('MQTT-4.7.3-1', 'MQTT3-4.7.3-1') : reader.cite('MQTT-4.7.0-1', 'MQTT3-4.7.1-1')
    reader.refuse(ReasonCode.topicNameInvalid, statement, `Will topic ${problem}`)
  }
  return {
    topic,
    payload: reader.binary('will payload'),
    qos: ((flags >> willQosShift) & 3) as QoS,
    retain: (flags & flag.willRetain) !== 0,
    ...(properties !== undefined ? { properties } : {}),
  }
}

function writeWill(writer: PacketWriter, will: Will): void {
  if (writer.version === 5) writeProperties(writer, will.properties, 'will')
  else checkNoProperties(writer, will.properties)
  const problem = topicNameProblem(will.topic)
  if (problem !== undefined)
    writer.fail(`will topic ${quote(will.topic)}`, `${problem} [MQTT-4.7.0-1]`, 'use a topic name')
  writer.string(will.topic, 'will topic')
  writer.binary(will.payload, 'will payload')
}

function flagsOf(packet: ConnectPacket, writer: PacketWriter): number {
  const { will } = packet
  let flags = packet.cleanStart ? flag.cleanStart : 0
  if (will !== undefined) {
    writer.checkInteger(will.qos, 0, 2, 'will QoS')
    flags |= flag.will | (will.qos << willQosShift) | (will.retain ? flag.willRetain : 0)
  }
  if (packet.password !== undefined) flags |= flag.password
  if (packet.username !== undefined) flags |= flag.username
  return flags
}

function checkAuthentication(writer: PacketWriter, properties: Properties | undefined): void {
  if (properties?.authenticationData !== undefined && properties.authenticationMethod === undefined) {
    writer.fail('authentication data', 'stands without authentication method [3.1.2.11.10]', 'give the method')
  }
}
