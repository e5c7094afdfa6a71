/**
 * The place of a message in the order of a cluster, as user properties on its deliveries, for subscriptions that ask for it:
 * SUBSCRIBE with the user property `concord-order` = `1` (architecture section 3.7).
 *
 *   concord-position   `POSITION.INDEX`: of the bundle in the log, and of the message among those that it set free
 *   concord-time       the time of the order there, microseconds since 1970
 */
import { filterMatches, type Properties, type UserProperty } from '@concordmq/protocol'
import type { Session } from '@concordmq/state'
import { userPropertyBytes } from './broker-timestamps.ts'

interface Place {
  readonly position: number
  readonly index: number
  readonly timeUs: number
}

/** Whether a SUBSCRIBE asks for places. */
export function asksForPositions(properties: Properties | undefined): boolean {
  return properties?.userProperties?.some(([key, value]) => key === 'concord-order' && value === '1') === true
}

/** Whether any subscription of the session that matches the topic asked for them. */
export function wantsPositions(session: Session | undefined, topic: string): boolean {
  if (session?.positioned !== true) return false
  for (const { positions, topicFilter } of session.subscriptions.values()) {
    if (positions && filterMatches(topicFilter, topic)) return true
  }
  return false
}

export function positionProperties({ position, index, timeUs }: Place): UserProperty[] {
  return [
    ['concord-position', `${position}.${index}`],
    ['concord-time', `${timeUs}`],
  ]
}

/** The same as bytes of properties, for forms that are put together in bytes. */
export function positionBytes(place: Place): Uint8Array {
  return Buffer.concat(positionProperties(place).map(([name, value]) => userPropertyBytes(name, value)))
}
