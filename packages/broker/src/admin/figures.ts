/** The figures of a broker, of one thread or of all, as `$SYS` shows them. */
import type { Machine } from '@concordmq/state'
import type { Connection } from '../connections/connection.ts'
import type { WorkerFigures } from '../workers/worker-place.ts'
import type { SysGauges } from './sys-topics.ts'

/** What is on its way to clients: messages sent and not settled, packets and bytes that wait for sockets. */
export function outgoingOf(
  connections: Iterable<Connection>,
): Pick<WorkerFigures, 'inflightMessages' | 'outPackets' | 'outBytes'> {
  let inflightMessages = 0
  let outPackets = 0
  let outBytes = 0
  for (const connection of connections) {
    outBytes += connection.output.pending
    if (!connection.hasOutbox) continue
    const { outbox } = connection
    inflightMessages += outbox.window.inflight
    outPackets += outbox.waiting
    outBytes += outbox.waitingBytes
  }
  return { inflightMessages, outPackets, outBytes }
}

/** The state that all threads have, and the sum of what each counts of its own clients. */
export function gaugesOf(
  ordered: Machine,
  threads: readonly WorkerFigures[],
  rest: Pick<SysGauges, 'storageTrouble' | 'bans'>,
): SysGauges {
  const sum = (of: (figures: WorkerFigures) => number): number => threads.reduce((total, one) => total + of(one), 0)
  const clientsConnected = sum((one) => one.clientsConnected)
  return {
    clientsConnected,
    // A session without connection is a kept one.
    clientsDisconnected: Math.max(0, ordered.sessions.size - clientsConnected),
    inflightMessages: sum((one) => one.inflightMessages),
    outPackets: sum((one) => one.outPackets),
    outBytes: sum((one) => one.outBytes),
    sessions: ordered.sessions.size,
    connections: sum((one) => one.connections),
    subscriptions: ordered.subscriptions.size + sum((one) => one.subscriptions),
    sharedSubscriptions: ordered.sharedSubscriptions,
    retainedMessages: ordered.retained.count,
    storedMessages: ordered.queuesMessages + ordered.retained.count,
    storedBytes: ordered.queuesBytes + ordered.retained.bytes,
    machine: ordered.counters,
    halfOpen: sum((one) => one.halfOpen),
    backlogBytes: sum((one) => one.backlogBytes),
    ...rest,
  }
}
