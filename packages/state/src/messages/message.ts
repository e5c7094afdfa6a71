/** The application message as the order sees it. */
import type { Properties, QoS } from '@concordmq/protocol'

/** An application message. Immutable: whoever keeps one keeps it as it is; the payload is never a view of a read buffer. */
export interface Message {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly retain: boolean
  /**
   * Properties that travel with the message (payload format, content type, response topic, correlation data, user
   * properties). Topic alias, subscription identifiers and the expiry interval are not among them.
   */
  readonly properties?: Properties
  /** Message expiry interval in seconds as the publisher gave it; absent: never expires. */
  readonly expirySeconds?: number
  /** Client identifier of the publisher; empty when the broker itself publishes. */
  readonly publisher: string
}

/** What the messages of a run have in common: all but the payload. */
export type MessageHead = Omit<Message, 'payload'>

/** One message of a run. */
export function messageOfRun(head: MessageHead, payload: Uint8Array): Message {
  const { topic, qos, retain, publisher } = head
  if (head.properties === undefined && head.expirySeconds === undefined) {
    return { topic, payload, qos, retain, publisher }
  }
  return { ...head, payload }
}

/** A message with its place in the order. */
export interface PlacedMessage {
  readonly message: Message
  /** Position of the command that caused it, and its index among the messages that this command caused. */
  readonly position: number
  readonly index: number
  /** Time of the order at that position, microseconds since 1970. */
  readonly timeUs: number
  /** The same message as it lies in memory, if that is not as an object: `message` makes one at each call then. */
  readonly packed?: PackedMessage | undefined
}

/** A message that carries nothing but topic and payload: behind its topic, in the form of a PUBLISH, lies its payload. */
export interface PackedMessage {
  readonly bytes: Uint8Array
  /** Where the length of the topic stands. */
  readonly topicAt: number
  readonly payloadAt: number
  readonly end: number
  readonly qos: QoS
}
