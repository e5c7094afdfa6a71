/** How a message reaches one session, and how an entry leaves a queue without the client. */
import type { DeliveryTerms, Effects } from '../effects.ts'
import type { Body } from '../messages/body.ts'
import type { BodyRun } from '../messages/body-run.ts'
import type { Session } from '../sessions/session.ts'
import type { MachineSettings } from '../settings.ts'
import { type State, schedule } from '../state.ts'
import type { Queued } from './queue-part.ts'
import { SPAN_OF_QUEUE_MAX } from './session-queue.ts'

/**
 * QoS 0 goes to the connection or nowhere; QoS 1 and 2 are queued. `share` is the whole filter of the shared subscription
 * that the message came by, or empty.
 */
export function give(
  state: State,
  session: Session,
  body: Body,
  terms: DeliveryTerms,
  share: string,
  effects: Effects,
): void {
  const { connection, clientId, queue } = session
  if (terms.qos === 0) {
    if (connection !== undefined) effects.deliver(clientId, connection, body, terms)
    return
  }
  if (!makeRoom(state, session, body, effects)) {
    state.counters.queueFull++
    effects.dropped(clientId, NO_NUMBER, 'queueFull')
    return
  }
  const q = queue.append(body, terms, share)
  state.queuesMessages++
  state.counters.queued++
  state.queuesBytes += body.bytes
  if (connection === undefined) schedule(state, session)
  effects.queued(clientId, connection, q, 1)
}

/** The same for the messages of a run, which expire together. */
export function giveRun(
  state: State,
  session: Session,
  bodies: readonly Body[],
  terms: DeliveryTerms,
  effects: Effects,
): void {
  let bytes = 0
  for (const body of bodies) bytes += body.bytes
  if (terms.qos === 0 || !hasRoom(state, session, bodies.length, bytes)) {
    for (const body of bodies) give(state, session, body, terms, '', effects)
    return
  }
  const { connection, clientId, queue } = session
  const q = queue.appendRun(bodies, terms)
  state.queuesMessages += bodies.length
  state.counters.queued += bodies.length
  state.queuesBytes += bytes
  if (connection === undefined) schedule(state, session)
  effects.queued(clientId, connection, q, bodies.length)
}

/** The same for a run that is one record, and has room. */
export function giveBodyRun(
  state: State,
  session: Session,
  run: BodyRun,
  terms: DeliveryTerms,
  effects: Effects,
): void {
  const { connection, clientId, queue } = session
  const q = queue.appendBodyRun(run, terms)
  state.queuesMessages += run.count
  state.counters.queued += run.count
  state.queuesBytes += run.bytes
  if (connection === undefined) schedule(state, session)
  effects.queued(clientId, connection, q, run.count)
}

/** Stands for the number of a message that was dropped before it got one. */
export const NO_NUMBER = -1

/** Takes an entry out of a queue and says why. */
export function dropEntry(
  state: State,
  session: Session,
  entry: Queued,
  reason: 'expired' | 'queueFull' | 'sessionEnded' | 'passedOn',
  effects: Effects,
): void {
  takeOut(state, session, entry.q)
  effects.dropped(session.clientId, entry.q, reason)
}

/** Takes an entry out of a queue. */
export function takeOut(state: State, session: Session, q: number): void {
  state.queuesBytes -= session.queue.settle(q)
  state.queuesMessages--
}

/** Takes the entries at QoS 1 among `count` from `q` on out of a queue; how many there were. */
export function takeOutAcked(state: State, session: Session, q: number, count: number): number {
  const { queue } = session
  const { messages, bytes } = queue
  queue.settleAcked(q, count)
  state.queuesBytes -= bytes - queue.bytes
  state.queuesMessages -= messages - queue.messages
  return messages - queue.messages
}

/** Drops what surely was not sent and has expired, and finds out when the next one will. */
export function sweepExpired(state: State, session: Session, effects: Effects): void {
  const { queue } = session
  const { timeUs } = state.clock
  state.records.touch(session)
  queue.expiryFloorUs = Number.MAX_SAFE_INTEGER
  for (const entry of queue.from(queue.sentBelow)) {
    const { expiresUs } = entry
    if (expiresUs <= timeUs) {
      state.counters.expired++
      dropEntry(state, session, entry, 'expired', effects)
    } else if (expiresUs < queue.expiryFloorUs) queue.expiryFloorUs = expiresUs
  }
}

/**
 * Makes room for one more message; false: there is none. While the client is connected its node alone gives entries up,
 * since only it knows what it has begun to send.
 */
function makeRoom(state: State, session: Session, body: Body, effects: Effects): boolean {
  const { settings } = state
  const { queue } = session
  if (hasRoom(state, session, 1, body.bytes)) return true
  if (settings.queueFull === 'dropNewest' || session.connection !== undefined) return false
  if (body.bytes > settings.queueBytesMax) return false
  for (let oldest = queue.oldestUnsent(); oldest !== undefined; oldest = queue.oldestUnsent()) {
    state.counters.queueFull++
    dropEntry(state, session, oldest, 'queueFull', effects)
    if (hasRoom(state, session, 1, body.bytes)) return true
  }
  return false
}

/** Whether so many messages of so many bytes together have room. */
function hasRoom(state: State, session: Session, messages: number, bytes: number): boolean {
  return fits(state.settings, session, messages, bytes) && state.queuesBytes + bytes <= state.settings.queuesBytesMax
}

/** Whether they have room in this one queue. */
export function fits(settings: MachineSettings, { queue }: Session, messages: number, bytes: number): boolean {
  return (
    queue.messages + messages <= settings.queueMessagesMax &&
    queue.next - queue.base + messages <= SPAN_OF_QUEUE_MAX &&
    queue.bytes + bytes <= settings.queueBytesMax
  )
}
