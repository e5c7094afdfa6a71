/**
 * How fast one client may send: messages it publishes, and bytes of whatever kind, each as a rate with a burst. Made for a
 * client only where there is such a limit; without one, nothing is counted and nothing is asked.
 *
 * What was read cannot be unread, so a client that is to be slowed may overdraw: one read's worth at most. It is then not
 * read until it owes nothing any more, and its own send buffer slows it down.
 */
import { TokenBucket } from '../access/limits/token-bucket.ts'

export interface RateLimits {
  readonly messagesPerSecondMax: number
  readonly messagesBurstMax: number
  readonly bytesPerSecondMax: number
  readonly bytesBurstMax: number
  readonly rateExceeded: RatePolicy
}

export type RatePolicy = 'slow' | 'drop' | 'disconnect'

export class ClientRate {
  readonly policy: RatePolicy
  readonly #messages: TokenBucket | undefined
  readonly #bytes: TokenBucket | undefined

  constructor(limits: RateLimits, nowMs: number) {
    this.policy = limits.rateExceeded
    this.#messages = bucket(limits.messagesPerSecondMax, limits.messagesBurstMax, nowMs)
    this.#bytes = bucket(limits.bytesPerSecondMax, limits.bytesBurstMax, nowMs)
  }

  /** Undefined: there is no such limit. */
  static of(limits: RateLimits, nowMs: number): ClientRate | undefined {
    return limits.messagesPerSecondMax > 0 || limits.bytesPerSecondMax > 0 ? new ClientRate(limits, nowMs) : undefined
  }

  /** Bytes arrived. */
  spendBytes(count: number, nowMs: number): void {
    this.#bytes?.spend(count, nowMs)
  }

  /** Messages are published. */
  spendMessages(count: number, nowMs: number): void {
    this.#messages?.spend(count, nowMs)
  }

  /** How many of `count` messages keep to the rates now. */
  allowed(count: number, nowMs: number): number {
    if (this.#bytes !== undefined && this.#bytes.available(nowMs) < 0) return 0
    if (this.#messages === undefined) return count
    return Math.max(0, Math.min(count, Math.floor(this.#messages.available(nowMs))))
  }

  /** Milliseconds until it owes nothing. */
  owedMs(nowMs: number): number {
    return Math.max(this.#messages?.owedMs(nowMs) ?? 0, this.#bytes?.owedMs(nowMs) ?? 0)
  }
}

function bucket(perSecond: number, burst: number, nowMs: number): TokenBucket | undefined {
  return perSecond === 0 ? undefined : new TokenBucket(perSecond, burst === 0 ? perSecond : burst, nowMs)
}
