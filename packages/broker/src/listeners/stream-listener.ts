/**
 * Listeners that speak MQTT directly: tcp, tls, unix. Everything a connection needs afterwards is in `StreamTransport`;
 * here are accepting and the TLS handshake with its time-out.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls'
import type { ListenerHandle, ListenerOptions, TlsMaterial } from '../config/options.ts'
import { bind, listenerName, remoteAddressOf } from '../connections/addresses.ts'
import { StreamTransport } from '../connections/stream-transport.ts'
import { handshakeTimeoutMsDefault, type ListenerDeps } from './deps.ts'
import { listenerHandle, type Openness, transportInfo } from './listener-handle.ts'
import { TlsHandshakes } from './tls-handshakes.ts'
import { clientCertificatePolicy, tlsServerOptions } from './tls-material.ts'
import { clearStaleSocket, restrictSocket } from './unix-socket.ts'

type StreamListenerOptions = Extract<ListenerOptions, { readonly kind: 'tcp' | 'tls' | 'unix' }>

export async function openStreamListener(options: StreamListenerOptions, deps: ListenerDeps): Promise<ListenerHandle> {
  const openness: Openness = { closed: false }
  const accept = (socket: Socket): void => {
    if (openness.closed) socket.destroy()
    else deps.accept(new StreamTransport(socket, transportInfo(socket, options)))
  }

  const tls = options.kind === 'tls' ? createSecureServer(options.tls, listenerName(options), deps, accept) : undefined
  const server = tls?.server ?? createPlainServer(deps, accept)
  if (options.kind === 'unix') await clearStaleSocket(options.path)
  await bind(server, options)
  if (options.kind === 'unix') await restrictSocket(options.path)
  return listenerHandle(server, options, deps, openness, () => tls?.handshakes.destroyAll())
}

function createPlainServer(deps: ListenerDeps, accept: (socket: Socket) => void): Server {
  return createServer((socket) => {
    if (deps.admission.admit(socket)) accept(socket)
  })
}

function createSecureServer(
  material: TlsMaterial,
  name: string,
  deps: ListenerDeps,
  accept: (socket: Socket) => void,
): { readonly server: TlsServer; readonly handshakes: TlsHandshakes } {
  const server = createTlsServer({
    ...tlsServerOptions(material, name, deps.logger),
    ...clientCertificatePolicy(material),
    handshakeTimeout: deps.handshakeTimeoutMs ?? handshakeTimeoutMsDefault,
  })
  const handshakes = new TlsHandshakes(server)
  server.on('connection', (socket: Socket) => deps.admission.admit(socket))
  server.on('secureConnection', (socket: TLSSocket) => accept(socket))
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
