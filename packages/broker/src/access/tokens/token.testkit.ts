/** Keys and tokens for tests, made with Node's crypto and not with the library that verifies them. */
import {
  createHmac,
  generateKeyPairSync,
  type KeyObject,
  constants as rsa,
  type SignKeyObjectInput,
  sign,
} from 'node:crypto'

export const secret = Buffer.from('a secret of more than thirty-two bytes')

export const rsaPair = generateKeyPairSync('rsa', { modulusLength: 2048 })
export const ecPair = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
export const edPair = generateKeyPairSync('ed25519')

export function part(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
}

/** Seconds since 1970, `ahead` from now. */
export function inSeconds(ahead: number): number {
  return Math.floor(Date.now() / 1_000) + ahead
}

export const claims = { sub: 'alice', exp: inSeconds(3_600) }

export function hmacToken(payload: object, { alg = 'HS256', key = secret as Uint8Array, header = {} } = {}): string {
  const signed = `${part({ alg, ...header })}.${part(payload)}`
  const digest = createHmac(`sha${alg.slice(2)}`, key)
    .update(signed)
    .digest('base64url')
  return `${signed}.${digest}`
}

export function signedToken(
  payload: object,
  { alg, key, header = {} }: { readonly alg: string; readonly key: KeyObject; readonly header?: object },
): string {
  const signed = `${part({ alg, ...header })}.${part(payload)}`
  const digest = alg.startsWith('Ed') ? null : `sha${alg.slice(2)}`
  const padding = alg.startsWith('PS')
    ? { padding: rsa.RSA_PKCS1_PSS_PADDING, saltLength: Number(alg.slice(2)) / 8 }
    : {}
  const input: SignKeyObjectInput = { key, dsaEncoding: 'ieee-p1363', ...padding }
  return `${signed}.${sign(digest, Buffer.from(signed), input).toString('base64url')}`
}

export function pemOf(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'spki' }).toString()
}

export function jwkOf(key: KeyObject, more: object = {}): object {
  return { ...key.export({ format: 'jwk' }), ...more }
}
