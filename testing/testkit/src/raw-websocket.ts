/**
 * The client end of a WebSocket as a byte stream, written by hand for the same reason as `wire.ts`: a test decides which
 * frames carry which bytes, and may send frames that no library would. No extensions, no fragments from the server.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createConnection } from 'node:net'
import { Duplex } from 'node:stream'
import type { Target } from './raw-client.ts'

export interface Upgrade {
  readonly status: number
  /** Header names in lower case. */
  readonly headers: ReadonlyMap<string, string>
  readonly stream: WebSocketStream
}

/** What is written goes out as one binary frame for each write; what arrives must come in binary frames. */
export class WebSocketStream extends Duplex {
  readonly #socket: Duplex
  #arrived = Buffer.alloc(0)
  /** Opcodes of all frames from the server. */
  readonly opcodes: number[] = []

  constructor(socket: Duplex, rest: Buffer) {
    super()
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
    socket.on('error', () => {})
    socket.on('close', () => this.destroy())
    this.#take(rest)
  }

  /** One masked frame with FIN. */
  frame(opcode: number, payload: Uint8Array): void {
    const mask = Buffer.from([1, 2, 3, 4])
    const length =
      payload.length < 126
        ? Buffer.from([0x80 | payload.length])
        : payload.length < 65_536
          ? Buffer.from([0x80 | 126, payload.length >> 8, payload.length & 0xff])
          : assert.fail('Frames of this test client have less than 64 KiB')
    const masked = Buffer.from(payload.map((byte, at) => byte ^ (mask[at % 4] ?? 0)))
    this.#socket.write(Buffer.concat([Buffer.from([0x80 | opcode]), length, mask, masked]))
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.frame(2, chunk)
    done()
  }

  override _read(): void {}

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.destroy()
    done(error)
  }

  #take(chunk: Buffer): void {
    this.#arrived = Buffer.concat([this.#arrived, chunk])
    for (;;) {
      const second = this.#arrived[1]
      if (second === undefined) return
      const short = second & 127
      const head = short < 126 ? 2 : short === 126 ? 4 : 10
      if (this.#arrived.length < head) return
      const length =
        short < 126 ? short : short === 126 ? this.#arrived.readUInt16BE(2) : Number(this.#arrived.readBigUInt64BE(2))
      if (this.#arrived.length < head + length) return
      const opcode = (this.#arrived[0] ?? 0) & 15
      this.opcodes.push(opcode)
      if (opcode === 2 || opcode === 0) this.push(this.#arrived.subarray(head, head + length))
      if (opcode === 8) this.push(null)
      this.#arrived = this.#arrived.subarray(head + length)
    }
  }
}

/** Asks for a WebSocket. `protocols` empty: the header is left out. */
export function upgrade(target: Target, protocols: readonly string[], path = '/mqtt'): Promise<Upgrade> {
  const key = 'dGhlIHNhbXBsZSBub25jZQ=='
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: target.host, port: target.port })
    let arrived = Buffer.alloc(0)
    socket.once('error', reject)
    const closed = () => reject(new Error('Closed before an answer to the upgrade'))
    socket.once('close', closed)
    const lines = [
      `GET ${path} HTTP/1.1`,
      `Host: ${target.host}:${target.port}`,
      'Upgrade: websocket',
      'Connection: Upgrade',
      `Sec-WebSocket-Key: ${key}`,
      'Sec-WebSocket-Version: 13',
      ...(protocols.length > 0 ? [`Sec-WebSocket-Protocol: ${protocols.join(', ')}`] : []),
    ]
    socket.write(`${lines.join('\r\n')}\r\n\r\n`)
    const onData = (chunk: Buffer) => {
      arrived = Buffer.concat([arrived, chunk])
      const end = arrived.indexOf('\r\n\r\n')
      if (end < 0) return
      socket.off('data', onData)
      socket.off('error', reject)
      socket.off('close', closed)
      // A test that failed leaves its clients open; they must not keep the process.
      socket.unref()
      const [first = '', ...rest] = arrived.subarray(0, end).toString().split('\r\n')
      const headers = new Map(
        rest.map((line): [string, string] => {
          const colon = line.indexOf(':')
          return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
        }),
      )
      const status = Number(first.split(' ')[1])
      if (status === 101) {
        const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
        assert.equal(headers.get('sec-websocket-accept'), accept)
      }
      resolve({ status, headers, stream: new WebSocketStream(socket, arrived.subarray(end + 4)) })
    }
    socket.on('data', onData)
  })
}
