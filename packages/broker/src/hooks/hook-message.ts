/** Messages as hooks see them: from packets on the wire, and what of an answer is taken back. */
import {
  decodeProperties,
  decodePublish,
  encodePublish,
  isRefusal,
  type Properties,
  type PublishPacket,
  type PublishRun,
  topicNameProblem,
  utf8Decode,
} from '@concordmq/protocol'
import { Refused } from './hook-points.ts'
import type { HookMessage, MessageChange } from './hooks.ts'

const NO_BYTES = new Uint8Array(0)

/** Packet `i` of a run, in bytes of its own. The topic alias is the connection's and does not show. */
export function messageOfRun(run: PublishRun, i: number): HookMessage {
  let properties: Properties | undefined
  if (run.hasProperties) {
    // A copy: correlation data would otherwise keep the read buffer alive.
    const own = new Uint8Array(run.buf.subarray(run.scan.propertiesStart, run.scan.propertiesEnd))
    const decoded = decodeProperties(own, 0, own.length, 'publish')
    if (!isRefusal(decoded) && decoded !== undefined) properties = carried(decoded)
  }
  return {
    topic: utf8Decode(run.topicBuf, run.topicStart, run.topicEnd),
    payload: run.copyPayload(i),
    qos: run.qos,
    retain: run.retain,
    dup: run.dup,
    packetId: run.qos > 0 ? run.packetId(i) : 0,
    ...(properties !== undefined && { properties }),
  }
}

/** What travels with a message that a client publishes. */
function carried(properties: Properties): Properties | undefined {
  const { topicAlias: _alias, subscriptionIdentifiers: _ids, ...rest } = properties
  return Object.keys(rest).length > 0 ? rest : undefined
}

/** One encoded PUBLISH of this broker, in bytes of its own. */
export function messageOfBytes(bytes: Uint8Array, bodyStart: number, v5: boolean): HookMessage | undefined {
  const packet = decodePublish(bytes[0] as number, bytes, bodyStart, bytes.length, v5 ? 5 : 4)
  return isRefusal(packet) ? undefined : messageOfPacket(packet)
}

export function messageOfPacket(packet: PublishPacket): HookMessage {
  const { topic, payload, qos, retain, dup, packetId = 0, properties } = packet
  return { topic, payload, qos, retain, dup, packetId, ...(properties !== undefined && { properties }) }
}

/** A message that no packet carries: a will, or one of the program's own. */
export function withoutPacket({
  topic,
  payload,
  qos,
  retain,
  properties,
}: Omit<HookMessage, 'dup' | 'packetId'>): HookMessage {
  return { topic, payload, qos, retain, dup: false, packetId: 0, ...(properties !== undefined && { properties }) }
}

/** The packet that carries a message. */
export function packetOf(message: HookMessage): PublishPacket {
  const { topic, payload, qos, retain, dup, packetId, properties } = message
  return {
    type: 3,
    topic,
    payload,
    qos,
    retain,
    dup,
    ...(packetId > 0 && { packetId }),
    ...(properties !== undefined && { properties }),
  }
}

/** Takes an answer of `transformPublish` or `transformWill`: a message that a client could have sent. */
export function takeIncoming(answer: unknown, current: HookMessage): HookMessage | Refused | undefined {
  if (answer === 'drop') return new Refused(0)
  const taken = take(answer, current)
  if (taken === undefined || taken === current || taken.properties === undefined) return taken
  const properties = carried(taken.properties)
  const { properties: _all, ...rest } = taken
  return properties === undefined ? rest : { ...rest, properties }
}

/** Takes an answer of `transformOutgoing`. */
export function takeOutgoing(answer: unknown, current: HookMessage): HookMessage | Refused | undefined {
  if (answer === 'drop') return new Refused(0)
  const taken = take(answer, current)
  if (taken?.properties?.topicAlias === undefined) return taken
  // Aliases are the connection's to give.
  const { topicAlias: _alias, ...properties } = taken.properties
  return { ...taken, properties }
}

function take(answer: unknown, current: HookMessage): HookMessage | undefined {
  if (answer === current) return current
  if (typeof answer !== 'object' || answer === null) return undefined
  const { topic, payload, retain, properties } = answer as Partial<MessageChange>
  const changed = {
    topic: topic as string,
    payload: payload as Uint8Array,
    retain: retain as boolean,
    qos: current.qos,
    dup: current.dup,
    packetId: current.packetId,
    ...(properties !== undefined && { properties }),
  }
  return messageProblem(changed) === undefined ? changed : undefined
}

/** What is wrong with a message that a program made, or undefined. */
export function messageProblem(message: {
  readonly topic: unknown
  readonly payload: unknown
  readonly qos: unknown
  readonly retain: unknown
  readonly properties?: unknown
}): string | undefined {
  const { topic, payload, qos, retain, properties } = message
  if (typeof topic !== 'string') return 'the topic is not text'
  const problem = topicNameProblem(topic)
  if (problem !== undefined) return `topic ${JSON.stringify(topic.slice(0, 100))}: ${problem}`
  if (!(payload instanceof Uint8Array)) return 'the payload is neither text nor bytes'
  if (payload.length > PAYLOAD_BYTES_MAX) return `the payload has more than ${PAYLOAD_BYTES_MAX} bytes`
  if (qos !== 0 && qos !== 1 && qos !== 2) return `QoS ${String(qos)} is not 0, 1 or 2`
  if (typeof retain !== 'boolean') return 'retain is neither true nor false'
  if (properties === undefined) return undefined
  if (typeof properties !== 'object' || properties === null) return 'the properties are not an object'
  try {
    encodePublish({ type: 3, topic, payload: NO_BYTES, qos: 0, retain: false, dup: false, properties }, 5)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** Whole packets have 268,435,455 bytes at most; topic and properties want some of them. */
const PAYLOAD_BYTES_MAX = 268_000_000
