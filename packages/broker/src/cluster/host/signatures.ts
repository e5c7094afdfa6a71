/**
 * ECDSA over P-256 with signatures as 64 bytes, r then s (IEEE P1363), as they stand in blocks. `node:crypto` can make that form
 * itself, but only for a key in an options object, which it takes apart anew, with exceptions thrown and caught, at each call: 40 µs
 * of 120 for a check and 35 of 65 for a signature (Node 24). A bare key object has none of that, and its form, DER, is told here.
 *
 *   DER: 30 len, 02 len r, 02 len s; integers big-endian, without needless zeros, with one where the first bit would be a sign
 */
import { type KeyObject, sign, verify } from 'node:crypto'

export const SIGNATURE_BYTES = 64
const HALF = 32
/** Longest DER of two such integers. */
const DER_BYTES_MAX = 6 + 2 * (HALF + 1)
const SEQUENCE = 0x30
const INTEGER = 0x02

export function signBlock(bytes: Uint8Array, key: KeyObject): Uint8Array {
  const der = sign('sha256', bytes, key)
  const signature = new Uint8Array(SIGNATURE_BYTES)
  const rLength = der[3] as number
  copyInteger(der.subarray(4, 4 + rLength), signature.subarray(0, HALF))
  copyInteger(der.subarray(6 + rLength), signature.subarray(HALF))
  return signature
}

export function verifyBlock(bytes: Uint8Array, key: KeyObject, signature: Uint8Array): boolean {
  return signature.length === SIGNATURE_BYTES && verify('sha256', bytes, key, derOf(signature))
}

/** The same on another thread; `done` is called later. */
export function verifyBlockElsewhere(
  bytes: Uint8Array,
  key: KeyObject,
  signature: Uint8Array,
  done: (ok: boolean) => void,
): void {
  if (signature.length !== SIGNATURE_BYTES) return void setImmediate(done, false)
  verify('sha256', bytes, key, derOf(signature), (error, ok) => done(error === null && ok))
}

function copyInteger(integer: Uint8Array, to: Uint8Array): void {
  const bytes = integer.length > HALF ? integer.subarray(integer.length - HALF) : integer
  to.set(bytes, HALF - bytes.length)
}

function derOf(signature: Uint8Array): Uint8Array {
  const der = new Uint8Array(DER_BYTES_MAX)
  let at = putInteger(signature, 0, der, 2)
  at = putInteger(signature, HALF, der, at)
  der[0] = SEQUENCE
  der[1] = at - 2
  return der.subarray(0, at)
}

/** Writes the half that begins at `from` as an integer; gives where it ends. */
function putInteger(signature: Uint8Array, from: number, der: Uint8Array, at: number): number {
  const end = from + HALF
  let first = from
  while (first < end - 1 && signature[first] === 0) first++
  const pad = (signature[first] as number) >= 0x80 ? 1 : 0
  const length = end - first + pad
  der[at] = INTEGER
  der[at + 1] = length
  der.set(signature.subarray(first, end), at + 2 + pad)
  return at + 2 + length
}
