/**
 * Listeners that speak MQTT directly: tcp, tls, unix. Everything a connection needs afterwards is in `StreamTransport`;
 * here are accepting, the TLS handshake with its time-out, and replacing certificates.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls'
import type { ListenerHandle, ListenerOptions, TlsMaterial } from '../config/options.ts'
import { bind, boundAddress, listenerName, remoteAddressOf } from '../connections/addresses.ts'
import { StreamTransport } from '../connections/stream-transport.ts'
import type { TransportInfo } from '../connections/transport.ts'
import { handshakeTimeoutMsDefault, type ListenerDeps } from './deps.ts'
import { TlsHandshakes } from './tls-handshakes.ts'
import { clientCertificatePolicy, reloadTlsOf, tlsServerOptions, verifiedCertificate } from './tls-material.ts'
import { clearStaleSocket, restrictSocket } from './unix-socket.ts'

type StreamListenerOptions = Extract<ListenerOptions, { readonly kind: 'tcp' | 'tls' | 'unix' }>

export async function openStreamListener(options: StreamListenerOptions, deps: ListenerDeps): Promise<ListenerHandle> {
  const name = listenerName(options)
  let closed = false
  const accept = (socket: Socket, encrypted: boolean): void => {
    if (closed) {
      socket.destroy()
      return
    }
    deps.accept(new StreamTransport(socket, infoOf(socket, options, name, encrypted)))
  }

  const tls = options.kind === 'tls' ? createSecureServer(options.tls, name, deps, accept) : undefined
  const server = tls?.server ?? createPlainServer(deps, accept)
  if (options.kind === 'unix') await clearStaleSocket(options.path)
  await bind(server, options)
  if (options.kind === 'unix') await restrictSocket(options.path)
  // Accepting can fail later (no descriptors left); the listener goes on, and so must the process.
  server.on('error', (error) =>
    deps.logger.error({ event: 'listener.error', listener: name, error: error.message }, 'Cannot accept'),
  )

  return {
    name,
    kind: options.kind,
    ...boundAddress(server),
    reloadTls: reloadTlsOf(
      name,
      options.kind === 'tls' ? options.tls : undefined,
      tls?.server,
      deps.logger,
      () => closed,
    ),
    async close() {
      if (closed) return
      closed = true
      // Stops listening at once (and removes a Unix socket's file); its callback would wait for the last client.
      server.close()
      tls?.handshakes.destroyAll()
    },
  }
}

function createPlainServer(deps: ListenerDeps, accept: (socket: Socket, encrypted: boolean) => void): Server {
  return createServer((socket) => {
    if (deps.admission.admit(socket)) accept(socket, false)
  })
}

function createSecureServer(
  material: TlsMaterial,
  name: string,
  deps: ListenerDeps,
  accept: (socket: Socket, encrypted: boolean) => void,
): { readonly server: TlsServer; readonly handshakes: TlsHandshakes } {
  const server = createTlsServer({
    ...tlsServerOptions(material, name, deps.logger),
    ...clientCertificatePolicy(material),
    handshakeTimeout: deps.handshakeTimeoutMs ?? handshakeTimeoutMsDefault,
  })
  const handshakes = new TlsHandshakes(server)
  server.on('connection', (socket: Socket) => deps.admission.admit(socket))
  server.on('secureConnection', (socket: TLSSocket) => accept(socket, true))
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

function infoOf(socket: Socket, options: StreamListenerOptions, listener: string, encrypted: boolean): TransportInfo {
  const certificate = encrypted ? verifiedCertificate(socket as TLSSocket) : undefined
  return {
    listener,
    remoteAddress: options.kind === 'unix' ? options.path : remoteAddressOf(socket),
    remotePort: socket.remotePort ?? 0,
    encrypted,
    ...(certificate === undefined ? {} : { certificate }),
  }
}
