/**
 * A run of messages takes its places. What no session of the machine wants passes as it is, with nothing made for each
 * message; else each is published like any other.
 */
import type { PublishRun } from '@concordmq/protocol'
import type { ConnectionId } from '../commands/commands.ts'
import { packPayloads } from '../messages/payloads.ts'
import { DIRECT_PREFIX, publishMessage } from '../messages/publishing.ts'
import { publishRun as publishPayloads } from '../messages/publishing-run.ts'
import { isRefused } from '../messages/refusing.ts'
import type { Session } from '../sessions/session.ts'
import type { State } from '../state.ts'
import type { BundleEffects, RunOutcome } from './bundle-effects.ts'

export interface RunTerms {
  readonly connection: ConnectionId
  readonly publisher: string
  readonly topic: string
  /** Its session is current. */
  readonly receipts: boolean
}

export function publishRun(state: State, run: PublishRun, terms: RunTerms, effects: BundleEffects): RunOutcome {
  const session = terms.receipts ? state.sessions.get(terms.publisher) : undefined
  if (!isWanted(state, terms.topic) && (session === undefined || takeReceipts(state, session, run))) {
    place(state, run, terms, effects)
    return { type: 'run', taken: run.count, duplicates: 0 }
  }
  if (run.qos < 2) {
    const { topic, publisher, connection } = terms
    const head = { topic, publisher, qos: run.qos, retain: false }
    const payloads = state.records.hashing || run.partsBytes > 0 ? payloadsOf(run) : packPayloads(run)
    return { type: 'run', taken: publishPayloads(state, { head, payloads }, connection, effects).taken, duplicates: 0 }
  }
  let duplicates = 0
  for (let i = 0; i < run.count; i++) {
    if (session?.receipts.has(run.packetId(i)) === true) duplicates++
    else if (!publishOne(state, run, i, terms, session, effects)) return { type: 'run', taken: i, duplicates }
  }
  return { type: 'run', taken: run.count, duplicates }
}

function payloadsOf(run: PublishRun): Uint8Array[] {
  const payloads: Uint8Array[] = []
  for (let i = 0; i < run.count; i++) payloads.push(run.copyPayload(i))
  return payloads
}

/** Whether a session of this machine, a shared group or an address may want messages of this topic. */
function isWanted(state: State, topic: string): boolean {
  const { directMessages } = state.settings
  if (directMessages !== 'off' && topic.startsWith(DIRECT_PREFIX)) return true
  if (directMessages === 'bare' && state.sessions.has(topic)) return true
  let wanted = false
  const found = (): void => {
    wanted = true
  }
  if (state.filters.size > 0) state.filters.match(topic, found)
  if (!wanted && state.shares.size > 0) state.shares.match(topic, found)
  return wanted
}

/** Leaves a receipt for each message, if none of them has one. */
function takeReceipts(state: State, session: Session, run: PublishRun): boolean {
  for (let i = 0; i < run.count; i++) if (session.receipts.has(run.packetId(i))) return false
  state.records.touch(session)
  for (let i = 0; i < run.count; i++) session.receipts.add(run.packetId(i))
  return true
}

function place(state: State, run: PublishRun, { connection, publisher }: RunTerms, effects: BundleEffects): void {
  const { clock } = state
  const { position, index, timeUs } = clock
  clock.index += run.count
  effects.run(run, { position, index, timeUs, connection, publisher })
}

/** False: there is no room for it. */
function publishOne(
  state: State,
  run: PublishRun,
  i: number,
  { connection, publisher, topic }: RunTerms,
  session: Session | undefined,
  effects: BundleEffects,
): boolean {
  const { qos } = run
  const message = { topic, payload: run.copyPayload(i), qos, retain: false, publisher }
  // A refused publish leaves no receipt.
  if (isRefused(state, message)) return false
  if (session !== undefined) {
    state.records.touch(session)
    session.receipts.add(run.packetId(i))
  }
  publishMessage(state, message, connection, effects)
  return true
}
