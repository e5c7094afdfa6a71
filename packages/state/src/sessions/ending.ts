/** How connections and sessions end, whoever caused it; and what the passing of time does to a session without connection. */
import type { WithdrawWillCommand } from '../commands/commands.ts'
import { NEVER } from '../deadlines/deadlines.ts'
import type { Effects, Outcome } from '../effects.ts'
import { publishMessage } from '../messages/publishing.ts'
import { sweepExpired } from '../queue/giving.ts'
import { leaveGroup, passOnAll } from '../shares/sharing.ts'
import { type State, schedule } from '../state.ts'
import type { Session } from './session.ts'

const EXPIRY_NEVER = 0xffff_ffff

export interface ConnectionEnd {
  readonly will: 'publish' | 'drop'
  /** Reason code with which the order ended it; absent when its node did. */
  readonly told?: number
  /** Queue numbers below were sent; absent: as far as the window allowed. */
  readonly sentBelow?: number
  /** The caller decides what becomes of the session. */
  readonly stays?: boolean
}

/** Whether a session outlives the connection that it has, or is waiting for one. */
export function hasReasonToStay(session: Session): boolean {
  return session.kept && session.expirySeconds > 0
}

/** The connection of a session ends. The session goes on, or ends with it. */
export function endConnection(state: State, session: Session, end: ConnectionEnd, effects: Effects): void {
  const { connection, queue, clientId, will } = session
  if (connection === undefined) return
  const { timeUs } = state.clock
  state.records.touch(session)
  queue.closeSent(end.sentBelow ?? queue.boundOfSent(session.receiveMaximum + state.settings.settlementLagMax))
  session.connection = undefined
  queue.letGoAll()
  if (end.told !== undefined) effects.connectionEnded(connection, clientId, end.told)
  // [MQTT-3.1.2-10] A normal DISCONNECT drops the will. A delayed one waits while the session does [MQTT-3.1.3-9].
  if (end.will === 'drop') session.replaceWill(state.records, undefined)
  else if (will !== undefined) {
    session.willDueUs = timeUs + will.delaySeconds * 1_000_000
    if (will.delaySeconds === 0) publishWill(state, session, effects)
  }
  if (end.stays === true) return
  if (!hasReasonToStay(session)) return endSession(state, session, 'disconnect', effects)
  session.expiresUs = session.expirySeconds === EXPIRY_NEVER ? NEVER : timeUs + session.expirySeconds * 1_000_000
  schedule(state, session)
}

/**
 * A session ends: it leaves its subscriptions, what it owed to shared groups passes on, and its will, if one still waits,
 * is published [MQTT-3.1.3-9]. Its connection has ended before.
 */
export function endSession(
  state: State,
  session: Session,
  reason: 'expired' | 'cleanStart' | 'disconnect',
  effects: Effects,
): void {
  const { clientId } = session
  state.deadlines.set(session, NEVER)
  state.sessions.delete(clientId)
  state.records.remove(session)
  for (const subscription of session.subscriptions.values()) {
    state.records.remove(subscription)
    if (subscription.shareName === '') state.filters.delete(subscription.topicFilter, clientId)
    else leaveGroup(state, subscription)
  }
  passOnAll(state, session, effects)
  effects.sessionEnded(clientId, reason)
  publishWill(state, session, effects)
}

/** Deadlines of a session that have passed by `dueUs`: its will, its expired messages, its end. */
export function sessionDue(state: State, session: Session, dueUs: number, effects: Effects): void {
  if (session.willDueUs <= dueUs) publishWill(state, session, effects)
  if (session.queue.expiryFloorUs <= dueUs) sweepExpired(state, session, effects)
  if (session.expiresUs <= dueUs) endSession(state, session, 'expired', effects)
  else schedule(state, session)
}

/** Drops the will that waits for its delay. */
export function withdrawWill(state: State, { clientId, dueUs }: WithdrawWillCommand): Outcome {
  const session = state.sessions.get(clientId)
  if (session?.will === undefined || session.connection !== undefined || session.willDueUs !== dueUs) {
    return { type: 'stale' }
  }
  state.records.touch(session)
  session.replaceWill(state.records, undefined)
  session.willDueUs = NEVER
  schedule(state, session)
  return { type: 'done' }
}

function publishWill(state: State, session: Session, effects: Effects): void {
  const { will } = session
  if (will === undefined && session.willDueUs === NEVER) return
  state.records.touch(session)
  session.willDueUs = NEVER
  // Damaged data may have the time of a will that they have lost.
  if (will === undefined) return
  session.replaceWill(state.records, undefined)
  publishMessage(state, will.message, undefined, effects)
  effects.willPublished?.(session.clientId, will.message)
}
