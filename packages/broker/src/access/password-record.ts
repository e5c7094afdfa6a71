/**
 * Password records: Argon2id in the PHC string format, as FoxMQ and the `argon2` command write them (row F15).
 *
 *   $argon2id$v=19$m=19456,t=2,p=1$<salt, base64 without padding>$<hash, same>
 *
 * Parsing is strict and has maxima: whoever may write a users file must not be able to ask for 100 GiB at each login.
 * Absent: Argon2i and Argon2d, version 16, keyid and data fields, none of which the seed writes. Mosquitto's records are in
 * `mosquitto-records.ts`.
 */
import { randomBytes } from 'node:crypto'
import { ConcordError } from '../errors.ts'
import { type Argon2Input, loadArgon2 } from './argon2.ts'
import { mosquittoHash, type Pbkdf2Record, parseMosquittoRecord, type Sha512Record } from './mosquitto-records.ts'

export interface Argon2Record extends Argon2Input {
  readonly kind: 'argon2id'
  readonly hash: Uint8Array
}

export type PasswordRecord = Argon2Record | Pbkdf2Record | Sha512Record

/** Bounds of what a record may ask for. The memory is held once per check that runs. */
export const recordBounds = {
  memoryKibMax: 262_144,
  passesMax: 16,
  lanesMax: 16,
  saltBytesMin: 8,
  saltBytesMax: 64,
  hashBytesMin: 16,
  hashBytesMax: 64,
} as const

/** MQTT carries a password in a field of two length bytes. */
const passwordBytesMax = 65_535

/** The parameters OWASP recommends and FoxMQ uses: 19 MiB, two passes, one lane. */
const usual = { memory: 19_456, passes: 2, lanes: 1, hashBytes: 32 } as const
const saltBytes = 16

/** The record, or what is wrong with it in words, without showing any of it. */
export function parsePasswordRecord(text: string): PasswordRecord | string {
  const others = parseMosquittoRecord(text)
  if (others !== undefined) return others
  const match = shape.exec(text)
  if (match === null) return 'it is not of the form $argon2id$v=19$m=…,t=…,p=…$salt$hash'
  const [memory, passes, lanes] = match.slice(1, 4).map(Number) as [number, number, number]
  const [salt, hash] = match.slice(4, 6).map(decode)
  if (memory > recordBounds.memoryKibMax) return `m is above ${recordBounds.memoryKibMax} KiB`
  if (passes > recordBounds.passesMax) return `t is above ${recordBounds.passesMax}`
  if (lanes > recordBounds.lanesMax) return `p is above ${recordBounds.lanesMax}`
  // RFC 9106, section 3.1.
  if (memory < 8 * lanes) return 'm is below 8 times p'
  if (salt === undefined || salt.length < recordBounds.saltBytesMin || salt.length > recordBounds.saltBytesMax) {
    return `the salt is not base64 of ${recordBounds.saltBytesMin} to ${recordBounds.saltBytesMax} bytes`
  }
  if (hash === undefined || hash.length < recordBounds.hashBytesMin || hash.length > recordBounds.hashBytesMax) {
    return `the hash is not base64 of ${recordBounds.hashBytesMin} to ${recordBounds.hashBytesMax} bytes`
  }
  return { kind: 'argon2id', memory, passes, lanes, salt, hash, hashBytes: hash.length }
}

/**
 * Makes the record of a password, with a fresh salt. Rejects an empty password and one no client could send.
 *
 * ```ts
 * const users = new Map([['alice', await makePasswordRecord('correct horse')]])
 * ```
 */
export async function makePasswordRecord(password: string): Promise<string> {
  const bytes = Buffer.from(password)
  if (bytes.length === 0) throw new ConcordError('CMQ_PASSWORD', 'Cannot make a record of an empty password')
  if (bytes.length > passwordBytesMax) {
    throw new ConcordError('CMQ_PASSWORD', `Cannot make a record of a password above ${passwordBytesMax} bytes`)
  }
  const salt = randomBytes(saltBytes)
  const argon2 = await loadArgon2()
  const hash = await argon2(bytes, { ...usual, salt })
  return `$argon2id$v=19$m=${usual.memory},t=${usual.passes},p=${usual.lanes}$${encode(salt)}$${encode(hash)}`
}

/** A record that no password fits, which costs what a record with the given parameters costs. */
export function dummyRecord(like: PasswordRecord | undefined): PasswordRecord {
  if (like !== undefined) return { ...like, salt: randomBytes(like.salt.length), hash: randomBytes(like.hash.length) }
  return { kind: 'argon2id', ...usual, salt: randomBytes(saltBytes), hash: randomBytes(usual.hashBytes) }
}

/** What a password gives under the parameters of a record. */
export async function passwordHash(record: PasswordRecord, password: Uint8Array): Promise<Uint8Array> {
  if (record.kind !== 'argon2id') return mosquittoHash(record, password)
  const argon2 = await loadArgon2()
  return argon2(password, record)
}

const shape =
  /^\$argon2id\$v=19\$m=([1-9]\d{0,9}),t=([1-9]\d{0,9}),p=([1-9]\d{0,9})\$([A-Za-z0-9+/]{1,128})\$([A-Za-z0-9+/]{1,128})$/

/** Base64 without padding, only in its one canonical form. */
function decode(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, 'base64')
  return encode(bytes) === text ? bytes : undefined
}

function encode(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replaceAll('=', '')
}
