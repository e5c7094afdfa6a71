/** Acknowledgements: what the client, or its node in its place, has done with queue entries, and with received QoS 2 messages. */
import type { AcknowledgeCommand, ReleaseCommand, Settlement } from '../commands/commands.ts'
import type { Outcome } from '../effects.ts'
import { isCurrent, type Session } from '../sessions/session.ts'
import type { State } from '../state.ts'
import { takeOut, takeOutAcked } from './giving.ts'

/** Settles queue entries. What does not fit an entry is counted and passed over: the rest of the command holds. */
export function acknowledge(state: State, command: AcknowledgeCommand): Outcome {
  const session = state.sessions.get(command.clientId)
  if (!isCurrent(session, command.connection)) return { type: 'stale' }
  for (const { q, count = 1, outcome } of command.settlements) {
    if (outcome === 'acked') state.counters.idle += count - takeOutAcked(state, session, q, count)
    else for (let i = 0; i < count; i++) if (!settle(state, session, q + i, outcome)) state.counters.idle++
  }
  return { type: 'done' }
}

/** [MQTT-4.3.3-11] After PUBREL the packet identifier is free for a new message. */
export function releaseReceipts(state: State, command: ReleaseCommand): Outcome {
  const session = state.sessions.get(command.clientId)
  if (!isCurrent(session, command.connection)) return { type: 'stale' }
  state.records.touch(session)
  for (const packetId of command.packetIds) if (!session.receipts.delete(packetId)) state.counters.idle++
  return { type: 'done' }
}

function settle(state: State, session: Session, q: number, outcome: Exclude<Settlement['outcome'], 'acked'>): boolean {
  const { queue } = session
  const qos = queue.qosOf(q)
  if (qos === 0) return false
  switch (outcome) {
    case 'received':
      if (qos !== 2 || queue.isReceived(q)) return false
      queue.receive(q)
      return true
    case 'completed':
      if (qos !== 2) return false
      break
    case 'givenUp':
      break
  }
  takeOut(state, session, q)
  return true
}
