/**
 * Publishes `$SYS/broker/…` at a fixed interval: node-local, QoS 0, with a retained table of its own. Only what changed is
 * published again; a new subscriber gets the last value of each topic.
 */
import { Buffer } from 'node:buffer'
import { type PlacedMessage, TopicEntry, TopicTree } from '@concordmq/state'
import type { Now } from '../delivery/message-form.ts'
import type { SysValue } from '../model/sys-value.ts'
import type { Counters } from '../telemetry/counters.ts'
import { type ClusterSource, clusterSysTopics } from './cluster-sys-values.ts'
import { processGauges } from './process-gauges.ts'
import { type SysGauges, SysTopics } from './sys-topics.ts'
import { brokerVersion } from './version.ts'

export type { SysGauges }

export interface SysDriverOptions {
  /** 0: off. */
  readonly intervalSeconds: number
  readonly counters: () => Counters
  readonly gauges: () => SysGauges
  /** Undefined: the node runs alone. */
  readonly cluster?: ClusterSource | undefined
  readonly now: () => Now
  readonly deliver: (placed: PlacedMessage) => void
  /** Told everything that is published: for clients of other threads. */
  readonly tell?: ((values: readonly SysValue[]) => void) | undefined
  /** Told all values at each update. */
  readonly ticked?: (values: ReadonlyMap<string, string>) => void
}

export class SysDriver {
  readonly #o: SysDriverOptions
  readonly #retained = new TopicTree<SysEntry>()
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
      const gone = [...this.#last.keys()].map((topic) => ({ topic, payload: undefined, retain: true }))
      this.#last.clear()
      for (const { topic } of gone) this.#retained.delete(topic)
      this.#o.tell?.(gone)
      return
    }
    this.#timer = setInterval(() => this.#turn(), seconds * 1000)
    this.#timer.unref()
    this.#turn()
  }

  /** A word to whoever listens on `$SYS/notices`, not retained (row F34). */
  notice(text: string): void {
    if (this.#timer === undefined) return
    this.#publish([{ topic: noticesTopic, payload: text, retain: false }])
  }

  /** Publishes what the driver of another thread told. */
  show(values: readonly SysValue[]): void {
    const { now, deliver } = this.#o
    const timeUs = now().us
    for (const { topic, payload, retain } of values) {
      if (payload === undefined) {
        this.#retained.delete(topic)
        continue
      }
      const message = { topic, payload: Buffer.from(payload), qos: 0, retain, publisher: '' } as const
      // Outside the order, hence without a position.
      const placed: PlacedMessage = { message, position: 0, index: 0, timeUs }
      if (retain) this.#retained.set(new SysEntry(placed))
      deliver(placed)
    }
  }

  retainedFor(filter: string): readonly PlacedMessage[] {
    // [MQTT-4.7.2-1] only a filter that begins with $SYS reaches these
    if (!filter.startsWith('$SYS')) return NONE
    const found: PlacedMessage[] = []
    this.#retained.match(filter, ({ placed }) => found.push(placed))
    return found
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #turn(): void {
    const { gauges, cluster, now } = this.#o
    const counters = this.#o.counters()
    const topics = [
      ...this.#topics.tick({ nowMs: now().us / 1_000, counters, gauges: gauges(), process: processGauges() }),
      ...(cluster === undefined ? [] : clusterSysTopics(cluster)),
    ]
    const changed = topics.filter(({ topic, payload }) => this.#last.get(topic) !== payload)
    for (const { topic, payload } of changed) this.#last.set(topic, payload)
    this.#publish(changed.map((value) => ({ ...value, retain: true })))
    this.#o.ticked?.(this.#last)
  }

  #publish(values: readonly SysValue[]): void {
    this.show(values)
    if (values.length > 0) this.#o.tell?.(values)
  }
}

class SysEntry extends TopicEntry {
  readonly placed: PlacedMessage

  constructor(placed: PlacedMessage) {
    super(placed.message.topic)
    this.placed = placed
  }
}

/** What the broker announces: that it stops. */
const noticesTopic = '$SYS/notices'

const NONE: readonly PlacedMessage[] = []
