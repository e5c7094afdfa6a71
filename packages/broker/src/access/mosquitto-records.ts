/**
 * Password records that `mosquitto_passwd` writes, so that a password file can be taken over as it is and nobody has to think
 * of a new password:
 *
 *   $7$<iterations>$<salt>$<hash>     PBKDF2 with HMAC-SHA-512, 64 bytes
 *   $6$<salt>$<hash>                  SHA-512 over password and salt
 *
 * Both are weaker than Argon2id: Mosquitto's usual 101 iterations take a tenth of a millisecond to try. New records are never
 * written in these forms. Parsing is as strict and as bounded as that of Argon2id. Salt and hash are base64 with padding.
 */
import { createHash, pbkdf2 } from 'node:crypto'

export interface Pbkdf2Record {
  readonly kind: 'pbkdf2-sha512'
  readonly iterations: number
  readonly salt: Uint8Array
  readonly hash: Uint8Array
}

export interface Sha512Record {
  readonly kind: 'sha512'
  readonly salt: Uint8Array
  readonly hash: Uint8Array
}

/** About two seconds of a core. */
export const iterationsMax = 5_000_000
const saltBytesMax = 64
const hashBytes = 64

/** The record; what is wrong with it, in words; or undefined if it is of another kind. */
export function parseMosquittoRecord(text: string): Pbkdf2Record | Sha512Record | string | undefined {
  const pbkdf2Match = /^\$7\$([1-9]\d{0,9})\$([^$]*)\$([^$]*)$/.exec(text)
  const sha512Match = /^\$6\$([^$]*)\$([^$]*)$/.exec(text)
  const match = pbkdf2Match ?? sha512Match
  if (match === null) {
    if (text.startsWith('$7$')) return 'it is not of the form $7$iterations$salt$hash'
    return text.startsWith('$6$') ? 'it is not of the form $6$salt$hash' : undefined
  }
  const [salt, hash] = match.slice(-2).map(decode)
  if (salt === undefined || salt.length === 0 || salt.length > saltBytesMax) {
    return `the salt is not base64 of 1 to ${saltBytesMax} bytes`
  }
  if (hash === undefined || hash.length !== hashBytes) return `the hash is not base64 of ${hashBytes} bytes`
  if (pbkdf2Match === null) return { kind: 'sha512', salt, hash }
  const iterations = Number(match[1])
  if (iterations > iterationsMax) return `the iterations are above ${iterationsMax}`
  return { kind: 'pbkdf2-sha512', iterations, salt, hash }
}

/** The hash of a password as the record has it. PBKDF2 runs in libuv's pool. */
export function mosquittoHash(record: Pbkdf2Record | Sha512Record, password: Uint8Array): Promise<Uint8Array> {
  const { salt } = record
  if (record.kind === 'sha512') return Promise.resolve(createHash('sha512').update(password).update(salt).digest())
  return new Promise((resolve, reject) => {
    pbkdf2(password, salt, record.iterations, hashBytes, 'sha512', (error, hash) => {
      if (error === null) resolve(hash)
      else reject(error)
    })
  })
}

/** Base64 with padding, only in its one canonical form. */
function decode(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}
