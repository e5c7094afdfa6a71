/** Packets as programs written for Aedes know them, and the way from and to those of the broker. */
import { Buffer } from 'node:buffer'
import type { HookMessage, PublishOptions } from '@concordmq/broker'
import type { Properties, ConnectPacket as ProtocolConnect, QoS } from '@concordmq/protocol'

export interface PublishPacket {
  cmd: 'publish'
  topic: string
  payload: Buffer | string
  qos: QoS
  retain: boolean
  dup: boolean
  messageId?: number
  /** Of the broker that this message came through. */
  brokerId?: string
  /** Client identifier of the publisher, where it is known. */
  clientId?: string
  /** MQTT 5.0, under the names of `@concordmq/protocol`. */
  properties?: Properties
}

export interface ConnectPacket {
  cmd: 'connect'
  protocolId: 'MQTT' | 'MQIsdp'
  protocolVersion: 3 | 4 | 5
  clientId: string
  clean: boolean
  keepalive: number
  username?: string | undefined
  password?: Buffer | undefined
  will?: { topic: string; payload: Buffer; qos: QoS; retain: boolean } | undefined
}

export interface ConnackPacket {
  cmd: 'connack'
  returnCode: number
  sessionPresent: boolean
}

export interface Subscription {
  topic: string
  qos: QoS | 128
}

/** What `publish()` takes: the least a message has. */
export type Publishable = Pick<PublishPacket, 'topic'> & Partial<Omit<PublishPacket, 'topic'>>

export function publishPacketOf(message: HookMessage, brokerId: string, clientId?: string): PublishPacket {
  const { topic, payload, qos, retain, dup, packetId, properties } = message
  return {
    cmd: 'publish',
    topic,
    payload: Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength),
    qos,
    retain,
    dup,
    brokerId,
    ...(packetId > 0 && { messageId: packetId }),
    ...(clientId !== undefined && { clientId }),
    ...(properties !== undefined && { properties }),
  }
}

/** What a handler made of a message: the same object if nothing that travels has changed. */
export function changedMessage(message: HookMessage, packet: PublishPacket): HookMessage {
  const { topic, retain, properties } = packet
  const payload = typeof packet.payload === 'string' ? Buffer.from(packet.payload) : packet.payload
  const samePayload = payload.buffer === message.payload.buffer && payload.byteOffset === message.payload.byteOffset
  if (
    samePayload &&
    payload.length === message.payload.length &&
    topic === message.topic &&
    retain === message.retain &&
    properties === message.properties
  ) {
    return message
  }
  const { properties: _properties, ...rest } = message
  return { ...rest, topic, payload, retain, ...(properties !== undefined && { properties }) }
}

export function connectPacketOf(packet: ProtocolConnect): ConnectPacket {
  const { version, clientId, cleanStart, keepAlive, username, password, will } = packet
  return {
    cmd: 'connect',
    protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
    protocolVersion: version,
    clientId,
    clean: cleanStart,
    keepalive: keepAlive,
    username,
    password: password === undefined ? undefined : Buffer.from(password),
    will:
      will === undefined
        ? undefined
        : { topic: will.topic, payload: Buffer.from(will.payload), qos: will.qos, retain: will.retain },
  }
}

/** What `preConnect` made of a CONNECT. A will may be left out there, not changed. */
export function changedConnect(packet: ProtocolConnect, changed: ConnectPacket): ProtocolConnect {
  const { username: _username, password: _password, will, ...rest } = packet
  return {
    ...rest,
    clientId: changed.clientId,
    cleanStart: changed.clean,
    ...(changed.username !== undefined && { username: changed.username }),
    ...(changed.password !== undefined && { password: changed.password }),
    ...(will !== undefined && changed.will !== undefined && { will }),
  }
}

export function publishOptionsOf(packet: Publishable): PublishOptions {
  const { topic, payload = '', qos = 0, retain = false, properties } = packet
  return { topic, payload, qos, retain, ...(properties !== undefined && { properties }) }
}

/** CONNACK's return code as a reason code, and back. */
const reasonCodes: Readonly<Record<number, number>> = { 1: 0x84, 2: 0x85, 3: 0x88, 4: 0x86, 5: 0x87 }

export function reasonOfReturnCode(returnCode: unknown): number {
  return reasonCodes[Number(returnCode)] ?? 0x87
}

export function returnCodeOfReason(reasonCode: number): number {
  const found = Object.entries(reasonCodes).find(([, reason]) => reason === reasonCode)
  return found === undefined ? 3 : Number(found[0])
}

export const returnCodeTexts: Readonly<Record<number, string>> = {
  1: 'unacceptable protocol version',
  2: 'identifier rejected',
  3: 'server unavailable',
  4: 'bad user name or password',
  5: 'not authorized',
}
