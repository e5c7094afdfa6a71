/**
 * What a server keeps of a password for SCRAM (RFC 5802), in the form of RFC 5803 that PostgreSQL uses too:
 *
 *   SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>      base64 with padding
 *
 * The server never computes the password's hash again: the client does, so a login costs it a few HMACs. The other side of
 * that: whoever steals a record can guess passwords at the cost of `iterations` HMACs each, far less than Argon2id asks for.
 */
import { createHash, createHmac, pbkdf2, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { ConcordError } from '../../errors.ts'

export type ScramMethod = 'SCRAM-SHA-256' | 'SCRAM-SHA-512'

export const scramMethods: readonly ScramMethod[] = ['SCRAM-SHA-256', 'SCRAM-SHA-512']

export interface ScramRecord {
  readonly method: ScramMethod
  readonly iterations: number
  readonly salt: Uint8Array
  readonly storedKey: Uint8Array
  readonly serverKey: Uint8Array
}

export const scramBounds = {
  /** RFC 7677 section 4. */
  iterationsMin: 4_096,
  /** The client computes them; some give up above. */
  iterationsMax: 1_000_000,
  saltBytesMin: 8,
  saltBytesMax: 64,
} as const

/** Of new records: about 20 ms of a phone, and four times what the RFC asks for. */
export const iterationsUsual = 16_384
export const saltBytesUsual = 16

const hashes: Readonly<Record<ScramMethod, { readonly name: string; readonly bytes: number }>> = {
  'SCRAM-SHA-256': { name: 'sha256', bytes: 32 },
  'SCRAM-SHA-512': { name: 'sha512', bytes: 64 },
}

export function hmac(method: ScramMethod, key: Uint8Array, text: string | Uint8Array): Buffer {
  return createHmac(hashes[method].name, key).update(text).digest()
}

export function hash(method: ScramMethod, bytes: Uint8Array): Buffer {
  return createHash(hashes[method].name).update(bytes).digest()
}

export function keyBytes(method: ScramMethod): number {
  return hashes[method].bytes
}

/** The record, or what is wrong with it in words, without showing any of it. */
export function parseScramRecord(text: string): ScramRecord | string {
  const match = shape.exec(text)
  if (match === null) return 'it is not of the form SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey'
  const [, name, count, ...parts] = match
  const method = name as ScramMethod
  const iterations = Number(count)
  const [salt, storedKey, serverKey] = parts.map(decode)
  const { iterationsMin, iterationsMax, saltBytesMin, saltBytesMax } = scramBounds
  if (iterations < iterationsMin || iterations > iterationsMax) {
    return `the iterations are not from ${iterationsMin} to ${iterationsMax}`
  }
  if (salt === undefined || salt.length < saltBytesMin || salt.length > saltBytesMax) {
    return `the salt is not base64 of ${saltBytesMin} to ${saltBytesMax} bytes`
  }
  const bytes = keyBytes(method)
  if (storedKey?.length !== bytes || serverKey?.length !== bytes) return `the keys are not base64 of ${bytes} bytes`
  return { method, iterations, salt, storedKey, serverKey }
}

/**
 * Makes the record of a password, with a fresh salt. Rejects an empty password and one no client could send.
 *
 * ```ts
 * const scramRecords = new Map([['alice', [await makeScramRecord('correct horse')]]])
 * ```
 */
export async function makeScramRecord(
  password: string,
  {
    method = 'SCRAM-SHA-256',
    iterations = iterationsUsual,
  }: { readonly method?: ScramMethod; readonly iterations?: number } = {},
): Promise<string> {
  const salt = randomBytes(saltBytesUsual)
  const { storedKey, serverKey } = await deriveScramKeys(password, { method, iterations, salt })
  return `${method}$${iterations}:${encode(salt)}$${encode(storedKey)}:${encode(serverKey)}`
}

/** The two keys of a password (RFC 5802 section 3). */
export async function deriveScramKeys(
  password: string,
  { method, iterations, salt }: Pick<ScramRecord, 'method' | 'iterations' | 'salt'>,
): Promise<Pick<ScramRecord, 'storedKey' | 'serverKey'>> {
  const { name, bytes } = hashes[method]
  const salted = await promisify(pbkdf2)(prepared(password), salt, iterations, bytes, name)
  const storedKey = hash(method, hmac(method, salted, 'Client Key'))
  return { storedKey, serverKey: hmac(method, salted, 'Server Key') }
}

/**
 * A password as clients prepare it (SASLprep, RFC 4013): spaces of all kinds are one kind, invisible characters go, compatible
 * characters are one (NFKC), control characters are refused. Absent: the checks of unassigned characters and of mixed writing
 * directions, which only ever refuse.
 */
function prepared(password: string): string {
  const text = password
    .replaceAll(/[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]/g, ' ')
    .replaceAll(/\u00ad|\u034f|\u1806|[\u180b-\u180d]|[\u200b-\u200d]|\u2060|[\ufe00-\ufe0f]|\ufeff/g, '')
    .normalize('NFKC')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  if (text === '' || /[\u0000-\u001f\u007f-\u009f]/.test(text) || !text.isWellFormed()) {
    throw new ConcordError(
      'CMQ_PASSWORD',
      'Cannot make a SCRAM record of a password that is empty or has control characters',
    )
  }
  return text
}

const base64 = '[A-Za-z0-9+/]{1,128}={0,2}'
const shape = new RegExp(`^(SCRAM-SHA-256|SCRAM-SHA-512)\\$([1-9]\\d{0,9}):(${base64})\\$(${base64}):(${base64})$`)

/** Base64 in its one canonical form. */
function decode(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, 'base64')
  return encode(bytes) === text ? bytes : undefined
}

function encode(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}
