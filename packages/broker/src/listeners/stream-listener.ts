/**
 * Listeners that speak MQTT directly: tcp, tls, unix. Everything a connection needs afterwards is in `StreamTransport`;
 * here is the TLS handshake with its time-out.
 */
import { createServer, type Socket } from 'node:net'
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls'
import type { ListenerHandle, ListenerOptions } from '../config/options.ts'
import { bind, listenerName, remoteAddressOf } from '../connections/addresses.ts'
import type { Arrival } from '../connections/arrival.ts'
import { StreamTransport } from '../connections/stream-transport.ts'
import { handshakeTimeoutMsDefault, type ListenerDeps } from './deps.ts'
import { onIncoming } from './incoming.ts'
import { listenerHandle, type Openness, transportInfo } from './listener-handle.ts'
import { TlsHandshakes } from './tls-handshakes.ts'
import { clientCertificatePolicy, tlsServerOptions } from './tls-material.ts'
import { clearStaleSocket, restrictSocket } from './unix-socket.ts'

type StreamListenerOptions = Extract<ListenerOptions, { readonly kind: 'tcp' | 'tls' | 'unix' }>

export async function openStreamListener(options: StreamListenerOptions, deps: ListenerDeps): Promise<ListenerHandle> {
  const openness: Openness = { closed: false }
  const accept = (socket: Socket, arrival: Arrival | undefined): void => {
    if (openness.closed) socket.destroy()
    else deps.accept(new StreamTransport(socket, transportInfo(socket, options, arrival)), arrival)
  }
  const tls = options.kind === 'tls' ? createSecureServer(options, deps, accept) : undefined
  const server = tls?.server ?? createServer()
  onIncoming(server, options, deps, (socket, arrival) => {
    if (tls === undefined) accept(socket, arrival)
    else tls.handshakes.begin(socket, arrival)
  })
  if (options.kind === 'unix') await clearStaleSocket(options.path)
  await bind(server, options, deps)
  if (options.kind === 'unix') await restrictSocket(options.path)
  return listenerHandle(server, options, deps, openness, () => tls?.handshakes.destroyAll())
}

function createSecureServer(
  options: Extract<ListenerOptions, { readonly kind: 'tls' }>,
  deps: ListenerDeps,
  accept: (socket: Socket, arrival: Arrival | undefined) => void,
): { readonly server: TlsServer; readonly handshakes: TlsHandshakes } {
  const name = listenerName(options)
  const server = createTlsServer({
    ...tlsServerOptions(options.tls, name, deps.logger),
    ...clientCertificatePolicy(options.tls),
    handshakeTimeout: deps.handshakeTimeoutMs ?? handshakeTimeoutMsDefault,
  })
  const handshakes = new TlsHandshakes(server)
  server.on('secureConnection', (socket: TLSSocket) => accept(socket, handshakes.arrivalOf(socket)))
  server.on('tlsClientError', (error: Error, socket: TLSSocket) => {
    if (deps.logger.debugEnabled) {
      deps.logger.debug(
        { event: 'tls.refused', listener: name, remoteAddress: remoteAddressOf(socket), error: error.message },
        'TLS handshake failed',
      )
    }
    // After its time-out Node reports the handshake but leaves the socket open.
    socket.destroy()
  })
  return { server, handshakes }
}
