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

export class Changes {
  #unlogged: StateRecord[] = []
  #unsaved = new Set<StateRecord>()
  #paused = false
  /** Counts what happened to durable records: equal before and after a command, it changed none. */
  version = 0

  /** Whether anything changed since the log last took it; it may be gone again. */
  get isUnlogged(): boolean {
    return this.#unlogged.length > 0
  }

  /** How many records the store does not have as the log has them. */
  get unsaved(): number {
    return this.#unsaved.size
  }

  /** The record is new, changes, or is gone. */
  mark(record: StateRecord): void {
    if (this.#paused) return
    this.version++
    if (record.gone && (record.marks & (UNSAVED | STORED)) === UNSAVED) {
      record.marks &= ~UNSAVED
      this.#unsaved.delete(record)
    }
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
    this.#unsaved = new Set()
    for (const record of taken) {
      record.marks &= ~UNSAVED
      if (record.gone) record.marks &= ~STORED
      else record.marks |= STORED
      visit(record)
    }
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
    record.marks |= UNSAVED
    this.#unsaved.add(record)
  }
}
