/**
 * What is known of the addresses that connections come from: how many there are, how fast they came, how often their logins
 * failed. A remote party chooses the addresses (with IPv6 it has as many as it likes), so what is remembered is bounded:
 *
 *   open   addresses that have a connection: as many as connections, which have a maximum of their own
 *   past   addresses that have none and a pace or failures to remember: at most `addressesMax`, the one gone longest leaves
 *
 * An attacker with more addresses than that can make the broker forget; what it then gains is one address's allowance for
 * each address it has, which it had before.
 */
import type { Tallies } from '../../model/tally.ts'
import type { LimitCounters } from '../../telemetry/limit-counters.ts'
import { EventWindow } from './event-window.ts'
import { TokenBucket } from './token-bucket.ts'

export interface AddressLimits {
  readonly addressesMax: number
  readonly connectionsPerSecondPerAddressMax: number
}

export class AddressEntry {
  readonly key: string
  /** Network connections open now. */
  open = 0
  /** The same at all threads of the broker, when one was last counted here. */
  total = 0
  /** Those without CONNECT, oldest first; made when they are counted. */
  halfOpen: Set<HalfOpen> | undefined
  rate: TokenBucket | undefined
  failures: EventWindow | undefined

  constructor(key: string) {
    this.key = key
  }
}

/** A network connection that has not sent its CONNECT. */
export interface HalfOpen {
  /** Closes it to make room. */
  giveWay(): void
}

export class AddressTable {
  readonly #limits: () => AddressLimits
  readonly #windowMs: () => number
  readonly #counters: LimitCounters
  readonly #nowMs: () => number
  readonly #shared: Tallies | undefined
  readonly #open = new Map<string, AddressEntry>()
  readonly #past = new Map<string, AddressEntry>()

  constructor(options: {
    readonly limits: () => AddressLimits
    /** How long failures count, milliseconds. */
    readonly windowMs: () => number
    readonly counters: LimitCounters
    readonly nowMs: () => number
    /** Where other threads count theirs. */
    readonly shared?: Tallies | undefined
  }) {
    this.#limits = options.limits
    this.#windowMs = options.windowMs
    this.#counters = options.counters
    this.#nowMs = options.nowMs
    this.#shared = options.shared
  }

  /** One more connection from there. */
  enter(key: string): AddressEntry {
    const entry = this.#open.get(key) ?? this.#back(key) ?? new AddressEntry(key)
    if (entry.open++ === 0) this.#open.set(key, entry)
    entry.total = this.#shared === undefined ? entry.open : this.#shared.add(nameOf(key), 1) + 1
    return entry
  }

  /** One fewer. */
  leave(entry: AddressEntry): void {
    this.#shared?.add(nameOf(entry.key), -1)
    if (--entry.open > 0) return
    this.#open.delete(entry.key)
    const now = this.#nowMs()
    if (this.#hasNothingToRemember(entry, now)) return
    this.#past.set(entry.key, entry)
    this.#forgetOld(now)
  }

  /** Whether one more connection keeps to the pace; counts it. */
  keepsPace(entry: AddressEntry): boolean {
    const perSecond = this.#limits().connectionsPerSecondPerAddressMax
    if (perSecond === 0) return true
    const now = this.#nowMs()
    if (entry.rate?.perSecond !== perSecond) entry.rate = new TokenBucket(perSecond, perSecond, now)
    return entry.rate.take(now)
  }

  /** A login failed; returns how many did within the window. */
  failed(entry: AddressEntry): number {
    entry.failures ??= new EventWindow()
    return entry.failures.add(this.#nowMs(), this.#windowMs())
  }

  /** Addresses known. */
  get size(): number {
    return this.#open.size + this.#past.size
  }

  #back(key: string): AddressEntry | undefined {
    const entry = this.#past.get(key)
    if (entry !== undefined) this.#past.delete(key)
    return entry
  }

  #hasNothingToRemember({ rate, failures }: AddressEntry, now: number): boolean {
    return (
      (rate === undefined || rate.available(now) >= rate.burst) &&
      (failures === undefined || failures.isOver(now, this.#windowMs()))
    )
  }

  /**
   * Each that comes lets two go that have nothing to remember any more. When there are too many, a hundredth goes at once: a
   * map is slow to find its first entry while the ones before it are being deleted one by one.
   */
  #forgetOld(now: number): void {
    const { addressesMax } = this.#limits()
    const full = this.#past.size > addressesMax
    let left = full ? Math.ceil(addressesMax / 100) : 2
    for (const [key, entry] of this.#past) {
      if (left-- === 0) return
      if (full) this.#counters.addressesForgotten++
      else if (!this.#hasNothingToRemember(entry, now)) return
      this.#past.delete(key)
    }
  }
}

/** Users are counted in the same table. */
function nameOf(key: string): string {
  return `address ${key}`
}
