/**
 * Reads records: of a snapshot, which may come from another node, or of the disk. Nothing in them is believed: what is
 * missing, doubled or out of bounds is a problem of the reader, and nothing makes this throw.
 */
import { filterProblem, type ProtocolVersion, parseShare, type QoS } from '@concordmq/protocol'
import { ADMIN_SUBJECTS, AdminRecord, readSigned, signedProblem } from '../admin/admin-document.ts'
import { messageProblem } from '../commands/validity.ts'
import type { DeliveryTerms } from '../effects.ts'
import type { Reader } from '../encoding/reader.ts'
import { Writer } from '../encoding/writer.ts'
import { Body, readBody } from '../messages/body.ts'
import { type Chunk, readDirectory } from '../messages/chunk.ts'
import { readMessage } from '../messages/message-codec.ts'
import type { ShelvedBody } from '../messages/shelf.ts'
import { readLife } from '../nodes/read-life.ts'
import { EntryFlag, PART_SIZE, termsOf } from '../queue/queue-part.ts'
import { SPAN_OF_QUEUE_MAX } from '../queue/session-queue.ts'
import { enterRetained } from '../retained/retaining.ts'
import { Session, Subscription } from '../sessions/session.ts'
import { type State, schedule } from '../state.ts'
import { enterSubscription, filterLevels } from '../subscriptions/subscribing.ts'
import type { StateRecord } from './state-record.ts'

export type Malformed = { readonly malformed: string }

/** Where the message of an entry lies: on the shelf, or in memory by its place. */
export type MessageRef =
  | { readonly chunk: number; readonly slot: number }
  | { readonly position: number; readonly index: number }

/** An entry of a queue as a record has it. */
export interface EntryForm {
  readonly slot: number
  readonly ref: MessageRef
  readonly terms: DeliveryTerms
  readonly received: boolean
  readonly share: string
}

/** Flags of a run of entries: those of one without message on the shelf and without anything beside it. */
const RUN_FLAGS_MAX = EntryFlag.run | EntryFlag.retain | EntryFlag.received | 3

/** What has been read so far. */
export class Restoring {
  readonly state: State
  readonly bodies = new Map<string, Body>()
  /** Whether a transient session has a will: only then is it a durable one. */
  readonly willed: (clientId: string) => boolean
  readonly #contents = new Map<number, ReadonlyMap<number, Body>>()
  #places: Map<string, { readonly chunk: Chunk; readonly slot: number }> | undefined
  readonly #directories = new Map<Chunk, readonly { slot: number; position: number; index: number }[]>()

  constructor(state: State, willed: (clientId: string) => boolean = () => false) {
    this.state = state
    this.willed = willed
  }

  /** The content of a chunk whose messages must be in memory. */
  load(id: number, bodies: readonly ShelvedBody[]): void {
    this.#contents.set(id, new Map(bodies.map(({ slot, body }) => [slot, body])))
  }

  loaded(id: number, slot: number): Body | undefined {
    const body = this.#contents.get(id)?.get(slot)
    const chunk = this.state.shelf.chunk(id)
    if (body === undefined || chunk === undefined) return undefined
    body.chunk = chunk
    body.slot = slot
    return body
  }

  enterDirectory(chunk: Chunk, directory: readonly { slot: number; position: number; index: number }[]): void {
    this.#directories.set(chunk, directory)
  }

  find(ref: MessageRef): Body | { readonly chunk: Chunk; readonly slot: number } | undefined {
    if ('chunk' in ref) {
      const chunk = this.state.shelf.chunk(ref.chunk)
      return chunk?.holds(ref.slot) === true ? { chunk, slot: ref.slot } : undefined
    }
    const key = bodyKey(ref.position, ref.index)
    return this.bodies.get(key) ?? this.#onShelf(key)
  }

  /** The log names a message by its place; a later save may have put it on the shelf. */
  #onShelf(key: string): { readonly chunk: Chunk; readonly slot: number } | undefined {
    if (this.#places === undefined) {
      this.#places = new Map()
      for (const [chunk, directory] of this.#directories) {
        for (const { slot, position, index } of directory) this.#places.set(bodyKey(position, index), { chunk, slot })
      }
    }
    return this.#places.get(key)
  }
}

/** Reads one record behind its kind. */
export function readRecord(restoring: Restoring, kind: number, reader: Reader): StateRecord | undefined {
  const read = READERS[kind]
  if (read === undefined) return failed(reader, `kind ${kind} is unknown`)
  return read(restoring, reader)
}

/** All records are read: what follows from them. A problem, or undefined. */
export function completeState(state: State): string | undefined {
  for (const session of state.sessions.values()) {
    const { queue } = session
    if (!queue.isBaseRight()) return 'queue does not begin with its oldest entry'
    state.queuesMessages += queue.messages
    state.queuesBytes += queue.bytes
    schedule(state, session)
  }
  return undefined
}

/** The entries of a part, in any of its forms. */
export function readEntries(reader: Reader, gone?: (slot: number) => void): EntryForm[] {
  const entries: EntryForm[] = []
  for (let left = reader.u16(); left > 0 && reader.problem === undefined; left--) {
    const slot = reader.u16()
    if (slot >= PART_SIZE) reader.fail('number is not in its part')
    const flags = reader.u8()
    if (flags === EntryFlag.gone && gone !== undefined) {
      gone(slot)
      continue
    }
    if (flags === EntryFlag.goneRun && gone !== undefined) {
      for (let count = countIn(reader, slot); count > 0; count--) gone(slot + count - 1)
      continue
    }
    const qos = flags & 3
    const isRun = (flags & EntryFlag.run) !== 0 && gone !== undefined
    if (isRun && qos !== 0 && qos !== 3 && flags <= RUN_FLAGS_MAX) {
      readRunEntries(reader, slot, flags, entries)
      continue
    }
    if (flags > 63 || qos === 0 || qos === 3) {
      reader.fail('entry has no QoS of a queue')
      break
    }
    const ref =
      (flags & EntryFlag.onShelf) === 0
        ? { position: reader.u53(), index: reader.u32() }
        : { chunk: reader.u32(), slot: reader.u16() }
    let share = ''
    const ids: number[] = []
    if ((flags & EntryFlag.extra) !== 0) {
      share = reader.string()
      for (let count = reader.u16(); count > 0 && reader.problem === undefined; count--) ids.push(reader.u32())
    }
    const terms = termsOf(qos as QoS, (flags & EntryFlag.retain) !== 0, ids)
    entries.push({ slot, ref, terms, received: (flags & EntryFlag.received) !== 0, share })
  }
  return entries
}

/** As many entries as a number says; their messages are one behind the other. */
function readRunEntries(reader: Reader, slot: number, flags: number, entries: EntryForm[]): void {
  const count = countIn(reader, slot)
  const position = reader.u53()
  const index = reader.u32()
  const terms = termsOf((flags & 3) as QoS, (flags & EntryFlag.retain) !== 0, [])
  const received = (flags & EntryFlag.received) !== 0
  for (let i = 0; i < count; i++) {
    entries.push({ slot: slot + i, ref: { position, index: index + i }, terms, received, share: '' })
  }
}

/** How many slots from `slot` on are meant. */
function countIn(reader: Reader, slot: number): number {
  const count = reader.u16()
  if (count === 0 || slot + count > PART_SIZE) reader.fail('run of entries is not in its part')
  return reader.problem === undefined ? count : 0
}

/** The entries of a part, as the store has them. */
export function writeEntries(writer: Writer, entries: readonly EntryForm[]): void {
  writer.u16(entries.length)
  for (const { slot, ref, terms, received, share } of entries) {
    const extra = share !== '' || terms.subscriptionIds.length > 0
    writer.u16(slot)
    writer.u8(
      terms.qos |
        (terms.retain ? EntryFlag.retain : 0) |
        (received ? EntryFlag.received : 0) |
        ('chunk' in ref ? EntryFlag.onShelf : 0) |
        (extra ? EntryFlag.extra : 0),
    )
    if ('chunk' in ref) {
      writer.u32(ref.chunk)
      writer.u16(ref.slot)
    } else {
      writer.u53(ref.position)
      writer.u32(ref.index)
    }
    if (!extra) continue
    writer.string(share)
    writer.u16(terms.subscriptionIds.length)
    for (const id of terms.subscriptionIds) writer.u32(id)
  }
}

/** By kind. Each answers with the record, unless the reader has a problem. */
const READERS: readonly ((restoring: Restoring, reader: Reader) => StateRecord | undefined)[] = [
  readClock,
  readNode,
  readMessageRecord,
  readSession,
  readSubscription,
  readQueuePart,
  readRetained,
  readShareGroup,
  readWill,
  readChunk,
  readAdmin,
]

function readClock({ state }: Restoring, reader: Reader): StateRecord | undefined {
  state.clock.position = reader.u53()
  state.clock.timeUs = reader.u53()
  state.clock.index = reader.u32()
  return state.clock
}

function readNode({ state }: Restoring, reader: Reader): StateRecord | undefined {
  const node = reader.u32()
  const life = readLife(node, reader)
  if (state.nodes.has(node)) return failed(reader, 'node is there twice')
  state.nodes.set(node, life)
  state.records.add(life)
  return life
}

function readMessageRecord({ state, bodies }: Restoring, reader: Reader): StateRecord | undefined {
  const body = readBody(reader)
  const problem = reader.problem ?? messageProblem(body.message, state.settings)
  if (problem !== undefined) return failed(reader, problem)
  const key = bodyKey(body.position, body.index)
  if (bodies.has(key)) return failed(reader, 'message is there twice')
  bodies.set(key, body)
  return body
}

function readSession({ state, willed }: Restoring, reader: Reader): StateRecord | undefined {
  const clientId = reader.string()
  const set = reader.upTo(3, 'flags of session')
  const kept = (set & 1) !== 0
  const durable = kept || willed(clientId) || state.records.keepsAll
  const session = new Session(clientId, { kept, durable }, state)
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
  if (reader.problem !== undefined) return undefined
  state.sessions.set(clientId, session)
  state.records.add(session)
  return session
}

function readSubscription({ state }: Restoring, reader: Reader): StateRecord | undefined {
  const session = state.sessions.get(reader.string())
  const filter = reader.string()
  const options = reader.u8()
  const subscriptionId = reader.u32()
  if (session === undefined) return failed(reader, 'subscription without session')
  // By the rules of 3.1.1: whatever version it was made under, and whatever version the session has now.
  if (filterProblem(filter, 4) !== undefined) return failed(reader, 'filter is invalid')
  if (filterLevels(filter) > state.settings.topicLevelsMax) return failed(reader, 'filter has too many levels')
  if (session.subscriptions.has(filter)) return failed(reader, 'subscription is there twice')
  const retainHandling = (options >> 4) & 3
  if ((options & 3) === 3 || retainHandling === 3) return failed(reader, 'subscription options are none of MQTT')
  const order = {
    filter,
    qos: (options & 3) as QoS,
    noLocal: (options & 4) !== 0,
    retainAsPublished: (options & 8) !== 0,
    retainHandling: retainHandling as 0 | 1 | 2,
    subscriptionId,
    timestamps: (options & 64) !== 0,
    positions: (options & 128) !== 0,
  }
  const subscription = new Subscription(session, order, parseShare(filter))
  enterSubscription(state, subscription)
  return subscription
}

function readQueuePart(restoring: Restoring, reader: Reader): StateRecord | undefined {
  const { state } = restoring
  const queue = state.sessions.get(reader.string())?.queue
  const number = reader.u53()
  if (queue === undefined) return failed(reader, 'queue without session')
  const entries = readEntries(reader)
  if (entries.length === 0) reader.fail('part of a queue is empty')
  let last = -1
  for (const entry of entries) {
    const { slot, terms, received, share } = entry
    if (reader.problem !== undefined) return undefined
    const q = number * PART_SIZE + slot
    if (slot <= last || q < queue.base || q >= queue.next) return failed(reader, 'entry is out of place')
    last = slot
    const found = restoring.find(entry.ref)
    if (found === undefined) return failed(reader, 'entry without message')
    if (found instanceof Body) queue.enter(q, found, terms, share)
    else {
      const loaded = restoring.loaded(found.chunk.id, found.slot)
      if (loaded !== undefined) queue.enter(q, loaded, terms, share)
      else if (share === '') queue.enterShelved(q, found.chunk, found.slot, terms)
      else return failed(reader, 'message of a shared group is not loaded')
    }
    if (received) queue.receive(q)
  }
  return queue.partOf(number * PART_SIZE)
}

function readRetained({ state, bodies }: Restoring, reader: Reader): StateRecord | undefined {
  const topic = reader.string()
  const read = readBody(reader)
  // One message, also where queues refer to it.
  const body = bodies.get(bodyKey(read.position, read.index)) ?? read
  if (body !== read && !isSame(body, read)) return failed(reader, 'message is there twice, and differs')
  if (body.message.topic !== topic) return failed(reader, 'retained message has another topic')
  const problem = reader.problem ?? messageProblem(body.message, state.settings)
  if (problem !== undefined) return failed(reader, problem)
  if (state.retained.entry(topic) !== undefined) return failed(reader, 'retained message is there twice')
  const entry = enterRetained(state, body)
  if (body === read) state.retained.pack(entry)
  return entry
}

function readShareGroup({ state }: Restoring, reader: Reader): StateRecord | undefined {
  const filter = reader.string()
  const last = reader.string()
  const share = parseShare(filter)
  const group = share === undefined ? undefined : state.shares.get(share.filter, share.shareName)
  if (group === undefined) return failed(reader, 'group without member')
  group.last = last
  return group
}

function readWill({ state }: Restoring, reader: Reader): StateRecord | undefined {
  const session = state.sessions.get(reader.string())
  const delaySeconds = reader.u32()
  const message = readMessage(reader)
  const problem = reader.problem ?? messageProblem(message, state.settings)
  if (problem !== undefined) return failed(reader, problem)
  if (session === undefined || session.will !== undefined) return failed(reader, 'will without session, or twice')
  return session.replaceWill(state.records, { message, delaySeconds })
}

function readChunk(restoring: Restoring, reader: Reader): StateRecord | undefined {
  const id = reader.u53()
  const directory = readDirectory(reader)
  if (restoring.state.shelf.chunk(id) !== undefined) return failed(reader, 'chunk is there twice')
  if (reader.problem !== undefined) return undefined
  const chunk = restoring.state.shelf.enter(id, directory)
  restoring.enterDirectory(chunk, directory)
  return chunk
}

function readAdmin({ state }: Restoring, reader: Reader): StateRecord | undefined {
  const subject = reader.u8()
  const position = reader.u53()
  const timeUs = reader.u53()
  const { document, signatures } = readSigned(reader)
  const problem = reader.problem ?? signedProblem(document, signatures)
  if (problem !== undefined) return failed(reader, problem)
  if (ADMIN_SUBJECTS[subject] !== document.subject) return failed(reader, 'document has another subject')
  if (state.admin.has(document.subject)) return failed(reader, 'document is there twice')
  const record = new AdminRecord({ document, signatures, position, timeUs })
  state.admin.set(document.subject, record)
  state.records.add(record)
  return record
}

function isSame(a: Body, b: Body): boolean {
  const forms = [a, b].map((body) => {
    const writer = new Writer()
    body.writeValue(writer)
    return writer.take()
  }) as [Uint8Array, Uint8Array]
  return forms[0].length === forms[1].length && forms[0].every((byte, i) => byte === forms[1][i])
}

function failed(reader: Reader, problem: string): undefined {
  reader.fail(problem)
  return undefined
}

function bodyKey(position: number, index: number): string {
  return `${position}.${index}`
}
