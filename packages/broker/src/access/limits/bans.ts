/**
 * Who is kept out for a while: addresses whose logins fail again and again, client identifiers that come and go too fast
 * (flapping), and whoever an operator bans. A ban refuses new connections and logins; who is connected stays.
 *
 *   failed login   ─▶ counted for the address (and, if asked for, the client identifier and the user name) ─┐
 *   accepted login ─▶ counted for the client identifier ───────────────────────────────────────────────────┴▶ ban
 *
 * Bans are kept in memory, and there is a maximum of them: beyond, the oldest that was not an operator's ends early. Whoever
 * comes from an exempt network (loopback, unless told otherwise) is neither counted nor banned by itself.
 */
import { ConcordError } from '../../errors.ts'
import { NetworkSet } from '../../model/networks.ts'
import type { LimitCounters } from '../../telemetry/limit-counters.ts'
import type { Logger } from '../../telemetry/logger.ts'
import { EventWindows } from './event-window.ts'

/** What a ban is of. An address stands for its network where limits count that (IPv6). */
export type BanKind = 'address' | 'clientId' | 'user'

export interface Ban {
  readonly kind: BanKind
  readonly value: string
  readonly reason: 'failures' | 'flapping' | 'operator'
  /** Milliseconds since 1970. */
  readonly sinceMs: number
  /** Milliseconds since 1970; undefined: until it is lifted. */
  readonly untilMs: number | undefined
}

export interface BanRequest extends Pick<Ban, 'kind' | 'value'> {
  /** Milliseconds; undefined: until it is lifted. */
  readonly forMs?: number
}

export interface BanLimits {
  readonly failuresMax: number
  readonly failuresWindowMs: number
  readonly clientIds: boolean
  readonly users: boolean
  readonly flappingConnectsMax: number
  readonly flappingWindowMs: number
  readonly banMs: number
  readonly exempt: readonly string[]
  readonly bansMax: number
}

/** Names whose logins are counted at once, of each kind; beyond, the one seen longest ago starts anew. */
const NAMES_MAX = 100_000

interface Held {
  readonly ban: Ban
  /** On the broker's clock. */
  readonly endsMs: number
}

export class Bans {
  readonly #limits: () => BanLimits
  readonly #counters: LimitCounters
  readonly #logger: Logger
  readonly #nowMs: () => number
  readonly #begun: ((ban: BanRequest, reason: Ban['reason']) => void) | undefined
  readonly #held = new Map<string, Held>()
  readonly #failures = new EventWindows(NAMES_MAX)
  readonly #connects = new EventWindows(NAMES_MAX)
  #operators = 0
  #exemptFrom: readonly string[] = []
  #exempt = new NetworkSet([])

  constructor(options: {
    readonly limits: () => BanLimits
    readonly counters: LimitCounters
    readonly logger: Logger
    /** Monotonic. */
    readonly nowMs: () => number
    /** Told of each ban that begins by itself. */
    readonly begun?: ((ban: BanRequest, reason: Ban['reason']) => void) | undefined
  }) {
    this.#limits = options.limits
    this.#counters = options.counters
    this.#logger = options.logger
    this.#nowMs = options.nowMs
    this.#begun = options.begun
  }

  /** Whether it is kept out now. */
  has(kind: BanKind, value: string): boolean {
    if (this.#held.size === 0) return false
    const key = keyOf(kind, value)
    const held = this.#held.get(key)
    if (held === undefined) return false
    if (held.endsMs > this.#nowMs()) return true
    this.#drop(key, held)
    return false
  }

  /** Whether whoever comes from there is never counted. */
  isExempt(address: string): boolean {
    const { exempt } = this.#limits()
    if (exempt !== this.#exemptFrom) {
      this.#exempt = new NetworkSet(exempt)
      this.#exemptFrom = exempt
    }
    return this.#exempt.has(address)
  }

  /** A login failed, for the `addressFailures`th time from its address within the window. */
  failed(login: {
    readonly addressKey: string
    readonly addressFailures: number
    readonly clientId: string
    readonly username: string | undefined
  }): void {
    const { failuresMax, failuresWindowMs, clientIds, users } = this.#limits()
    if (failuresMax === 0) return
    if (login.addressKey !== '' && login.addressFailures >= failuresMax)
      this.#begin('address', login.addressKey, 'failures')
    const now = this.#nowMs()
    const count = (kind: BanKind, value: string): void => {
      const key = keyOf(kind, value)
      if (this.#failures.add(key, now, failuresWindowMs) < failuresMax) return
      this.#failures.forget(key)
      this.#begin(kind, value, 'failures')
    }
    if (clientIds && login.clientId !== '') count('clientId', login.clientId)
    if (users && login.username !== undefined && login.username !== '') count('user', login.username)
  }

  /** A login was accepted. */
  entered(clientId: string): void {
    const { flappingConnectsMax, flappingWindowMs } = this.#limits()
    if (flappingConnectsMax === 0) return
    if (this.#connects.add(clientId, this.#nowMs(), flappingWindowMs) < flappingConnectsMax) return
    this.#connects.forget(clientId)
    this.#begin('clientId', clientId, 'flapping')
  }

  /** By an operator; `forMs` undefined: until it is lifted. */
  ban(kind: BanKind, value: string, forMs: number | undefined): void {
    const { bansMax } = this.#limits()
    const before = this.#held.get(keyOf(kind, value))
    if (before?.ban.reason !== 'operator' && this.#operators >= bansMax) {
      throw new ConcordError('CMQ_BANS', `Cannot ban ${kind} ${JSON.stringify(value)}: there are ${bansMax} bans`)
    }
    this.#hold(kind, value, 'operator', forMs)
  }

  /** One that began elsewhere. */
  take({ kind, value, forMs }: BanRequest, reason: Ban['reason']): void {
    if (!this.has(kind, value)) this.#hold(kind, value, reason, forMs)
  }

  /** False: there was none. */
  lift(kind: BanKind, value: string): boolean {
    const key = keyOf(kind, value)
    const held = this.#held.get(key)
    if (held === undefined) return false
    this.#drop(key, held)
    return held.endsMs > this.#nowMs()
  }

  /** Those in force, oldest first. */
  list(): Ban[] {
    const now = this.#nowMs()
    for (const [key, held] of this.#held) if (held.endsMs <= now) this.#drop(key, held)
    return [...this.#held.values()].map(({ ban }) => ban)
  }

  #begin(kind: BanKind, value: string, reason: 'failures' | 'flapping'): void {
    if (this.has(kind, value)) return
    const { banMs } = this.#limits()
    this.#counters.bans++
    this.#hold(kind, value, reason, banMs)
    this.#begun?.({ kind, value, forMs: banMs }, reason)
    this.#logger.warn(
      { event: 'ban.begun', kind, value, reason, banMs },
      reason === 'failures' ? 'Banned after too many failed logins' : 'Banned because it connects too often',
    )
  }

  #hold(kind: BanKind, value: string, reason: Ban['reason'], forMs: number | undefined): void {
    const key = keyOf(kind, value)
    const before = this.#held.get(key)
    if (before !== undefined) this.#drop(key, before)
    if (this.#held.size >= this.#limits().bansMax) this.#endOldest()
    const sinceMs = Date.now()
    this.#held.set(key, {
      ban: { kind, value, reason, sinceMs, untilMs: forMs === undefined ? undefined : sinceMs + forMs },
      endsMs: forMs === undefined ? Number.POSITIVE_INFINITY : this.#nowMs() + forMs,
    })
    if (reason === 'operator') this.#operators++
  }

  #drop(key: string, held: Held): void {
    this.#held.delete(key)
    if (held.ban.reason === 'operator') this.#operators--
  }

  #endOldest(): void {
    const now = this.#nowMs()
    for (const [key, held] of this.#held) {
      if (held.ban.reason === 'operator' && held.endsMs > now) continue
      this.#drop(key, held)
      if (held.endsMs > now) this.#counters.bansForgotten++
      return
    }
  }
}

function keyOf(kind: BanKind, value: string): string {
  return `${kind} ${value}`
}
