/**
 * How far the disk of a broker's threads has come, in shared memory: one of them writes, all read. Positions are the order's.
 *
 *   thread that writes ──▶ logged, saved, trouble ─bell─▶ the others: answers leave, messages are let go
 *   the others ──────────▶ wanted ────────────────bell─▶ the thread that writes does not put it off
 *
 * Bells are words that count; who waits for one does so with `Atomics.waitAsync`, in its event loop.
 */
import type { SharedJournal } from '../model/journal.ts'

const LOGGED = 0
const SAVED = 1
const WANTED = 2
const POSITIONS = 3
/** Words behind the positions. */
const TROUBLE = 0
const BELL = 1
const WANTED_BELL = 2
const WORDS = 3

export function shareDisk(): SharedArrayBuffer {
  return new SharedArrayBuffer(POSITIONS * BigInt64Array.BYTES_PER_ELEMENT + WORDS * Int32Array.BYTES_PER_ELEMENT)
}

class SharedWords {
  protected readonly positions: BigInt64Array
  protected readonly words: Int32Array
  /** A waiter is registered on the bell. */
  #isArmed = false
  #isClosed = false

  constructor(buffer: SharedArrayBuffer) {
    this.positions = new BigInt64Array(buffer, 0, POSITIONS)
    this.words = new Int32Array(buffer, POSITIONS * BigInt64Array.BYTES_PER_ELEMENT, WORDS)
  }

  protected position(of: number): number {
    return Number(Atomics.load(this.positions, of))
  }

  protected ring(bell: number): void {
    Atomics.add(this.words, bell, 1)
    Atomics.notify(this.words, bell)
  }

  /** Calls back once when the bell rings; `heard`: what it said when all that it tells was last looked at. */
  protected wait(bell: number, heard: number, woken: () => void): void {
    if (this.#isArmed || this.#isClosed) return
    this.#isArmed = true
    const done = (): void => {
      this.#isArmed = false
      if (!this.#isClosed) woken()
    }
    const waiting = Atomics.waitAsync(this.words, bell, heard)
    if (waiting.async) void waiting.value.then(done)
    else queueMicrotask(done)
  }

  protected closeOn(bell: number): void {
    this.#isClosed = true
    Atomics.notify(this.words, bell)
  }
}

/** The end of the thread that writes. */
export class DiskWriter extends SharedWords implements SharedJournal {
  readonly #mark: () => void
  #wanted = 0

  /** `mark`: puts one into the order that all threads apply. */
  constructor(buffer: SharedArrayBuffer, mark: () => void) {
    super(buffer)
    this.#mark = mark
  }

  logged(position: number): void {
    Atomics.store(this.positions, LOGGED, BigInt(position))
    this.ring(BELL)
  }

  saved(position: number): void {
    Atomics.store(this.positions, SAVED, BigInt(position))
    this.ring(BELL)
  }

  setTrouble(trouble: boolean): void {
    Atomics.store(this.words, TROUBLE, trouble ? 1 : 0)
  }

  get wanted(): number {
    return this.position(WANTED)
  }

  onWanted(wanted: () => void): void {
    const heard = Atomics.load(this.words, WANTED_BELL)
    if (this.wanted > this.#wanted) {
      this.#wanted = this.wanted
      wanted()
    }
    this.wait(WANTED_BELL, heard, () => this.onWanted(wanted))
  }

  mark(): void {
    this.#mark()
  }

  close(): void {
    this.closeOn(WANTED_BELL)
  }
}

/** The end of every other thread. */
export class DiskReader extends SharedWords {
  get logged(): number {
    return this.position(LOGGED)
  }

  get saved(): number {
    return this.position(SAVED)
  }

  get trouble(): boolean {
    return Atomics.load(this.words, TROUBLE) === 1
  }

  /** Answers wait for this position. */
  want(position: number): void {
    const wanted = BigInt(position)
    for (;;) {
      const before = Atomics.load(this.positions, WANTED)
      if (before >= wanted) return
      if (Atomics.compareExchange(this.positions, WANTED, before, wanted) === before) break
    }
    this.ring(WANTED_BELL)
  }

  /** Calls `look` now, and again whenever the disk has come further, until it says that nothing is waited for. */
  watch(look: () => boolean): void {
    const heard = Atomics.load(this.words, BELL)
    if (look()) this.wait(BELL, heard, () => this.watch(look))
  }

  close(): void {
    this.closeOn(BELL)
  }
}
