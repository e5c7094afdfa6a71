/** One command, whoever it comes from: is it well-formed, which rule does it go to, what is counted. */
import { administer } from '../admin/administering.ts'
import type { Effects, Outcome } from '../effects.ts'
import { publishMessage } from '../messages/publishing.ts'
import { publishRun } from '../messages/publishing-run.ts'
import { isRefused } from '../messages/refusing.ts'
import { acknowledge, releaseReceipts } from '../queue/settling.ts'
import { connect, disconnect, start } from '../sessions/connecting.ts'
import { withdrawWill } from '../sessions/ending.ts'
import { isCurrent } from '../sessions/session.ts'
import type { State } from '../state.ts'
import { subscribe, unsubscribe } from '../subscriptions/subscribing.ts'
import type { Command, PublishCommand } from './commands.ts'
import { commandProblem } from './validity.ts'

/** Quota exceeded. */
const REFUSED: Outcome = { type: 'refused', reasonCode: 0x97 }
const STALE: Outcome = { type: 'stale' }

export function applyCommand(state: State, command: Command, effects: Effects): Outcome {
  const problem = commandProblem(command, state.settings)
  const outcome: Outcome =
    problem === undefined ? dispatch(state, command, effects) : { type: 'malformed', detail: problem }
  if (outcome.type === 'malformed') state.counters.malformed++
  else if (outcome.type === 'stale') state.counters.stale++
  return outcome
}

function dispatch(state: State, command: Command, effects: Effects): Outcome {
  switch (command.type) {
    case 'start':
      return start(state, command, effects)
    case 'publish':
      return publish(state, command, effects)
    case 'publishRun':
      return { type: 'publishedRun', ...publishRun(state, command, command.connection, effects) }
    case 'connect':
      return connect(state, command, effects)
    case 'disconnect':
      return disconnect(state, command, effects)
    case 'subscribe':
      return subscribe(state, command, effects)
    case 'unsubscribe':
      return unsubscribe(state, command, effects)
    case 'acknowledge':
      return acknowledge(state, command)
    case 'release':
      return releaseReceipts(state, command)
    case 'withdrawWill':
      return withdrawWill(state, command)
    case 'admin':
      return administer(state, command, effects)
    case 'tick':
      return { type: 'done' }
  }
}

/**
 * A publish of a connection that is over still counts at QoS 0 and 1: the client had no way to take it back. At QoS 2 its
 * client sends it again, so it must not [MQTT-4.3.3-10].
 */
function publish(state: State, command: PublishCommand, effects: Effects): Outcome {
  const { connection, message, receipt } = command
  if (receipt !== undefined && connection !== undefined) {
    const session = state.sessions.get(message.publisher)
    if (!isCurrent(session, connection)) return STALE
    if (session.receipts.has(receipt)) return { type: 'published', duplicate: true, matched: 1 }
    // A refused publish leaves no receipt.
    if (isRefused(state, message)) return REFUSED
    state.records.touch(session)
    session.receipts.add(receipt)
  } else if (isRefused(state, message)) return REFUSED
  return { type: 'published', duplicate: false, matched: publishMessage(state, message, connection, effects) }
}
