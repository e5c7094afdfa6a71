/**
 * The keys that tokens are verified with: from a JWK Set, from PEM, or a secret. Every key knows which algorithms it is for, and
 * a token is only ever verified with an algorithm of the key's own kind: a public key is never taken for a secret ("key
 * confusion"), and `none` is no algorithm of any key.
 *
 * Read once, when options are: what is wrong is told with its place, and keys that could not be used safely are refused rather
 * than left out. Keys of a kind we do not know are left out, as RFC 7517 section 5 asks, unless nothing else is there.
 */
import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import type { TokenOptions } from '../../config/options.ts'
import { ConcordError } from '../../errors.ts'

export interface TokenKey {
  readonly key: KeyObject | Uint8Array
  /** Undefined: the key has no name. */
  readonly kid: string | undefined
  readonly algorithms: ReadonlySet<string>
}

/** Keys in all. */
export const KEYS_MAX = 100
/** RFC 7518 section 3.2 for HS256; less could be guessed from a single token. */
const SECRET_BYTES_MIN = 32
/** RFC 7518 section 3.3. */
const RSA_BITS_MIN = 2048

const hmac = ['HS256', 'HS384', 'HS512']
const pss = ['PS256', 'PS384', 'PS512']
const rsa = ['RS256', 'RS384', 'RS512', ...pss]
const curves: Readonly<Record<string, readonly string[]>> = {
  prime256v1: ['ES256'],
  secp384r1: ['ES384'],
  secp521r1: ['ES512'],
}

/** Every algorithm that a token may be signed with. */
export const tokenAlgorithms: readonly string[] = [...hmac, ...rsa, ...Object.values(curves).flat(), 'EdDSA', 'Ed25519']

/** Throws `CMQ_TOKENS`, which lists every problem. */
export function readTokenKeys({ jwks, pem, secret, algorithms }: TokenOptions): readonly TokenKey[] {
  const problems: string[] = []
  const keys: TokenKey[] = []
  const add = (
    place: string,
    read: () => Omit<TokenKey, 'algorithms'> & { readonly algorithms: readonly string[] },
  ) => {
    try {
      const { key, kid, algorithms: fit } = read()
      const allowed = algorithms === undefined ? fit : fit.filter((one) => algorithms.includes(one))
      if (allowed.length > 0) keys.push({ key, kid, algorithms: new Set(allowed) })
      else problems.push(`${place} is for ${fit.join(', ')}, and none of these is among the algorithms`)
    } catch (error) {
      problems.push(`${place}: ${error instanceof KeyProblem ? error.message : 'it cannot be read as a key'}`)
    }
  }
  if (jwks !== undefined) {
    for (const [i, jwk] of keysOfSet(jwks, problems).entries()) {
      if (isOther(jwk)) continue
      add(`jwks: key ${i}${typeof jwk.kid === 'string' ? ` (${JSON.stringify(jwk.kid)})` : ''}`, () => fromJwk(jwk))
    }
  }
  const blocks = pem?.match(/-----BEGIN [A-Z ]+-----[^-]*-----END [A-Z ]+-----/g) ?? []
  if (pem !== undefined && blocks.length === 0) problems.push('pem: it holds no PEM key or certificate')
  else if (pem !== undefined && blocks.length !== pem.split('-----BEGIN').length - 1) {
    problems.push('pem: one of its blocks is damaged')
  }
  for (const [i, block] of blocks.entries()) add(`pem: block ${i}`, () => fromPem(block))
  if (secret !== undefined) add('secret', () => fromSecret(secret, undefined))
  if (keys.length === 0 && problems.length === 0) problems.push('there is no key: give jwks, pem or secret')
  if (keys.length > KEYS_MAX) problems.push(`there are more than ${KEYS_MAX} keys`)
  if (problems.length > 0) throw new ConcordError('CMQ_TOKENS', `Cannot verify tokens: ${problems.join('; ')}`)
  return keys
}

class KeyProblem extends Error {}

function keysOfSet(text: string, problems: string[]): Readonly<Record<string, unknown>>[] {
  let set: unknown
  try {
    set = JSON.parse(text)
  } catch {
    problems.push('jwks: it is not JSON')
    return []
  }
  const list = typeof set === 'object' && set !== null ? (set as { readonly keys?: unknown }).keys : undefined
  if (!Array.isArray(list)) {
    problems.push('jwks: it is no JWK Set, an object with a list "keys"')
    return []
  }
  if (list.length > KEYS_MAX) {
    problems.push(`jwks: it has more than ${KEYS_MAX} keys`)
    return []
  }
  return list.flatMap((jwk: unknown, i) => {
    if (typeof jwk === 'object' && jwk !== null && !Array.isArray(jwk))
      return [jwk as Readonly<Record<string, unknown>>]
    problems.push(`jwks: key ${i} must be an object`)
    return []
  })
}

/** Kinds we do not know, and keys that are not for verifying. */
function isOther({ kty, use, key_ops: operations }: Readonly<Record<string, unknown>>): boolean {
  if (kty !== 'RSA' && kty !== 'EC' && kty !== 'OKP' && kty !== 'oct') return true
  if (use !== undefined && use !== 'sig') return true
  return Array.isArray(operations) && !operations.includes('verify')
}

function fromJwk(jwk: Readonly<Record<string, unknown>>) {
  const kid = typeof jwk.kid === 'string' ? jwk.kid : undefined
  if (jwk.kty === 'oct') {
    if (typeof jwk.k !== 'string') throw new KeyProblem('it has no "k"')
    return narrowed(fromSecret(Buffer.from(jwk.k, 'base64url'), kid), jwk.alg)
  }
  if (jwk.d !== undefined) throw new KeyProblem('it is a private key, which has no business here; give the public one')
  return narrowed(fromPublicKey(createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' }), kid), jwk.alg)
}

/** A key that names its algorithm is for that one alone. */
function narrowed<T extends { readonly algorithms: readonly string[] }>(key: T, alg: unknown): T {
  if (alg === undefined) return key
  const algorithms = key.algorithms.filter((one) => one === alg || (alg === 'EdDSA' && one === 'Ed25519'))
  if (algorithms.length === 0)
    throw new KeyProblem(`its "alg" does not fit its kind, which is for ${key.algorithms.join(', ')}`)
  return { ...key, algorithms }
}

function fromPem(block: string) {
  if (block.includes('PRIVATE KEY'))
    throw new KeyProblem('it is a private key, which has no business here; give the public one')
  return fromPublicKey(createPublicKey(block), undefined)
}

function fromSecret(secret: Uint8Array, kid: string | undefined) {
  if (secret.length < SECRET_BYTES_MIN) throw new KeyProblem(`a secret must have at least ${SECRET_BYTES_MIN} bytes`)
  return { key: new Uint8Array(secret), kid, algorithms: hmac }
}

function fromPublicKey(key: KeyObject, kid: string | undefined) {
  return { key, kid, algorithms: algorithmsOf(key) }
}

function algorithmsOf(key: KeyObject): readonly string[] {
  const { modulusLength = 0, namedCurve = '' } = key.asymmetricKeyDetails ?? {}
  switch (key.asymmetricKeyType) {
    case 'rsa':
    case 'rsa-pss':
      if (modulusLength < RSA_BITS_MIN) throw new KeyProblem(`an RSA key must have at least ${RSA_BITS_MIN} bits`)
      return key.asymmetricKeyType === 'rsa' ? rsa : pss
    case 'ec': {
      const fit = curves[namedCurve]
      if (fit === undefined) throw new KeyProblem(`the curve ${namedCurve} is for no algorithm of tokens`)
      return fit
    }
    case 'ed25519':
      return ['EdDSA', 'Ed25519']
    default:
      throw new KeyProblem(`a key of type ${String(key.asymmetricKeyType)} is for no algorithm of tokens`)
  }
}
