/**
 * Flushes every output that got bytes in this turn of the event loop, once, when all sockets that were readable have been
 * read: acknowledgements and deliveries of many reads leave in one write per connection.
 */
import type { Counters } from '../telemetry/counters.ts'
import type { Backlog } from './backlog.ts'
import type { FlushQueue, Output } from './output.ts'

export class TurnFlushQueue implements FlushQueue {
  readonly counters: Counters
  readonly backlog: Backlog
  #outputs: Output[] = []
  #spare: Output[] = []
  #armed = false
  readonly #flush = (): void => this.flush()

  constructor(counters: Counters, backlog: Backlog) {
    this.counters = counters
    this.backlog = backlog
  }

  add(output: Output): void {
    this.#outputs.push(output)
    if (!this.#armed) {
      this.#armed = true
      setImmediate(this.#flush)
    }
  }

  flush(): void {
    this.#armed = false
    const outputs = this.#outputs
    this.#outputs = this.#spare
    for (let i = 0; i < outputs.length; i++) (outputs[i] as Output).flush()
    outputs.length = 0
    this.#spare = outputs
  }
}
