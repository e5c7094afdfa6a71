/** TCP, TLS and Unix sockets. Node only. */
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import type { DialOptions, TlsOptions, Transport, TransportSink } from './transport.ts'

/** How long `end()` waits for the server to take what is pending. */
const END_GRACE_MS = 5_000

export function dialStream({ address, tls, connectTimeoutMs }: DialOptions, sink: TransportSink): Transport {
  const { scheme, host, port, path } = address
  const encrypted = scheme === 'mqtts'
  const socket = encrypted
    ? connectTls({ host, port, ...tlsSettings(tls, host) })
    : scheme === 'unix'
      ? connectTcp({ path })
      : connectTcp({ host, port })
  let failure: Error | undefined
  const timer = setTimeout(() => {
    failure = new Error(`no connection within ${connectTimeoutMs} ms`)
    socket.destroy()
  }, connectTimeoutMs)
  socket.setNoDelay(true)
  socket.once(encrypted ? 'secureConnect' : 'connect', () => {
    clearTimeout(timer)
    sink.opened()
  })
  socket.on('data', (chunk) => sink.data(chunk))
  socket.on('drain', () => sink.drain())
  socket.on('error', (error) => {
    failure ??= error
  })
  socket.once('close', () => {
    clearTimeout(timer)
    sink.closed(failure)
  })
  return transportOver(socket)
}

function tlsSettings(tls: TlsOptions, host: string): ConnectionOptions {
  const { ca, cert, key, passphrase, rejectUnauthorized = true, alpnProtocols } = tls
  // An IP address must not stand in the server name indication (RFC 6066); the certificate is still checked against it.
  const servername = tls.servername ?? (isIP(host) === 0 ? host : undefined)
  return {
    rejectUnauthorized,
    minVersion: 'TLSv1.2',
    ...(ca !== undefined && { ca: asPem(ca) }),
    ...(cert !== undefined && { cert: asPem(cert) }),
    ...(key !== undefined && { key: asPem(key) }),
    ...(passphrase !== undefined && { passphrase }),
    ...(servername !== undefined && { servername }),
    ...(alpnProtocols !== undefined && { ALPNProtocols: [...alpnProtocols] }),
  }
}

function asPem(value: string | Uint8Array): string | Buffer {
  return typeof value === 'string' ? value : Buffer.from(value)
}

function transportOver(socket: Socket): Transport {
  return {
    canPause: true,
    write: (bytes, written) => socket.write(bytes, written && (() => written())),
    pause: () => {
      socket.pause()
    },
    resume: () => {
      socket.resume()
    },
    end() {
      const timer = setTimeout(() => socket.destroy(), END_GRACE_MS)
      socket.once('close', () => clearTimeout(timer))
      socket.end()
      // A paused socket would never notice the other end.
      socket.resume()
    },
    destroy: () => {
      socket.destroy()
    },
  }
}
