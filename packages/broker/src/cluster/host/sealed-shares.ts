/**
 * Sealed messages in the host's cryptography (consensus.md section 12). A message is encrypted with a key of its own, and each
 * node's share of that key to the node's key in the book, by ECIES:
 *
 *     encrypted   ephemeral point 65 | ciphertext 32 | tag 16
 *     key         HKDF-SHA-256(ECDH(ephemeral, node), salt: ephemeral point, info: concordmq/share/1), used once, nonce zero
 *
 * Whatever else somebody wrote in the place of a share is none. Sealing is the other half: one key pair for a message, and a
 * secret with each node (0.1 ms each), so what a turn of the event loop brought is sealed as one.
 */
import {
  createCipheriv,
  createDecipheriv,
  createECDH,
  diffieHellman,
  hash,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto'
import { type Epoch, envelopeBytes, keyBytes, nonceBytes, shareHash, splitKey } from '@concordmq/consensus'
import { keyOfPoint } from '../identity/node-keys.ts'

const POINT_BYTES = 65
const TAG_BYTES = 16
const ZERO_NONCE = new Uint8Array(12)

/** A message of kind 4: nobody reads the content unless w nodes of the epoch give their shares. */
export function seal(content: Uint8Array, { n, w, nodes }: Epoch): Uint8Array {
  const key = new Uint8Array(randomBytes(keyBytes))
  const nonce = new Uint8Array(randomBytes(nonceBytes))
  const shares = splitKey(key, randomBytes((w - 1) * keyBytes), { n, threshold: w })
  const ephemeral = createECDH('prime256v1')
  const point = ephemeral.generateKeys()
  return envelopeBytes({
    shares: nodes.map(({ publicKey }, node) => {
      const share = shares[node] as Uint8Array
      const encrypted = encrypt(shareKey(ephemeral.computeSecret(publicKey), point), ZERO_NONCE, share)
      return { hash: shareHash(sha256, node, share), encrypted: Buffer.concat([point, encrypted]) }
    }),
    nonce,
    ciphertext: encrypt(key, nonce, content),
  })
}

/** The share, if it was encrypted to this key. */
export function decryptShare(privateKey: KeyObject, encrypted: Uint8Array): Uint8Array | undefined {
  const point = encrypted.subarray(0, POINT_BYTES)
  const ephemeral = keyOfPoint(point)
  if (ephemeral === undefined) return undefined
  const secret = diffieHellman({ privateKey, publicKey: ephemeral })
  return openSealed(shareKey(secret, point), ZERO_NONCE, encrypted.subarray(POINT_BYTES))
}

/** AES-256-GCM with the tag behind the ciphertext; undefined: it was made with another key or nonce, or changed. */
export function openSealed(key: Uint8Array, nonce: Uint8Array, ciphertext: Uint8Array): Uint8Array | undefined {
  if (ciphertext.length < TAG_BYTES) return undefined
  const end = ciphertext.length - TAG_BYTES
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, nonce)
    decipher.setAuthTag(ciphertext.subarray(end))
    return new Uint8Array(Buffer.concat([decipher.update(ciphertext.subarray(0, end)), decipher.final()]))
  } catch {
    return undefined
  }
}

function encrypt(key: Uint8Array, nonce: Uint8Array, content: Uint8Array): Uint8Array {
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  return Buffer.concat([cipher.update(content), cipher.final(), cipher.getAuthTag()])
}

function shareKey(secret: Uint8Array, point: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, point, 'concordmq/share/1', keyBytes))
}

function sha256(bytes: Uint8Array): Uint8Array {
  return hash('sha256', bytes, 'buffer')
}
