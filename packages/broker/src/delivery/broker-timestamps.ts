/**
 * When the broker received a message, as a user property on its deliveries, for subscriptions that ask for it: SUBSCRIBE with
 * the user property `include_broker_timestamps` = `true` (row F33). The time is that of the node the message came in at, in RFC
 * 3339, to the second.
 */
import { Buffer } from 'node:buffer'
import { filterMatches, type Properties, type UserProperty } from '@concordmq/protocol'
import type { Session } from '@concordmq/state'

const asked = 'include_broker_timestamps'
const name = 'timestamp_received'

/** Whether a SUBSCRIBE asks for time stamps. */
export function asksForTimestamps(properties: Properties | undefined): boolean {
  return properties?.userProperties?.some(([key, value]) => key === asked && value === 'true') === true
}

/** Whether any subscription of the session that matches the topic asked for them. */
export function wantsTimestamps(session: Session | undefined, topic: string): boolean {
  if (session?.timestamped !== true) return false
  for (const { timestamps, topicFilter } of session.subscriptions.values()) {
    if (timestamps && filterMatches(topicFilter, topic)) return true
  }
  return false
}

/** `timeUs`: microseconds since 1970. */
export function timestampProperty(timeUs: number): UserProperty {
  return [name, new Date(timeUs / 1_000).toISOString().replace(/\.\d+Z$/, 'Z')]
}

/** The same as bytes of a property, for forms that are put together in bytes. */
export function timestampBytes(timeUs: number): Uint8Array {
  return userPropertyBytes(...timestampProperty(timeUs))
}

/** A user property as bytes. */
export function userPropertyBytes(name: string, value: string): Uint8Array {
  const parts = [name, value].map((text) => Buffer.from(text))
  return Buffer.concat([
    USER_PROPERTY,
    ...parts.flatMap((part) => [Buffer.from([part.length >> 8, part.length & 255]), part]),
  ])
}

const USER_PROPERTY = Buffer.from([0x26])
