/**
 * What a change of permissions ends at once, because asking again at delivery would not do:
 *
 * - A member of a shared group that may no longer have the group's messages leaves it: what the group gave to it would reach
 *   nobody. What it was not sent yet passes to another member.
 * - A client whose will it may no longer publish is disconnected, as it would be refused if it came now; the will is not
 *   published. The machine holds it, and would publish it at a takeover without asking anybody.
 */
import { ReasonCode } from '@concordmq/protocol'
import type { Guard } from '../access/permissions.ts'
import type { SessionConnection, SessionDriver } from './session-driver.ts'

interface Ended extends SessionConnection {
  disconnect(reasonCode: number): void
}

export function endWithdrawnRights<C extends Ended>(driver: SessionDriver<C>, guard: Guard): void {
  const { asked } = guard
  if (asked === undefined) return
  for (const connection of [...driver.connections()]) {
    const { willTopic } = connection
    if (willTopic !== undefined && !asked.mayPublish(connection, willTopic)) {
      connection.disconnect(ReasonCode.notAuthorized)
      continue
    }
    const forbidden: string[] = []
    for (const subscription of driver.ordered.session(connection.clientId)?.subscriptions.values() ?? []) {
      const { shareName, topicFilter, filter } = subscription
      if (shareName !== '' && !asked.maySubscribe(connection, topicFilter)) forbidden.push(filter)
    }
    if (forbidden.length > 0) driver.unsubscribe(connection, forbidden, () => {})
  }
}
