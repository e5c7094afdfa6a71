/**
 * What all open listeners have in common, whatever they speak: how they go on after an error, their handle, and what is
 * known of a connection that came through them.
 */
import type { Server, Socket } from 'node:net'
import { type TLSSocket, Server as TlsServer } from 'node:tls'
import type { ListenerHandle, ListenerOptions } from '../config/options.ts'
import { boundAddress, listenerName, remoteAddressOf } from '../connections/addresses.ts'
import type { Arrival } from '../connections/arrival.ts'
import type { TransportInfo } from '../connections/transport.ts'
import type { ListenerDeps } from './deps.ts'
import { reloadTlsOf, verifiedCertificate } from './tls-material.ts'

/** Set when the listener is closed: a connection that was on its way then is not taken any more. */
export interface Openness {
  closed: boolean
}

/** The handle of a bound server. `cut` ends what is not a network connection of MQTT yet. */
export function listenerHandle(
  server: Server,
  options: ListenerOptions,
  deps: ListenerDeps,
  openness: Openness,
  cut: () => void,
): ListenerHandle {
  const name = listenerName(options)
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
      'tls' in options ? options.tls : undefined,
      server instanceof TlsServer ? server : undefined,
      deps.logger,
      () => openness.closed,
    ),
    async close() {
      if (openness.closed) return
      openness.closed = true
      // Stops listening at once (and removes a Unix socket's file); its callback would wait for the last client.
      server.close()
      cut()
    },
  }
}

export function transportInfo(socket: Socket, options: ListenerOptions, arrival: Arrival | undefined): TransportInfo {
  const encrypted = options.kind === 'tls' || options.kind === 'wss'
  const certificate = encrypted ? verifiedCertificate(socket as TLSSocket) : undefined
  return {
    listener: listenerName(options),
    remoteAddress: arrival?.address ?? remoteAddressOf(socket),
    remotePort: arrival?.port ?? socket.remotePort ?? 0,
    encrypted,
    ...(certificate === undefined ? {} : { certificate }),
  }
}
