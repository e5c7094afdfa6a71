/**
 * JSON Web Tokens (RFC 7519) in the place of a password: verified with `jose`, which knows the cryptography and the times; here
 * is what a token means for a client.
 *
 *   token ─▶ short enough? ─▶ algorithm that one of our keys is for? ─▶ signature, exp, nbf, iss, aud ─▶ user name, rights, end
 *
 * Verifying runs off the event loop. As many tokens may wait as passwords may; beyond that a login is refused as busy.
 */
import { filterProblem, ReasonCode, stringProblem } from '@concordmq/protocol'
import { decodeProtectedHeader, errors, type JWTPayload, jwtVerify } from 'jose'
import type { TokenOptions } from '../../config/options.ts'
import { suggest } from '../../config/suggest.ts'
import { ConcordError } from '../../errors.ts'
import type { Grants } from '../permissions.ts'
import { readTokenKeys, type TokenKey, tokenAlgorithms } from './token-keys.ts'

/** Longest token, bytes: room for hundreds of filters, and nothing that costs much to look at. */
export const TOKEN_BYTES_MAX = 8_192
/** Filters of one claim. */
export const GRANTS_MAX = 256
/** Keys tried for a token that names none. */
const TRIED_MAX = 8

export type TokenVerdict =
  | {
      readonly ok: true
      readonly principal: string
      readonly grants: Grants | undefined
      /** When the holder's connection ends, milliseconds from now; undefined: never. */
      readonly endsInMs: number | undefined
    }
  | { readonly ok: false; readonly reasonCode: number; readonly why: string }

type Resolved = Required<Omit<TokenOptions, 'jwks' | 'pem' | 'secret' | 'algorithms' | 'issuer' | 'audience'>> &
  Pick<TokenOptions, 'issuer' | 'audience'>

export class TokenChecks {
  readonly carriedIn: 'password' | 'username'
  readonly #o: Resolved
  readonly #keys: readonly TokenKey[]
  #waiting = 0

  /** Throws `CMQ_TOKENS`. */
  constructor(options: TokenOptions) {
    this.#o = resolved(options)
    this.carriedIn = this.#o.carriedIn
    this.#keys = readTokenKeys(options)
  }

  /** Tokens that are being verified. */
  get waiting(): number {
    return this.#waiting
  }

  /** `username`: what CONNECT says beside the token; it must be the token's or nothing. */
  async check(token: string, username: string | undefined): Promise<TokenVerdict> {
    this.#waiting++
    try {
      return await this.#check(token, username)
    } finally {
      this.#waiting--
    }
  }

  async #check(token: string, username: string | undefined): Promise<TokenVerdict> {
    const found = this.#keysFor(token)
    if (typeof found === 'string') return refused(found)
    const { issuer, audience, leewaySeconds, requireExpiry, userClaim } = this.#o
    let why = 'no key fits it'
    for (const key of found.keys) {
      try {
        const { payload } = await jwtVerify(token, key.key, {
          algorithms: [found.alg],
          clockTolerance: leewaySeconds,
          ...(issuer !== undefined && { issuer }),
          ...(audience !== undefined && { audience }),
          requiredClaims: [...(requireExpiry ? ['exp'] : []), userClaim],
        })
        return this.#verdict(payload, username)
      } catch (error) {
        why = reasonOf(error)
        // Only another signature could be another key's.
        if (!(error instanceof errors.JWSSignatureVerificationFailed)) break
      }
    }
    return refused(why)
  }

  /** The keys that may have signed a token, or why there are none. */
  #keysFor(token: string): { readonly alg: string; readonly keys: readonly TokenKey[] } | string {
    let header: { readonly alg?: unknown; readonly kid?: unknown }
    try {
      header = decodeProtectedHeader(token)
    } catch {
      return 'the token is malformed'
    }
    const { alg, kid } = header
    const fit = this.#keys.filter(({ algorithms }) => typeof alg === 'string' && algorithms.has(alg))
    if (fit.length === 0) return `no key is for the algorithm of the token`
    // A key without name may be the one that is named; one with another name is not.
    const keys = fit.filter((key) => kid === undefined || key.kid === undefined || key.kid === kid)
    if (keys.length === 0) return 'the token names a key that is not there'
    return { alg: alg as string, keys: keys.slice(0, TRIED_MAX) }
  }

  #verdict(payload: JWTPayload, username: string | undefined): TokenVerdict {
    const { userClaim, publishClaim, subscribeClaim, endsWithToken, leewaySeconds } = this.#o
    const principal = payload[userClaim]
    if (typeof principal !== 'string' || principal === '' || stringProblem(principal) !== undefined) {
      return refused(`the claim ${JSON.stringify(userClaim)} is no user name`)
    }
    if (username !== undefined && username !== '' && username !== principal) {
      return refused("the user name is not the token's")
    }
    const publish = filtersOf(payload[publishClaim])
    const subscribe = filtersOf(payload[subscribeClaim])
    if (typeof publish === 'string') return refused(`the claim ${JSON.stringify(publishClaim)} ${publish}`)
    if (typeof subscribe === 'string') return refused(`the claim ${JSON.stringify(subscribeClaim)} ${subscribe}`)
    const { exp } = payload
    return {
      ok: true,
      principal,
      grants: publish === undefined && subscribe === undefined ? undefined : { publish, subscribe },
      endsInMs:
        endsWithToken && exp !== undefined ? Math.max(0, (exp + leewaySeconds) * 1_000 - Date.now()) : undefined,
    }
  }
}

/** What is wrong with options, in words; undefined: they can be used. */
export function tokenProblem(options: TokenOptions): string | undefined {
  try {
    new TokenChecks(options)
    return undefined
  } catch (error) {
    if (error instanceof ConcordError) return error.message
    throw error
  }
}

/** Whether a text has the form of a signed token: three parts of base64url, the first an object. */
export function looksLikeToken(text: string): boolean {
  return /^eyJ[\w-]*\.[\w-]+\.[\w-]*$/.test(text)
}

function refused(why: string): TokenVerdict {
  return { ok: false, reasonCode: ReasonCode.badUserNameOrPassword, why }
}

/** Without any part of the token in it. */
function reasonOf(error: unknown): string {
  if (error instanceof errors.JWTExpired) return 'the token has expired'
  if (error instanceof errors.JWTClaimValidationFailed)
    return `the claim ${JSON.stringify(error.claim)} of the token is not right`
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'the signature of the token is not right'
  return 'the token is malformed'
}

/** Filters of a claim; undefined without it; else what is wrong with it. */
function filtersOf(claim: unknown): readonly string[] | string | undefined {
  if (claim === undefined) return undefined
  if (!Array.isArray(claim) || !claim.every((filter) => typeof filter === 'string'))
    return 'is no list of topic filters'
  if (claim.length > GRANTS_MAX) return `has more than ${GRANTS_MAX} topic filters`
  const filters = claim as readonly string[]
  const wrong = filters.some((filter) => filterProblem(filter) !== undefined || filter.startsWith('$share/'))
  return wrong ? 'has something else than topic filters' : filters
}

const defaults: Resolved = {
  leewaySeconds: 10,
  requireExpiry: true,
  endsWithToken: true,
  userClaim: 'sub',
  publishClaim: 'publish',
  subscribeClaim: 'subscribe',
  carriedIn: 'password',
}
const names = [...Object.keys(defaults), 'jwks', 'pem', 'secret', 'algorithms', 'issuer', 'audience']

function resolved(options: TokenOptions): Resolved {
  const problems: string[] = []
  for (const name of Object.keys(options)) {
    if (names.includes(name)) continue
    const meant = suggest(name, names)
    problems.push(`${JSON.stringify(name)} is unknown${meant === undefined ? '' : `, did you mean "${meant}"?`}`)
  }
  const must = (holds: boolean, rule: string): void => void (holds || problems.push(rule))
  const given = {
    ...defaults,
    ...Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)),
  }
  const all = given as Resolved & TokenOptions
  for (const name of ['userClaim', 'publishClaim', 'subscribeClaim'] as const) {
    must(typeof all[name] === 'string' && all[name] !== '', `${name} must be the name of a claim`)
  }
  for (const name of ['jwks', 'pem', 'issuer', 'audience'] as const) {
    must(all[name] === undefined || typeof all[name] === 'string', `${name} must be a text`)
  }
  for (const name of ['requireExpiry', 'endsWithToken'] as const) {
    must(typeof all[name] === 'boolean', `${name} must be true or false`)
  }
  must(all.secret === undefined || all.secret instanceof Uint8Array, 'secret must be bytes (Uint8Array)')
  must(
    Number.isInteger(all.leewaySeconds) && all.leewaySeconds >= 0 && all.leewaySeconds <= 3_600,
    'leewaySeconds must be an integer from 0 to 3600 (s)',
  )
  must(all.carriedIn === 'password' || all.carriedIn === 'username', 'carriedIn must be "password" or "username"')
  must(
    all.algorithms === undefined ||
      (Array.isArray(all.algorithms) && all.algorithms.every((one) => tokenAlgorithms.includes(one))),
    `algorithms may list ${tokenAlgorithms.join(', ')}`,
  )
  if (problems.length > 0) throw new ConcordError('CMQ_TOKENS', `Cannot verify tokens: ${problems.join('; ')}`)
  return all
}
