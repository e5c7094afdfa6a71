/** A peer that does what it likes: a connection over TLS or QUIC with a key, written to and read from byte by byte. */
import type { KeyObject } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { connect } from 'node:tls'
import { freeAddresses, makeKeys, makeMembers, makeTestEpoch, openNode, type TestNode } from '../cluster.testkit.ts'
import { ownCertificate, serverNameOf, trustAnchor } from '../identity/certificates.ts'
import type { Members } from '../identity/members.ts'
import { encodeChallenge, encodeHello } from './hello.ts'
import { loadQuic } from './quic-transport.ts'
import { ALPN, splitAddress, type TransportKind } from './transport.ts'

export interface RawPeer {
  /** Reads nothing from now on. */
  stopReading(): void
  /** Bytes that wait to be sent. */
  readonly waitingBytes: () => number
  write(bytes: Uint8Array): void
  readonly received: Buffer[]
  readonly closed: Promise<void>
  close(): void
}

/** A TLS connection with the certificate of a key, or none. */
export async function rawTls(address: string, key: KeyObject | undefined, keyId: string): Promise<RawPeer> {
  const own = key === undefined ? undefined : await ownCertificate({ keyId }, key)
  const { host, port } = splitAddress(address)
  const socket = connect({
    host,
    port,
    rejectUnauthorized: false,
    ALPNProtocols: [ALPN],
    ...(own === undefined ? {} : { cert: own.certificate, key: own.privateKey }),
  })
  const received: Buffer[] = []
  socket.on('data', (chunk: Buffer) => received.push(chunk))
  socket.on('error', () => {})
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  await new Promise<void>((resolve) => {
    socket.once('secureConnect', () => resolve())
    socket.once('close', () => resolve())
  })
  return {
    write: (bytes) => void (socket.destroyed || socket.write(bytes)),
    received,
    closed,
    close: () => void socket.destroy(),
    stopReading: () => void socket.pause(),
    waitingBytes: () => socket.writableLength,
  }
}

/** A QUIC connection with the certificate of a peer, and the one stream that makes a link. */
export async function rawQuic(self: Members, peer: Members): Promise<RawPeer> {
  const library = await loadQuic()
  if (library instanceof Error) throw library
  const own = await ownCertificate(peer.self, peer.privateKey)
  const session = library.connectQuic(self.self.address, {
    runtimeMode: 'portable',
    fallbackPolicy: 'error',
    alpn: [ALPN],
    ca: await trustAnchor(self.self),
    cert: own.certificate,
    key: own.privateKey,
    servername: serverNameOf(self.self.keyId),
    rejectUnauthorized: true,
    initialMaxData: 1024 * 1024,
    initialMaxStreamDataBidiLocal: 1024 * 1024,
    initialMaxStreamsBidi: 1,
  })
  session.on('error', () => {})
  const closed = new Promise<void>((resolve) => session.once('close', () => resolve()))
  await Promise.race([session.ready().catch(() => {}), closed])
  const stream: Duplex = session.openStream()
  const received: Buffer[] = []
  stream.on('data', (chunk: Buffer) => received.push(chunk))
  stream.on('error', () => {})
  return {
    write: (bytes) => void (stream.destroyed || stream.write(bytes)),
    received,
    closed: Promise.race([closed, new Promise<void>((resolve) => stream.once('close', () => resolve()))]),
    close: () => void session.close().catch(() => {}),
    stopReading: () => void stream.pause(),
    waitingBytes: () => stream.writableLength,
  }
}

/** A connection of either kind, before any greeting. */
export function rawPeer(kind: TransportKind, self: Members, peer: Members): Promise<RawPeer> {
  return kind === 'quic' ? rawQuic(self, peer) : rawTls(self.self.address, peer.privateKey, peer.self.keyId)
}

/** The same after an honest greeting: the link is up. */
export async function rawLinked(
  target: TestNode,
  self: Members,
  peer: Members,
  kind: TransportKind = 'tls',
): Promise<RawPeer> {
  const raw = await rawPeer(kind, self, peer)
  const nonce = new Uint8Array(32).fill(7)
  raw.write(encodeChallenge(nonce))
  await target.until(() => Buffer.concat(raw.received).length >= 37, 'its challenge')
  raw.write(encodeHello(peer, nonce, Buffer.concat(raw.received).subarray(5, 37)))
  await target.until(() => target.links.figures()[0]?.up === true, 'the link')
  return raw
}

/** A node alone, and the identity of its peer to play with. */
export async function withTarget(
  body: (target: TestNode, self: Members, peer: Members) => Promise<void>,
  { frameCostUs = 1, kind = 'tls' }: { readonly frameCostUs?: number; readonly kind?: TransportKind } = {},
): Promise<void> {
  const keys = makeKeys(2)
  const [own, other] = keys as [KeyObject, KeyObject]
  const addresses = [(await freeAddresses(1))[0] ?? '', '127.0.0.1:1']
  const epoch = makeTestEpoch({ keys, addresses })
  const self = makeMembers(epoch, own)
  const node = await openNode(self, kind, self.self.address, frameCostUs)
  try {
    await body(node, self, makeMembers(epoch, other))
  } finally {
    await node.links.close()
  }
}
