/**
 * Which durable records have changed and are not on disk yet, for two readers that take them at different times:
 *
 *   mark ─▶ unlogged ──takeUnlogged()──▶ the next group of the log       (every turn or so)
 *                          └─▶ unsaved ──takeUnsaved()──▶ the state store (every second or so)
 *
 * What is born and gone between two takes is in neither: most entries of an online session's queue never reach the store,
 * many not even the log. Whoever takes the unsaved records has taken the unlogged ones before, at the same place.
 */
import type { StateRecord } from './state-record.ts'

const UNLOGGED = 1
const UNSAVED = 2
/** A form is in the log: the end must be told there. */
const LOGGED = 4
/** A form is in the store: the end must be told there. */
const STORED = 8
/** In the list of unsaved records, unsaved or not. */
const LISTED = 16
/** So many forgotten records stay in that list, or as many as there are unsaved ones: they keep messages in memory. */
const FORGOTTEN_MIN = 64

export class Changes {
  #unlogged: StateRecord[] = []
  /** Unsaved records and forgotten ones: a list takes a fifth of the time of a set, whose members need hash codes. */
  #unsaved: StateRecord[] = []
  #unsavedCount = 0
  #unsavedWeight = 0
  #paused = false
  /** Counts what happened to durable records: equal before and after a command, it changed none. */
  version = 0

  /** Whether anything changed since the log last took it; it may be gone again. */
  get isUnlogged(): boolean {
    return this.#unlogged.length > 0
  }

  /** How many records the store does not have as the log has them; a run of messages counts as so many. */
  get unsaved(): number {
    return this.#unsavedWeight
  }

  /** The record is new, changes, or is gone. */
  mark(record: StateRecord): void {
    if (this.#paused) return
    this.version++
    if (record.gone && (record.marks & (UNSAVED | STORED)) === UNSAVED) this.#forget(record)
    if ((record.marks & UNLOGGED) !== 0) return
    record.marks |= UNLOGGED
    this.#unlogged.push(record)
  }

  /** Calls `visit` with every record that the log does not have as it is now; with a `gone` one only if the log knows it. */
  takeUnlogged(visit: (record: StateRecord) => void): void {
    const taken = this.#unlogged
    this.#unlogged = []
    for (const record of taken) {
      record.marks &= ~UNLOGGED
      if (!record.gone) {
        record.marks |= LOGGED
        this.#queueForStore(record)
      } else {
        if ((record.marks & (LOGGED | STORED)) === 0) continue
        record.marks &= ~LOGGED
        if ((record.marks & STORED) !== 0) this.#queueForStore(record)
      }
      visit(record)
    }
  }

  /** The same for the store. */
  takeUnsaved(visit: (record: StateRecord) => void): void {
    const taken = this.#unsaved
    this.#unsaved = []
    this.#unsavedCount = 0
    this.#unsavedWeight = 0
    for (const record of taken) {
      const forgotten = (record.marks & UNSAVED) === 0
      record.marks &= ~(UNSAVED | LISTED)
      if (forgotten) continue
      if (record.gone) record.marks &= ~STORED
      else record.marks |= STORED
      visit(record)
    }
  }

  /** What the disk may have of another state, whose place this one takes: it ends there before anything of this one is told. */
  supersede(records: Iterable<StateRecord>): void {
    const ended: StateRecord[] = []
    for (const record of records) {
      record.marks = UNLOGGED | LOGGED | STORED
      record.gone = true
      ended.push(record)
    }
    this.version++
    this.#unlogged = ended.concat(this.#unlogged)
  }

  get isOn(): boolean {
    return !this.#paused
  }

  /** The state is being read: nothing that happens is a change. */
  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
  }

  /** A record that was read at start, as the store has it or, from the log, as the store does not. */
  markRead(record: StateRecord, { stored, changed }: { readonly stored: boolean; readonly changed: boolean }): void {
    record.marks |= stored ? LOGGED | STORED : LOGGED
    if (changed) this.#queueForStore(record)
  }

  #queueForStore(record: StateRecord): void {
    if ((record.marks & UNSAVED) !== 0) return
    if ((record.marks & LISTED) === 0) this.#unsaved.push(record)
    record.marks |= UNSAVED | LISTED
    this.#unsavedCount++
    this.#unsavedWeight += record.weight
  }

  /** The store need not hear of it. */
  #forget(record: StateRecord): void {
    record.marks &= ~UNSAVED
    this.#unsavedCount--
    this.#unsavedWeight -= record.weight
    if (this.#unsaved.length - this.#unsavedCount <= Math.max(FORGOTTEN_MIN, this.#unsavedCount)) return
    this.#unsaved = this.#unsaved.filter((listed) => {
      if ((listed.marks & UNSAVED) !== 0) return true
      listed.marks &= ~LISTED
      return false
    })
  }
}
