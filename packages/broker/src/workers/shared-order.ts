/**
 * The one order of a broker's worker threads, in shared memory: every worker puts bundles in, and every worker reads all of
 * them in the same order. No thread sits in the middle, and nobody waits for a lock.
 *
 *   order    ┌ 2 ┬ 0 ┬ 2 ┬ 1 ┬ 0 ┬ · ┬ · ┐   whose bundle is next; one word each, taken by compare-and-exchange
 *            └───┴───┴───┴───┴─▲─┴───┴───┘
 *   worker 0 │ bundle │ bundle │  free   │   its bundles, in its own order; written by it alone
 *   worker 1 │ bundle │  free           │
 *   worker 2 │ bundle │ bundle │ free    │
 *   cursors    how far each worker has read: what all have read is free again
 *
 * A bundle lies complete in its worker's ring before the worker takes a place for it, so a thread that the system stops in
 * between holds up nobody. A word of the order says the worker and the lap, so that a word of an earlier lap is never taken
 * for a new one. Entries have numbers 0, 1, 2, …; a number is a place, the same for all. Words of memory hold its low 32 bits.
 *
 * Who finds nothing to read sleeps, and is woken by a bell: a word that says so, and `Atomics.waitAsync` on it, so the event
 * loop serves sockets meanwhile. Who puts something in rings only for those that sleep.
 *
 * Absent: what the bytes mean, and a length for a bundle: one that is larger than a part of the ring is put in in parts, each
 * with a place, and is there at the place of its last one.
 */

import { Buffer } from 'node:buffer'
import { joinBytes } from '@concordmq/protocol'

/** What the threads share. */
export interface SharedMemory {
  readonly workers: number
  /** Words of the order: a power of two. */
  readonly slots: number
  /** Bytes of each worker's ring: a multiple of 16. */
  readonly ringBytes: number
  readonly buffer: SharedArrayBuffer
}

const SLOTS = 1 << 16
const RING_BYTES = 4 * 1024 * 1024

/** Words before the order: the next free place, and which workers wait for room. */
const TAIL = 0
const THIRSTY = 1
const WORDS = 2
/** Words of each worker: how far it has read, and whether it sleeps. */
const CURSOR = 0
const BELL = 1
const WORKER_WORDS = 2
const LAP_MASK = 0xff_ffff
/** Length and whether it goes on u32, u32; time f64. */
const HEAD_BYTES = 16
/** A record takes at most so much of its ring, so that parts of a large bundle can be on their way while others are read. */
const PARTS = 4
/** Entries of one worker that it remembers until it looks which of them have been read by all. */
const UNREAD_ENTRIES = 1024
/** Entries that are read before the others are told. */
const TOLD_ENTRIES = 32

export function shareMemory(
  workers: number,
  { slots = SLOTS, ringBytes = RING_BYTES }: { readonly slots?: number; readonly ringBytes?: number } = {},
): SharedMemory {
  const words = WORDS + workers * WORKER_WORDS + slots
  return { workers, slots, ringBytes, buffer: new SharedArrayBuffer(ringStart(words) + workers * ringBytes) }
}

/** An entry as read. The bytes are a copy. */
export interface SharedEntry {
  /** Its number. */
  readonly place: number
  readonly worker: number
  /** What the worker gave as the time; not ascending from worker to worker. */
  readonly timeUs: number
  /** Undefined: a part of a bundle whose last part comes later. */
  readonly bytes: Uint8Array | undefined
}

/** One worker's end of the order. */
export class SharedOrder {
  readonly #memory: SharedMemory
  readonly #worker: number
  readonly #words: Int32Array
  readonly #slotsAt: number
  readonly #rings: readonly Ring[]
  /** Number of the next entry to read. */
  #next = 0
  #told = 0
  /** Bytes for which there was no room; -1: none. */
  #wanted = -1
  /** A waiter is registered on the bell, whether the word says so or not. */
  #armed = false

  constructor(memory: SharedMemory, worker: number) {
    const { workers, slots, ringBytes, buffer } = memory
    this.#memory = memory
    this.#worker = worker
    this.#slotsAt = WORDS + workers * WORKER_WORDS
    const words = this.#slotsAt + slots
    this.#words = new Int32Array(buffer, 0, words)
    const rings = ringStart(words)
    this.#rings = Array.from({ length: workers }, (_, i) => new Ring(buffer, rings + i * ringBytes, ringBytes))
  }

  /** Number of the next entry that is read here. */
  get next(): number {
    return this.#next
  }

  /** Bytes that one entry takes at most; a larger bundle takes several. */
  get partBytesMax(): number {
    return this.#memory.ringBytes / PARTS - HEAD_BYTES
  }

  /** Whether something is there to read. */
  get readable(): boolean {
    return lapOf(this.#slot(this.#next)) === this.#lap(this.#next)
  }

  /**
   * Puts bytes in, at most `partBytesMax`; `more`: the bundle goes on with the next bytes of this worker. False: there is no room
   * now; `sleep` calls back when there is.
   */
  put(bytes: Uint8Array, { timeUs, more }: { readonly timeUs: number; readonly more: boolean }): boolean {
    const ring = this.#rings[this.#worker] as Ring
    if (ring.unread > UNREAD_ENTRIES || !ring.hasRoom(bytes.length)) ring.free(this.#slowest())
    if (ring.hasRoom(bytes.length)) {
      ring.write(bytes, timeUs, more)
      const place = this.#take()
      if (place >= 0) {
        ring.keep(bytes.length, place)
        this.#wanted = -1
        return true
      }
    }
    this.#wanted = bytes.length
    return false
  }

  /** Wakes everybody else who sleeps: after the last `put` of a turn. */
  ring(): void {
    for (let worker = 0; worker < this.#memory.workers; worker++) if (worker !== this.#worker) this.#wake(worker)
  }

  /** The next entry; undefined: nothing is there. */
  read(): SharedEntry | undefined {
    const place = this.#next
    const word = this.#slot(place)
    if (lapOf(word) !== this.#lap(place)) return undefined
    this.#next++
    const worker = word & 0xff
    const { timeUs, bytes } = (this.#rings[worker] as Ring).read()
    if (this.#next - this.#told >= TOLD_ENTRIES) this.tell()
    return { place, worker, timeUs, bytes }
  }

  /** Lets the others know how far this worker has read: what all have read makes room. */
  tell(): void {
    if (this.#told === this.#next) return
    this.#told = this.#next
    Atomics.store(this.#words, this.#wordOf(this.#worker, CURSOR), this.#next | 0)
    if (Atomics.load(this.#words, THIRSTY) === 0) return
    const thirsty = Atomics.exchange(this.#words, THIRSTY, 0)
    for (let worker = 0; worker < this.#memory.workers; worker++)
      if ((thirsty & (1 << worker)) !== 0) this.#wake(worker)
  }

  /**
   * Calls back once when another worker rings: something came, or there is room for what `put` refused. At the end of this turn if
   * that is so already. Called again before that it changes nothing. Keeps no process alive.
   */
  sleep(woken: () => void): void {
    const bell = this.#wordOf(this.#worker, BELL)
    Atomics.store(this.#words, bell, 1)
    if (this.readable || this.#hasRoom()) {
      Atomics.store(this.#words, bell, 0)
      queueMicrotask(woken)
      return
    }
    if (this.#armed) return
    const waiting = Atomics.waitAsync(this.#words, bell, 1)
    if (!waiting.async) {
      queueMicrotask(woken)
      return
    }
    this.#armed = true
    void waiting.value.then(() => {
      this.#armed = false
      woken()
    })
  }

  /** Nobody needs to ring: this worker is at work. */
  stayAwake(): void {
    Atomics.store(this.#words, this.#wordOf(this.#worker, BELL), 0)
  }

  /** Lets go of what `sleep` registered. */
  close(): void {
    Atomics.notify(this.#words, this.#wordOf(this.#worker, BELL))
  }

  /** Takes the next free place for this worker; -1: the order is full. */
  #take(): number {
    const { slots } = this.#memory
    for (;;) {
      const place = this.#tail()
      const at = this.#slotsAt + (place & (slots - 1))
      const word = Atomics.load(this.#words, at)
      const lap = this.#lap(place)
      if (lapOf(word) === lap) {
        // Somebody has it, and has not moved the tail on yet.
        Atomics.compareExchange(this.#words, TAIL, place | 0, (place + 1) | 0)
        continue
      }
      // A word of neither lap: the tail has gone on since it was read.
      if (lapOf(word) !== ((lap - 1) & LAP_MASK)) continue
      if (place - this.#slowest() >= slots) return -1
      if (Atomics.compareExchange(this.#words, at, word, (lap << 8) | this.#worker) !== word) continue
      Atomics.compareExchange(this.#words, TAIL, place | 0, (place + 1) | 0)
      return place
    }
  }

  /** The next free place, or one that was taken just now. */
  #tail(): number {
    return this.#next + ((Atomics.load(this.#words, TAIL) - (this.#next | 0)) | 0)
  }

  /** All entries below are read by all. */
  #slowest(): number {
    let slowest = this.#told
    for (let worker = 0; worker < this.#memory.workers; worker++) {
      const cursor = Atomics.load(this.#words, this.#wordOf(worker, CURSOR))
      const next = this.#told + ((cursor - (this.#told | 0)) | 0)
      if (next < slowest) slowest = next
    }
    return slowest
  }

  /** Whether what `put` refused last would be taken now. Others ring when they have made room. */
  #hasRoom(): boolean {
    if (this.#wanted < 0) return false
    Atomics.or(this.#words, THIRSTY, 1 << this.#worker)
    const ring = this.#rings[this.#worker] as Ring
    const slowest = this.#slowest()
    ring.free(slowest)
    return ring.hasRoom(this.#wanted) && this.#tail() - slowest < this.#memory.slots
  }

  #wake(worker: number): void {
    const bell = this.#wordOf(worker, BELL)
    if (Atomics.load(this.#words, bell) === 0) return
    if (Atomics.compareExchange(this.#words, bell, 1, 0) === 1) Atomics.notify(this.#words, bell)
  }

  #slot(place: number): number {
    return Atomics.load(this.#words, this.#slotsAt + (place & (this.#memory.slots - 1)))
  }

  /** Which time around an entry is, from 1 on: memory begins with zeros. */
  #lap(place: number): number {
    return (Math.floor(place / this.#memory.slots) + 1) & LAP_MASK
  }

  #wordOf(worker: number, word: number): number {
    return WORDS + worker * WORKER_WORDS + word
  }
}

/** One worker's bundles, as one thread sees them: the worker itself writes, everybody reads at his own pace. */
class Ring {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #size: number
  /** Offsets of the next record to write and to read. */
  #writeAt = 0
  #readAt = 0
  /** Bytes that somebody has not read. */
  #used = 0
  /** Records that somebody has not read: their places, and their bytes. */
  readonly #places: number[] = []
  readonly #lengths: number[] = []
  #first = 0
  /** The parts of a bundle that have been read. */
  #parts: Uint8Array[] = []

  constructor(buffer: SharedArrayBuffer, start: number, size: number) {
    this.#bytes = new Uint8Array(buffer, start, size)
    this.#view = new DataView(buffer, start, size)
    this.#size = size
  }

  /** Records that count as not read by all. */
  get unread(): number {
    return this.#places.length - this.#first
  }

  hasRoom(length: number): boolean {
    return this.#used + recordBytes(length) <= this.#size
  }

  /** Entries below this place have been read by all. */
  free(slowest: number): void {
    const places = this.#places
    let first = this.#first
    while (first < places.length && (places[first] as number) < slowest) this.#used -= this.#lengths[first++] as number
    if (first === places.length) first = places.length = this.#lengths.length = 0
    else if (first > 1024) {
      places.splice(0, first)
      this.#lengths.splice(0, first)
      first = 0
    }
    this.#first = first
  }

  /** Writes a record behind the last one that was kept. */
  write(bytes: Uint8Array, timeUs: number, more: boolean): void {
    const at = this.#writeAt
    this.#view.setUint32(at, bytes.length)
    this.#view.setUint32(at + 4, more ? 1 : 0)
    this.#view.setFloat64(at + 8, timeUs)
    const start = (at + HEAD_BYTES) % this.#size
    const before = Math.min(bytes.length, this.#size - start)
    if (before === bytes.length) this.#bytes.set(bytes, start)
    else {
      this.#bytes.set(bytes.subarray(0, before), start)
      this.#bytes.set(bytes.subarray(before), 0)
    }
  }

  /** The record just written has this place. */
  keep(length: number, place: number): void {
    const bytes = recordBytes(length)
    this.#writeAt = (this.#writeAt + bytes) % this.#size
    this.#used += bytes
    this.#places.push(place)
    this.#lengths.push(bytes)
  }

  read(): { readonly timeUs: number; readonly bytes: Uint8Array | undefined } {
    const at = this.#readAt
    const length = this.#view.getUint32(at)
    const more = this.#view.getUint32(at + 4) === 1
    const timeUs = this.#view.getFloat64(at + 8)
    const start = (at + HEAD_BYTES) % this.#size
    this.#readAt = (at + recordBytes(length)) % this.#size
    const before = Math.min(length, this.#size - start)
    // Not a Buffer, whose `slice` is another; and nobody needs zeros that are written over.
    const bytes = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer)
    bytes.set(this.#bytes.subarray(start, start + before))
    if (before < length) bytes.set(this.#bytes.subarray(0, length - before), before)
    if (!more && this.#parts.length === 0) return { timeUs, bytes }
    this.#parts.push(bytes)
    if (more) return { timeUs, bytes: undefined }
    const whole = joinBytes(this.#parts)
    this.#parts = []
    return { timeUs, bytes: whole }
  }
}

/** Records begin at multiples of 16, so their heads never lie across the end. */
function recordBytes(length: number): number {
  return HEAD_BYTES + ((length + 15) & ~15)
}

function ringStart(words: number): number {
  return (words * 4 + 15) & ~15
}

function lapOf(word: number): number {
  return word >>> 8
}
