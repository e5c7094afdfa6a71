/**
 * Slows publishers down to what their subscribers take, for a short time only.
 *
 * When a subscriber's socket is congested, the publisher that fed it is not read until the subscriber has caught up: with
 * readers that keep going nothing is ever dropped. But a reader that stops must not delay anyone, so each congestion may
 * hold publishers for `HOLD_MS_MAX` at most; after that the subscriber counts as slow, nobody waits for it, its own bounded
 * queue fills and its policy decides. It counts as slow until it has caught up completely.
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

export class Pressure {
  readonly #held = new Map<Outbox, Set<Publisher>>()
  readonly #nowMs: () => number
  #timer: NodeJS.Timeout | undefined
  #checkedMs = 0

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** `publisher` fed `outbox`, which is pressing and not slow. */
  hold(outbox: Outbox, publisher: Publisher): void {
    let publishers = this.#held.get(outbox)
    if (publishers === undefined) {
      publishers = new Set()
      this.#held.set(outbox, publishers)
      outbox.congestedSinceMs = this.#nowMs()
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
    outbox.congestedSinceMs = 0
    for (const publisher of publishers) if (--publisher.pressure === 0) publisher.resumeReading()
    if (this.#held.size === 0) this.close()
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
