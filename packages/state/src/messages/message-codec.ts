/**
 * The canonical form of an application message, for commands, records and snapshots. Only what travels with a message is
 * in it; any other property that a caller left there is dropped.
 */
import type { Properties, QoS, UserProperty } from '@concordmq/protocol'
import type { Reader } from '../encoding/reader.ts'
import type { Writer } from '../encoding/writer.ts'
import { type Message, type MessageHead, messageOfRun } from './message.ts'

const RETAIN = 4
const EXPIRES = 8
const PROPERTIES = 16

const PAYLOAD_FORMAT = 1
const CONTENT_TYPE = 2
const RESPONSE_TOPIC = 4
const CORRELATION_DATA = 8
const USER_PROPERTIES = 16

type Travelling = Pick<
  Properties,
  'payloadFormatIndicator' | 'contentType' | 'responseTopic' | 'correlationData' | 'userProperties'
>

export function writeMessage(writer: Writer, message: Message): void {
  writeHead(writer, message)
  writer.bytes(message.payload)
}

/** All but the payload, which follows. */
export function writeHead(writer: Writer, message: MessageHead): void {
  const { expirySeconds, properties } = message
  const set = properties === undefined ? 0 : propertySet(properties)
  writer.u8(
    message.qos |
      (message.retain ? RETAIN : 0) |
      (expirySeconds === undefined ? 0 : EXPIRES) |
      (set === 0 ? 0 : PROPERTIES),
  )
  writer.string(message.topic)
  writer.string(message.publisher)
  if (expirySeconds !== undefined) writer.u32(expirySeconds)
  if (properties !== undefined && set !== 0) writeProperties(writer, properties, set)
}

export function readMessage(reader: Reader): Message {
  const head = readHead(reader)
  return messageOfRun(head, reader.bytes())
}

export function readHead(reader: Reader): MessageHead {
  const flags = reader.upTo(31, 'message flags')
  const qos = flags & 3
  if (qos === 3) reader.fail('message has QoS 3')
  const topic = reader.string()
  const publisher = reader.string()
  const expirySeconds = (flags & EXPIRES) === 0 ? undefined : reader.u32()
  const properties = (flags & PROPERTIES) === 0 ? undefined : readProperties(reader)
  return {
    topic,
    qos: (qos === 3 ? 0 : qos) as QoS,
    retain: (flags & RETAIN) !== 0,
    ...(properties === undefined ? {} : { properties }),
    ...(expirySeconds === undefined ? {} : { expirySeconds }),
    publisher,
  }
}

/** What a message counts for under a maximum of bytes: topic, payload and the texts of its properties. */
export function messageBytes(message: Message): number {
  const { properties } = message
  let bytes = message.topic.length + message.payload.length
  if (properties === undefined) return bytes
  bytes += (properties.contentType?.length ?? 0) + (properties.responseTopic?.length ?? 0)
  bytes += properties.correlationData?.length ?? 0
  for (const [name, value] of properties.userProperties ?? []) bytes += name.length + value.length
  return bytes
}

function propertySet(properties: Properties): number {
  return (
    (properties.payloadFormatIndicator === undefined ? 0 : PAYLOAD_FORMAT) |
    (properties.contentType === undefined ? 0 : CONTENT_TYPE) |
    (properties.responseTopic === undefined ? 0 : RESPONSE_TOPIC) |
    (properties.correlationData === undefined ? 0 : CORRELATION_DATA) |
    ((properties.userProperties?.length ?? 0) === 0 ? 0 : USER_PROPERTIES)
  )
}

function writeProperties(writer: Writer, properties: Properties, set: number): void {
  writer.u8(set)
  if (properties.payloadFormatIndicator !== undefined) writer.u8(properties.payloadFormatIndicator)
  if (properties.contentType !== undefined) writer.string(properties.contentType)
  if (properties.responseTopic !== undefined) writer.string(properties.responseTopic)
  if (properties.correlationData !== undefined) writer.bytes(properties.correlationData)
  if ((set & USER_PROPERTIES) === 0) return
  const pairs = properties.userProperties as readonly UserProperty[]
  writer.u32(pairs.length)
  for (const [name, value] of pairs) {
    writer.string(name)
    writer.string(value)
  }
}

function readProperties(reader: Reader): Properties {
  const properties: { -readonly [Name in keyof Travelling]: Travelling[Name] } = {}
  const set = reader.upTo(31, 'property set')
  if (set === 0) reader.fail('property set is empty')
  if ((set & PAYLOAD_FORMAT) !== 0) properties.payloadFormatIndicator = reader.upTo(1, 'payload format') as 0 | 1
  if ((set & CONTENT_TYPE) !== 0) properties.contentType = reader.string()
  if ((set & RESPONSE_TOPIC) !== 0) properties.responseTopic = reader.string()
  if ((set & CORRELATION_DATA) !== 0) properties.correlationData = reader.bytes()
  if ((set & USER_PROPERTIES) !== 0) {
    const count = reader.count(4)
    if (count === 0) reader.fail('list of user properties is empty')
    const pairs: UserProperty[] = []
    for (let i = 0; i < count && reader.problem === undefined; i++) pairs.push([reader.string(), reader.string()])
    properties.userProperties = pairs
  }
  return properties
}
