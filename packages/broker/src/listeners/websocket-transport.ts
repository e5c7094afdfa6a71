/**
 * A network connection over a WebSocket: each flush becomes one binary message, whatever packets are in it
 * [MQTT-6.0.0-2]. `ws` does framing and masking; here are the bounds it leaves to its user: pings are answered only while
 * the peer reads, and every way of ending has a time-out.
 */
import type { WebSocket } from 'ws'
import { endGraceMs } from '../connections/stream-transport.ts'
import type { Transport, TransportInfo, TransportSink } from '../connections/transport.ts'

/** A peer that sends pings and reads nothing may make us keep this many bytes. */
const pongBytesPendingMax = 65_536

/** WebSocket close codes (RFC 6455, section 7.4.1). */
const closeNormal = 1000
const closeUnsupportedData = 1003

/** A server never masks and never compresses here. */
const sendOptions = { binary: true, compress: false, fin: true, mask: false } as const

export class WebSocketTransport implements Transport {
  readonly info: TransportInfo
  readonly #socket: WebSocket
  readonly #onSent: (error?: Error | null) => void
  #sink: TransportSink | undefined
  /** Messages that came before there was a sink; the socket is paused from the first one on. */
  #early: Uint8Array[] | undefined
  #ending = false
  #closed = false
  #owesDrain = false
  #error: Error | undefined
  #graceTimer: NodeJS.Timeout | undefined

  /** The socket must come from a server with `autoPong: false`. */
  constructor(socket: WebSocket, info: TransportInfo) {
    this.#socket = socket
    this.info = info
    this.#onSent = () => this.#sent()
    socket.on('message', (data, isBinary) => this.#message(data as Buffer, isBinary))
    socket.on('ping', (data) => this.#pong(data))
    // After a violation of the WebSocket protocol `ws` sends the fitting close code and waits for the peer's.
    socket.on('error', (error) => {
      this.#error ??= error
      this.#endWithin(endGraceMs)
    })
    socket.on('close', () => this.#close())
  }

  get sink(): TransportSink | undefined {
    return this.#sink
  }

  set sink(sink: TransportSink | undefined) {
    const first = this.#sink === undefined
    this.#sink = sink
    if (!first || sink === undefined) return
    const early = this.#early
    this.#early = undefined
    if (early !== undefined) {
      this.#socket.resume()
      for (const chunk of early) sink.data(chunk)
    }
    if (this.#closed) queueMicrotask(() => this.#sink?.closed(this.#error))
  }

  get pending(): number {
    return this.#socket.bufferedAmount
  }

  write(chunks: readonly Uint8Array[], count: number): void {
    const socket = this.#socket
    if (count === 0 || this.#ending || socket.readyState !== socket.OPEN) return
    socket.send(count === 1 ? (chunks[0] as Uint8Array) : joined(chunks, count), sendOptions, this.#onSent)
    if (socket.bufferedAmount > 0) this.#owesDrain = true
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    if (this.#early === undefined) this.#socket.resume()
  }

  end(graceMs: number = endGraceMs): void {
    if (this.#closed || this.#ending) return
    this.#socket.close(closeNormal)
    this.#endWithin(graceMs)
  }

  destroy(): void {
    if (this.#closed) return
    this.#ending = true
    this.#socket.terminate()
  }

  #message(data: Buffer, isBinary: boolean): void {
    if (this.#ending) return
    if (!isBinary) {
      // [MQTT-6.0.0-1] [MQTT3-6.0.0-1] Any other kind of data frame closes the network connection.
      this.#error ??= new Error('The client sent a text frame; MQTT travels in binary frames [MQTT-6.0.0-1]')
      this.#socket.close(closeUnsupportedData)
      this.#endWithin(endGraceMs)
      return
    }
    if (data.length === 0) return
    if (this.#sink !== undefined) {
      this.#sink.data(data)
      return
    }
    this.#socket.pause()
    this.#early ??= []
    this.#early.push(data)
  }

  #pong(data: Buffer): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return
    if (this.#socket.bufferedAmount <= pongBytesPendingMax) this.#socket.pong(data, false)
    else {
      this.#error ??= new Error('The client sends pings and does not read the answers')
      this.destroy()
    }
  }

  #endWithin(graceMs: number): void {
    if (this.#closed) return
    this.#ending = true
    // A paused socket would never show the peer's close frame.
    this.#socket.resume()
    if (this.#graceTimer !== undefined) return
    this.#graceTimer = setTimeout(destroyNow, graceMs, this)
    this.#graceTimer.unref()
  }

  #sent(): void {
    if (!this.#owesDrain || this.#closed || this.#socket.bufferedAmount > 0) return
    this.#owesDrain = false
    this.#sink?.drain()
  }

  #close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#ending = true
    clearTimeout(this.#graceTimer)
    this.#sink?.closed(this.#error)
  }
}

/** One message per flush costs the peer one frame; the copy is cheaper than a frame header and a write per chunk. */
function joined(chunks: readonly Uint8Array[], count: number): Uint8Array {
  let length = 0
  for (let i = 0; i < count; i++) length += (chunks[i] as Uint8Array).length
  const all = Buffer.allocUnsafeSlow(length)
  let at = 0
  for (let i = 0; i < count; i++) {
    const chunk = chunks[i] as Uint8Array
    all.set(chunk, at)
    at += chunk.length
  }
  return all
}

function destroyNow(transport: WebSocketTransport): void {
  transport.destroy()
}
