/**
 * A sealed message in bytes (consensus.md section 12, kind 4), and the message by which a node opens its part (kind 6).
 *
 *     envelope  n u8 | n × share { hash 32 | u32 length | encrypted } | nonce 12 | u32 length | ciphertext
 *     shares    count u16 | count × { position u64 | share 32 }
 *
 * The ciphertext is AES-256-GCM, its tag behind it; each share of the key is encrypted to its node. Both are the host's: nothing
 * here encrypts. The hash of each share lets everybody tell a true one from another before there are enough of them.
 */
import { begin } from '../bytes/domain.ts'
import { Reader } from '../bytes/reader.ts'
import { Writer } from '../bytes/writer.ts'
import type { Sha256 } from '../log/tree.ts'

export const keyBytes = 32
export const nonceBytes = 12
/** Bytes of one encrypted share: a point, a tag and the share leave room to spare. */
export const encryptedShareBytesMax = 256
const HASH_BYTES = 32
const NODES_MAX = 31

export interface EnvelopeShare {
  /** `shareHash` of the node's share. */
  readonly hash: Uint8Array
  /** The share, readable by its node alone. */
  readonly encrypted: Uint8Array
}

export interface Envelope {
  /** One for each node of the epoch's book. */
  readonly shares: readonly EnvelopeShare[]
  readonly nonce: Uint8Array
  readonly ciphertext: Uint8Array
}

/** A node's part of one key. */
export interface PositionShare {
  /** Of the sealed message. */
  readonly position: number
  readonly share: Uint8Array
}

/** Shares are random and as long as the hash, so it hides them. */
export function shareHash(sha256: Sha256, node: number, share: Uint8Array): Uint8Array {
  const writer = new Writer(64)
  begin(writer, 'concordmq/share/1')
  writer.u8(node)
  writer.raw(share)
  return sha256(writer.view())
}

export function envelopeBytes(envelope: Envelope): Uint8Array {
  const writer = new Writer(4096)
  writer.u8(envelope.shares.length)
  for (const { hash, encrypted } of envelope.shares) {
    writer.raw(hash)
    writer.bytes(encrypted)
  }
  writer.raw(envelope.nonce)
  writer.bytes(envelope.ciphertext)
  return writer.take()
}

/** An envelope for n nodes; undefined: these bytes are none. Its parts are views. */
export function readEnvelope(bytes: Uint8Array, n: number): Envelope | undefined {
  const reader = new Reader(bytes)
  const count = reader.u8()
  if (count !== n || count > NODES_MAX) return undefined
  const shares: EnvelopeShare[] = []
  for (let i = 0; i < count; i++) {
    shares.push({ hash: reader.raw(HASH_BYTES), encrypted: reader.bytes(encryptedShareBytesMax) })
  }
  const nonce = reader.raw(nonceBytes)
  const ciphertext = reader.bytes(bytes.length)
  return reader.end() ? { shares, nonce, ciphertext } : undefined
}

export function sharesBytes(shares: readonly PositionShare[]): Uint8Array {
  const writer = new Writer(2 + shares.length * (8 + keyBytes))
  writer.u16(shares.length)
  for (const { position, share } of shares) {
    writer.u64(position)
    writer.raw(share)
  }
  return writer.take()
}

/** Undefined: these bytes are no shares. */
export function readShares(bytes: Uint8Array): PositionShare[] | undefined {
  const reader = new Reader(bytes)
  const count = reader.u16()
  if (reader.left !== count * (8 + keyBytes)) return undefined
  const shares: PositionShare[] = []
  for (let i = 0; i < count; i++) shares.push({ position: reader.u64(), share: reader.raw(keyBytes) })
  return reader.end() ? shares : undefined
}
