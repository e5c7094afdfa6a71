/**
 * Who a client is: a user by his certificate, by a token or by the right password, or anonymous if that is allowed.
 * Everything else is refused, and an unknown user costs as much time as a wrong password, so that names cannot be found out
 * by asking.
 *
 *   certificate names the user, and CONNECT nobody else ─▶ token where one is expected ─▶ password ─▶ anonymous
 *
 * Allowing anonymous clients opens the door for those who say nothing, not for those who say something wrong (row F24).
 */
import { isDeepStrictEqual } from 'node:util'
import { ReasonCode } from '@concordmq/protocol'
import { resolveAccess } from '../config/check.ts'
import type { AccessOptions, PermissionOptions } from '../config/options.ts'
import { ConcordError } from '../errors.ts'
import type { Logger } from '../telemetry/logger.ts'
import { AddressRules, type AddressVerdict } from './address-rules.ts'
import { type CertificateUser, userOfCertificate, type VerifiedCertificate } from './certificate-user.ts'
import { Dummies } from './dummies.ts'
import { PasswordChecks } from './password-checks.ts'
import { type PasswordRecord, parsePasswordRecord } from './password-record.ts'
import { type Grants, Guard } from './permissions.ts'
import { Rules } from './rules.ts'
import { ScramAuthenticator } from './scram/scram-authenticator.ts'
import { looksLikeToken, TOKEN_BYTES_MAX, TokenChecks } from './tokens/token-checks.ts'

/** What a CONNECT says of its sender, and what the network knows. */
export interface Credentials {
  readonly clientId: string
  readonly username?: string
  readonly password?: Uint8Array
  /** Whether nobody waits for the answer any more. */
  readonly gone?: () => boolean
  readonly info: {
    readonly listener: string
    readonly remoteAddress: string
    readonly encrypted: boolean
    readonly certificate?: VerifiedCertificate
  }
}

export type AccessVerdict =
  | {
      readonly ok: true
      readonly principal: string
      readonly grants?: Grants | undefined
      /** When the client's connection ends, milliseconds from now; undefined: never. */
      readonly endsInMs?: number | undefined
    }
  | { readonly ok: false; readonly reasonCode: number; readonly why: string }

const anonymous: AccessVerdict = { ok: true, principal: '' }
const anonymousRefused = refused(ReasonCode.notAuthorized, 'anonymous clients are not allowed')
const passwordRefused = refused(ReasonCode.badUserNameOrPassword, 'bad user name or password')
const tokenTooLong = refused(ReasonCode.badUserNameOrPassword, `the token is longer than ${TOKEN_BYTES_MAX} bytes`)
const busy = refused(ReasonCode.serverBusy, 'too many passwords wait for their check')

/** Texts of both kinds of failure are one text, and this is what a missing password is compared as. */
const noPassword = new Uint8Array(0)

export class Access {
  /** What those who are let in may do. */
  readonly guard = new Guard()
  readonly #logger: Logger
  readonly #checks: PasswordChecks
  /** SCRAM logins (AUTH). */
  readonly scram = new ScramAuthenticator()
  #allowAnonymous = false
  #refusedLoginCode: 4 | 5 = 4
  #certificateUser: CertificateUser = 'off'
  #addresses: AddressRules | undefined
  /** Whether there is no way in at all. */
  #shut = false
  #tokens: TokenChecks | undefined
  #tokensMax = 0
  /** Whether there may be clients whose token says what they may do. */
  #tokenHolders = false
  #users: ReadonlyMap<string, PasswordRecord> = new Map()
  #dummies = new Dummies([])
  #busy = false

  /** Throws `CMQ_OPTIONS` or `CMQ_PASSWORD_RECORD`, which lists every user whose record cannot be used. */
  constructor(options: AccessOptions, logger: Logger) {
    this.#logger = logger
    this.#checks = new PasswordChecks({ checksMax: 1, queueMax: 0 })
    this.reload(options)
  }

  /** Decides at once where no password is to be checked. The password's bytes must not change until the answer. */
  authenticate(credentials: Credentials): AccessVerdict | Promise<AccessVerdict> {
    const { username, password } = credentials
    const certified = this.#certified(credentials)
    if (certified !== undefined) return certified
    const token = this.#token(credentials)
    if (token !== undefined) return token
    // An empty name is nobody's: clients send it, with an empty password, for fields left blank.
    if (username === undefined || username === '') {
      if (password !== undefined && password.length > 0) return passwordRefused
      if (this.#allowAnonymous || this.addressVerdict(credentials.info.remoteAddress) === 'allow') return anonymous
      // Where nobody can log in, any name is a bad one and none too (row C8).
      return this.#shut ? passwordRefused : anonymousRefused
    }
    // An allowed address needs no credentials; whose name it is then nobody knows, so it is nobody's.
    if (password === undefined && this.addressVerdict(credentials.info.remoteAddress) === 'allow') return anonymous
    const record = this.#users.get(username)
    const outcome = this.#checks.check(record ?? this.#dummies.of(username), password ?? noPassword, credentials.gone)
    if (outcome === 'busy') {
      this.#nowBusy()
      return busy
    }
    return outcome.then((fits) => {
      this.#busy = false
      // Whoever was removed or renamed while waiting is not let in.
      return fits && record !== undefined && this.#users.get(username) === record
        ? { ok: true, principal: username }
        : passwordRefused
    })
  }

  /** What the rules say to an address; undefined: nothing. */
  addressVerdict(address: string): AddressVerdict | undefined {
    return this.#addresses?.verdict(address)
  }

  /** CONNACK code of a refused login in 3.1.1. */
  get refusedLoginCode(): 4 | 5 {
    return this.#refusedLoginCode
  }

  /** Replaces who may log in; throws like the constructor, and then nothing has changed. */
  reload(options: AccessOptions): void {
    const settings = resolveAccess(options)
    const users = parseUsers(settings.users, this.#users)
    const tokens = settings.tokens === undefined ? undefined : new TokenChecks(settings.tokens)
    const rules = rulesOf(settings.permissions, this.#tokenHolders || tokens !== undefined)
    const addresses = settings.addresses === undefined ? undefined : new AddressRules(settings.addresses)
    this.scram.reload(settings.scramRecords, settings.scramSecret)
    this.#users = users
    this.#tokens = tokens
    this.#tokenHolders ||= tokens !== undefined
    this.#addresses = addresses
    this.#refusedLoginCode = settings.refusedLoginCode
    this.#shut =
      users.size === 0 &&
      tokens === undefined &&
      settings.certificateUser === 'off' &&
      this.scram.methods.length === 0 &&
      settings.enhanced === undefined
    this.#tokensMax = settings.passwordChecksMax + settings.passwordQueueMax
    this.#certificateUser = settings.certificateUser
    this.guard.rules = rules
    for (const notice of rules?.notices ?? []) this.#logger.warn({ event: 'permissions.notice' }, notice)
    this.#allowAnonymous = settings.allowAnonymous
    this.#dummies = new Dummies(users.values())
    this.#checks.limits = { checksMax: settings.passwordChecksMax, queueMax: settings.passwordQueueMax }
  }

  /** The certificate's name suffices, unless CONNECT names another user: that one needs a password of his own. */
  #certified({ username, info: { certificate } }: Credentials): AccessVerdict | undefined {
    if (this.#certificateUser === 'off' || certificate === undefined) return undefined
    const principal = userOfCertificate(certificate, this.#certificateUser)
    if (principal === undefined || (username !== undefined && username !== '' && username !== principal))
      return undefined
    return { ok: true, principal }
  }

  #token({ username, password }: Credentials): AccessVerdict | Promise<AccessVerdict> | undefined {
    const tokens = this.#tokens
    if (tokens === undefined) return undefined
    const asName = tokens.carriedIn === 'username'
    // Beside tokens there may be passwords; what is too long for a token cannot be one of these either.
    const text = asName ? username : password === undefined ? undefined : Buffer.from(password).toString('latin1')
    if (text === undefined || !looksLikeToken(text)) return undefined
    if (text.length > TOKEN_BYTES_MAX) return tokenTooLong
    if (tokens.waiting >= this.#tokensMax) {
      this.#nowBusy()
      return busy
    }
    return tokens.check(text, asName ? undefined : username).then((verdict) => {
      this.#busy = false
      // Whoever waited while the keys were replaced is asked to come again, and is verified with the new ones.
      return this.#tokens === tokens || !verdict.ok ? verdict : passwordRefused
    })
  }

  #nowBusy(): void {
    if (this.#busy) return
    this.#busy = true
    this.#logger.warn(
      { event: 'access.busy', running: this.#checks.running, waiting: this.#checks.waiting },
      'Refusing logins: access.passwordQueueMax is reached',
    )
  }
}

/** Without rules a token still bounds its holder. */
function rulesOf(permissions: PermissionOptions | undefined, tokenHolders: boolean): Rules | undefined {
  if (permissions === undefined) return tokenHolders ? new Rules({ default: 'allow' }) : undefined
  return new Rules(permissions)
}

function refused(reasonCode: number, why: string): AccessVerdict {
  return { ok: false, reasonCode, why }
}

/** Keeps the parsed record of a user whose record has not changed, so that its checks under way still count. */
function parseUsers(
  users: ReadonlyMap<string, string>,
  before: ReadonlyMap<string, PasswordRecord>,
): ReadonlyMap<string, PasswordRecord> {
  const parsed = new Map<string, PasswordRecord>()
  const problems: string[] = []
  for (const [name, text] of users) {
    const record = parsePasswordRecord(text)
    if (typeof record === 'string') problems.push(`${JSON.stringify(name)} (${record})`)
    else parsed.set(name, sameAs(before.get(name), record))
  }
  if (problems.length > 0) {
    throw new ConcordError('CMQ_PASSWORD_RECORD', `Cannot use the password record of ${problems.join(', ')}`)
  }
  return parsed
}

function sameAs(old: PasswordRecord | undefined, record: PasswordRecord): PasswordRecord {
  const same = old !== undefined && isDeepStrictEqual(old, record)
  return same ? old : record
}
