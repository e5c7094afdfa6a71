/**
 * Cryptography for runs in which nothing attacks cryptography itself: a hash of 256 bits that is fast and no secret's friend, and
 * signatures that only the holder of a node's secret can make, because only this file knows the secrets. As with ECDSA, one key
 * has many valid signatures of the same bytes, so that whatever hashes a signature shows itself.
 *
 * Digests and signatures cost about a microsecond in place of thirty to seventy; `realCryptography` is the same with P-256.
 */
import type { Cryptography } from '../../../../packages/consensus/src/model/cryptography.ts'

/** What a simulated node signs with, and what everybody checks with. */
export interface Keyring {
  /** By node: uncompressed points in form, 65 bytes. */
  readonly publicKeys: readonly Uint8Array[]
  /** What node `index` may do. */
  readonly cryptography: (index: number) => Cryptography
  readonly verify: (publicKey: Uint8Array, bytes: Uint8Array, signature: Uint8Array) => boolean
}

const signatureBytes = 64
const hashBytes = 32

export function fastKeyring(n: number): Keyring {
  const publicKeys = Array.from({ length: n }, (_, index) => publicKeyOf(index))
  return {
    publicKeys,
    cryptography: (index) => {
      let signed = 0
      return {
        sha256: (bytes) => fastHash(bytes, 0),
        sign: (bytes) => signature(index, signed++, bytes),
        verify: isValid,
        certifies: () => 'there are no certificates here',
        open: () => undefined,
        decryptShare: () => undefined,
      }
    },
    verify: isValid,
  }
}

function publicKeyOf(index: number): Uint8Array {
  const key = new Uint8Array(65)
  key[0] = 4
  key.set(fastHash(Uint8Array.of(index), 0x6b65_7921), 1)
  // The last byte names the node again, for `isValid`.
  key[64] = index
  return key
}

/** hash(secret, bytes) | number: the second half makes two signatures of the same bytes differ, as ECDSA's do. */
function signature(index: number, number: number, bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(signatureBytes)
  const view = new DataView(out.buffer)
  view.setUint32(hashBytes, number)
  out.set(fastHash(bytes, secretOf(index) ^ number))
  return out
}

function isValid(publicKey: Uint8Array, bytes: Uint8Array, given: Uint8Array): boolean {
  if (given.length !== signatureBytes || publicKey.length !== 65) return false
  const number = new DataView(given.buffer, given.byteOffset).getUint32(hashBytes)
  const expected = fastHash(bytes, secretOf(publicKey[64] as number) ^ number)
  for (let i = 0; i < hashBytes; i++) if (expected[i] !== given[i]) return false
  return true
}

function secretOf(index: number): number {
  return Math.imul(index + 1, 0x9e37_79b1)
}

/** Hashes are cut from slabs: an array with memory of its own costs more than what is in it. */
const slabHashes = 256
let slab = new Uint32Array(8 * slabHashes)
let used = 0

/** Two multiplications per 32-bit word, into two of eight lanes, and three rounds of mixing at the end. */
export function fastHash(bytes: Uint8Array, key: number): Uint8Array {
  let a = 0x6a09_e667 ^ key
  let b = 0xbb67_ae85 ^ bytes.length
  let c = 0x3c6e_f372
  let d = 0xa54f_f53a
  const { length } = bytes
  const whole = length - (length % 4)
  for (let at = 0; at < whole; at += 4) {
    const word =
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)
    a = Math.imul(a ^ word, 0x85eb_ca6b)
    b = (b + Math.imul(word ^ c, 0xc2b2_ae35)) | 0
    c = (a >>> 15) ^ b
    d = (Math.imul(d ^ a, 0x27d4_eb2f) + c) | 0
  }
  for (let at = whole; at < length; at++) a = Math.imul(a ^ (bytes[at] as number), 0x0100_0193) ^ (b >>> 7)
  if (used === slabHashes) {
    slab = new Uint32Array(8 * slabHashes)
    used = 0
  }
  const at = 8 * used++
  const lanes = slab
  lanes[at] = a
  lanes[at + 1] = b
  lanes[at + 2] = c
  lanes[at + 3] = d
  lanes[at + 4] = a ^ d
  lanes[at + 5] = b + c
  lanes[at + 6] = Math.imul(a, b | 1)
  lanes[at + 7] = Math.imul(c, d | 1)
  let carried = key | 1
  for (let round = 0; round < 3; round++) {
    for (let i = at; i < at + 8; i++) {
      carried = Math.imul(carried ^ (lanes[i] as number), 0x2c1b_3c6d)
      carried ^= carried >>> 15
      lanes[i] = (lanes[i] as number) + carried
    }
  }
  return new Uint8Array(lanes.buffer, 4 * at, 32)
}
