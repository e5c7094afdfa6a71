/**
 * A rate with a burst: `burst` tokens at most, refilled at `perSecond`. The clock is the caller's, so that a bucket costs two
 * numbers and no timer.
 */
export class TokenBucket {
  readonly perSecond: number
  readonly burst: number
  #tokens: number
  #atMs: number

  constructor(perSecond: number, burst: number, nowMs: number) {
    this.perSecond = perSecond
    this.burst = burst
    this.#tokens = burst
    this.#atMs = nowMs
  }

  /** Takes one token; false: there is none. */
  take(nowMs: number): boolean {
    this.#refill(nowMs)
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }

  /** Takes as many, also those that are not there yet: what has happened cannot be refused any more. */
  spend(count: number, nowMs: number): void {
    this.#refill(nowMs)
    this.#tokens -= count
  }

  /** What is there; below zero: what was taken in advance. */
  available(nowMs: number): number {
    this.#refill(nowMs)
    return this.#tokens
  }

  /** Milliseconds until nothing is owed any more. */
  owedMs(nowMs: number): number {
    this.#refill(nowMs)
    return this.#tokens >= 0 ? 0 : (-this.#tokens / this.perSecond) * 1_000
  }

  #refill(nowMs: number): void {
    if (nowMs <= this.#atMs) return
    this.#tokens = Math.min(this.burst, this.#tokens + ((nowMs - this.#atMs) * this.perSecond) / 1_000)
    this.#atMs = nowMs
  }
}
