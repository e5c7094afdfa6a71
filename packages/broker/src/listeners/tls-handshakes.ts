/**
 * TLS connections whose handshake is not done, so that a closing listener can cut them. Node shows the accepted socket
 * first and another object once the handshake is done; what both share is the address of the other end, unique per
 * listener.
 */
import type { Socket } from 'node:net'
import type { Server, TLSSocket } from 'node:tls'

export class TlsHandshakes {
  readonly #sockets = new Map<string, Socket>()

  /** Follows the server's handshakes from now on. */
  constructor(server: Server) {
    server.on('connection', (socket: Socket) => {
      const key = keyOf(socket)
      this.#sockets.set(key, socket)
      socket.once('close', () => {
        if (this.#sockets.get(key) === socket) this.#sockets.delete(key)
      })
    })
    server.on('secureConnection', (socket: TLSSocket) => this.#sockets.delete(keyOf(socket)))
  }

  get size(): number {
    return this.#sockets.size
  }

  destroyAll(): void {
    for (const socket of this.#sockets.values()) socket.destroy()
  }
}

function keyOf(socket: Socket): string {
  return `${socket.remoteAddress}|${socket.remotePort}`
}
