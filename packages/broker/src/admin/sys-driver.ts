/**
 * Publishes `$SYS/broker/…` at a fixed interval: node-local, QoS 0, with a retained table of its own. Only what changed is
 * published again; a new subscriber gets the last value of each topic.
 */
import { Buffer } from 'node:buffer'
import { type PlacedMessage, TopicTree } from '@concordmq/state'
import type { Now } from '../delivery/message-form.ts'
import type { OrderedLog } from '../model/ordered-log.ts'
import type { Counters } from '../telemetry/counters.ts'
import { clusterSysTopics } from './cluster-sys-values.ts'
import { processGauges } from './process-gauges.ts'
import { type SysGauges, SysTopics } from './sys-topics.ts'
import { brokerVersion } from './version.ts'

export type { SysGauges }

export interface SysDriverOptions {
  /** 0: off. */
  readonly intervalSeconds: number
  readonly counters: Counters
  readonly gauges: () => SysGauges
  /** The log of the cluster, if there is one. */
  readonly cluster?: OrderedLog | undefined
  readonly now: () => Now
  readonly deliver: (placed: PlacedMessage) => void
  /** Told all values at each update. */
  readonly ticked?: (values: ReadonlyMap<string, string>) => void
}

export class SysDriver {
  readonly #o: SysDriverOptions
  readonly #retained = new TopicTree<PlacedMessage>()
  readonly #topics: SysTopics
  /** Text last published, by topic. */
  readonly #last = new Map<string, string>()
  #timer: NodeJS.Timeout | undefined

  constructor(options: SysDriverOptions) {
    this.#o = options
    this.#topics = new SysTopics({ version: brokerVersion, startedMs: options.now().us / 1_000 })
    this.intervalSeconds = options.intervalSeconds
  }

  /** Seconds between updates from now on; 0: off, and what was published is no longer given to new subscribers. */
  set intervalSeconds(seconds: number) {
    clearInterval(this.#timer)
    this.#timer = undefined
    if (seconds === 0) {
      for (const topic of this.#last.keys()) this.#retained.delete(topic)
      this.#last.clear()
      return
    }
    this.#timer = setInterval(() => this.#turn(), seconds * 1000)
    this.#timer.unref()
    this.#turn()
  }

  /** A word to whoever listens on `$SYS/notices`, not retained (row F34). */
  notice(text: string): void {
    if (this.#timer === undefined) return
    const { now, deliver } = this.#o
    const message = { topic: noticesTopic, payload: Buffer.from(text), qos: 0, retain: false, publisher: '' } as const
    deliver({ message, position: 0, index: 0, timeUs: now().us })
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
    const { counters, gauges, cluster, now, deliver } = this.#o
    const timeUs = now().us
    const topics = [
      ...this.#topics.tick({ nowMs: timeUs / 1_000, counters, gauges: gauges(), process: processGauges() }),
      ...(cluster === undefined ? [] : clusterSysTopics(cluster, counters)),
    ]
    for (const { topic, payload } of topics) {
      if (this.#last.get(topic) === payload) continue
      this.#last.set(topic, payload)
      const message = { topic, payload: Buffer.from(payload), qos: 0, retain: true, publisher: '' } as const
      // Outside the order, hence without a position.
      const placed: PlacedMessage = { message, position: 0, index: 0, timeUs }
      this.#retained.set(topic, placed)
      deliver(placed)
    }
    this.#o.ticked?.(this.#last)
  }
}

/** What the broker announces: that it stops. */
const noticesTopic = '$SYS/notices'

const NONE: readonly PlacedMessage[] = []
