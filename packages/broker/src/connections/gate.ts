/**
 * How much a CONNECT may ask of the broker, whoever sends it: asked before a password is checked, and again when it is known
 * whose connection it would be.
 *
 *   CONNECT ─▶ refused on arrival? too many logins a second? banned? ─▶ authentication ─▶ too many connections of this user? ─▶ session
 */
import { ReasonCode } from '@concordmq/protocol'
import type { Bans } from '../access/limits/bans.ts'
import { TokenBucket } from '../access/limits/token-bucket.ts'
import { OwnTallies, type Tallies } from '../model/tally.ts'
import type { LimitCounters } from '../telemetry/limit-counters.ts'
import type { Arrival } from './arrival.ts'
import { ClientRate, type RateLimits } from './client-rate.ts'

export interface GateLimits extends RateLimits {
  readonly connectsPerSecondMax: number
  readonly connectionsPerUserMax: number
}

export interface GateOptions {
  readonly limits: () => GateLimits
  readonly bans: Bans
  readonly counters: LimitCounters
  readonly nowMs: () => number
  /** Where other threads of the broker count theirs. */
  readonly shared?: Tallies | undefined
}

/** Why a CONNECT is refused. */
export interface GateRefusal {
  readonly reasonCode: number
  readonly why: string
}

/** A client that is to enter, or has. */
export interface Entrant {
  readonly clientId: string
  readonly principal: string
}

const BANNED: GateRefusal = { reasonCode: ReasonCode.banned, why: 'banned' }
const TOO_FAST: GateRefusal = {
  reasonCode: ReasonCode.connectionRateExceeded,
  why: 'limits.connectsPerSecondMax is reached',
}
const USER_FULL: GateRefusal = {
  reasonCode: ReasonCode.quotaExceeded,
  why: 'limits.connectionsPerUserMax is reached',
}

/** Why a connection was refused when it arrived, by the code it is told. */
const ARRIVALS: Readonly<Record<number, string>> = {
  [ReasonCode.banned]: 'its address is banned',
  [ReasonCode.quotaExceeded]: 'limits.connectionsPerAddressMax is reached',
  [ReasonCode.connectionRateExceeded]: 'limits.connectionsPerSecondPerAddressMax is reached',
}

/** What a login that failed is answered with; other refusals say nothing about who somebody is. */
const FAILURES: ReadonlySet<number> = new Set([
  ReasonCode.badUserNameOrPassword,
  ReasonCode.notAuthorized,
  ReasonCode.badAuthenticationMethod,
])

export class Gate {
  readonly #o: GateOptions
  /** Clients connected, by user name. */
  readonly #users: Tallies
  #rate: TokenBucket | undefined

  constructor(options: GateOptions) {
    this.#o = options
    this.#users = options.shared ?? new OwnTallies()
  }

  /** A CONNECT came, and nobody knows yet whose. */
  knock(
    arrival: Arrival | undefined,
    login: { readonly clientId: string; readonly username: string | undefined },
  ): GateRefusal | undefined {
    const { bans, counters } = this.#o
    if (arrival !== undefined) {
      arrival.spoke()
      const { refusal } = arrival
      if (refusal !== 0) return { reasonCode: refusal, why: ARRIVALS[refusal] ?? 'refused on arrival' }
    }
    if (!this.#keepsPace()) {
      counters.connectRate++
      return TOO_FAST
    }
    if (
      (login.clientId !== '' && bans.has('clientId', login.clientId)) ||
      (login.username !== undefined && bans.has('user', login.username))
    ) {
      counters.banned++
      return BANNED
    }
    return undefined
  }

  /** Whether one more connection of this user is one too many. `replaced`: the one that it takes the session from. */
  refusesUser({ principal }: Entrant, replaced: Entrant | undefined): GateRefusal | undefined {
    const { connectionsPerUserMax } = this.#o.limits()
    if (connectionsPerUserMax === 0 || principal === '' || replaced?.principal === principal) return undefined
    if (this.#users.count(nameOf(principal)) < connectionsPerUserMax) return undefined
    this.#o.counters.userFull++
    return USER_FULL
  }

  entered({ clientId, principal }: Entrant, arrival: Arrival | undefined): void {
    if (principal !== '') this.#users.add(nameOf(principal), 1)
    if (arrival !== undefined && !arrival.exempt) this.#o.bans.entered(clientId)
  }

  /** How fast a client that enters now may send; undefined: as fast as it can. */
  rate(): ClientRate | undefined {
    return ClientRate.of(this.#o.limits(), this.#o.nowMs())
  }

  /** The session's connection is over. */
  left({ principal }: Entrant): void {
    if (principal !== '') this.#users.add(nameOf(principal), -1)
  }

  refused(
    arrival: Arrival | undefined,
    login: { readonly clientId: string; readonly username: string | undefined },
    reasonCode: number,
  ): void {
    if (FAILURES.has(reasonCode)) arrival?.failed(login)
  }

  #keepsPace(): boolean {
    const perSecond = this.#o.limits().connectsPerSecondMax
    if (perSecond === 0) return true
    const now = this.#o.nowMs()
    if (this.#rate?.perSecond !== perSecond) this.#rate = new TokenBucket(perSecond, perSecond, now)
    return this.#rate.take(now)
  }
}

/** Addresses are counted in the same table. */
function nameOf(principal: string): string {
  return `user ${principal}`
}
