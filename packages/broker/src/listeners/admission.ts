/**
 * How many connections are open, all listeners together, counted from the accepted socket on: a half-done TLS handshake or
 * HTTP request costs memory like a client does. One instance per broker.
 */
import type { Duplex } from 'node:stream'
import type { Logger } from '../telemetry/logger.ts'

export class Admission {
  #max: number
  readonly #logger: Logger
  readonly #onClose: () => void
  #open = 0
  #full = false
  #refused = 0

  constructor(connectionsMax: number, logger: Logger) {
    this.#max = connectionsMax
    this.#logger = logger
    this.#onClose = () => this.#release()
  }

  /** Changes the maximum; those above it that are open stay. */
  set max(connectionsMax: number) {
    this.#max = connectionsMax
  }

  /** Connections open now. */
  get open(): number {
    return this.#open
  }

  /** Connections closed on arrival because the maximum was reached. */
  get refused(): number {
    return this.#refused
  }

  /** Counts the stream in until it closes; above the maximum destroys it and returns false. */
  admit(stream: Duplex): boolean {
    if (this.#open >= this.#max) {
      this.#refused++
      if (!this.#full) {
        this.#full = true
        this.#logger.warn(
          { event: 'connections.full', connectionsMax: this.#max },
          'Refusing connections: limits.connectionsMax is reached',
        )
      }
      stream.on('error', ignore)
      stream.destroy()
      return false
    }
    this.#open++
    stream.once('close', this.#onClose)
    return true
  }

  #release(): void {
    this.#open--
    // Some room below the maximum before it counts as over, so that a storm logs one line and not thousands.
    if (this.#full && this.#open < this.#max * 0.95) {
      this.#full = false
      this.#logger.info({ event: 'connections.room', open: this.#open }, 'Taking connections again')
    }
  }
}

function ignore(): void {}
