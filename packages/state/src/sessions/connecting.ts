/**
 * Connections and sessions: connect, takeover, disconnect, the death of a node. What several commands end in common, the
 * end of a connection and the end of a session, stands in `ending.ts`.
 */
import type { ConnectCommand, DisconnectCommand, StartCommand } from '../commands/commands.ts'
import { NEVER } from '../deadlines/deadlines.ts'
import type { Effects, Outcome } from '../effects.ts'
import { compareText } from '../encoding/text-order.ts'
import { NodeLife } from '../nodes/node-life.ts'
import { type State, schedule } from '../state.ts'
import { endConnection, endSession, hasReasonToStay } from './ending.ts'
import { isCurrent, isSameConnection, Session } from './session.ts'

const DONE: Outcome = { type: 'done' }
const STALE: Outcome = { type: 'stale' }
const SESSION_TAKEN_OVER = 0x8e
const USE_ANOTHER_SERVER = 0x9c
const QUOTA_EXCEEDED = 0x97

/** A node started: connections of its earlier incarnations are lost. */
export function start(state: State, command: StartCommand, effects: Effects): Outcome {
  const life = state.nodes.get(command.node)
  if (life === undefined) {
    const first = new NodeLife(command.node, command.incarnation)
    state.nodes.set(command.node, first)
    state.records.add(first)
    return DONE
  }
  if (command.incarnation <= life.incarnation) return STALE
  state.records.touch(life)
  life.begin(command.incarnation)
  endConnectionsOf(state, command.node, effects)
  return DONE
}

/** All connections of a node are lost, in the order of their clients' names. */
export function endConnectionsOf(state: State, node: number, effects: Effects): void {
  const lost: Session[] = []
  for (const session of state.sessions.values()) if (session.connection?.node === node) lost.push(session)
  for (const session of lost.sort((a, b) => compareText(a.clientId, b.clientId))) {
    endConnection(state, session, { told: USE_ANOTHER_SERVER, will: 'publish' }, effects)
  }
}

/** A client connects: the connection it had ends, the session it had goes on or gives way to a new one. */
export function connect(state: State, command: ConnectCommand, effects: Effects): Outcome {
  if (state.nodes.get(command.connection.node)?.incarnation !== command.connection.incarnation) return STALE
  const { clientId } = command
  const before = state.sessions.get(clientId)
  if (before === undefined && state.sessions.size >= state.settings.sessionsMax) {
    return { type: 'refused', reasonCode: QUOTA_EXCEEDED }
  }
  if (isSameConnection(before?.connection, command.connection)) return STALE
  const goesOn = before !== undefined && !command.cleanStart && hasReasonToStay(before)
  if (before?.connection !== undefined) {
    // [MQTT-3.1.4-3] The existing client is told 0x8E and its connection closed.
    // [MQTT-3.1.3-9] The delayed will of a session that goes on at once is not published.
    const delayed = (before.will?.delaySeconds ?? 0) > 0
    const will = goesOn && delayed ? 'drop' : 'publish'
    endConnection(state, before, { told: SESSION_TAKEN_OVER, will, stays: true }, effects)
  }
  // [MQTT-3.1.2-4] Clean Start ends the session there was.
  if (before !== undefined && !goesOn)
    endSession(state, before, command.cleanStart ? 'cleanStart' : 'disconnect', effects)
  const session = goesOn ? before : begin(state, command)
  state.records.touch(session)
  session.connection = command.connection
  session.principal = command.principal
  session.version = command.version
  session.receiveMaximum = command.receiveMaximum
  session.expirySeconds = Math.min(command.sessionExpirySeconds, state.settings.sessionExpirySecondsMax)
  session.replaceWill(state.records, command.will)
  session.willDueUs = NEVER
  session.expiresUs = NEVER
  schedule(state, session)
  return { type: 'connected', sessionPresent: goesOn, kept: session.kept }
}

/** A connection ends, by the client's word or by loss. */
export function disconnect(state: State, command: DisconnectCommand, effects: Effects): Outcome {
  const session = state.sessions.get(command.clientId)
  if (!isCurrent(session, command.connection)) return STALE
  const { sessionExpirySeconds } = command
  // [MQTT-3.14.2-2] An expiry of zero stays zero.
  if (sessionExpirySeconds !== undefined && session.expirySeconds > 0) {
    state.records.touch(session)
    session.expirySeconds = Math.min(sessionExpirySeconds, state.settings.sessionExpirySecondsMax)
  }
  const { will, sentBelow } = command
  endConnection(state, session, sentBelow === undefined ? { will } : { will, sentBelow }, effects)
  return DONE
}

function begin(state: State, command: ConnectCommand): Session {
  const kept = Math.min(command.sessionExpirySeconds, state.settings.sessionExpirySecondsMax) > 0
  const durable = kept || command.will !== undefined || state.records.keepsAll
  const session = new Session(command.clientId, { kept, durable }, state)
  state.sessions.set(command.clientId, session)
  state.records.add(session)
  return session
}
