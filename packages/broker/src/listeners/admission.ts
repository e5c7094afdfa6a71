/**
 * Which network connections are taken: counted from the accepted socket on, since a half-done TLS handshake or HTTP request
 * costs memory like a client does. One instance per broker.
 *
 *   accepted ─▶ room in all? ─▶ [PROXY header ─▶ real address] ─▶ banned? too many from there? too fast? ─▶ half-open ─▶ CONNECT
 *
 * - An address that a rule denies is closed unread, before anything else is known of it.
 * - Above `connectionsMax` a connection is closed unread.
 * - A refusal that has to do with the address is told to the client in CONNACK where few are refused, and is closing unread
 *   where many are: whoever made a mistake reads why, whoever floods costs nothing.
 * - Half-open connections, those without CONNECT, have a maximum in all and per address. Beyond it the *oldest* of them is
 *   closed and the newest taken: honest clients send CONNECT at once and are through, those that say nothing make room. If
 *   the newest were refused, few silent connections would keep everybody out for the whole `connectTimeoutMs`.
 */
import type { Duplex } from 'node:stream'
import { ReasonCode } from '@concordmq/protocol'
import type { AddressEntry, AddressTable, HalfOpen } from '../access/limits/address-table.ts'
import type { Bans } from '../access/limits/bans.ts'
import { TokenBucket } from '../access/limits/token-bucket.ts'
import type { Arrival } from '../connections/arrival.ts'
import { addressKey } from '../model/address-key.ts'
import type { Tally } from '../model/tally.ts'
import type { LimitCounters } from '../telemetry/limit-counters.ts'
import type { Logger } from '../telemetry/logger.ts'

export interface AdmissionLimits {
  readonly connectionsMax: number
  readonly connectionsPerAddressMax: number
  readonly halfOpenMax: number
  readonly halfOpenPerAddressMax: number
  readonly ipv6PrefixBits: number
}

export interface AdmissionOptions {
  readonly limits: () => AdmissionLimits
  readonly addresses: AddressTable
  readonly bans: Bans
  /** Whether a rule keeps an address out (row U16). */
  readonly denies: (address: string) => boolean
  readonly counters: LimitCounters
  readonly logger: Logger
  /** Whether refused clients are told nothing (row F25). */
  readonly silent: () => boolean
  /** Network connections under `connectionsMax`. */
  readonly total: Tally
  readonly nowMs: () => number
}

/** Refused connections that may wait for their CONNECT, to be told why; and how many more a second. */
const TOLD_MAX = 100
const TOLD_PER_SECOND = 20

export class Admission {
  readonly #o: AdmissionOptions
  readonly #halfOpen = new Set<Accepted>()
  readonly #tellings: TokenBucket
  #open = 0
  #told = 0
  #full = false

  constructor(options: AdmissionOptions) {
    this.#o = options
    this.#tellings = new TokenBucket(TOLD_PER_SECOND, TOLD_MAX, options.nowMs())
  }

  /** Connections open now. */
  get open(): number {
    return this.#open
  }

  /** Those of them without CONNECT. */
  get halfOpen(): number {
    return this.#halfOpen.size
  }

  /**
   * Counts the stream in until it closes. Undefined: it is not taken, and destroyed. `proxied`: the address is that of a
   * proxy; the client's comes with `readdress`.
   */
  admit(
    stream: Duplex,
    from: { readonly address: string; readonly port: number; readonly proxied?: boolean },
  ): Arrival | undefined {
    // One that is gone already would never be counted out.
    if (stream.destroyed) return undefined
    if (this.#o.total.add(1) >= this.#o.limits().connectionsMax) {
      this.#o.total.add(-1)
      this.#o.counters.connectionsFull++
      this.#nowFull()
      stream.on('error', ignore)
      stream.destroy()
      return undefined
    }
    this.#open++
    const accepted = new Accepted(this, stream, from)
    stream.once('close', () => this.#left(accepted))
    if (from.proxied !== true && !this.#locate(accepted)) return undefined
    this.#waits(accepted)
    return accepted
  }

  /** The PROXY header has said who the client is. False: it is not taken, and destroyed. */
  readdress(arrival: Arrival, from: { readonly address: string; readonly port: number }): boolean {
    const accepted = arrival as Accepted
    accepted.address = from.address
    accepted.port = from.port
    const waits = this.#halfOpen.has(accepted)
    if (!this.#locate(accepted)) return false
    if (waits) this.#waits(accepted)
    return true
  }

  /** CONNECT came, or the connection is gone. */
  settled(accepted: Accepted): void {
    if (!this.#halfOpen.delete(accepted)) return
    const { entry } = accepted
    entry?.halfOpen?.delete(accepted)
    if (entry?.halfOpen?.size === 0) entry.halfOpen = undefined
  }

  failed(accepted: Accepted, login: { readonly clientId: string; readonly username: string | undefined }): void {
    if (accepted.exempt) return
    const { entry } = accepted
    this.#o.bans.failed({
      addressKey: entry?.key ?? '',
      addressFailures: entry === undefined ? 0 : this.#o.addresses.failed(entry),
      ...login,
    })
  }

  isExempt(address: string): boolean {
    return this.#o.bans.isExempt(address)
  }

  /** Counts the connection at its address. False: refused and destroyed. */
  #locate(accepted: Accepted): boolean {
    const { addresses, limits, denies } = this.#o
    if (denies(accepted.address)) {
      this.#o.counters.addressDenied++
      accepted.destroy()
      return false
    }
    const key = addressKey(accepted.address, limits())
    // Unix sockets and streams of the embedding program come from no address.
    if (key === '') return true
    const entry = addresses.enter(key)
    accepted.entry = entry
    const reasonCode = this.#problem(entry)
    if (reasonCode === 0) return true
    if (!this.#o.silent() && this.#told < TOLD_MAX && this.#tellings.take(this.#o.nowMs())) {
      this.#told++
      accepted.refusal = reasonCode
      return true
    }
    accepted.destroy()
    return false
  }

  #problem(entry: AddressEntry): number {
    const { addresses, bans, counters, limits } = this.#o
    const { connectionsPerAddressMax } = limits()
    if (bans.has('address', entry.key)) {
      counters.banned++
      return ReasonCode.banned
    }
    if (connectionsPerAddressMax > 0 && entry.total > connectionsPerAddressMax) {
      counters.addressFull++
      return ReasonCode.quotaExceeded
    }
    if (addresses.keepsPace(entry)) return 0
    counters.addressRate++
    return ReasonCode.connectionRateExceeded
  }

  /** It is half-open now; if that is one too many, the oldest makes room. */
  #waits(accepted: Accepted): void {
    const { halfOpenMax, halfOpenPerAddressMax } = this.#o.limits()
    this.#halfOpen.add(accepted)
    if (this.#halfOpen.size > halfOpenMax) oldestOf(this.#halfOpen).giveWay()
    const { entry } = accepted
    if (entry === undefined || halfOpenPerAddressMax === 0) return
    entry.halfOpen ??= new Set()
    entry.halfOpen.add(accepted)
    if (entry.halfOpen.size > halfOpenPerAddressMax) oldestOf(entry.halfOpen).giveWay()
  }

  madeRoom(accepted: Accepted): void {
    this.#o.counters.halfOpen++
    this.settled(accepted)
    this.#o.logger.warn(
      { event: 'connections.halfOpen', halfOpen: this.#halfOpen.size, remoteAddress: accepted.address },
      'Closed a connection without CONNECT to make room for a newer one',
    )
  }

  #left(accepted: Accepted): void {
    this.#open--
    this.#o.total.add(-1)
    this.settled(accepted)
    if (accepted.refusal !== 0) this.#told--
    if (accepted.entry !== undefined) this.#o.addresses.leave(accepted.entry)
    // Some room below the maximum before it counts as over, so that a storm logs one line and not thousands.
    if (this.#full && this.#open < this.#o.limits().connectionsMax * 0.95) {
      this.#full = false
      this.#o.logger.info({ event: 'connections.room', open: this.#open }, 'Taking connections again')
    }
  }

  #nowFull(): void {
    if (this.#full) return
    this.#full = true
    const { connectionsMax } = this.#o.limits()
    this.#o.logger.warn(
      { event: 'connections.full', connectionsMax },
      'Refusing connections: limits.connectionsMax is reached',
    )
  }
}

class Accepted implements Arrival, HalfOpen {
  address: string
  port: number
  refusal = 0
  entry: AddressEntry | undefined
  readonly #admission: Admission
  readonly #stream: Duplex

  constructor(admission: Admission, stream: Duplex, from: { readonly address: string; readonly port: number }) {
    this.#admission = admission
    this.#stream = stream
    this.address = from.address
    this.port = from.port
  }

  get exempt(): boolean {
    return this.#admission.isExempt(this.address)
  }

  spoke(): void {
    this.#admission.settled(this)
  }

  failed(login: { readonly clientId: string; readonly username: string | undefined }): void {
    this.#admission.failed(this, login)
  }

  giveWay(): void {
    this.#admission.madeRoom(this)
    this.destroy()
  }

  destroy(): void {
    this.#stream.on('error', ignore)
    this.#stream.destroy()
  }
}

function oldestOf<T>(set: ReadonlySet<T>): T {
  const [oldest] = set
  return oldest as T
}

function ignore(): void {}
