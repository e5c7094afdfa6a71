/**
 * When the broker received a message, as a user property on its deliveries, for subscriptions that ask for it: SUBSCRIBE with
 * the user property `include_broker_timestamps` = `true` (row F33).
 *
 *   timestamp_received    RFC 3339, to the second: on a node alone its own clock, in a cluster the time of the order, which lies
 *                         between the times at which correct nodes received the message
 *   consensus_timestamp   in a cluster only: that time to the microsecond; beside it stand place and time of `order-positions.ts`
 */
import { Buffer } from 'node:buffer'
import { filterMatches, type Properties, type UserProperty } from '@concordmq/protocol'
import type { Session } from '@concordmq/state'

const asked = 'include_broker_timestamps'

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

/** `timeUs`: microseconds since 1970; `ordered`: it is that of the order. */
export function timestampProperties(timeUs: number, { ordered }: { readonly ordered: boolean }): UserProperty[] {
  const second = new Date(timeUs / 1_000).toISOString().slice(0, 19)
  const received: UserProperty = ['timestamp_received', `${second}Z`]
  if (!ordered) return [received]
  const microseconds = `${Math.trunc(timeUs) % 1_000_000}`.padStart(6, '0')
  return [received, ['consensus_timestamp', `${second}.${microseconds}Z`]]
}

/** The same as bytes of properties, for forms that are put together in bytes. */
export function timestampBytes(timeUs: number, how: { readonly ordered: boolean }): Uint8Array {
  return Buffer.concat(timestampProperties(timeUs, how).map(([name, value]) => userPropertyBytes(name, value)))
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
