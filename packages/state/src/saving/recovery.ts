/**
 * The machine as it was when its process ended: the records of the store, changed by the groups of the log behind them.
 *
 *   records of the store ─┐
 *                         ├─▶ prepare ─▶ content of some chunks ─▶ finish ─▶ machine
 *   groups of the log ────┘
 *
 * Pure like the rest: whoever reads the files hands in bytes. Nothing in them is believed.
 */
import { Reader } from '../encoding/reader.ts'
import { Writer } from '../encoding/writer.ts'
import { Body } from '../messages/body.ts'
import { type ReadRun, readBodyRun, recordOfRun } from '../messages/read-run.ts'
import { readContent } from '../messages/shelf.ts'
import { RecordKind } from '../records/kinds.ts'
import {
  completeState,
  type EntryForm,
  type Malformed,
  Restoring,
  readEntries,
  readRecord,
  writeEntries,
} from '../records/reading.ts'
import type { MachineSettings } from '../settings.ts'
import { State } from '../state.ts'
import { How } from './delta.ts'

/** In this order: messages and chunks before what refers to them, sessions before what belongs to them. */
const ORDER = [
  RecordKind.clock,
  RecordKind.node,
  RecordKind.message,
  RecordKind.chunk,
  RecordKind.session,
  RecordKind.subscription,
  RecordKind.shareGroup,
  RecordKind.will,
  RecordKind.queuePart,
  RecordKind.retained,
  RecordKind.admin,
]

interface Stored {
  readonly key: Uint8Array
  value: Uint8Array
  /** Whether the store has this very value. */
  stored: boolean
  /** Whether the store has some value under the key. */
  known: boolean
}

interface Change {
  readonly key: Uint8Array
  /** Undefined: gone, or only entries changed. */
  value: Uint8Array | undefined
  gone: boolean
  entries: Uint8Array[]
}

export class Recovery {
  readonly #settings: MachineSettings
  readonly #records: Stored[] = []
  readonly #changes = new Map<string, Change>()
  readonly #stale: Uint8Array[] = []
  /** By position. */
  readonly #runs = new Map<number, ReadRun[]>()
  readonly #contents = new Map<number, Uint8Array>()
  #place: { position: number; timeUs: number; index: number } | undefined

  constructor(settings: MachineSettings) {
    this.#settings = settings
  }

  /** A record of the store; all of them before the first group. */
  record(key: Uint8Array, value: Uint8Array): void {
    this.#records.push({ key, value, stored: true, known: true })
  }

  /** A group of the log, in the order of the log. A problem, or undefined. */
  group(bytes: Uint8Array): string | undefined {
    const reader = new Reader(bytes)
    const place = { position: reader.u53(), timeUs: reader.u53(), index: reader.u32() }
    if (place.position <= this.#savedPosition()) return reader.problem
    while (reader.left > 0) {
      const how = reader.upTo(How.run, 'kind of change')
      const key = reader.bytes()
      const value = how === How.gone ? undefined : reader.bytes()
      if (reader.problem !== undefined) break
      if (how !== How.run) this.#change(key, how, value)
      else {
        const run = readBodyRun(key, value as Uint8Array)
        if ('malformed' in run) reader.fail(run.malformed)
        else this.#addRun(run)
      }
    }
    if (reader.problem === undefined) this.#place = place
    return reader.problem
  }

  /** The records with the changes of the log in them. All is handed in; afterwards `replace` may change them. */
  *merged(): IterableIterator<readonly [key: Uint8Array, value: Uint8Array]> {
    this.#merge()
    const place = this.#place
    for (const { key, value } of this.#records) {
      const reader = key[0] === RecordKind.clock && place !== undefined ? new Reader(value) : undefined
      reader?.raw(20)
      reader?.end()
      // The last group has the place; a damaged record is shown as it is.
      if (reader?.problem === undefined && reader !== undefined && place !== undefined) yield [key, placeForm(place)]
      else yield [key, value]
    }
    if (place !== undefined && !this.#records.some(({ key }) => key[0] === RecordKind.clock)) {
      yield [Uint8Array.of(RecordKind.clock), placeForm(place)]
    }
  }

  /**
   * Gives records other values, `undefined`: takes them out, or makes them, by key (`keyName`): whoever repairs what is
   * damaged. The next save brings it to the store, but for lists of chunks: those the caller puts there.
   */
  replace(edits: ReadonlyMap<string, { readonly key: Uint8Array; readonly value: Uint8Array | undefined }>): void {
    this.#merge()
    const left = new Map(edits)
    const records = this.#records.splice(0)
    for (const record of records) {
      const name = keyName(record.key)
      const edit = left.get(name)
      left.delete(name)
      if (edit === undefined) this.#records.push(record)
      else if (edit.value !== undefined) {
        this.#records.push({ key: record.key, value: edit.value, stored: isChunk(record.key), known: record.known })
      } else if (record.known) this.#stale.push(record.key)
    }
    for (const { key, value } of left.values()) {
      if (value !== undefined) this.#records.push({ key, value, stored: isChunk(key), known: isChunk(key) })
    }
  }

  /** All is handed in. Which chunks' contents must be, too; or what is wrong. */
  prepare(): readonly number[] | Malformed {
    this.#merge()
    const wanted = new Set<number>()
    for (const { key, value } of this.#records) {
      if (key[0] !== RecordKind.queuePart) continue
      const reader = new Reader(value)
      // What is hashed must be in memory.
      const all = this.#settings.hashing
      for (const { share, ref } of readEntries(reader))
        if ((all || share !== '') && 'chunk' in ref) wanted.add(ref.chunk)
      if (reader.problem !== undefined) return { malformed: `part of a queue: ${reader.problem}` }
    }
    return [...wanted]
  }

  content(chunk: number, bytes: Uint8Array): void {
    this.#contents.set(chunk, bytes)
  }

  /** The state, and the keys that the next save must take out of the store; or what is wrong. */
  finish(): { readonly state: State; readonly stale: readonly Uint8Array[] } | Malformed {
    const state = new State(this.#settings)
    const byKind: Stored[][] = Array.from({ length: RecordKind.admin + 1 }, () => [])
    const willed = new Set<string>()
    for (const record of this.#records) {
      byKind[record.key[0] ?? 0]?.push(record)
      if (record.key[0] === RecordKind.will) willed.add(new Reader(record.key, 1).string())
    }
    const restoring = new Restoring(state, (clientId) => willed.has(clientId))
    for (const [id, bytes] of this.#contents) {
      const bodies = readContent(bytes)
      if ('malformed' in bodies) return { malformed: `content of chunk ${id}: ${bodies.malformed}` }
      restoring.load(id, bodies)
    }
    const { changes } = state.records
    changes?.pause()
    for (const kind of ORDER) {
      for (const { key, value, stored, known } of byKind[kind] ?? []) {
        const reader = new Reader(joined(key, value), 1)
        const record = readRecord(restoring, kind, reader)
        reader.end()
        if (record === undefined || reader.problem !== undefined) {
          return { malformed: `record of kind ${kind}: ${reader.problem ?? 'nothing was read'}` }
        }
        if (record !== state.clock && !(record instanceof Body)) {
          changes?.markRead(record, { stored: known, changed: !stored })
        }
      }
    }
    for (const body of restoring.bodies.values()) {
      if (body.keptReferences > 0) changes?.markRead(body, { stored: false, changed: true })
    }
    // On a single node what a transient session had queued ended with the process; the session is here for its will.
    for (const { kept, queue } of state.sessions.values()) {
      if (!kept && !state.records.keepsAll) queue.base = queue.next
      queue.loggedBelow(queue.next)
    }
    for (const chunk of [...state.shelf.chunks()]) if (chunk.live === 0) state.shelf.drop(chunk)
    if (this.#place !== undefined) Object.assign(state.clock, this.#place)
    const problem = completeState(state)
    changes?.resume()
    return problem === undefined ? { state, stale: this.#stale } : { malformed: problem }
  }

  #savedPosition(): number {
    this.#saved ??= this.#readSaved()
    return this.#saved
  }

  #saved: number | undefined

  #readSaved(): number {
    const clock = this.#records.find(({ key }) => key[0] === RecordKind.clock)
    return clock === undefined ? -1 : new Reader(clock.value).u53()
  }

  #change(key: Uint8Array, how: number, value: Uint8Array | undefined): void {
    const name = keyName(key)
    let change = this.#changes.get(name)
    if (change === undefined) {
      change = { key, value: undefined, gone: false, entries: [] }
      this.#changes.set(name, change)
    }
    if (how === How.entries && value !== undefined) {
      change.entries.push(value)
      return
    }
    change.gone = how === How.gone
    change.value = value
    change.entries = []
  }

  /** Lays the changes of the log over the records of the store. */
  #merge(): void {
    if (this.#changes.size === 0) return
    const kept: Stored[] = []
    for (const record of this.#records) {
      const name = keyName(record.key)
      const change = this.#changes.get(name)
      if (change === undefined) {
        kept.push(record)
        continue
      }
      this.#changes.delete(name)
      const value = resultOf(change, record.value)
      if (value === undefined) this.#stale.push(record.key)
      else kept.push({ key: record.key, value, stored: false, known: true })
    }
    for (const change of this.#changes.values()) {
      const value = resultOf(change, undefined)
      if (value !== undefined) kept.push({ key: change.key, value, stored: false, known: false })
    }
    this.#changes.clear()
    for (const { key, value } of this.#wantedOfRuns(kept)) kept.push({ key, value, stored: false, known: false })
    this.#records.length = 0
    for (const record of kept) this.#records.push(record)
  }

  #addRun(run: ReadRun): void {
    const runs = this.#runs.get(run.position)
    if (runs === undefined) this.#runs.set(run.position, [run])
    else runs.push(run)
  }

  /** The messages of runs that queues refer to, each once. */
  #wantedOfRuns(records: readonly Stored[]): readonly { readonly key: Uint8Array; readonly value: Uint8Array }[] {
    if (this.#runs.size === 0) return []
    const found = new Map<string, { readonly key: Uint8Array; readonly value: Uint8Array }>()
    for (const { key, value } of records) {
      if (key[0] !== RecordKind.queuePart) continue
      for (const { ref } of readEntries(new Reader(value))) {
        if (!('position' in ref) || found.has(`${ref.position}.${ref.index}`)) continue
        for (const run of this.#runs.get(ref.position) ?? []) {
          const record = recordOfRun(run, ref.index)
          if (record !== undefined) found.set(`${ref.position}.${ref.index}`, record)
        }
      }
    }
    this.#runs.clear()
    return [...found.values()]
  }
}

/** The value of a record after its changes; undefined: it is gone. */
function resultOf(change: Change, before: Uint8Array | undefined): Uint8Array | undefined {
  if (change.entries.length === 0) return change.gone ? undefined : change.value
  const entries = new Map<number, EntryForm>()
  const base = change.gone ? undefined : before
  if (base !== undefined) for (const entry of readEntries(new Reader(base))) entries.set(entry.slot, entry)
  for (const bytes of change.entries) {
    const read = readEntries(new Reader(bytes), (slot) => void entries.delete(slot))
    for (const entry of read) entries.set(entry.slot, entry)
  }
  if (entries.size === 0) return undefined
  const writer = new Writer()
  writeEntries(
    writer,
    [...entries.values()].sort((a, b) => a.slot - b.slot),
  )
  return writer.take()
}

function isChunk(key: Uint8Array): boolean {
  return key[0] === RecordKind.chunk
}

function placeForm(place: { readonly position: number; readonly timeUs: number; readonly index: number }): Uint8Array {
  const writer = new Writer()
  writer.u53(place.position)
  writer.u53(place.timeUs)
  writer.u32(place.index)
  return writer.take()
}

/** A key as a string that a Map can hold: one character a byte. */
export function keyName(key: Uint8Array): string {
  let name = ''
  for (let at = 0; at < key.length; at += 1024) name += String.fromCharCode(...key.subarray(at, at + 1024))
  return name
}

function joined(key: Uint8Array, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(key.length + value.length)
  bytes.set(key)
  bytes.set(value, key.length)
  return bytes
}
