/**
 * Reads a snapshot. It may come from another node, so nothing in it is believed: what is missing, doubled, out of bounds or
 * not what its hash says makes it malformed, and nothing makes this throw.
 */
import { filterProblem, joinBytes, type ProtocolVersion, parseShare, type QoS } from '@concordmq/protocol'
import { messageProblem } from '../commands/validity.ts'
import { Reader } from '../encoding/reader.ts'
import { type Body, readBody, refer } from '../messages/body.ts'
import { readMessage } from '../messages/message-codec.ts'
import { PART_SIZE, SPAN_OF_QUEUE_MAX, termsOf } from '../queue/session-queue.ts'
import { RecordKind } from '../records/kinds.ts'
import { RetainedEntry } from '../retained/retained.ts'
import { Session, Subscription } from '../sessions/session.ts'
import type { MachineSettings } from '../settings.ts'
import { NodeLife, State, schedule } from '../state.ts'
import { enterSubscription, filterLevels } from '../subscriptions/subscribing.ts'
import { SNAPSHOT_MAGIC } from './snapshot.ts'

const HASH_BYTES = 32
const KIND_LAST = RecordKind.shareGroup

type Malformed = { readonly malformed: string }

/** The state in a snapshot, or what is wrong with it. */
export function readSnapshot(slices: Iterable<Uint8Array>, settings: MachineSettings): State | Malformed {
  const stream = new Reader(joinBytes([...slices]))
  const magic = stream.raw(SNAPSHOT_MAGIC.length)
  if (!isEqual(magic, SNAPSHOT_MAGIC)) return { malformed: 'not a snapshot of this version' }
  const hash = stream.raw(HASH_BYTES)
  const byKind: Uint8Array[][] = Array.from({ length: KIND_LAST + 1 }, () => [])
  for (;;) {
    const length = stream.u32()
    if (length === 0) break
    const record = stream.raw(length)
    const kind = record[0] ?? 0
    if (kind > KIND_LAST) stream.fail('unknown kind of record')
    else byKind[kind]?.push(record)
  }
  stream.end()
  if (stream.problem !== undefined) return { malformed: stream.problem }
  const restoring: Restoring = { state: new State(settings), bodies: new Map() }
  // Messages before what refers to them, sessions before what belongs to them: kinds are numbered so.
  for (const [kind, records] of byKind.entries()) {
    if (kind === RecordKind.clock && records.length !== 1) return { malformed: 'not exactly one clock' }
    for (const record of records) {
      const reader = new Reader(record, 1)
      READERS[kind]?.(restoring, reader)
      reader.end()
      if (reader.problem !== undefined) return { malformed: `record of kind ${kind}: ${reader.problem}` }
    }
  }
  const { state } = restoring
  for (const session of state.sessions.values()) {
    const { queue } = session
    if (!queue.isBaseRight()) return { malformed: 'queue does not begin with its oldest entry' }
    state.queuesMessages += queue.messages
    state.queuesBytes += queue.bytes
    schedule(state, session)
  }
  if (settings.hashing && !isEqual(state.records.hash(), hash)) return { malformed: 'hash is another' }
  return state
}

interface Restoring {
  readonly state: State
  readonly bodies: Map<string, Body>
}

const READERS: readonly ((restoring: Restoring, reader: Reader) => void)[] = [
  readClock,
  readNode,
  readMessageRecord,
  readSession,
  readSubscription,
  readQueuePart,
  readRetained,
  readShareGroup,
]

function readClock({ state }: Restoring, reader: Reader): void {
  state.clock.position = reader.u53()
  state.clock.timeUs = reader.u53()
  state.clock.index = reader.u32()
}

function readNode({ state }: Restoring, reader: Reader): void {
  const node = reader.u32()
  const life = new NodeLife(node, reader.u53())
  if (state.nodes.has(node)) return reader.fail('node is there twice')
  state.nodes.set(node, life)
  state.records.add(life)
}

function readMessageRecord({ state, bodies }: Restoring, reader: Reader): void {
  const body = readBody(reader)
  const problem = reader.problem ?? messageProblem(body.message, state.settings)
  if (problem !== undefined) return reader.fail(problem)
  const key = bodyKey(body.position, body.index)
  if (bodies.has(key)) return reader.fail('message is there twice')
  bodies.set(key, body)
}

function readSession({ state }: Restoring, reader: Reader): void {
  const clientId = reader.string()
  const set = reader.upTo(7, 'flags of session')
  const session = new Session(clientId, state.records, { kept: (set & 1) !== 0 })
  const { queue } = session
  session.principal = reader.string()
  const version = reader.upTo(5, 'version')
  if (version < 3) reader.fail('version is none of MQTT')
  session.version = version as ProtocolVersion
  session.receiveMaximum = reader.u16()
  session.expirySeconds = reader.u32()
  session.willDueUs = reader.u53()
  session.expiresUs = reader.u53()
  if ((set & 2) !== 0) session.connection = { node: reader.u32(), incarnation: reader.u53(), counter: reader.u53() }
  if ((set & 4) !== 0) {
    const delaySeconds = reader.u32()
    const message = readMessage(reader)
    const problem = reader.problem ?? messageProblem(message, state.settings)
    if (problem !== undefined) return reader.fail(problem)
    session.will = { message, delaySeconds }
  }
  queue.base = reader.u53()
  queue.next = reader.u53()
  queue.sentBelow = reader.u53()
  queue.expiryFloorUs = reader.u53()
  if (queue.base > queue.next || queue.sentBelow > queue.next) reader.fail('queue ends before it begins')
  if (queue.next - queue.base > SPAN_OF_QUEUE_MAX) reader.fail('queue is too long')
  let last = 0
  for (let left = reader.count(2); left > 0 && reader.problem === undefined; left--) {
    const packetId = reader.u16()
    if (packetId <= last) reader.fail('receipts are not ascending')
    session.receipts.add(packetId)
    last = packetId
  }
  if (clientId === '' || session.receiveMaximum === 0) reader.fail('session without client identifier or window')
  if (state.sessions.has(clientId)) reader.fail('session is there twice')
  if (reader.problem !== undefined) return
  state.sessions.set(clientId, session)
  state.records.add(session)
}

function readSubscription({ state }: Restoring, reader: Reader): void {
  const session = state.sessions.get(reader.string())
  const filter = reader.string()
  const options = reader.upTo(63, 'subscription options')
  const subscriptionId = reader.u32()
  if (session === undefined) return reader.fail('subscription without session')
  // By the rules of 3.1.1: whatever version it was made under, and whatever version the session has now.
  if (filterProblem(filter, 4) !== undefined) return reader.fail('filter is invalid')
  if (filterLevels(filter) > state.settings.topicLevelsMax) return reader.fail('filter has too many levels')
  if (session.subscriptions.has(filter)) return reader.fail('subscription is there twice')
  if ((options & 3) === 3 || options >> 4 === 3) return reader.fail('subscription options are none of MQTT')
  const order = {
    filter,
    qos: (options & 3) as QoS,
    noLocal: (options & 4) !== 0,
    retainAsPublished: (options & 8) !== 0,
    retainHandling: (options >> 4) as 0 | 1 | 2,
    subscriptionId,
  }
  enterSubscription(state, new Subscription(session, order, parseShare(filter)))
}

function readQueuePart({ state, bodies }: Restoring, reader: Reader): void {
  const queue = state.sessions.get(reader.string())?.queue
  const number = reader.u53()
  if (queue === undefined) return reader.fail('queue without session')
  let left = reader.u8()
  if (left === 0) reader.fail('part of a queue is empty')
  let last = -1
  for (; left > 0 && reader.problem === undefined; left--) {
    const slot = reader.upTo(PART_SIZE - 1, 'number in its part')
    const set = reader.upTo(15, 'flags of an entry')
    const body = bodies.get(bodyKey(reader.u53(), reader.u32()))
    const share = reader.string()
    const ids: number[] = []
    for (let count = reader.count(4); count > 0; count--) ids.push(reader.u32())
    const q = number * PART_SIZE + slot
    const qos = set & 3
    if (body === undefined) return reader.fail('entry without message')
    if (qos === 0 || qos === 3) return reader.fail('entry has no QoS of a queue')
    if (slot <= last || q < queue.base || q >= queue.next) return reader.fail('entry is out of place')
    const state = (set & 8) === 0 ? 'queued' : 'received'
    queue.enter({ q, placed: body, terms: termsOf(qos as QoS, (set & 4) !== 0, ids), state, share })
    last = slot
  }
}

function readRetained({ state, bodies }: Restoring, reader: Reader): void {
  const topic = reader.string()
  const body = bodies.get(bodyKey(reader.u53(), reader.u32()))
  if (body?.message.topic !== topic) return reader.fail('retained message is missing')
  if (state.retained.entry(topic) !== undefined) return reader.fail('retained message is there twice')
  const entry = new RetainedEntry(body)
  state.retained.add(entry)
  refer(state.records, body)
  state.records.add(entry)
  state.deadlines.set(entry, body.expiresUs)
}

function readShareGroup({ state }: Restoring, reader: Reader): void {
  const filter = reader.string()
  const last = reader.string()
  const share = parseShare(filter)
  const group = share === undefined ? undefined : state.shares.get(share.filter, share.shareName)
  if (group === undefined) return reader.fail('group without member')
  group.last = last
}

function bodyKey(position: number, index: number): string {
  return `${position}.${index}`
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}
