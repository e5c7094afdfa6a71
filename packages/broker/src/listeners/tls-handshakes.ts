/**
 * TLS connections whose handshake is not done: a closing listener cuts them, and one whose handshake is done gets back what
 * was found out about it when it was accepted. Node shows the accepted socket first and another object once the handshake is
 * done; what both share is the address of the other end, unique per listener.
 */
import type { Socket } from 'node:net'
import type { Server, TLSSocket } from 'node:tls'
import type { Arrival } from '../connections/arrival.ts'

interface Handshake {
  readonly socket: Socket
  readonly arrival: Arrival
}

export class TlsHandshakes {
  readonly #handshakes = new Map<string, Handshake>()
  /** Arrivals of those whose handshake is done, until somebody asks. */
  readonly #done = new WeakMap<TLSSocket, Arrival>()

  /** Follows the server's handshakes from now on. */
  constructor(server: Server) {
    server.prependListener('secureConnection', (socket: TLSSocket) => {
      const key = keyOf(socket)
      const handshake = this.#handshakes.get(key)
      if (handshake === undefined) return
      this.#handshakes.delete(key)
      this.#done.set(socket, handshake.arrival)
    })
  }

  /** A handshake begins on an accepted socket. */
  begin(socket: Socket, arrival: Arrival): void {
    const key = keyOf(socket)
    const handshake = { socket, arrival }
    this.#handshakes.set(key, handshake)
    socket.once('close', () => {
      if (this.#handshakes.get(key) === handshake) this.#handshakes.delete(key)
    })
  }

  /** Undefined: the connection ended in the same turn. */
  arrivalOf(socket: TLSSocket): Arrival | undefined {
    return this.#done.get(socket)
  }

  get size(): number {
    return this.#handshakes.size
  }

  destroyAll(): void {
    for (const { socket } of this.#handshakes.values()) socket.destroy()
  }
}

function keyOf(socket: Socket): string {
  return `${socket.remoteAddress}|${socket.remotePort}`
}
