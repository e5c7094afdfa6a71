/**
 * Looks at all that the disk has, as a start would, but goes on behind what is damaged: what is there, what is wrong, and
 * which edits would make it whole by giving up exactly what is wrong and what depends on it.
 *
 *   records (store and log merged) ─▶ begin ─▶ chunks ─▶ content of each ─▶ end ─▶ problems, edits, counts
 *
 * What follows from something else is mended without loss: the list of a chunk from its content, the beginning of a queue
 * from its entries. It cannot see a changed byte that leaves the form whole, such as one inside a payload.
 */
import { messageProblem } from '../commands/validity.ts'
import { Reader } from '../encoding/reader.ts'
import { Writer } from '../encoding/writer.ts'
import { Body } from '../messages/body.ts'
import { readDirectory, type Shelved } from '../messages/chunk.ts'
import { contentOf, readWholeBodies, type ShelvedBody, shelved } from '../messages/shelf.ts'
import { PART_SIZE } from '../queue/queue-part.ts'
import { RecordKind } from '../records/kinds.ts'
import { type EntryForm, Restoring, readEntries, readRecord } from '../records/reading.ts'
import { readRecordForm, writeRecordForm } from '../records/record-forms.ts'
import type { MachineSettings } from '../settings.ts'
import { State } from '../state.ts'
import { keyName } from './recovery.ts'

export interface Finding {
  /** The record, in words. */
  readonly what: string
  readonly detail: string
  /** What is given up to repair it; empty: nothing. */
  readonly loss: string
}

export interface SurveyCounts {
  sessions: number
  subscriptions: number
  queuedMessages: number
  storedMessages: number
  storedBytes: number
  retained: number
  retainedBytes: number
  wills: number
}

/** A record with its new value; undefined: it goes. */
export interface Edit {
  readonly key: Uint8Array
  readonly value: Uint8Array | undefined
}

type Pair = readonly [key: Uint8Array, value: Uint8Array]

export class Survey {
  readonly findings: Finding[] = []
  readonly counts: SurveyCounts = {
    sessions: 0,
    subscriptions: 0,
    queuedMessages: 0,
    storedMessages: 0,
    storedBytes: 0,
    retained: 0,
    retainedBytes: 0,
    wills: 0,
  }
  /** By `keyName`. */
  readonly edits = new Map<string, Edit>()
  /** Contents to be written anew, by chunk. */
  readonly contents = new Map<number, Uint8Array>()
  readonly #state: State
  readonly #restoring: Restoring
  readonly #byKind = new Map<number, Pair[]>()
  readonly #willed = new Set<string>()
  readonly #shared = new Set<number>()
  readonly #directories = new Map<number, Pair>()
  #byPlace = false
  #positionMax = 0
  #timeMax = 0

  constructor(settings: MachineSettings) {
    this.#state = new State({ ...settings, hashing: false, durable: false })
    this.#restoring = new Restoring(this.#state, (clientId) => this.#willed.has(clientId))
  }

  get position(): number {
    return this.#state.clock.position
  }

  get timeUs(): number {
    return this.#state.clock.timeUs
  }

  /** The records, each once. Returns the chunks whose contents are wanted, ascending. */
  begin(records: Iterable<Pair>): readonly number[] {
    for (const pair of records) {
      const kind = pair[0][0] ?? -1
      const pairs = this.#byKind.get(kind)
      if (pairs === undefined) this.#byKind.set(kind, [pair])
      else pairs.push(pair)
    }
    for (const [kind, pairs] of this.#byKind) {
      if (KNOWN.has(kind)) continue
      for (const [key] of pairs) this.#drop(key, nameOf(key), 'this version knows no such record', 'the record')
    }
    for (const [key] of this.#of(RecordKind.will)) this.#willed.add(new Reader(key, 1).string())
    for (const pair of this.#of(RecordKind.node)) this.#read(pair, 'the life of the node')
    for (const pair of this.#of(RecordKind.message)) {
      if (!this.#read(pair, 'the message')) continue
      this.counts.storedMessages++
    }
    for (const { position, timeUs, bytes } of this.#restoring.bodies.values()) {
      this.#sawPlace(position, timeUs)
      this.counts.storedBytes += bytes
    }
    return this.#wantedChunks()
  }

  /** The content of a chunk that `begin` named; empty: there is none. */
  content(id: number, bytes: Uint8Array): void {
    const { bodies, problem } = readWholeBodies(bytes)
    const good = bodies.filter(({ body }) => messageProblem(body.message, this.#state.settings) === undefined)
    const pair = this.#directories.get(id)
    const { listed, malformed } = directoryOf(pair)
    const found = new Map(good.map((one) => [one.slot, shelved(one.slot, one.body)]))
    const isListRight = malformed === undefined && listed.every((one) => isSame(one, found.get(one.slot)))
    const whole = isListRight ? listed : good.map(({ slot, body }) => shelved(slot, body))
    const key = pair?.[0] ?? writeRecordForm({ kind: 'chunk', id, messages: [] }).key
    const what = `chunk ${id} of stored messages`
    if (problem !== undefined || good.length < bodies.length) {
      this.#find(
        what,
        `its content is damaged: ${problem ?? 'a message breaks the rules'}`,
        'messages behind the damage',
      )
      this.contents.set(id, contentOf(good.map(({ slot, body }) => ({ slot, placed: body }))).content)
    } else if (bytes.length === 0) this.#find(what, 'its content is missing', 'its messages')
    if (!isListRight) {
      const lacking = listed.filter(({ slot }) => !found.has(slot)).length
      if (problem === undefined && bytes.length > 0 && lacking > 0) {
        this.#find(what, `${messagesOf(lacking)} missing from its content`, messagesOf(lacking))
      } else if (problem === undefined && bytes.length > 0)
        this.#find(what, malformed ?? 'its list differs from its content', '')
      this.#edit(key, whole.length === 0 ? undefined : writeRecordForm({ kind: 'chunk', id, messages: whole }).value)
    }
    if (whole.length > 0) this.#enter(id, whole, good)
  }

  end(): void {
    for (const pair of this.#of(RecordKind.session)) {
      if (this.#read(pair, 'the session, with all that belongs to it')) this.counts.sessions++
    }
    for (const pair of this.#of(RecordKind.subscription)) {
      if (this.#read(pair, 'the subscription')) this.counts.subscriptions++
    }
    for (const pair of this.#of(RecordKind.will)) if (this.#read(pair, 'the will')) this.counts.wills++
    this.#queues()
    for (const pair of this.#of(RecordKind.retained)) {
      if (!this.#read(pair, 'the retained message')) continue
      this.counts.retained++
      this.counts.retainedBytes += pair[0].length + pair[1].length
      const form = readRecordForm(...pair)
      if (form !== undefined && 'placed' in form) this.#sawPlace(form.placed.position, form.placed.timeUs)
    }
    for (const pair of this.#of(RecordKind.admin)) this.#read(pair, 'the document')
    this.#clock()
  }

  #wantedChunks(): readonly number[] {
    const wanted = new Set<number>()
    for (const pair of this.#of(RecordKind.chunk)) {
      const reader = new Reader(pair[0], 1)
      const id = reader.u53()
      reader.end()
      if (reader.problem !== undefined) {
        this.#drop(pair[0], 'a list of stored messages', reader.problem, 'the list')
        continue
      }
      this.#directories.set(id, pair)
      wanted.add(id)
    }
    for (const [, value] of this.#of(RecordKind.queuePart)) {
      for (const { ref, share } of readEntries(new Reader(value))) {
        if (!('chunk' in ref)) {
          this.#byPlace = true
          continue
        }
        if (share !== '') this.#shared.add(ref.chunk)
        wanted.add(ref.chunk)
      }
    }
    return [...wanted].sort((a, b) => a - b)
  }

  #enter(id: number, whole: readonly Shelved[], good: readonly ShelvedBody[]): void {
    const chunk = this.#state.shelf.enter(id, whole)
    // A million places are large: kept only where entries name messages by them.
    if (this.#byPlace) this.#restoring.enterDirectory(chunk, whole)
    if (this.#shared.has(id)) this.#restoring.load(id, good)
    this.counts.storedMessages += whole.length
    for (const { slot, position, bytes } of whole) {
      this.counts.storedBytes += bytes
      this.#sawPlace(position, good.find((one) => one.slot === slot)?.body.timeUs ?? 0)
    }
  }

  #queues(): void {
    const first = new Map<string, number>()
    const short = new Set<string>()
    for (const [key, value] of this.#of(RecordKind.queuePart)) {
      const keys = new Reader(key, 1)
      const clientId = keys.string()
      const number = keys.u53()
      keys.end()
      const session = keys.problem === undefined ? this.#state.sessions.get(clientId) : undefined
      const what = `messages queued for session ${JSON.stringify(clientId)}`
      if (session?.kept !== true) {
        short.add(clientId)
        this.#drop(key, what, keys.problem ?? 'queue without session', 'these messages')
        continue
      }
      const { entries, bad, problem } = this.#entriesOf(value, number, session.queue)
      this.counts.queuedMessages += entries.length
      const [oldest] = entries
      if (oldest !== undefined) {
        const q = number * PART_SIZE + oldest.slot
        first.set(clientId, Math.min(first.get(clientId) ?? q, q))
      }
      if (problem === undefined) continue
      short.add(clientId)
      const numbers = bad.length === 0 ? '' : `, numbers ${bad.slice(0, 8).join(', ')}${bad.length > 8 ? ' …' : ''}`
      this.#find(
        what,
        `${problem}${numbers}`,
        bad.length === 0 ? 'what cannot be read of them' : messagesOf(bad.length),
      )
      const form = { kind: 'queuePart', clientId, number, entries } as const
      this.#edit(key, entries.length === 0 ? undefined : writeRecordForm(form).value)
    }
    for (const pair of this.#of(RecordKind.session)) this.#beginQueue(pair, first, short)
  }

  #entriesOf(
    value: Uint8Array,
    number: number,
    queue: { readonly base: number; readonly next: number },
  ): { readonly entries: EntryForm[]; readonly bad: number[]; readonly problem: string | undefined } {
    const reader = new Reader(value)
    const read = readEntries(reader)
    reader.end()
    let { problem } = reader
    // The last one was being read when the damage was met; where bytes only follow, it is whole.
    if (problem !== undefined && problem !== 'bytes follow the end') read.pop()
    const entries: EntryForm[] = []
    const bad: number[] = []
    let last = -1
    for (const entry of read) {
      const q = number * PART_SIZE + entry.slot
      const wrong =
        entry.slot <= last || q < queue.base || q >= queue.next ? 'entry is out of place' : this.#missing(entry)
      if (wrong === undefined) entries.push(entry)
      else {
        problem ??= wrong
        bad.push(q)
      }
      last = Math.max(last, entry.slot)
    }
    if (read.length === 0) problem ??= 'part of a queue is empty'
    return { entries, bad, problem }
  }

  #missing({ ref, share }: EntryForm): string | undefined {
    const found = this.#restoring.find(ref)
    if (found === undefined) return 'entry without message'
    if (share === '' || found instanceof Body) return undefined
    return this.#restoring.loaded(found.chunk.id, found.slot) === undefined ? 'entry without message' : undefined
  }

  /** A queue begins with its oldest entry. */
  #beginQueue(pair: Pair, first: ReadonlyMap<string, number>, short: ReadonlySet<string>): void {
    const [key, value] = pair
    if (this.edits.get(keyName(key))?.value === undefined && this.edits.has(keyName(key))) return
    const form = readRecordForm(key, this.edits.get(keyName(key))?.value ?? value)
    if (form === undefined || !('session' in form) || !form.session.kept) return
    const { clientId, next } = form.session
    const base = first.get(clientId) ?? next
    if (form.session.base === base) return
    if (!short.has(clientId)) this.#find(nameOf(key), 'queue does not begin with its oldest entry', '')
    this.#edit(key, writeRecordForm({ ...form, session: { ...form.session, base } }).value)
  }

  #clock(): void {
    const [pair] = this.#of(RecordKind.clock)
    const form = pair === undefined ? undefined : readRecordForm(...pair)
    const { clock } = this.#state
    if (form !== undefined && 'index' in form && form.position >= this.#positionMax) {
      Object.assign(clock, { position: form.position, timeUs: form.timeUs, index: form.index })
      return
    }
    if (pair === undefined && this.#byKind.size === 0) return
    this.#find('the place that the state has reached', pair === undefined ? 'it is missing' : 'it is damaged', '')
    Object.assign(clock, { position: this.#positionMax + 1, timeUs: this.#timeMax, index: 0 })
    const { position, timeUs, index } = clock
    const { key, value } = writeRecordForm({ kind: 'clock', position, timeUs, index })
    this.#edit(key, value)
    if (pair !== undefined && keyName(pair[0]) !== keyName(key)) this.#edit(pair[0], undefined)
  }

  /** Reads a record into the state; false: it is given up. */
  #read([key, value]: Pair, loss: string): boolean {
    const bytes = new Uint8Array(key.length + value.length)
    bytes.set(key)
    bytes.set(value, key.length)
    const reader = new Reader(bytes, 1)
    const record = readRecord(this.#restoring, key[0] as number, reader)
    if (record === undefined) {
      this.#drop(key, nameOf(key), reader.problem ?? 'nothing was read', loss)
      return false
    }
    reader.end()
    if (reader.problem === undefined) return true
    this.#find(nameOf(key), reader.problem, '')
    const writer = new Writer()
    record.writeValue(writer)
    this.#edit(key, writer.take())
    return true
  }

  #of(kind: number): readonly Pair[] {
    return this.#byKind.get(kind) ?? []
  }

  #sawPlace(position: number, timeUs: number): void {
    if (position > this.#positionMax) this.#positionMax = position
    if (timeUs > this.#timeMax) this.#timeMax = timeUs
  }

  #drop(key: Uint8Array, what: string, detail: string, loss: string): void {
    this.#find(what, detail, loss)
    this.#edit(key, undefined)
  }

  #find(what: string, detail: string, loss: string): void {
    this.findings.push({ what, detail, loss })
  }

  #edit(key: Uint8Array, value: Uint8Array | undefined): void {
    this.edits.set(keyName(key), { key, value })
  }
}

const KNOWN: ReadonlySet<number> = new Set(Object.values(RecordKind).filter((kind) => kind !== RecordKind.shareGroup))
const NAMES: Readonly<Record<number, string>> = {
  [RecordKind.clock]: 'the clock',
  [RecordKind.node]: 'a node',
  [RecordKind.message]: 'a message',
  [RecordKind.session]: 'session',
  [RecordKind.subscription]: 'a subscription of session',
  [RecordKind.queuePart]: 'messages queued for session',
  [RecordKind.retained]: 'retained message of topic',
  [RecordKind.will]: 'will of session',
  [RecordKind.chunk]: 'a list of stored messages',
  [RecordKind.admin]: 'a document of operators',
}

function messagesOf(count: number): string {
  return count === 1 ? '1 message' : `${count} messages`
}

/** What a key names, in words. */
function nameOf(key: Uint8Array): string {
  const kind = key[0] ?? -1
  const name = NAMES[kind]
  if (name === undefined) return `a record of kind ${kind}`
  if (kind === RecordKind.clock || kind === RecordKind.node || kind === RecordKind.admin) return name
  if (kind === RecordKind.message || kind === RecordKind.chunk) return name
  const reader = new Reader(key, 1)
  const first = reader.string()
  if (reader.problem !== undefined) return `${name} (its name is damaged)`
  if (kind !== RecordKind.subscription) return `${name} ${JSON.stringify(first)}`
  return `subscription ${JSON.stringify(reader.string())} of session ${JSON.stringify(first)}`
}

function directoryOf(pair: Pair | undefined): { readonly listed: readonly Shelved[]; readonly malformed?: string } {
  if (pair === undefined) return { listed: [], malformed: 'its list is missing' }
  const reader = new Reader(pair[1])
  const listed = readDirectory(reader)
  reader.end()
  return reader.problem === undefined ? { listed } : { listed: [], malformed: `its list is damaged: ${reader.problem}` }
}

function isSame(a: Shelved, b: Shelved | undefined): boolean {
  return a.position === b?.position && a.index === b.index && a.bytes === b.bytes && a.expiresUs === b.expiresUs
}
