/**
 * The values of `$SYS/broker/…`, under exactly Mosquitto's names (the odd space in `retained messages/count` included) and
 * the deprecated ones that dashboards still read, with comqtt's beside them (row C33). Where both use one name, Mosquitto's
 * meaning wins: `messages/received` counts packets of any type, `uptime` says "… seconds".
 *
 * Pure: whoever owns a clock calls `tick` and publishes what it returns. Each value is a row of a table with its meaning, from
 * which the reference page is made. Absent: Mosquitto's log topics.
 */
import type { Counters } from '../telemetry/counters.ts'
import { limitSysValues, type MachineLimits } from './limit-sys-values.ts'
import { packetSysValues } from './packet-sys-values.ts'

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
  /** Connections without CONNECT, bans in force, what the machine refused; without them the topics are absent. */
  readonly halfOpen?: number
  readonly bans?: number
  readonly backlogBytes?: number
  readonly machine?: MachineLimits
  /** 0 or 1. */
  readonly storageTrouble?: number
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

export const sysPrefix = '$SYS/broker/'

/** All that a value can be made of. */
interface Moment {
  readonly version: string
  readonly startedMs: number
  readonly nowMs: number
  readonly counters: Counters
  readonly gauges: SysGauges
  readonly process: ProcessGauges
  readonly clientsDisconnected: number
  readonly clientsMax: number
  readonly heapBytesMax: number
}

/** `read` gives undefined for what nobody measures; the topic is absent then. */
type SysValue = readonly [about: string, read: (moment: Moment) => string | number | undefined]

/** Topics below the prefix, in the order in which they are published. */
export const sysValues: Readonly<Record<string, SysValue>> = {
  version: ['name and version of the broker', (m) => `concordmq version ${m.version}`],
  uptime: ['seconds since the broker started', (m) => `${seconds(Math.max(0, m.nowMs - m.startedMs))} seconds`],
  time: ['now, in seconds since 1970', (m) => seconds(m.nowMs)],
  started: ['when the broker started, in seconds since 1970', (m) => seconds(m.startedMs)],

  'clients/total': [
    'connected clients, and sessions kept for clients that are not',
    (m) => m.gauges.clientsConnected + m.clientsDisconnected,
  ],
  'clients/connected': ['clients connected now', (m) => m.gauges.clientsConnected],
  'clients/disconnected': ['sessions kept for clients that are not connected', (m) => m.clientsDisconnected],
  'clients/maximum': ['most clients connected at one time', (m) => m.clientsMax],
  'clients/expired': ['sessions that ended by their expiry interval', (m) => m.counters.sessionsExpired],
  'clients/active': ['deprecated name of `clients/connected`', (m) => m.gauges.clientsConnected],
  'clients/inactive': ['deprecated name of `clients/disconnected`', (m) => m.clientsDisconnected],
  'connections/socket/count': [
    'network connections, those that have not said CONNECT included',
    (m) => m.gauges.connections,
  ],

  'messages/received': ['control packets of any type received', (m) => m.counters.packetsReceived],
  'messages/sent': ['control packets of any type sent', (m) => m.counters.packetsSent],
  'messages/dropped': ["comqtt's name of `publish/messages/dropped`", (m) => m.counters.publishDropped],
  'messages/inflight': ['messages of QoS 1 and 2 sent and not yet settled', (m) => m.gauges.inflightMessages],
  'messages/stored': ['deprecated name of `store/messages/count`', (m) => m.gauges.storedMessages],
  'store/messages/count': ['messages held: retained, and queued for sessions', (m) => m.gauges.storedMessages],
  'store/messages/bytes': ['bytes that these take', (m) => m.gauges.storedBytes],
  'storage/trouble': [
    '1 while the disk takes nothing, and what must be kept is refused',
    (m) => m.gauges.storageTrouble,
  ],
  'storage/refused': [
    'messages refused because they would have to be kept and the disk took nothing',
    (m) => m.counters.storageRefused,
  ],
  'subscriptions/count': ['subscriptions', (m) => m.gauges.subscriptions],
  'shared_subscriptions/count': ['shared subscriptions', (m) => m.gauges.sharedSubscriptions],
  'retained messages/count': ['retained messages', (m) => m.gauges.retainedMessages],
  'publish/messages/received': ['messages that clients published', (m) => m.counters.publishReceived],
  'publish/messages/sent': ['messages sent to subscribers', (m) => m.counters.publishSent],
  'publish/messages/dropped': [
    'messages that did not reach a subscriber: queue full, expired or too large for it',
    (m) => m.counters.publishDropped,
  ],
  'publish/messages/denied': ['messages that their publisher had no right to', (m) => m.counters.publishDenied],
  'delivery/messages/denied': [
    'messages not sent from a queue, the retained store or a shared group because the right to them is gone',
    (m) => m.counters.deliveryDenied,
  ],
  'subscriptions/denied': ['topic filters refused for want of a right', (m) => m.counters.subscribeDenied],
  'publish/bytes/received': ['payload bytes that clients published', (m) => m.counters.publishBytesReceived],
  'publish/bytes/sent': ['payload bytes sent to subscribers', (m) => m.counters.publishBytesSent],
  'bytes/received': ['bytes received', (m) => m.counters.bytesReceived],
  'bytes/sent': ['bytes sent', (m) => m.counters.bytesSent],
  'packet/out/count': ['packets queued for clients that read slowly', (m) => m.gauges.outPackets],
  'packet/out/bytes': ['bytes queued for clients that read slowly', (m) => m.gauges.outBytes],

  'hooks/failed': ['calls of hooks that threw, took too long or returned nonsense', (m) => m.counters.hookFailures],
  'hooks/slow': ['calls of hooks that held up the whole broker', (m) => m.counters.hooksSlow],
  'handlers/dropped': [
    'messages that a handler inside the program did not get: its queue was full',
    (m) => m.counters.inlineDropped,
  ],

  'packets/received': ["comqtt's name of `messages/received`", (m) => m.counters.packetsReceived],
  'packets/sent': ["comqtt's name of `messages/sent`", (m) => m.counters.packetsSent],
  'load/bytes/received': ["comqtt's name of `bytes/received`", (m) => m.counters.bytesReceived],
  'load/bytes/sent': ["comqtt's name of `bytes/sent`", (m) => m.counters.bytesSent],
  retained: ["comqtt's name of `retained messages/count`", (m) => m.gauges.retainedMessages],
  subscriptions: ["comqtt's name of `subscriptions/count`", (m) => m.gauges.subscriptions],

  ...packetSysValues,
  ...limitSysValues,

  'heap/current': ['bytes of the JavaScript heap in use', (m) => m.process.heapBytes],
  'heap/maximum': ['most bytes of it seen', (m) => m.heapBytesMax],
  'system/memory': ['resident bytes of the process', (m) => m.process.residentBytes],
  'system/threads': ['threads of the process', (m) => m.process.threads],
}

/** What the load averages `load/<name>/1min`, `5min` and `15min` are made of. */
export const sysLoads: Readonly<Record<string, readonly [about: string, read: (counters: Counters) => number]>> = {
  'messages/received': ['control packets received', (c) => c.packetsReceived],
  'messages/sent': ['control packets sent', (c) => c.packetsSent],
  'publish/dropped': ['messages that did not reach a subscriber', (c) => c.publishDropped],
  'publish/received': ['messages that clients published', (c) => c.publishReceived],
  'publish/sent': ['messages sent to subscribers', (c) => c.publishSent],
  'bytes/received': ['bytes received', (c) => c.bytesReceived],
  'bytes/sent': ['bytes sent', (c) => c.bytesSent],
  sockets: ['network connections opened', (c) => c.connectionsAccepted],
  connections: ['CONNECT packets accepted', (c) => c.connectsAccepted],
}

const minutes = [1, 5, 15] as const

export class SysTopics {
  readonly #version: string
  readonly #startedMs: number
  readonly #loads = Object.entries(sysLoads).map(([name, [, read]]) => new LoadAverage(name, read))
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
    const { gauges, process } = input
    this.#clientsMax = Math.max(this.#clientsMax, gauges.clientsConnected)
    this.#heapBytesMax = Math.max(this.#heapBytesMax, process.heapBytes)
    const moment: Moment = {
      ...input,
      version: this.#version,
      startedMs: this.#startedMs,
      clientsDisconnected: gauges.clientsDisconnected ?? Math.max(0, gauges.sessions - gauges.clientsConnected),
      clientsMax: this.#clientsMax,
      heapBytesMax: this.#heapBytesMax,
    }
    const topics: SysTopic[] = []
    for (const [name, [, read]] of Object.entries(sysValues)) {
      const value = read(moment)
      if (value !== undefined) topics.push({ topic: sysPrefix + name, payload: String(value) })
    }
    this.#advance(input.counters, input.nowMs)
    for (const load of this.#loads) topics.push(...load.topics())
    return topics
  }

  #advance(counters: Counters, nowMs: number): void {
    const elapsedMs = nowMs - this.#tickedMs
    // A clock set back, or two ticks in one millisecond: the averages stay and the next tick covers more.
    if (elapsedMs > 0) for (const load of this.#loads) load.advance(counters, elapsedMs)
    this.#tickedMs = nowMs
  }
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

  topics(): SysTopic[] {
    return minutes.map((span, i) => ({
      topic: `${sysPrefix}load/${this.#name}/${span}min`,
      payload: (this.#averages[i] as number).toFixed(2),
    }))
  }
}

function seconds(ms: number): number {
  return Math.floor(ms / 1_000)
}
