/**
 * Whether a client's publish is refused whole, because a maximum of the state leaves no room for what it asks to be kept:
 * retained, or queued for sessions. It is found out before anything has happened, so that the publisher may send the message
 * again without anybody getting it twice; half of it done and an error told could not be taken back.
 *
 * A single session's full queue is no such reason: its policy drops, and others go on. A will has no publisher to be told,
 * and is never refused.
 */
import { hasRoomToRetain } from '../retained/retaining.ts'
import type { State } from '../state.ts'
import type { Message } from './message.ts'
import { messageBytes } from './message-codec.ts'
import { DIRECT_PREFIX } from './publishing.ts'

export function isRefused(state: State, message: Message): boolean {
  const { settings, counters } = state
  const direct = settings.directMessages !== 'off' && message.topic.startsWith(DIRECT_PREFIX)
  if (message.retain && message.payload.length > 0 && !direct && !hasRoomToRetain(state, message)) {
    counters.retainedFull++
    return true
  }
  if (message.qos === 0 || state.queuesBytes === 0) return false
  if (state.queuesBytes + messageBytes(message) <= settings.queuesBytesMax || !isQueued(state, message, direct))
    return false
  counters.queuesFull++
  return true
}

/** Whether some queue would take it. */
function isQueued(state: State, message: Message, direct: boolean): boolean {
  if (direct) return state.sessions.has(message.topic.slice(DIRECT_PREFIX.length))
  let queued = false
  state.filters.match(message.topic, ({ session, qos }) => {
    if (session.kept && qos > 0) queued = true
  })
  if (queued) return true
  state.shares.match(message.topic, () => {
    queued = true
  })
  return queued
}
