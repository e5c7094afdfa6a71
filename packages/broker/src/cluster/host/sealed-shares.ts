/**
 * This node's part in opening sealed messages (consensus.md section 12): its share of a message's key was encrypted to its key
 * in the book, by ECIES:
 *
 *     encrypted   ephemeral point 65 | ciphertext 32 | tag 16
 *     key         HKDF-SHA-256(ECDH(ephemeral, node), salt: ephemeral point, info: concordmq/share/1), used once, nonce zero
 *
 * Whatever else somebody wrote in the place of a share is none. Sealing is the business of whoever submits, and not here.
 */
import { createDecipheriv, diffieHellman, hkdfSync, type KeyObject } from 'node:crypto'
import { keyOfPoint } from '../identity/node-keys.ts'

const POINT_BYTES = 65
const TAG_BYTES = 16
const ZERO_NONCE = new Uint8Array(12)

/** The share, if it was encrypted to this key. */
export function decryptShare(privateKey: KeyObject, encrypted: Uint8Array): Uint8Array | undefined {
  const point = encrypted.subarray(0, POINT_BYTES)
  const ephemeral = keyOfPoint(point)
  if (ephemeral === undefined) return undefined
  const secret = diffieHellman({ privateKey, publicKey: ephemeral })
  const key = new Uint8Array(hkdfSync('sha256', secret, point, 'concordmq/share/1', 32))
  return openSealed(key, ZERO_NONCE, encrypted.subarray(POINT_BYTES))
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
