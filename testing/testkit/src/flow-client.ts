/**
 * A client for load: it acknowledges by itself, calls back for each packet, and can be told to stop reading, to break off or
 * to answer nothing. Where `RawClient` is for one expectation after the other, this one is for many messages at once; both
 * write and read with the same strict `wire.ts`.
 */
import { createConnection, type Socket } from 'node:net'
import type { Target } from './raw-client.ts'
import type { ConnectOptions, Received, Version } from './wire.ts'
import * as wire from './wire.ts'

export interface FlowClientOptions {
  readonly version: Version
  readonly connect: ConnectOptions
  /** Every packet, CONNACK included, before it is acknowledged. */
  readonly onPacket: (packet: Received, client: FlowClient) => void
  readonly onClose?: (client: FlowClient) => void
  /** Whether PUBLISH and PUBREL, and PUBREC of our own messages, are answered. Default true. */
  readonly acknowledges?: boolean
  /** Own address, to come from many of them. */
  readonly localAddress?: string
}

export class FlowClient {
  readonly version: Version
  closed = false
  acknowledges: boolean
  readonly #socket: Socket
  readonly #options: FlowClientOptions
  #rest: Buffer = Buffer.alloc(0)
  #corked: Buffer[] | undefined

  /** `target`: host and port, or the path of a Unix socket. */
  constructor(target: Target | { readonly path: string }, options: FlowClientOptions) {
    this.version = options.version
    this.#options = options
    this.acknowledges = options.acknowledges ?? true
    const from = options.localAddress === undefined ? {} : { localAddress: options.localAddress }
    this.#socket = createConnection('path' in target ? target : { ...target, ...from, noDelay: true })
    this.#socket.on('data', (chunk) => this.#arrived(chunk))
    this.#socket.on('error', () => {})
    this.#socket.on('close', () => {
      this.closed = true
      options.onClose?.(this)
    })
    this.send(wire.connect(options.version, options.connect))
  }

  /** Bytes that the system has not taken yet. */
  get unsentBytes(): number {
    return this.#socket.writableLength
  }

  send(packet: Buffer): void {
    if (this.#corked !== undefined) this.#corked.push(packet)
    else if (!this.#socket.destroyed) this.#socket.write(packet)
  }

  /** What is sent until the end of `body` leaves in one write. */
  together(body: () => void): void {
    if (this.#corked !== undefined) return body()
    const corked: Buffer[] = []
    this.#corked = corked
    try {
      body()
    } finally {
      this.#corked = undefined
    }
    if (corked.length > 0) this.send(corked.length === 1 ? (corked[0] as Buffer) : Buffer.concat(corked))
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** Without DISCONNECT: to the broker a lost connection. */
  drop(): void {
    this.#socket.destroy()
  }

  /** With a TCP reset, which reaches the broker as an error. */
  reset(): void {
    this.#socket.resetAndDestroy()
  }

  disconnect(reason?: number): void {
    this.send(wire.disconnect(reason))
    this.#socket.end()
  }

  #arrived(chunk: Buffer): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    this.together(() => {
      for (;;) {
        const packet = wire.decode(this.version, bytes)
        if (packet === undefined) break
        bytes = bytes.subarray(packet.length)
        this.#options.onPacket(packet, this)
        if (this.acknowledges) this.#acknowledge(packet)
      }
    })
    this.#rest = bytes.length === 0 ? nothing : bytes
  }

  #acknowledge({ type, qos, id, reason }: Received): void {
    if (type === 'PUBLISH') {
      if (qos === 1) this.send(wire.acknowledge('PUBACK', id))
      else if (qos === 2) this.send(wire.acknowledge('PUBREC', id))
    } else if (type === 'PUBREL') this.send(wire.acknowledge('PUBCOMP', id))
    else if (type === 'PUBREC' && reason < 0x80) this.send(wire.acknowledge('PUBREL', id))
  }
}

const nothing: Buffer = Buffer.alloc(0)

/** Connects and waits for CONNACK; rejects if there is none, or one that refuses. */
export function openFlow(
  target: Target | { readonly path: string },
  options: Omit<FlowClientOptions, 'onPacket'> & { readonly onPacket?: FlowClientOptions['onPacket'] },
): Promise<{ readonly client: FlowClient; readonly sessionPresent: boolean }> {
  return new Promise((resolve, reject) => {
    let answered = false
    const client = new FlowClient(target, {
      ...options,
      onPacket: (packet, from) => {
        if (!answered && packet.type === 'CONNACK') {
          answered = true
          if (packet.reason === 0) resolve({ client: from, sessionPresent: packet.sessionPresent })
          else reject(new Error(`CONNECT refused with ${packet.reason}`))
        }
        options.onPacket?.(packet, from)
      },
      onClose: (from) => {
        if (!answered) reject(new Error('Closed before CONNACK'))
        options.onClose?.(from)
      },
    })
    void client
  })
}
