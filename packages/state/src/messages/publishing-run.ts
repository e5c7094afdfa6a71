/**
 * A run of messages takes its places: what differs in the payload only is matched once, and queued for one session after the
 * other. The same happens as if each message were published for itself, save the order in which the sessions have them.
 *
 *   run ─▶ room for all of it, and nothing but kept sessions wants it? ─no─▶ message by message
 *                                      └─yes─▶ all of it to each session, as one record if it may be (`body-run.ts`)
 */
import type { ConnectionId } from '../commands/commands.ts'
import type { Effects } from '../effects.ts'
import { fits, giveBodyRun, giveRun } from '../queue/giving.ts'
import { place, placeRun, type State } from '../state.ts'
import type { Body } from './body.ts'
import { BodyRun } from './body-run.ts'
import { type MessageHead, messageOfRun } from './message.ts'
import { messageBytes } from './message-codec.ts'
import { PackedPayloads, type Payloads } from './payloads.ts'
import { collect, DIRECT_PREFIX, type Match, publishMessage, termsFor } from './publishing.ts'
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
  { head, payloads }: { readonly head: MessageHead; readonly payloads: Payloads },
  publisher: ConnectionId | undefined,
  effects: Effects,
): PublishedRun {
  const matches = collect(state, head)
  if (!isPlain(state, head, payloads, matches.length)) return publishEach(state, { head, payloads }, publisher, effects)
  if (payloads instanceof PackedPayloads && isOneRecord(state, head, payloads, matches)) {
    publishAsOne(state, { head, payloads, matches }, publisher, effects)
    return { taken: payloads.length, matched: matches.length }
  }
  const bodies: Body[] = []
  for (let i = 0; i < payloads.length; i++) {
    const body = place(state, messageOfRun(head, payloads.at(i) as Uint8Array))
    bodies.push(body)
    effects.published(body, publisher)
  }
  for (const { session, subscriptions } of matches) {
    giveRun(state, session, bodies, termsFor(subscriptions, head), effects)
  }
  return { taken: bodies.length, matched: matches.length }
}

/** Whether the run can be one record: every session that it is for queues all of it, and single messages are not hashed. */
function isOneRecord(
  { settings, records }: State,
  head: MessageHead,
  payloads: PackedPayloads,
  matches: readonly Match[],
): boolean {
  if (matches.length === 0 || payloads.length < RUN_RECORD_MIN || records.hashing || records.changes === undefined) {
    return false
  }
  const bytes = payloads.total + payloads.length * messageBytes(messageOfRun(head, NO_BYTES))
  for (const { session, subscriptions } of matches) {
    if (termsFor(subscriptions, head).qos === 0 || !fits(settings, session, payloads.length, bytes)) return false
  }
  return true
}

function publishAsOne(
  state: State,
  of: { readonly head: MessageHead; readonly payloads: PackedPayloads; readonly matches: readonly Match[] },
  publisher: ConnectionId | undefined,
  effects: Effects,
): void {
  const { head, payloads, matches } = of
  const placed = placeRun(state, payloads.length)
  const run = new BodyRun(head, payloads, placed)
  if (effects.publishedRun !== undefined) effects.publishedRun(head, payloads, placed, publisher)
  else for (let i = 0; i < run.count; i++) effects.published(run.body(i), publisher)
  for (const { session, subscriptions } of matches) {
    giveBodyRun(state, session, run, termsFor(subscriptions, head), effects)
  }
}

/** Whether the run is for kept sessions alone, and all queues together have room for it. */
function isPlain(state: State, head: MessageHead, payloads: Payloads, matches: number): boolean {
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
  bytes += totalOf(payloads)
  return queuesBytes + bytes * matches <= settings.queuesBytesMax
}

const NO_BYTES = new Uint8Array(0)
/** A run of fewer messages is not worth a record of its own kind. */
const RUN_RECORD_MIN = 4

function totalOf(payloads: Payloads): number {
  if (payloads instanceof PackedPayloads) return payloads.total
  let bytes = 0
  for (let i = 0; i < payloads.length; i++) bytes += (payloads.at(i) as Uint8Array).length
  return bytes
}

function publishEach(
  state: State,
  { head, payloads }: { readonly head: MessageHead; readonly payloads: Payloads },
  publisher: ConnectionId | undefined,
  effects: Effects,
): PublishedRun {
  let taken = 0
  let matched = 0
  for (let i = 0; i < payloads.length; i++) {
    const message = messageOfRun(head, payloads.at(i) as Uint8Array)
    if (isRefused(state, message)) break
    matched = publishMessage(state, message, publisher, effects)
    taken++
  }
  return { taken, matched }
}
