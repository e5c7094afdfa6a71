/**
 * A network connection over a stream: TCP, TLS, a Unix socket, or whatever Duplex an embedding program hands in.
 *
 * Built around two facts of Node's streams. A write that the kernel takes whole is finished when `write()` returns, and
 * `writableLength` is 0 then, so the connection can use its staging buffer again at once. A write that the kernel does not
 * take whole keeps references to the chunks until its callback; 'drain' comes only for writes above the high-water mark,
 * so it cannot tell that the chunks are free. A plain socket gets an empty write with a callback behind what is pending
 * (rare: its peer is slow); TLS finishes no write at once, so there each flush carries the callback.
 *
 * A plain socket reads into memory that all share (`shared-reads.ts`), and while large packets come into its own
 * (`slab-reads.ts`). Stopping such reads at once would hide from a paused connection that its peer is gone, so what comes is
 * copied and waits, as in a stream, up to the stream's own maximum.
 *
 * Absent: timers for living connections, per-write closures, any knowledge of MQTT.
 */
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { SLAB_BYTES, takeSlab } from '../delivery/slab.ts'
import { sharedBuffer, shareReads } from './shared-reads.ts'
import { LARGE_BYTES_MIN, SlabReads } from './slab-reads.ts'
import type { Transport, TransportInfo, TransportSink } from './transport.ts'

/** How long a peer that closed its half, or was asked to, may take to read the rest. */
export const endGraceMs = 5_000

/** Read while paused; more stays with the system. */
const earlyBytesMax = 65_536

const empty = new Uint8Array(0)

/**
 * How writing to the stream behaves. `socket`: often finished on return. `tls`: finished in the callback, the bytes are
 * encrypted on return. `foreign`: another implementation, which may keep references for as long as it likes (a PassThrough
 * hands the very chunk to its reader), so it gets copies, and what comes from it is copied too.
 */
type StreamKind = 'socket' | 'tls' | 'foreign'

interface Early {
  readonly chunks: Uint8Array[]
  bytes: number
  /** The peer closed its half behind them. */
  ended: boolean
}

export class StreamTransport implements Transport {
  readonly info: TransportInfo
  readonly #stream: Duplex
  readonly #kind: StreamKind
  readonly #onFlushed: () => void
  #sink: TransportSink | undefined
  #ending = false
  #closed = false
  /** Whether a callback behind the pending bytes is on its way. */
  #awaitingFlush = false
  #error: Error | undefined
  #graceTimer: NodeJS.Timeout | undefined
  /** Whether reads go to the shared memory. */
  #shared = false
  #paused = false
  /** What shared reads brought and the sink has not been given. */
  #early: Early | undefined
  /** While large packets come. */
  #slabReads: SlabReads | undefined

  constructor(stream: Duplex, info: TransportInfo) {
    this.#stream = stream
    this.info = info
    this.#kind = stream instanceof TLSSocket ? 'tls' : stream instanceof Socket ? 'socket' : 'foreign'
    this.#onFlushed = () => this.#flushed()
    if (stream instanceof Socket) stream.setNoDelay(true)
    stream.on('error', (error: Error) => {
      this.#error ??= error
      this.destroy()
    })
    // A client that closed its half has ended the network connection: what is pending may still reach it, no more.
    stream.on('end', () => {
      if (this.#early === undefined) this.end()
      else this.#early.ended = true
    })
    stream.on('close', () => this.#close())
    if (stream.destroyed) queueMicrotask(() => this.#close())
  }

  get sink(): TransportSink | undefined {
    return this.#sink
  }

  /** Reading starts here: until then the stream keeps what arrives. */
  set sink(sink: TransportSink | undefined) {
    const first = this.#sink === undefined
    this.#sink = sink
    if (!first || sink === undefined) return
    if (this.#closed) queueMicrotask(() => this.#sink?.closed(this.#error))
    else if (this.#kind === 'foreign')
      this.#stream.on('data', (chunk: Uint8Array) => this.#received(Buffer.from(chunk)))
    else this.#read(this.#stream)
  }

  get pending(): number {
    return this.#stream.writableLength
  }

  write(chunks: readonly Uint8Array[], count: number): void {
    const stream = this.#stream
    if (count === 0 || this.#ending || stream.destroyed) return
    if (this.#kind === 'socket') {
      if (count === 1) stream.write(chunks[0])
      else {
        stream.cork()
        for (let i = 0; i < count; i++) stream.write(chunks[i])
        stream.uncork()
      }
      if (stream.writableLength > 0 && !this.#awaitingFlush) {
        this.#awaitingFlush = true
        stream.write(empty, this.#onFlushed)
      }
      return
    }
    const copy = this.#kind === 'foreign'
    if (count > 1) stream.cork()
    for (let i = 0; i < count; i++) {
      const chunk = chunks[i] as Uint8Array
      const bytes = copy ? Buffer.from(chunk) : chunk
      if (i < count - 1) stream.write(bytes)
      else stream.write(bytes, this.#onFlushed)
    }
    if (count > 1) stream.uncork()
  }

  pause(): void {
    this.#paused = true
    if (!this.#shared) this.#stream.pause()
  }

  resume(): void {
    this.#paused = false
    if (this.#early !== undefined) process.nextTick(() => this.#handOver())
    else if (this.#sink !== undefined) this.#stream.resume()
  }

  end(graceMs: number = endGraceMs): void {
    if (this.#closed || this.#ending) return
    this.#ending = true
    // Reading goes on and is thrown away: closing with unread bytes would reset the connection and could take the last
    // packet (a DISCONNECT with its reason) from a peer that has not read it yet.
    this.#stream.resume()
    this.#stream.end()
    this.#graceTimer = setTimeout(destroyNow, graceMs, this)
    this.#graceTimer.unref()
  }

  destroy(): void {
    if (this.#closed) return
    this.#ending = true
    this.#stream.destroy()
    // A foreign stream may have been told not to announce its end.
    if (this.#kind === 'foreign') setImmediate(() => this.#close())
  }

  /** A plain socket reads into the shared memory as soon as all that it had read before is handed over. */
  #read(stream: Duplex): void {
    if (this.#share()) {
      stream.resume()
      return
    }
    const received = (chunk: Uint8Array): void => {
      this.#received(chunk)
      if (!this.#paused && this.#share()) stream.off('data', received)
    }
    stream.on('data', received)
  }

  #share(): boolean {
    this.#shared =
      this.#kind === 'socket' && shareReads(this.#stream as Socket, (buffer, bytes) => this.#took(buffer, bytes))
    return this.#shared
  }

  /** A read is in `buffer`. Returns where the next one goes. */
  #took(buffer: Uint8Array, bytes: number): Uint8Array {
    if (this.#slabReads !== undefined) return this.#tookIntoSlab(this.#slabReads, bytes, bytes === buffer.length)
    const chunk = buffer.subarray(0, bytes)
    const slab = bytes >= LARGE_BYTES_MIN ? takeSlab() : undefined
    const left = this.#lent(chunk, slab === undefined ? 0 : SLAB_BYTES)
    const begun = chunk.subarray(bytes - left)
    if (slab === undefined) return buffer
    if (left >= LARGE_BYTES_MIN) {
      this.#slabReads = new SlabReads(slab, begun)
      return this.#slabReads.room
    }
    slab.letGo()
    if (left > 0) this.#lent(begun, 0)
    return buffer
  }

  #tookIntoSlab(reads: SlabReads, bytes: number, wasFull: boolean): Uint8Array {
    reads.arrived(bytes)
    const left = this.#lent(reads.begun, SLAB_BYTES)
    if (!this.#closed && reads.taken({ left, wasFull })) return reads.room
    if (left > 0) this.#lent(reads.begun, 0)
    this.#endSlabReads()
    return sharedBuffer()
  }

  #endSlabReads(): void {
    this.#slabReads?.end()
    this.#slabReads = undefined
  }

  /** Gives the sink what was read, or keeps a copy for later. Returns how many bytes it wants again. */
  #lent(chunk: Uint8Array, carriedBytesMax: number): number {
    if (this.#ending) return 0
    if (!this.#paused && this.#early === undefined) return this.#sink?.lent(chunk, carriedBytesMax) ?? 0
    this.#early ??= { chunks: [], bytes: 0, ended: false }
    this.#early.chunks.push(new Uint8Array(chunk))
    this.#early.bytes += chunk.length
    if (this.#early.bytes >= earlyBytesMax) this.#stream.pause()
    return 0
  }

  /** Gives the sink what was read while it paused, until it pauses again. */
  #handOver(): void {
    const early = this.#early
    while (early !== undefined && !this.#paused && !this.#ending && early.chunks.length > 0) {
      this.#sink?.data(early.chunks.shift() as Uint8Array)
    }
    if (early === undefined || this.#paused || this.#ending) return
    this.#early = undefined
    if (early.ended) this.end()
    else this.#stream.resume()
  }

  #received(chunk: Uint8Array): void {
    if (!this.#ending) this.#sink?.data(chunk)
  }

  #flushed(): void {
    this.#awaitingFlush = false
    // Once ending, the stream sends what is left by itself; another write would be an error and lose it.
    if (this.#closed || this.#ending || this.#stream.destroyed) return
    if (this.#stream.writableLength === 0) this.#sink?.drain()
    else if (this.#kind === 'socket') {
      this.#awaitingFlush = true
      this.#stream.write(empty, this.#onFlushed)
    }
  }

  #close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#ending = true
    clearTimeout(this.#graceTimer)
    this.#endSlabReads()
    this.#sink?.closed(this.#error)
  }
}

function destroyNow(transport: StreamTransport): void {
  transport.destroy()
}
