/**
 * Collects the effects of one input, in order, and numbers what is answered later: marks of the write-ahead log, barriers,
 * signature checks, reads. While a log is replayed it keeps silent, except about what is ordered.
 */
import type { Effect, OrderedBatch, ReadRequest, WalRecord } from '../model/effect.ts'
import type { RecordKind } from './records.ts'

const NOTHING: readonly Effect[] = []

/** What a check or a read was for; called with its answer. */
export type Answered<T> = (answer: T) => void

export class Outbox {
  /** Nothing is sent, written, checked or read: the log is replayed. */
  replaying = false
  #effects: Effect[] = []
  #nextMark = 1
  #nextBarrier = 1
  #nextHandle = 1
  #armedUs = Number.POSITIVE_INFINITY
  readonly #checks = new Map<number, Answered<boolean>>()
  readonly #reads = new Map<number, Answered<Uint8Array | undefined>>()

  /** Ends an input: what is to be done for it. */
  take(): readonly Effect[] {
    if (this.#effects.length === 0) return NOTHING
    const effects = this.#effects
    this.#effects = []
    return effects
  }

  push(effect: Effect): void {
    this.#effects.push(effect)
  }

  send(to: number | 'all', frame: Uint8Array): void {
    if (!this.replaying) this.#effects.push({ type: 'send', to, frame })
  }

  emit(batch: OrderedBatch): void {
    this.#effects.push({ type: 'emit', batch })
  }

  /** Marks up to this one are in the log already. */
  usedMark(mark: number): void {
    this.#nextMark = Math.max(this.#nextMark, mark + 1)
  }

  /** A record with the next mark, to be persisted with the following ones. */
  record(kind: RecordKind, bytes: Uint8Array): WalRecord {
    return { kind, mark: this.#nextMark++, bytes }
  }

  /** Appends without waiting. */
  persist(records: readonly WalRecord[]): void {
    if (!this.replaying && records.length > 0) this.#effects.push({ type: 'persist', records })
  }

  /** Appends and syncs; the answer names the barrier. */
  persistThen(records: readonly WalRecord[]): number {
    const barrier = this.#nextBarrier++
    this.#effects.push({ type: 'persist', records, barrier })
    return barrier
  }

  /** Has a signature checked; `answered` is called in a later input, or never if the process ends. */
  verify(publicKey: Uint8Array, bytes: Uint8Array, signature: Uint8Array, answered: Answered<boolean>): void {
    const handle = this.#nextHandle++
    this.#checks.set(handle, answered)
    this.#effects.push({ type: 'verify', handle, publicKey, bytes, signature })
  }

  verified(handle: number, ok: boolean): void {
    const answered = this.#checks.get(handle)
    this.#checks.delete(handle)
    answered?.(ok)
  }

  read(what: ReadRequest, answered: Answered<Uint8Array | undefined>): void {
    const handle = this.#nextHandle++
    this.#reads.set(handle, answered)
    this.#effects.push({ type: 'read', handle, what })
  }

  readDone(handle: number, bytes: Uint8Array | undefined): void {
    const answered = this.#reads.get(handle)
    this.#reads.delete(handle)
    answered?.(bytes)
  }

  /** The timer that was asked for has come. */
  timerCame(): void {
    this.#armedUs = Number.POSITIVE_INFINITY
  }

  /** Asks for a timer by this deadline (of the engine's own time), if none is set to come as early. */
  timerAt(deadlineUs: number, wallUs: number): void {
    if (deadlineUs >= this.#armedUs) return
    this.#armedUs = deadlineUs
    this.#effects.push({ type: 'timerAt', atUs: wallUs })
  }
}
