/**
 * A message takes its place: kept if retained, announced to the nodes, given to whom this machine serves. In this order,
 * and to kept sessions, shared groups and the addressee of a direct message in the order of their names' bytes.
 */
import type { ConnectionId } from '../commands/commands.ts'
import type { DeliveryTerms, Effects } from '../effects.ts'
import { compareText } from '../encoding/text-order.ts'
import { give } from '../queue/giving.ts'
import { termsOf } from '../queue/queue-part.ts'
import { keepRetained } from '../retained/retaining.ts'
import type { Session, Subscription } from '../sessions/session.ts'
import { shareOut } from '../shares/sharing.ts'
import { place, type State } from '../state.ts'
import type { Body } from './body.ts'
import type { Message, MessageHead } from './message.ts'

/** Topics that address one client: `$direct/<clientId>` (row U10). */
export const DIRECT_PREFIX = '$direct/'

/**
 * Publishes a message that is known to be valid. Returns how many sessions and groups of this machine matched; transient
 * sessions, which nodes serve themselves after `published`, are not among them.
 */
export function publishMessage(
  state: State,
  message: Message,
  publisher: ConnectionId | undefined,
  effects: Effects,
): number {
  const { directMessages } = state.settings
  const body = place(state, message)
  if (directMessages !== 'off' && message.topic.startsWith(DIRECT_PREFIX)) {
    // Never retained and never seen by subscribers: it is addressed.
    return giveDirect(state, state.sessions.get(message.topic.slice(DIRECT_PREFIX.length)), body, effects)
  }
  const retained = message.retain ? keepRetained(state, body) : undefined
  effects.published(body, publisher)
  const matched = giveAll(state, body, effects)
  if (retained !== undefined) state.retained.pack(retained)
  return matched
}

/** To kept sessions and shared groups; returns how many. */
function giveAll(state: State, body: Body, effects: Effects): number {
  const { message } = body
  const { directMessages } = state.settings
  const matches = collect(state, message)
  for (const match of matches) giveMatch(state, match, body, effects)
  const matched = matches.length + shareOut(state, body, effects)
  if (directMessages !== 'bare') return matched
  // A name that somebody subscribes to is a topic, not an address; nobody gets a message twice.
  const addressee = state.sessions.get(message.topic)
  if (addressee === undefined || state.filters.has(message.topic)) return matched
  if (matches.some(({ session }) => session === addressee)) return matched
  return matched + giveDirect(state, addressee, body, effects)
}

/** All matching subscriptions of one kept session: they make one delivery. */
export interface Match {
  readonly session: Session
  readonly subscriptions: Subscription[]
}

export function collect(state: State, message: MessageHead): Match[] {
  const matches: Match[] = []
  if (state.filters.size === 0) return matches
  // Most topics match one session or none.
  let only: Match | undefined
  let bySession: Map<Session, Match> | undefined
  state.filters.match(message.topic, (subscription) => {
    const { session } = subscription
    if (!session.kept) return
    // [MQTT-3.8.3-3] No local: never back to the client that published it.
    if (subscription.noLocal && session.clientId === message.publisher) return
    const match = only?.session === session ? only : bySession?.get(session)
    if (match !== undefined) {
      match.subscriptions.push(subscription)
      return
    }
    const first = { session, subscriptions: [subscription] }
    if (only === undefined) only = first
    else {
      bySession ??= new Map()
      bySession.set(session, first)
    }
    matches.push(first)
  })
  if (matches.length > 1) matches.sort((a, b) => compareText(a.session.clientId, b.session.clientId))
  return matches
}

function giveMatch(state: State, match: Match, body: Body, effects: Effects): void {
  give(state, match.session, body, termsFor(match.subscriptions, body.message), '', effects)
}

/** [MQTT-3.3.4-2] Overlapping subscriptions: once, at the highest QoS, with the identifiers of all [MQTT-3.3.4-4]. */
export function termsFor(subscriptions: readonly Subscription[], message: MessageHead): DeliveryTerms {
  let qos: 0 | 1 | 2 = 0
  let retainAsPublished = false
  const ids: number[] = []
  for (const subscription of subscriptions) {
    if (subscription.qos > qos) qos = subscription.qos
    if (subscription.retainAsPublished) retainAsPublished = true
    const id = subscription.subscriptionId
    if (id !== 0 && !ids.includes(id)) ids.push(id)
  }
  if (message.qos < qos) qos = message.qos
  ids.sort((a, b) => a - b)
  // [MQTT-3.3.1-12] [MQTT-3.3.1-13] RETAIN is 0 unless the subscription asks for it as published.
  return termsOf(qos, message.retain && retainAsPublished, ids)
}

function giveDirect(state: State, session: Session | undefined, body: Body, effects: Effects): number {
  if (session === undefined) return 0
  give(state, session, body, termsOf(body.message.qos, false, []), '', effects)
  return 1
}
