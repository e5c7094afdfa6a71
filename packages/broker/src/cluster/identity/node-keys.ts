/**
 * The keys of nodes in the forms that are needed: the engine names a node by its uncompressed point, `node:crypto` works with
 * key objects, people read the short name that logs and `data/` use. All are the same P-256 key of the address book.
 */
import { createHash, createPublicKey, type KeyObject } from 'node:crypto'

/** Bytes of an uncompressed P-256 point: 04 | x | y. */
export const POINT_BYTES = 65
/** What stands before the point in the DER of its SubjectPublicKeyInfo. */
const SPKI_HEAD = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex')

/** The uncompressed point of a P-256 public key, 65 bytes. */
export function pointOf(key: KeyObject): Uint8Array {
  const der = key.export({ format: 'der', type: 'spki' })
  return new Uint8Array(der.subarray(der.length - POINT_BYTES))
}

/** The key of an uncompressed point; undefined: it is no point of the curve. */
export function keyOfPoint(point: Uint8Array): KeyObject | undefined {
  if (point.length !== POINT_BYTES) return undefined
  try {
    return createPublicKey({ key: Buffer.concat([SPKI_HEAD, point]), format: 'der', type: 'spki' })
  } catch {
    return undefined
  }
}

/** First 16 hex digits of SHA-256 over the SPKI: the name of a node in logs and in `data/`. */
export function keyIdOfPoint(point: Uint8Array): string {
  return createHash('sha256').update(SPKI_HEAD).update(point).digest('hex').slice(0, 16)
}
