/**
 * The greeting of two nodes over an encrypted link (consensus.md section 16): TLS has shown which key the peer has; HELLO shows
 * that it means this cluster, with this book and these settings, now.
 *
 *   dialer   CHALLENGE a ─▶                    HELLO(a, b) ─▶
 *   acceptor              ◀─ CHALLENGE b, HELLO(b, a)
 *
 * Each signs the other's nonce, so a HELLO of another link is worth nothing. The QUIC library gives no secret of the session
 * that could be signed in the place of nonces.
 */
import { type KeyObject, sign, timingSafeEqual, verify } from 'node:crypto'
import { describeMember, type Member, type Members } from '../identity/members.ts'
import { bodyOf, encodeFrame, FrameType } from './frames.ts'

export const PROTOCOL = 1
export const NONCE_BYTES = 32
const SIGNATURE_BYTES = 64
const VERSION_BYTES_MAX = 64
const NETWORK_BYTES_MAX = 64
export const INSTANCE_BYTES = 16
/** Bytes of the longest frame before a peer has greeted. */
export const GREETING_BYTES_MAX = 1024

export interface Hello {
  readonly protocol: number
  readonly networkId: Uint8Array
  readonly epoch: number
  readonly epochHash: Uint8Array
  readonly settingsDigest: Uint8Array
  /** Index of the sender in its book. */
  readonly node: number
  /** Random, made at the start of the sender's process: tells two processes with one key apart. */
  readonly instance: Uint8Array
  readonly programVersion: string
  /** That of the sender, and that of the receiver, which the signature covers too. */
  readonly nonce: Uint8Array
  readonly peerNonce: Uint8Array
  readonly signature: Uint8Array
}

export function encodeChallenge(nonce: Uint8Array): Uint8Array {
  return encodeFrame(FrameType.challenge, nonce)
}

/** The nonce of a CHALLENGE frame; undefined: malformed. */
export function decodeChallenge(frame: Uint8Array): Uint8Array | undefined {
  const body = bodyOf(frame)
  return body.length === NONCE_BYTES ? body : undefined
}

/** The HELLO frame of this node to whoever sent `peerNonce`. */
export function encodeHello(members: Members, nonce: Uint8Array, peerNonce: Uint8Array): Uint8Array {
  const { epoch, self, settingsDigest, instance, programVersion, privateKey } = members
  const network = Buffer.from(epoch.networkId)
  const version = Buffer.from(programVersion, 'utf8').subarray(0, VERSION_BYTES_MAX)
  const content = Buffer.concat([
    Buffer.from([PROTOCOL, network.length]),
    network,
    uint32(epoch.number),
    epoch.hash,
    settingsDigest,
    instance,
    Buffer.from([self.index & 0xff, version.length]),
    version,
    nonce,
    peerNonce,
  ])
  const signature = sign('sha256', signedBytes(epoch.hash, content), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  return encodeFrame(FrameType.hello, Buffer.concat([content, signature]))
}

/** Reads a HELLO frame; undefined: malformed. Nothing in it is checked. */
export function decodeHello(frame: Uint8Array): Hello | undefined {
  const body = bodyOf(frame)
  const networkLength = body[1] ?? 0
  const afterNetwork = 2 + networkLength
  const afterEpoch = afterNetwork + 4
  const afterInstance = afterEpoch + 64 + INSTANCE_BYTES
  const versionLength = body[afterInstance + 1] ?? 0
  const afterVersion = afterInstance + 2 + versionLength
  const expected = afterVersion + 2 * NONCE_BYTES + SIGNATURE_BYTES
  if (networkLength > NETWORK_BYTES_MAX || versionLength > VERSION_BYTES_MAX || body.length !== expected)
    return undefined
  return {
    protocol: body[0] ?? 0,
    networkId: body.subarray(2, afterNetwork),
    epoch: Buffer.from(body.subarray(afterNetwork, afterEpoch)).readUInt32BE(0),
    epochHash: body.subarray(afterEpoch, afterEpoch + 32),
    settingsDigest: body.subarray(afterEpoch + 32, afterEpoch + 64),
    instance: body.subarray(afterEpoch + 64, afterInstance),
    node: body[afterInstance] ?? 0,
    programVersion: printable(body.subarray(afterInstance + 2, afterVersion)),
    nonce: body.subarray(afterVersion, afterVersion + NONCE_BYTES),
    peerNonce: body.subarray(afterVersion + NONCE_BYTES, afterVersion + 2 * NONCE_BYTES),
    signature: body.subarray(afterVersion + 2 * NONCE_BYTES),
  }
}

/** What a peer says goes into logs: printable ASCII, nothing else. */
export function printable(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('latin1')
    .replaceAll(/[^\x20-\x7e]/g, '?')
}

/** Why a peer is refused. `event` names the kind in logs and counters. */
export interface GreetingRefusal {
  readonly event: 'protocol' | 'network' | 'book' | 'settings' | 'identity' | 'replay' | 'signature' | 'twin' | 'barred'
  readonly detail: string
}

/** The digest of an epoch's book as people compare it. */
export function bookDigest(epochHash: Uint8Array): string {
  return Buffer.from(epochHash).toString('hex').slice(0, 16)
}

/**
 * Checks the HELLO of the peer that TLS identified. A peer in another epoch of the network is let in: it catches up, or this node
 * does; the engine knows what to do with it (section 13).
 */
export function checkHello(
  hello: Hello,
  frame: Uint8Array,
  members: Members,
  peer: Member,
  { nonce }: { readonly nonce: Uint8Array },
): GreetingRefusal | undefined {
  const { epoch, settingsDigest } = members
  if (hello.protocol !== PROTOCOL)
    return { event: 'protocol', detail: `it speaks protocol ${hello.protocol}, this node ${PROTOCOL}` }
  if (!timingSafeEqual(hello.peerNonce, nonce))
    return { event: 'replay', detail: 'its HELLO was made for another link: it was replayed' }
  if (!verifyHello(hello, frame, peer.publicKey))
    return { event: 'signature', detail: 'its HELLO is not signed by its key' }
  if (Buffer.compare(hello.networkId, epoch.networkId) !== 0)
    return {
      event: 'network',
      detail: `it is in network ${networkName(hello.networkId)}, this node in ${networkName(epoch.networkId)}`,
    }
  const sameEpoch = hello.epoch === epoch.number
  if (sameEpoch && Buffer.compare(hello.epochHash, epoch.hash) !== 0) {
    const [theirs, own] = [bookDigest(hello.epochHash), bookDigest(epoch.hash)]
    return { event: 'book', detail: `its address book differs: digest ${theirs}, here ${own}` }
  }
  if (Buffer.compare(hello.settingsDigest, settingsDigest) !== 0) {
    const [theirs, own] = [bookDigest(hello.settingsDigest), bookDigest(settingsDigest)]
    return { event: 'settings', detail: `its settings of the machine differ: digest ${theirs}, here ${own}` }
  }
  if (sameEpoch && hello.node !== peer.index)
    return {
      event: 'identity',
      detail: `it says that it is node ${hello.node}; its key is that of ${describeMember(peer)}`,
    }
  return undefined
}

function verifyHello(hello: Hello, frame: Uint8Array, publicKey: KeyObject): boolean {
  const body = bodyOf(frame)
  const content = body.subarray(0, body.length - SIGNATURE_BYTES)
  const signed = signedBytes(hello.epochHash, content)
  return verify('sha256', signed, { key: publicKey, dsaEncoding: 'ieee-p1363' }, hello.signature)
}

/** Section 3: tag | 00 | epochHash | content. */
function signedBytes(epochHash: Uint8Array, content: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from('concordmq/sig/hello/1\0', 'latin1'), epochHash, content])
}

function uint32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** A network as people write it. */
export function networkName(networkId: Uint8Array): string {
  return `"${printable(networkId)}"`
}
