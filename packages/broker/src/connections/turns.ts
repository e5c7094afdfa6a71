/**
 * Keeps one client's dear messages from delaying the others. What a message costs is up to whoever subscribed: with
 * thousands of deep filters full of wildcards, finding its subscribers takes milliseconds, and one read may bring hundreds
 * of such messages. So what publishing costs is added up; whoever goes beyond what a turn of the event loop may take stops
 * and gets into a line, of which one is let go on per turn. The others are served between.
 *
 * A single message is never interrupted: how long it may take is bounded by the subscriptions that the limits allow.
 * Messages whose subscribers are known from before cost next to nothing and are not counted.
 */
import type { Connection } from './connection.ts'

/** What publishing may take of a turn before the publisher gets into the line. */
const TURN_MS_MAX = 5

export class Turns {
  /** Publishers that have stopped, for statistics. */
  stops = 0
  readonly #line: Connection[] = []
  #spentMs = 0
  readonly #goOn = (): void => {
    this.#spentMs = 0
    const next = this.#line.shift()
    if (this.#line.length > 0) setImmediate(this.#goOn)
    next?.goOn()
  }

  /** A message of `publisher` took so long. The rest of what it sent waits if that was too much. */
  spend(ms: number, publisher: Connection): void {
    this.#spentMs += ms
    if (this.#spentMs < TURN_MS_MAX || !publisher.stop()) return
    this.stops++
    this.#line.push(publisher)
    if (this.#line.length === 1) setImmediate(this.#goOn)
  }
}
