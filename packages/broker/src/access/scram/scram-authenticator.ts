/**
 * SCRAM over enhanced authentication (MQTT 5.0 section 4.12): the methods `SCRAM-SHA-256` and `SCRAM-SHA-512`, for users who have
 * a record of the method. Every login goes the same way, whether the user exists or not: one challenge, one proof, the same
 * HMACs, and a salt that stays the same; so names cannot be found out by asking.
 *
 * All of it is a few microseconds on the event loop: the expensive part of SCRAM is the client's.
 */
import { randomBytes } from 'node:crypto'
import { ReasonCode } from '@concordmq/protocol'
import type { EnhancedAuthenticator, EnhancedExchange, EnhancedVerdict } from '../../config/options.ts'
import { ConcordError } from '../../errors.ts'
import { type Challenge, challenge, finish, readClientFirst, unknownRecord } from './scram-exchange.ts'
import {
  iterationsUsual,
  parseScramRecord,
  type ScramMethod,
  type ScramRecord,
  saltBytesUsual,
  scramMethods,
} from './scram-record.ts'

const SECRET_BYTES_MIN = 16
/** The server's part of the nonce, bytes of randomness. */
const NONCE_BYTES = 18

/** What an unknown user's record looks like: like most. */
interface Usual {
  readonly iterations: number
  readonly saltBytes: number
}

export class ScramAuthenticator implements EnhancedAuthenticator {
  #records: ReadonlyMap<string, ReadonlyMap<ScramMethod, ScramRecord>> = new Map()
  #usual: ReadonlyMap<ScramMethod, Usual> = new Map()
  #secret: Uint8Array = randomBytes(32)

  /** Methods for which somebody has a record. */
  get methods(): readonly string[] {
    return [...this.#usual.keys()]
  }

  /** Replaces the records; throws `CMQ_SCRAM_RECORD`, and then nothing has changed. */
  reload(given: ReadonlyMap<string, readonly string[]> | undefined, secret: Uint8Array | undefined): void {
    const records = parseAll(given ?? new Map(), this.#records)
    if (secret !== undefined && !(secret instanceof Uint8Array && secret.length >= SECRET_BYTES_MIN)) {
      throw new ConcordError(
        'CMQ_SCRAM_RECORD',
        `Cannot use scramSecret: it must have at least ${SECRET_BYTES_MIN} bytes`,
      )
    }
    this.#records = records
    if (secret !== undefined) this.#secret = secret
    this.#usual = usualOf(records)
  }

  step(exchange: EnhancedExchange): EnhancedVerdict {
    const { data, state } = exchange
    const method = exchange.method as ScramMethod
    if (state === undefined) {
      // A client may name the method alone and begin when asked.
      if (data === undefined || data.length === 0) {
        exchange.state = 'asked'
        return { verdict: 'continue' }
      }
      return this.#begin(exchange, method, data)
    }
    if (state === 'asked') return data === undefined ? refused('no message') : this.#begin(exchange, method, data)
    return this.#end(state as Challenge, data ?? new Uint8Array(0))
  }

  #begin(exchange: EnhancedExchange, method: ScramMethod, data: Uint8Array): EnhancedVerdict {
    const first = readClientFirst(data)
    if (typeof first === 'string') return refused(first)
    const { username } = exchange
    if (username !== undefined && username !== '' && username !== first.username) {
      return refused('CONNECT and the exchange name two users')
    }
    const usual = this.#usual.get(method) ?? { iterations: iterationsUsual, saltBytes: saltBytesUsual }
    // Made in any case, so that both kinds of users cost the same.
    const unknown = unknownRecord(first.username, { method, ...usual, secret: this.#secret })
    const record = this.#records.get(first.username)?.get(method) ?? unknown
    const asked = challenge(first, record, randomBytes(NONCE_BYTES).toString('base64'))
    exchange.state = asked
    return { verdict: 'continue', data: Buffer.from(asked.text) }
  }

  #end(asked: Challenge, data: Uint8Array): EnhancedVerdict {
    const outcome = finish(asked, data)
    if (typeof outcome === 'string') return refused(outcome)
    const { first, record } = asked
    // Whoever was removed or renamed meanwhile is not let in.
    if (this.#records.get(first.username)?.get(record.method) !== record) return refused('the user is gone')
    return { verdict: 'success', data: outcome.data, principal: first.username }
  }
}

function refused(why: string): EnhancedVerdict {
  return { verdict: 'refuse', reasonCode: ReasonCode.badUserNameOrPassword, reason: why }
}

/** Keeps the parsed record of a user whose record has not changed, so that logins under way still count. */
function parseAll(
  given: ReadonlyMap<string, readonly string[]>,
  before: ReadonlyMap<string, ReadonlyMap<ScramMethod, ScramRecord>>,
): Map<string, ReadonlyMap<ScramMethod, ScramRecord>> {
  const all = new Map<string, ReadonlyMap<ScramMethod, ScramRecord>>()
  const problems: string[] = []
  if (!(given instanceof Map)) problems.push('they must be a Map of user names to lists of records')
  for (const [name, texts] of given instanceof Map ? given : []) {
    const records = new Map<ScramMethod, ScramRecord>()
    for (const text of Array.isArray(texts) ? (texts as readonly string[]) : [texts as string]) {
      const record = parseScramRecord(String(text))
      if (typeof record === 'string') problems.push(`${JSON.stringify(name)} (${record})`)
      else if (records.has(record.method)) problems.push(`${JSON.stringify(name)} (two records of ${record.method})`)
      else records.set(record.method, sameAs(before.get(name)?.get(record.method), record))
    }
    all.set(name, records)
  }
  if (problems.length > 0)
    throw new ConcordError('CMQ_SCRAM_RECORD', `Cannot use the SCRAM records of ${problems.join(', ')}`)
  return all
}

function sameAs(old: ScramRecord | undefined, record: ScramRecord): ScramRecord {
  const same =
    old !== undefined &&
    old.iterations === record.iterations &&
    Buffer.compare(old.salt, record.salt) === 0 &&
    Buffer.compare(old.storedKey, record.storedKey) === 0 &&
    Buffer.compare(old.serverKey, record.serverKey) === 0
  return same ? old : record
}

/** For each method that is in use, the most frequent iterations and salt length of its records. */
function usualOf(records: ReadonlyMap<string, ReadonlyMap<ScramMethod, ScramRecord>>): ReadonlyMap<ScramMethod, Usual> {
  const usual = new Map<ScramMethod, Usual>()
  for (const method of scramMethods) {
    const counts = new Map<string, number>()
    for (const known of records.values()) {
      const record = known.get(method)
      if (record === undefined) continue
      const key = `${record.iterations} ${record.salt.length}`
      counts.set(key, (counts.get(key) ?? 0) + 1)
    }
    const [most] = [...counts].sort(([, a], [, b]) => b - a)
    if (most === undefined) continue
    const [iterations = iterationsUsual, saltBytes = saltBytesUsual] = most[0].split(' ').map(Number)
    usual.set(method, { iterations, saltBytes })
  }
  return usual
}
