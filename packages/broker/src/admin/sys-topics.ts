/**
 * The values of `$SYS/broker/…`, under exactly Mosquitto's names (the odd space in `retained messages/count` included) and
 * the deprecated ones that dashboards still read, with comqtt's beside them (row C33). Where both use one name, Mosquitto's
 * meaning wins: `messages/received` counts packets of any type, `uptime` says "… seconds".
 *
 * Pure: whoever owns a clock calls `tick` and publishes what it returns. Absent: Mosquitto 2.1's `mqtt/<packet>/…`, since
 * packets are not counted by type, and its log topics.
 */
import type { Counters } from '../telemetry/counters.ts'

/** What is true at one moment; everything that only ever grows is in `Counters`. */
export interface SysGauges {
  readonly clientsConnected: number
  /** Kept sessions, connected or not. */
  readonly sessions: number
  /** Kept sessions without a connection; without it the best guess from the two above. */
  readonly clientsDisconnected?: number
  /** Network connections, also those that have not said CONNECT. */
  readonly connections: number
  readonly subscriptions: number
  readonly sharedSubscriptions: number
  readonly retainedMessages: number
  readonly storedMessages: number
  readonly storedBytes: number
  /** QoS 1 and 2 messages sent and not settled; without it the topic is absent. */
  readonly inflightMessages?: number
  /** Packets and bytes queued for sockets that are slow; without them the topics are absent. */
  readonly outPackets?: number
  readonly outBytes?: number
}

export interface ProcessGauges {
  readonly heapBytes: number
  readonly residentBytes: number
  readonly threads: number
}

export interface SysTopic {
  readonly topic: string
  /** Text, as Mosquitto writes it. */
  readonly payload: string
}

const prefix = '$SYS/broker/'

/** What the load averages are made of. */
const loads = {
  'messages/received': (c) => c.packetsReceived,
  'messages/sent': (c) => c.packetsSent,
  'publish/dropped': (c) => c.publishDropped,
  'publish/received': (c) => c.publishReceived,
  'publish/sent': (c) => c.publishSent,
  'bytes/received': (c) => c.bytesReceived,
  'bytes/sent': (c) => c.bytesSent,
  sockets: (c) => c.connectionsAccepted,
  connections: (c) => c.connectsAccepted,
} as const satisfies Readonly<Record<string, (counters: Counters) => number>>

const minutes = [1, 5, 15] as const

export class SysTopics {
  readonly #version: string
  readonly #startedMs: number
  readonly #loads = Object.entries(loads).map(([name, read]) => new LoadAverage(name, read))
  #tickedMs: number
  #clientsMax = 0
  #heapBytesMax = 0

  /** `startedMs`: milliseconds since 1970. */
  constructor(options: { readonly version: string; readonly startedMs: number }) {
    this.#version = options.version
    this.#startedMs = options.startedMs
    this.#tickedMs = options.startedMs
  }

  /** All values at `nowMs` (milliseconds since 1970), always in the same order. */
  tick(input: {
    readonly nowMs: number
    readonly counters: Counters
    readonly gauges: SysGauges
    readonly process: ProcessGauges
  }): readonly SysTopic[] {
    const { nowMs, counters, gauges, process } = input
    const values: [string, string | number | undefined][] = [
      ...this.#broker(nowMs),
      ...this.#clients(counters, gauges),
      ...messages(counters, gauges),
      ...this.#system(process),
      ...this.#averages(counters, nowMs),
    ]
    return values.flatMap(([name, value]) =>
      value === undefined ? [] : [{ topic: prefix + name, payload: String(value) }],
    )
  }

  #broker(nowMs: number): [string, string | number][] {
    return [
      ['version', `concordmq version ${this.#version}`],
      ['uptime', `${seconds(Math.max(0, nowMs - this.#startedMs))} seconds`],
      ['time', seconds(nowMs)],
      ['started', seconds(this.#startedMs)],
    ]
  }

  #clients(counters: Counters, gauges: SysGauges): [string, number][] {
    const connected = gauges.clientsConnected
    const disconnected = gauges.clientsDisconnected ?? Math.max(0, gauges.sessions - connected)
    this.#clientsMax = Math.max(this.#clientsMax, connected)
    return [
      ['clients/total', connected + disconnected],
      ['clients/connected', connected],
      ['clients/disconnected', disconnected],
      ['clients/maximum', this.#clientsMax],
      ['clients/expired', counters.sessionsExpired],
      // Deprecated names of connected and disconnected.
      ['clients/active', connected],
      ['clients/inactive', disconnected],
      ['connections/socket/count', gauges.connections],
    ]
  }

  #system(process: ProcessGauges): [string, number][] {
    this.#heapBytesMax = Math.max(this.#heapBytesMax, process.heapBytes)
    return [
      ['heap/current', process.heapBytes],
      ['heap/maximum', this.#heapBytesMax],
      ['system/memory', process.residentBytes],
      ['system/threads', process.threads],
    ]
  }

  #averages(counters: Counters, nowMs: number): [string, string][] {
    const elapsedMs = nowMs - this.#tickedMs
    // A clock set back, or two ticks in one millisecond: the averages stay and the next tick covers more.
    if (elapsedMs > 0) {
      this.#tickedMs = nowMs
      for (const load of this.#loads) load.advance(counters, elapsedMs)
    } else if (elapsedMs < 0) this.#tickedMs = nowMs
    return this.#loads.flatMap((load) => load.values())
  }
}

function messages(counters: Counters, gauges: SysGauges): [string, number | undefined][] {
  return [
    ['messages/received', counters.packetsReceived],
    ['messages/sent', counters.packetsSent],
    ['messages/dropped', counters.publishDropped],
    ['messages/inflight', gauges.inflightMessages],
    // Deprecated name of store/messages/count.
    ['messages/stored', gauges.storedMessages],
    ['store/messages/count', gauges.storedMessages],
    ['store/messages/bytes', gauges.storedBytes],
    ['subscriptions/count', gauges.subscriptions],
    ['shared_subscriptions/count', gauges.sharedSubscriptions],
    ['retained messages/count', gauges.retainedMessages],
    ['publish/messages/received', counters.publishReceived],
    ['publish/messages/sent', counters.publishSent],
    ['publish/messages/dropped', counters.publishDropped],
    ['publish/bytes/received', counters.publishBytesReceived],
    ['publish/bytes/sent', counters.publishBytesSent],
    ['bytes/received', counters.bytesReceived],
    ['bytes/sent', counters.bytesSent],
    ['packet/out/count', gauges.outPackets],
    ['packet/out/bytes', gauges.outBytes],
    // comqtt's names.
    ['packets/received', counters.packetsReceived],
    ['packets/sent', counters.packetsSent],
    ['load/bytes/received', counters.bytesReceived],
    ['load/bytes/sent', counters.bytesSent],
    ['retained', gauges.retainedMessages],
    ['subscriptions', gauges.subscriptions],
  ]
}

/**
 * Mosquitto's load: the rate per minute since the last tick, smoothed exponentially over 1, 5 and 15 minutes, so that the
 * weight of a tick depends on how much time it covers.
 */
class LoadAverage {
  readonly #name: string
  readonly #read: (counters: Counters) => number
  readonly #averages = minutes.map(() => 0)
  #last = 0

  constructor(name: string, read: (counters: Counters) => number) {
    this.#name = name
    this.#read = read
  }

  advance(counters: Counters, elapsedMs: number): void {
    const total = this.#read(counters)
    const perMinute = ((total - this.#last) * 60_000) / elapsedMs
    this.#last = total
    for (const [i, span] of minutes.entries()) {
      const kept = Math.exp(-elapsedMs / (span * 60_000))
      this.#averages[i] = perMinute + kept * ((this.#averages[i] as number) - perMinute)
    }
  }

  values(): [string, string][] {
    return minutes.map((span, i) => [`load/${this.#name}/${span}min`, (this.#averages[i] as number).toFixed(2)])
  }
}

function seconds(ms: number): number {
  return Math.floor(ms / 1_000)
}
