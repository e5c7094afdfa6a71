/**
 * A run of messages takes its places: what differs in the payload only is matched once, and queued for one session after the
 * other. The same happens as if each message were published for itself, save the order in which the sessions have them.
 *
 *   run ─▶ room for all of it, and nothing but kept sessions wants it? ─yes─▶ all of it to each session
 *                                                              └─no─▶ message by message
 */
import type { ConnectionId } from '../commands/commands.ts'
import type { Effects } from '../effects.ts'
import { giveRun } from '../queue/giving.ts'
import { place, type State } from '../state.ts'
import type { Body } from './body.ts'
import { type MessageHead, messageOfRun } from './message.ts'
import { messageBytes } from './message-codec.ts'
import { collect, DIRECT_PREFIX, publishMessage, termsFor } from './publishing.ts'
import { isRefused } from './refusing.ts'

export interface PublishedRun {
  /** So many messages, the first ones, were published; those behind them found no room. */
  readonly taken: number
  /** How many sessions and groups matched the last of them. */
  readonly matched: number
}

/** Publishes messages that are known to be valid, and are not retained. */
export function publishRun(
  state: State,
  { head, payloads }: { readonly head: MessageHead; readonly payloads: readonly Uint8Array[] },
  publisher: ConnectionId | undefined,
  effects: Effects,
): PublishedRun {
  const matches = collect(state, head)
  if (!isPlain(state, head, payloads, matches.length)) return publishEach(state, { head, payloads }, publisher, effects)
  const bodies: Body[] = []
  for (const payload of payloads) {
    const body = place(state, messageOfRun(head, payload))
    bodies.push(body)
    effects.published(body, publisher)
  }
  for (const { session, subscriptions } of matches) {
    giveRun(state, session, bodies, termsFor(subscriptions, head), effects)
  }
  return { taken: bodies.length, matched: matches.length }
}

/** Whether the run is for kept sessions alone, and all queues together have room for it. */
function isPlain(state: State, head: MessageHead, payloads: readonly Uint8Array[], matches: number): boolean {
  const { settings, shares, queuesBytes } = state
  if (settings.directMessages === 'bare') return false
  if (settings.directMessages === 'prefix' && head.topic.startsWith(DIRECT_PREFIX)) return false
  if (shares.size > 0) {
    let shared = false
    shares.match(head.topic, () => {
      shared = true
    })
    if (shared) return false
  }
  if (head.qos === 0) return true
  let bytes = payloads.length * messageBytes(messageOfRun(head, NO_BYTES))
  for (const payload of payloads) bytes += payload.length
  return queuesBytes + bytes * matches <= settings.queuesBytesMax
}

const NO_BYTES = new Uint8Array(0)

function publishEach(
  state: State,
  { head, payloads }: { readonly head: MessageHead; readonly payloads: readonly Uint8Array[] },
  publisher: ConnectionId | undefined,
  effects: Effects,
): PublishedRun {
  let taken = 0
  let matched = 0
  for (const payload of payloads) {
    const message = messageOfRun(head, payload)
    if (isRefused(state, message)) break
    matched = publishMessage(state, message, publisher, effects)
    taken++
  }
  return { taken, matched }
}
