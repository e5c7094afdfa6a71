/**
 * Slows publishers down to what their subscribers take, for a short time only.
 *
 * When a subscriber's socket is congested, the publisher that fed it is not read until the subscriber has caught up: with
 * readers that keep going nothing is ever dropped. But a reader that stops must not delay anyone, so each congestion may
 * hold publishers for `HOLD_MS_MAX` at most; after that the subscriber counts as slow, nobody waits for it, its own bounded
 * queue fills and its policy decides. It counts as slow until it has caught up completely.
 *
 * One that always catches up, a few bytes at a time, would so hold its publishers for good. Therefore waiting is lent: the
 * time that publishers waited, less the time that `bytesPerSecondMin` allows for what the subscriber took meanwhile, is what
 * it owes. Above a second of that nobody waits for it; a tenth of all time is forgiven.
 */
import type { Outbox } from './outbox.ts'

/** A connection that can stop reading. */
export interface Publisher {
  /** How many subscribers it waits for; kept here. */
  pressure: number
  pauseReading(): void
  resumeReading(): void
}

/** How long publishers wait for one congested subscriber. */
export const HOLD_MS_MAX = 100
const CHECK_MS = 25
/** What a subscriber may owe, milliseconds, before nobody waits for it; and what is forgiven of it, in each of time. */
export const OWED_MS_MAX = 1_000
const FORGIVEN = 0.1

/** How fast a subscriber must be if it is to be waited for. */
export interface DrainLimit {
  /** Bytes a second; 0: any. */
  readonly bytesPerSecondMin: () => number
  /** A subscriber was too slow. */
  readonly exceeded: () => void
}

const NO_LIMIT: DrainLimit = { bytesPerSecondMin: () => 0, exceeded() {} }

export class Pressure {
  readonly #held = new Map<Outbox, Set<Publisher>>()
  readonly #nowMs: () => number
  readonly #drain: DrainLimit
  #timer: NodeJS.Timeout | undefined
  #checkedMs = 0

  constructor(nowMs: () => number, drain: DrainLimit = NO_LIMIT) {
    this.#nowMs = nowMs
    this.#drain = drain
  }

  /** `publisher` fed `outbox`, which is pressing and not slow. */
  hold(outbox: Outbox, publisher: Publisher): void {
    let publishers = this.#held.get(outbox)
    if (publishers === undefined) {
      publishers = new Set()
      const now = this.#nowMs()
      if (this.#owesTooMuch(outbox, now)) {
        outbox.slow = true
        this.#drain.exceeded()
        return
      }
      this.#held.set(outbox, publishers)
      outbox.congestedSinceMs = now
      if (this.#timer === undefined) {
        this.#checkedMs = outbox.congestedSinceMs
        this.#timer = setInterval(() => this.#check(), CHECK_MS)
        this.#timer.unref()
      }
    }
    if (publishers.has(publisher)) return
    publishers.add(publisher)
    if (publisher.pressure++ === 0) publisher.pauseReading()
  }

  /** The subscriber caught up, or is gone. */
  release(outbox: Outbox): void {
    outbox.slow = false
    this.#letGo(outbox)
  }

  /** The publisher is gone. */
  forget(publisher: Publisher): void {
    if (publisher.pressure === 0) return
    for (const [outbox, publishers] of this.#held) {
      if (publishers.delete(publisher) && publishers.size === 0) {
        this.#held.delete(outbox)
        outbox.congestedSinceMs = 0
      }
    }
    publisher.pressure = 0
    if (this.#held.size === 0) this.close()
  }

  close(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #letGo(outbox: Outbox): void {
    const publishers = this.#held.get(outbox)
    if (publishers === undefined) return
    this.#held.delete(outbox)
    this.#lend(outbox)
    outbox.congestedSinceMs = 0
    for (const publisher of publishers) if (--publisher.pressure === 0) publisher.resumeReading()
    if (this.#held.size === 0) this.close()
  }

  /** Whether publishers have waited for it long enough. If not, what it takes from now on is watched. */
  #owesTooMuch(outbox: Outbox, now: number): boolean {
    if (this.#drain.bytesPerSecondMin() === 0) return false
    outbox.waited ??= { owedMs: 0, atMs: now, taken: 0 }
    const { waited } = outbox
    waited.owedMs = Math.max(0, waited.owedMs - (now - waited.atMs) * FORGIVEN)
    waited.atMs = now
    waited.taken = outbox.output.taken
    return waited.owedMs > OWED_MS_MAX
  }

  /** Its publishers wait no more: how long they did, and for what. */
  #lend({ waited, output, congestedSinceMs }: Outbox): void {
    const perSecond = this.#drain.bytesPerSecondMin()
    if (waited === undefined || perSecond === 0) return
    const heldMs = this.#nowMs() - congestedSinceMs
    waited.owedMs += heldMs - ((output.taken - waited.taken) / perSecond) * 1_000
    waited.atMs = this.#nowMs()
  }

  #check(): void {
    const now = this.#nowMs()
    // While this process stood still nobody could catch up: that time is not held against a subscriber.
    const stoodStillMs = Math.max(0, now - this.#checkedMs - 2 * CHECK_MS)
    this.#checkedMs = now
    for (const outbox of [...this.#held.keys()]) {
      outbox.congestedSinceMs += stoodStillMs
      if (!outbox.pressing) this.#letGo(outbox)
      else if (now - outbox.congestedSinceMs >= HOLD_MS_MAX) {
        outbox.slow = true
        this.#letGo(outbox)
      }
    }
  }
}
