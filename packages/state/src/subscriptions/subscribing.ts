/** SUBSCRIBE and UNSUBSCRIBE: the same rules for kept and transient sessions, shared filters or not. */
import { filterProblem, parseShare } from '@concordmq/protocol'
import type { SubscribeCommand, SubscriptionOrder, UnsubscribeCommand } from '../commands/commands.ts'
import type { Effects, Outcome } from '../effects.ts'
import { give } from '../queue/giving.ts'
import { termsOf } from '../queue/queue-part.ts'
import { isCurrent, type Session, Subscription } from '../sessions/session.ts'
import { joinGroup, leaveGroup, passOnUnsent } from '../shares/sharing.ts'
import type { State } from '../state.ts'

const SLASH = 0x2f
const SUCCESS = 0
const NO_SUBSCRIPTION_EXISTED = 0x11
const TOPIC_FILTER_INVALID = 0x8f
const QUOTA_EXCEEDED = 0x97

export function subscribe(state: State, command: SubscribeCommand, effects: Effects): Outcome {
  const session = state.sessions.get(command.clientId)
  if (!isCurrent(session, command.connection)) return { type: 'stale' }
  const reasonCodes: number[] = []
  const retainedDue: boolean[] = []
  for (const order of command.subscriptions) {
    const known = session.subscriptions.get(order.filter)
    const refused = known === undefined ? refusal(state, session, order.filter) : undefined
    const subscription = refused === undefined ? enter(state, session, known, order) : undefined
    // [MQTT-3.8.4-4] Retain handling 0 at each SUBSCRIBE, 1 for a new subscription, 2 never; shared ones get none.
    const retained =
      subscription?.shareName === '' &&
      (order.retainHandling === 0 || (order.retainHandling === 1 && known === undefined))
    if (retained && session.kept) giveRetained(state, subscription as Subscription, effects)
    reasonCodes.push(refused ?? order.qos)
    retainedDue.push(retained && !session.kept)
  }
  return { type: 'subscribed', reasonCodes, retainedDue }
}

export function unsubscribe(state: State, command: UnsubscribeCommand, effects: Effects): Outcome {
  const session = state.sessions.get(command.clientId)
  if (!isCurrent(session, command.connection)) return { type: 'stale' }
  const reasonCodes = command.filters.map((filter) => {
    const subscription = session.subscriptions.get(filter)
    if (subscription === undefined) return NO_SUBSCRIPTION_EXISTED
    state.records.remove(subscription)
    session.removeSubscription(filter)
    if (subscription.shareName === '') state.filters.delete(subscription.topicFilter, session.clientId)
    else {
      leaveGroup(state, subscription)
      passOnUnsent(state, session, filter, effects)
    }
    return SUCCESS
  })
  return { type: 'unsubscribed', reasonCodes }
}

/** Puts a subscription where messages find it; used alone when a snapshot is read. */
export function enterSubscription(state: State, subscription: Subscription): void {
  const { session } = subscription
  session.addSubscription(subscription)
  state.records.add(subscription)
  if (subscription.shareName === '') state.filters.set(subscription.topicFilter, session.clientId, subscription)
  else joinGroup(state, subscription)
}

function refusal(state: State, session: Session, filter: string): number | undefined {
  if (filterProblem(filter, session.version) !== undefined) return TOPIC_FILTER_INVALID
  if (filterLevels(filter) > state.settings.topicLevelsMax) return TOPIC_FILTER_INVALID
  return session.subscriptions.size >= state.settings.subscriptionsMax ? QUOTA_EXCEEDED : undefined
}

function enter(
  state: State,
  session: Session,
  known: Subscription | undefined,
  order: SubscriptionOrder,
): Subscription {
  if (known === undefined) {
    // `$share/…` is taken as shared in every version: clients of 3.1.1 have come to rely on it.
    const subscription = new Subscription(session, order, parseShare(order.filter))
    enterSubscription(state, subscription)
    return subscription
  }
  // [MQTT-3.8.4-3] The new options take the place of the old ones; nothing is lost in between.
  state.records.touch(known)
  known.replaceOptions(order)
  if (known.shareName === '') state.filters.set(known.topicFilter, session.clientId, known)
  return known
}

/** Retained messages for a kept session's subscription: queue entries with RETAIN = 1 [MQTT-3.3.1-8], oldest change first. */
function giveRetained(state: State, subscription: Subscription, effects: Effects): void {
  const { session, subscriptionId } = subscription
  const ids = subscriptionId === 0 ? [] : [subscriptionId]
  const { retained } = state
  for (const entry of retained.inOrder(subscription.topicFilter, state.clock.timeUs)) {
    if (subscription.noLocal && entry.publisher === session.clientId) continue
    const body = retained.unpack(entry)
    const qos = body.message.qos < subscription.qos ? body.message.qos : subscription.qos
    give(state, session, body, termsOf(qos, true, ids), '', effects)
  }
}

/** Levels of a filter; `$share/name/` is none of them. */
export function filterLevels(filter: string): number {
  return levelsOf(parseShare(filter)?.filter ?? filter)
}

/** Levels of a topic or filter. */
export function levelsOf(text: string): number {
  let levels = 1
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) === SLASH) levels++
  return levels
}
