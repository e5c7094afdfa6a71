/** SHA-256 and ECDSA over P-256 by Node, for runs with `--real-cryptography`: the engine's bytes as a live node makes them. */
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto'
import type { Keyring } from './fast-cryptography.ts'

/** Keys are new in every run, so digests are not those of another run with the same seed; decisions of the run itself are. */
export function realKeyring(n: number): Keyring {
  const pairs = Array.from({ length: n }, () => generateKeyPairSync('ec', { namedCurve: 'P-256' }))
  const publicKeys = pairs.map((pair) => pointOf(pair.publicKey))
  const known = new Map<Uint8Array, KeyObject>(
    publicKeys.map((key, i) => [key, (pairs[i] as (typeof pairs)[0]).publicKey]),
  )
  const isValid: Keyring['verify'] = (publicKey, bytes, signature) =>
    verify('sha256', bytes, { key: known.get(publicKey) ?? keyOf(publicKey), dsaEncoding: 'ieee-p1363' }, signature)
  return {
    publicKeys,
    cryptography: (index) => ({
      sha256: (bytes) => createHash('sha256').update(bytes).digest(),
      sign: (bytes) =>
        sign('sha256', bytes, { key: (pairs[index] as (typeof pairs)[0]).privateKey, dsaEncoding: 'ieee-p1363' }),
      verify: isValid,
      certifies: () => 'there are no certificates here',
      open: () => undefined,
      decryptShare: () => undefined,
    }),
    verify: isValid,
  }
}

function pointOf(key: KeyObject): Uint8Array {
  const { x = '', y = '' } = key.export({ format: 'jwk' })
  return Uint8Array.of(4, ...Buffer.from(x, 'base64url'), ...Buffer.from(y, 'base64url'))
}

function keyOf(point: Uint8Array): KeyObject {
  const x = Buffer.from(point.subarray(1, 33)).toString('base64url')
  const y = Buffer.from(point.subarray(33, 65)).toString('base64url')
  return createPublicKey({ key: { kty: 'EC', crv: 'P-256', x, y }, format: 'jwk' })
}
