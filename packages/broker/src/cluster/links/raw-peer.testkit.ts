/** A peer that does what it likes: a TLS connection with a key, written to and read from byte by byte. */
import type { KeyObject } from 'node:crypto'
import { connect } from 'node:tls'
import { freeAddresses, makeKeys, makeMembers, makeTestEpoch, openNode, type TestNode } from '../cluster.testkit.ts'
import { ownCertificate } from '../identity/certificates.ts'
import type { Members } from '../identity/members.ts'
import { encodeChallenge, encodeHello } from './hello.ts'
import { ALPN, splitAddress } from './transport.ts'

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

/** The same after an honest greeting: the link is up. */
export async function rawLinked(target: TestNode, self: Members, peer: Members): Promise<RawPeer> {
  const raw = await rawTls(self.self.address, peer.privateKey, peer.self.keyId)
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
  frameCostUs = 1,
): Promise<void> {
  const keys = makeKeys(2)
  const [own, other] = keys as [KeyObject, KeyObject]
  const addresses = [(await freeAddresses(1))[0] ?? '', '127.0.0.1:1']
  const epoch = makeTestEpoch({ keys, addresses })
  const self = makeMembers(epoch, own)
  const node = await openNode(self, 'tls', self.self.address, frameCostUs)
  try {
    await body(node, self, makeMembers(epoch, other))
  } finally {
    await node.links.close()
  }
}
