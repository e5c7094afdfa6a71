/**
 * The bytes on their way to one client, gathered until the end of the event-loop turn and then written at once.
 *
 *   acknowledgements, small messages ──copy──▶ chunk ┐
 *   large runs and payloads ──────by reference───────┴─▶ list ──one writev──▶ transport
 *
 * Chunks come from a pool and go back when the transport has handed everything to the system, so an idle connection holds
 * no buffer. Small things are copied: below `COPY_BYTES_MAX` a copy is cheaper than one more entry of a writev, and does
 * not keep a whole read buffer alive.
 */
import { Buffer } from 'node:buffer'
import type { Backlog, Holder } from './backlog.ts'
import { type Slab, slabOf } from './slab.ts'

/** The part of a transport that output needs. */
export interface OutputTransport {
  readonly pending: number
  write(chunks: readonly Uint8Array[], count: number): void
}

/** Whoever flushes all outputs at the end of the turn. */
export interface FlushQueue {
  /** Where bytes written to transports are counted. */
  readonly counters: { bytesSent: number }
  /** Where bytes that the system does not take are counted; absent: nowhere. */
  readonly backlog?: Backlog
  add(output: Output): void
}

const SMALL_CHUNK = 4096
const LARGE_CHUNK = 65536
/** Up to this size bytes are copied into the chunk instead of being listed. */
export const COPY_BYTES_MAX = 512
/** From this size on lent bytes are referred to where that holds their slab: a slow client may hold so many slabs for its bytes. */
export const BORROW_BYTES_MIN = 16_384
/** Unflushed bytes above which the turn's end is not awaited. */
const EARLY_FLUSH_BYTES = 262144
/** Written and not taken by the system: above this the connection is congested. */
export const CONGESTED_BYTES = 1 << 20
const POOL_MAX = 512

const smallPool: Buffer[] = []
const largePool: Buffer[] = []

function takeChunk(bytes: number): Buffer {
  if (bytes <= SMALL_CHUNK) return smallPool.pop() ?? Buffer.allocUnsafeSlow(SMALL_CHUNK)
  if (bytes <= LARGE_CHUNK) return largePool.pop() ?? Buffer.allocUnsafeSlow(LARGE_CHUNK)
  return Buffer.allocUnsafeSlow(bytes)
}

function returnChunk(chunk: Buffer): void {
  if (chunk.length === SMALL_CHUNK) {
    if (smallPool.length < POOL_MAX) smallPool.push(chunk)
  } else if (chunk.length === LARGE_CHUNK && largePool.length < POOL_MAX) largePool.push(chunk)
}

export class Output {
  /** The chunk being filled; valid after `room`. */
  chunk: Buffer | undefined
  /** Bytes gathered and not yet written to the transport. */
  unflushed = 0
  /** Bytes written to the transport since the beginning. */
  written = 0
  /** Whether this output is in the flush queue. */
  queued = false
  /** Called when a flush has ended a congestion at once, so that no drain of the transport will tell of it. */
  onEased: (() => void) | undefined
  readonly #transport: OutputTransport
  readonly #flushQueue: FlushQueue
  readonly #holder: Holder | undefined
  /** Bytes counted in the backlog. */
  #backed = 0
  #from = 0
  #to = 0
  #list: Uint8Array[] = EMPTY_LIST
  /** Full chunks of which parts are in the list. */
  #full: Buffer[] | undefined
  /** Chunks of which parts are with the transport. */
  #lent: Buffer[] | undefined
  /** Slabs of which parts are in the list. */
  #borrowed: Slab[] = NO_SLABS
  /** Slabs of which parts are with the transport. */
  #held: Slab[] = NO_SLABS
  #closed = false

  /** `holder`: the connection. */
  constructor(transport: OutputTransport, flushQueue: FlushQueue, holder?: Holder) {
    this.#transport = transport
    this.#flushQueue = flushQueue
    this.#holder = holder
  }

  /** The connection holds so many bytes more beyond its output, or fewer; 0: what others hold already. */
  hold(bytes: number): void {
    this.#flushQueue.backlog?.add(this.#holder, bytes)
  }

  letGo(bytes: number): void {
    this.#flushQueue.backlog?.remove(bytes)
  }

  /** Bytes that the system has not taken yet. */
  get pending(): number {
    return this.#transport.pending + this.unflushed
  }

  /** Bytes that the system has taken since the beginning. */
  get taken(): number {
    return this.written - this.#transport.pending
  }

  get congested(): boolean {
    return this.unflushed + this.#transport.pending > CONGESTED_BYTES
  }

  /** Makes room for `bytes` contiguous bytes in `chunk` and returns where they begin. The caller fills them all. */
  room(bytes: number): number {
    let chunk = this.chunk
    if (chunk === undefined) {
      chunk = this.chunk = takeChunk(bytes)
      this.#from = 0
      this.#to = 0
    } else if (this.#to + bytes > chunk.length) {
      this.#cut()
      this.#full ??= []
      this.#full.push(chunk)
      chunk = this.chunk = takeChunk(bytes > LARGE_CHUNK ? bytes : LARGE_CHUNK)
      this.#from = 0
      this.#to = 0
    }
    const at = this.#to
    this.#to = at + bytes
    this.#grew(bytes)
    return at
  }

  /** Adds bytes that do not change any more: small ones by copy, others by reference. */
  append(bytes: Uint8Array): void {
    const n = bytes.length
    if (n > COPY_BYTES_MAX) {
      this.refer(bytes)
      return
    }
    const at = this.room(n)
    const chunk = this.chunk as Buffer
    if (n > 24) chunk.set(bytes, at)
    else for (let i = 0; i < n; i++) chunk[at + i] = bytes[i] as number
  }

  /** Adds bytes by copy, many in several chunks, so that the chunks are those of the pool. */
  copy(bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length; from += LARGE_CHUNK) {
      const piece = bytes.length <= LARGE_CHUNK ? bytes : bytes.subarray(from, from + LARGE_CHUNK)
      const at = this.room(piece.length)
      ;(this.chunk as Buffer).set(piece, at)
    }
  }

  /** Adds lent bytes: many by reference where they lie in a slab, others by copy. */
  borrow(bytes: Uint8Array): void {
    const slab = bytes.length < BORROW_BYTES_MIN || this.#closed ? undefined : slabOf(bytes)
    if (slab === undefined) {
      this.copy(bytes)
      return
    }
    this.refer(bytes)
    if (this.#borrowed.at(-1) === slab) return
    if (this.#borrowed === NO_SLABS) this.#borrowed = []
    this.#borrowed.push(slab)
    slab.lend(this)
  }

  /** Adds bytes by reference. */
  refer(bytes: Uint8Array): void {
    this.#cut()
    if (this.#list === EMPTY_LIST) this.#list = []
    this.#list.push(bytes)
    this.#grew(bytes.length)
  }

  /** Writes everything gathered. Called by the flush queue at the end of the turn. */
  flush(): void {
    this.queued = false
    if (this.unflushed === 0 || this.#closed) return
    this.#cut()
    const list = this.#list
    this.#list = EMPTY_LIST
    this.#flushQueue.counters.bytesSent += this.unflushed
    this.written += this.unflushed
    const congested = this.congested
    this.unflushed = 0
    this.#transport.write(list, list.length)
    if (this.#full !== undefined) {
      for (const chunk of this.#full) this.#lend(chunk)
      this.#full = undefined
    }
    if (this.#borrowed !== NO_SLABS) {
      this.#held = this.#held === NO_SLABS ? this.#borrowed : this.#held.concat(this.#borrowed)
      this.#borrowed = NO_SLABS
    }
    const { pending } = this.#transport
    if (pending !== this.#backed) this.#back(pending)
    if (pending === 0) {
      this.drained()
      if (congested && this.onEased !== undefined) queueMicrotask(this.onEased)
    } else if (this.chunk !== undefined) {
      this.#lend(this.chunk)
      this.chunk = undefined
    }
  }

  /**
   * The transport has handed all that was written to the system: chunks may be used again. Whoever says so may be late, and
   * more may have been written since; a chunk given back then would reach this client with the bytes of another.
   */
  drained(): void {
    if (this.#transport.pending > 0) return
    if (this.#backed > 0) this.#back(0)
    if (this.#lent !== undefined) {
      for (const chunk of this.#lent) returnChunk(chunk)
      this.#lent = undefined
    }
    if (this.#held !== NO_SLABS) {
      for (const slab of this.#held) slab.letGo()
      this.#held = NO_SLABS
    }
    if (this.chunk !== undefined && this.unflushed === 0) {
      returnChunk(this.chunk)
      this.chunk = undefined
    }
  }

  /** Nothing goes out any more. Buffers still with the transport are left to the garbage collector. */
  close(): void {
    this.#closed = true
    if (this.#backed > 0) this.#back(0)
    this.#list = EMPTY_LIST
    this.#lent = undefined
    this.#full = undefined
    for (const slab of this.#held) slab.lose()
    for (const slab of this.#borrowed) slab.letGo()
    this.#held = NO_SLABS
    this.#borrowed = NO_SLABS
    this.chunk = undefined
    this.unflushed = 0
  }

  #back(pending: number): void {
    const more = pending - this.#backed
    this.#backed = pending
    if (more > 0) this.#flushQueue.backlog?.add(this.#holder, more)
    else this.#flushQueue.backlog?.remove(-more)
  }

  #grew(bytes: number): void {
    if (this.#closed) {
      this.#list = EMPTY_LIST
      return
    }
    this.unflushed += bytes
    if (!this.queued) {
      this.queued = true
      this.#flushQueue.add(this)
    }
  }

  /** True when so much is gathered that the end of the turn should not be awaited. */
  get full(): boolean {
    return this.unflushed > EARLY_FLUSH_BYTES
  }

  #cut(): void {
    if (this.chunk === undefined || this.#to === this.#from) return
    if (this.#list === EMPTY_LIST) this.#list = []
    this.#list.push(this.chunk.subarray(this.#from, this.#to))
    this.#from = this.#to
  }

  #lend(chunk: Buffer): void {
    this.#lent ??= []
    this.#lent.push(chunk)
  }
}

const EMPTY_LIST: Uint8Array[] = []
/** None; never written to. */
const NO_SLABS: Slab[] = []
