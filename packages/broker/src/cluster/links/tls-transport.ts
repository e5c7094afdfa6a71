/**
 * Links over TLS 1.3 on TCP. A peer is known by the key of its certificate: TLS proves that it has the private half, and the book
 * says which keys there are. Names, dates and issuers of certificates prove nothing more and are not looked at.
 */
import type { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import { connect, createServer, type SecureContextOptions, type Server, type TLSSocket } from 'node:tls'
import { ConcordError, reasonOf, systemCode } from '../../errors.ts'
import { ownCertificate, serverNameOf } from '../identity/certificates.ts'
import { describeMember, isKnown, type Member, type Members, samePoint } from '../identity/members.ts'
import { keyIdOfPoint, pointOf } from '../identity/node-keys.ts'
import {
  ADMISSION_ALPN,
  ALPN,
  type Channel,
  HANDSHAKE_TIMEOUT_MS,
  HANDSHAKES_MAX,
  joinAddress,
  splitAddress,
  type Transport,
  type TransportEvents,
  type TransportOptions,
} from './transport.ts'

export async function openTlsTransport({ members, host, port, events }: TransportOptions): Promise<Transport> {
  const { certificate, privateKey } = await ownCertificate(members.self, members.privateKey)
  const identity: SecureContextOptions = { cert: certificate, key: privateKey, minVersion: 'TLSv1.3' }
  const server = createServer({
    ...identity,
    requestCert: true,
    // Node would ask for an authority; the key decides, in `pointOfPeer`.
    rejectUnauthorized: false,
    ALPNProtocols: events.newcomer === undefined ? [ALPN] : [ALPN, ADMISSION_ALPN],
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    noDelay: true,
  })
  let admitted = members
  const handshakes = followHandshakes(server)
  const open = new Set<TLSSocket>()
  server.on('secureConnection', (socket: TLSSocket) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket))
    socket.on('error', () => {})
    acceptPeer(socket, admitted, events)
  })
  server.on('tlsClientError', (error: Error, socket: TLSSocket) => {
    events.refused({ kind: 'tls', remote: remoteOf(socket), why: `TLS handshake failed: ${error.message}` })
    socket.destroy()
  })
  await listen(server, host, port)
  const bound = server.address() as { readonly address: string; readonly port: number }
  return {
    kind: 'tls',
    address: joinAddress(bound.address, bound.port),
    port: bound.port,
    dial: (peer, signal) => dial(peer, identity, signal),
    admit(others) {
      admitted = others
    },
    async close() {
      for (const socket of [...open, ...handshakes.values()]) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

function acceptPeer(socket: TLSSocket, members: Members, events: TransportEvents): void {
  const refuse = (why: string): void => {
    events.refused({ kind: 'tls', remote: remoteOf(socket), why })
    socket.destroy()
  }
  const { newcomer } = events
  const isNewcomer = newcomer !== undefined && socket.alpnProtocol === ADMISSION_ALPN
  if (socket.alpnProtocol !== ALPN && !isNewcomer) return refuse('it does not speak the protocol of nodes')
  const point = pointOfPeer(socket)
  if (point === undefined) return refuse('it shows no certificate with a P-256 key')
  if (isNewcomer) return newcomer(channelOf(socket, point))
  if (!isKnown(members, point)) return refuse(`its key ${keyIdOfPoint(point)} is not in the address book`)
  events.incoming(channelOf(socket, point))
}

/**
 * Connections whose handshake is not over: each costs memory and a signature, so only so many are served at once. Node shows the
 * accepted socket first and another object after the handshake; what both share is the address of the other end.
 */
function followHandshakes(server: Server): Map<string, Socket> {
  const pending = new Map<string, Socket>()
  server.on('connection', (socket: Socket) => {
    if (pending.size >= HANDSHAKES_MAX) {
      socket.destroy()
      return
    }
    const key = remoteOf(socket)
    pending.set(key, socket)
    socket.once('close', () => {
      if (pending.get(key) === socket) pending.delete(key)
    })
  })
  server.prependListener('secureConnection', (socket: TLSSocket) => pending.delete(remoteOf(socket)))
  return pending
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      const address = joinAddress(host, port)
      const code = systemCode(error) === 'EADDRINUSE' ? 'CMQ_ADDRESS_IN_USE' : 'CMQ_LISTEN_FAILED'
      reject(new ConcordError(code, `Cannot listen for nodes on ${address}/tcp: ${reasonOf(error)}`, { cause: error }))
    })
    server.listen({ host, port }, () => {
      server.removeAllListeners('error')
      server.on('error', () => {})
      resolve()
    })
  })
}

function dial(peer: Member, identity: SecureContextOptions, signal: AbortSignal): Promise<Channel> {
  return new Promise<Channel>((resolve, reject) => {
    const { host, port } = splitAddress(peer.address)
    const socket = connect({
      ...identity,
      host,
      port,
      servername: serverNameOf(peer.keyId),
      ALPNProtocols: [ALPN],
      rejectUnauthorized: false,
    })
    socket.setNoDelay(true)
    const timer = setTimeout(() => fail(new Error('it does not answer in time')), HANDSHAKE_TIMEOUT_MS)
    const fail = (error: Error): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
      socket.destroy()
      reject(error)
    }
    const abort = (): void => fail(new Error('no longer wanted'))
    signal.addEventListener('abort', abort, { once: true })
    socket.on('error', fail)
    socket.once('close', () => fail(new Error('it closed the connection during the handshake')))
    socket.once('secureConnect', () => {
      const point = pointOfPeer(socket)
      if (socket.alpnProtocol !== ALPN) return fail(new Error('it does not speak the protocol of nodes'))
      if (point === undefined || !samePoint(point, peer.point)) {
        const found = point === undefined ? 'no P-256 key' : `the key ${keyIdOfPoint(point)}`
        return fail(new Error(`${describeMember(peer)} was expected, and there is ${found}`))
      }
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
      resolve(channelOf(socket, point))
    })
  })
}

/** The key that TLS has proven the other end to have; undefined: none, or of another kind. */
export function pointOfPeer(socket: TLSSocket): Uint8Array | undefined {
  const certificate: X509Certificate | undefined = socket.getPeerX509Certificate()
  const key = certificate?.publicKey
  if (key?.asymmetricKeyDetails?.namedCurve !== 'prime256v1') return undefined
  return pointOf(key)
}

function channelOf(stream: TLSSocket, point: Uint8Array): Channel {
  // A TCP socket that is not read makes its peer wait.
  return { kind: 'tls', stream, point, remote: remoteOf(stream), unreadBytes: () => 0, destroy: () => stream.destroy() }
}

function remoteOf({ remoteAddress, remotePort }: Socket): string {
  return joinAddress(remoteAddress ?? '?', remotePort ?? 0)
}
