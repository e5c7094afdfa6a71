/**
 * What a change of permissions ends at once, because asking again at delivery would not do:
 *
 * - A member of a shared group that may no longer have the group's messages leaves it: what the group gave to it would reach
 *   nobody. What it was not sent yet passes to another member.
 * - A client whose will it may no longer publish is disconnected, as it would be refused if it came now; the will is not
 *   published. The machine holds it, and would publish it at a takeover without asking anybody.
 * - The delayed will of a client that is gone, and that it could publish before the change and cannot now, is taken from the
 *   machine. What is known of a client that is gone is its identifier and its user name; rights that hung on its address or
 *   on its token are not looked at, so such a will stays where the rules said no before.
 */
import { ReasonCode } from '@concordmq/protocol'
import type { Guard, PermissionClient, Permissions } from '../access/permissions.ts'
import type { SessionConnection, SessionDriver } from './session-driver.ts'

interface Ended extends SessionConnection {
  disconnect(reasonCode: number): void
}

/** `before`: whom one asked until now; undefined: everything was allowed. */
export function endWithdrawnRights<C extends Ended>(
  driver: SessionDriver<C>,
  guard: Guard,
  before: Permissions | undefined,
): void {
  const { asked } = guard
  if (asked === undefined) return
  withdrawWills(driver, asked, before)
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

function withdrawWills<C extends SessionConnection>(
  driver: SessionDriver<C>,
  asked: Permissions,
  before: Permissions | undefined,
): void {
  const withdrawn: { readonly clientId: string; readonly dueUs: number }[] = []
  for (const { connection, will, willDueUs: dueUs, clientId, principal } of driver.ordered.sessions.values()) {
    if (connection !== undefined || will === undefined) continue
    const { topic } = will.message
    // Each rule set gets an object of its own: it remembers there what it found out.
    const gone = (): PermissionClient => ({
      clientId,
      principal,
      remoteAddress: '',
      grants: undefined,
      rights: undefined,
    })
    if (before?.mayPublish(gone(), topic) === false || asked.mayPublish(gone(), topic)) continue
    withdrawn.push({ clientId, dueUs })
  }
  for (const one of withdrawn) driver.sequencer.submit({ type: 'withdrawWill', ...one })
}
