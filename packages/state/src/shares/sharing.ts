/**
 * Shared groups as messages and members come and go. What a leaving member had not settled passes on as architecture
 * section 3.3 allows: QoS 1, and QoS 2 that surely was not sent; QoS 2 that may have been sent never [MQTT-4.8.2-4]
 * [MQTT-4.8.2-5]. A member that answers with an error has discarded the message for all [MQTT-4.8.2-6].
 */
import type { Effects } from '../effects.ts'
import { compareText } from '../encoding/text-order.ts'
import type { Body } from '../messages/body.ts'
import { dropEntry, give } from '../queue/giving.ts'
import { type Queued, termsOf } from '../queue/queue-part.ts'
import type { Session, Subscription } from '../sessions/session.ts'
import type { State } from '../state.ts'
import { chooseMember, ShareGroup } from './share-group.ts'

/** Enters a subscription into its group; makes the group if it is the first. */
export function joinGroup(state: State, subscription: Subscription): ShareGroup {
  let group = state.shares.get(subscription.topicFilter, subscription.shareName)
  if (group === undefined) {
    group = new ShareGroup(subscription, { durable: state.records.keepsAll })
    state.shares.set(subscription.topicFilter, subscription.shareName, group)
    state.records.add(group)
  }
  group.add(subscription)
  return group
}

/** Takes a subscription out of its group; the last one takes the group along. */
export function leaveGroup(state: State, subscription: Subscription): void {
  const group = state.shares.get(subscription.topicFilter, subscription.shareName)
  if (group === undefined) return
  group.delete(subscription)
  if (group.members.length > 0) return
  state.shares.delete(subscription.topicFilter, subscription.shareName)
  state.records.remove(group)
}

/** Gives a message to one member of every group whose filter matches. Returns how many groups have it. */
export function shareOut(state: State, body: Body, effects: Effects): number {
  if (state.shares.size === 0) return 0
  const groups: ShareGroup[] = []
  state.shares.match(body.message.topic, (group) => groups.push(group))
  if (groups.length > 1) groups.sort((a, b) => compareText(a.filter, b.filter))
  let given = 0
  for (const group of groups) if (giveToMember(state, group, body, effects)) given++
  return given
}

/** A session is ending and has left its groups: what may pass on does; the rest is dropped. */
export function passOnAll(state: State, session: Session, effects: Effects): void {
  for (const entry of session.queue.from(session.queue.base)) {
    const mayPass = entry.state === 'queued' && (entry.terms.qos === 1 || entry.q >= session.queue.sentBelow)
    const passed = mayPass && entry.share !== '' && passOn(state, entry, effects)
    dropEntry(state, session, entry, passed ? 'passedOn' : 'sessionEnded', effects)
  }
}

/**
 * A connected member gave its subscription up. What it may have been sent it settles itself [MQTT-3.10.4-3]; what surely
 * was not sent passes to another member, or stays when there is none.
 */
export function passOnUnsent(state: State, session: Session, filter: string, effects: Effects): void {
  const { queue, receiveMaximum } = session
  const bound = queue.boundOfSent(receiveMaximum + state.settings.settlementLagMax)
  for (const entry of queue.from(bound)) {
    if (entry.share !== filter) continue
    if (passOn(state, entry, effects)) dropEntry(state, session, entry, 'passedOn', effects)
  }
}

function passOn(state: State, entry: Queued, effects: Effects): boolean {
  const group = groupOf(state, entry)
  // What came by a group is never let go: `placed` is there.
  return group !== undefined && entry.placed !== undefined && giveToMember(state, group, entry.placed, effects)
}

function groupOf(state: State, entry: Queued): ShareGroup | undefined {
  const nameEnd = entry.share.indexOf('/', '$share/'.length)
  return state.shares.get(entry.share.slice(nameEnd + 1), entry.share.slice('$share/'.length, nameEnd))
}

function giveToMember(state: State, group: ShareGroup, body: Body, effects: Effects): boolean {
  const member = chooseMember(group, body, state.settings)
  if (member === undefined) return false
  if (group.last !== member.session.clientId) {
    state.records.touch(group)
    group.last = member.session.clientId
  }
  const { message } = body
  const ids = member.subscriptionId === 0 ? [] : [member.subscriptionId]
  const qos = message.qos < member.qos ? message.qos : member.qos
  give(
    state,
    member.session,
    body,
    termsOf(qos, message.retain && member.retainAsPublished, ids),
    group.filter,
    effects,
  )
  return true
}
