/**
 * Who a client is: anonymous if that is allowed, or a user with the right password. Everything else is refused, and an
 * unknown user costs as much time as a wrong password, so that names cannot be found out by asking.
 *
 * Allowing anonymous clients opens the door for those who say nothing, not for those who say something wrong (row F24).
 */
import { isDeepStrictEqual } from 'node:util'
import { ReasonCode } from '@concordmq/protocol'
import { resolveAccess } from '../config/check.ts'
import type { AccessOptions } from '../config/options.ts'
import { ConcordError } from '../errors.ts'
import type { Logger } from '../telemetry/logger.ts'
import { Dummies } from './dummies.ts'
import { PasswordChecks } from './password-checks.ts'
import { type PasswordRecord, parsePasswordRecord } from './password-record.ts'
import { type Grants, Guard } from './permissions.ts'
import { Rules } from './rules.ts'

/** What a CONNECT says of its sender, and what the network knows. */
export interface Credentials {
  readonly clientId: string
  readonly username?: string
  readonly password?: Uint8Array
  /** Whether nobody waits for the answer any more. */
  readonly gone?: () => boolean
  readonly info: { readonly listener: string; readonly remoteAddress: string; readonly encrypted: boolean }
}

export type AccessVerdict =
  | { readonly ok: true; readonly principal: string; readonly grants?: Grants | undefined }
  | { readonly ok: false; readonly reasonCode: number; readonly why: string }

const anonymous: AccessVerdict = { ok: true, principal: '' }
const anonymousRefused = refused(ReasonCode.notAuthorized, 'anonymous clients are not allowed')
const passwordRefused = refused(ReasonCode.badUserNameOrPassword, 'bad user name or password')
const busy = refused(ReasonCode.serverBusy, 'too many passwords wait for their check')

/** Texts of both kinds of failure are one text, and this is what a missing password is compared as. */
const noPassword = new Uint8Array(0)

export class Access {
  /** What those who are let in may do. */
  readonly guard = new Guard()
  readonly #logger: Logger
  readonly #checks: PasswordChecks
  #allowAnonymous = false
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
    // An empty name is nobody's: clients send it, with an empty password, for fields left blank.
    if (username === undefined || username === '') {
      if (password !== undefined && password.length > 0) return passwordRefused
      return this.#allowAnonymous ? anonymous : anonymousRefused
    }
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

  /** Replaces who may log in; throws like the constructor, and then nothing has changed. */
  reload(options: AccessOptions): void {
    const settings = resolveAccess(options)
    const users = parseUsers(settings.users, this.#users)
    const rules = settings.permissions === undefined ? undefined : new Rules(settings.permissions)
    this.#users = users
    this.guard.rules = rules
    for (const notice of rules?.notices ?? []) this.#logger.warn({ event: 'permissions.notice' }, notice)
    this.#allowAnonymous = settings.allowAnonymous
    this.#dummies = new Dummies(users.values())
    this.#checks.limits = { checksMax: settings.passwordChecksMax, queueMax: settings.passwordQueueMax }
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
