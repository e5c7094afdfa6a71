/**
 * What the broker counts: plain numbers on the hot path, read by `$SYS` (and by metrics later). Gauges are computed by
 * whoever shows them.
 */
import { LimitCounters } from './limit-counters.ts'

export class Counters {
  readonly limits = new LimitCounters()
  bytesReceived = 0
  bytesSent = 0
  /** Control packets, by the number of their type. */
  readonly receivedByType: Float64Array = new Float64Array(16)
  readonly sentByType: Float64Array = new Float64Array(16)
  /** PUBLISH packets, whatever their QoS. */
  publishReceived = 0
  publishSent = 0
  publishBytesReceived = 0
  publishBytesSent = 0
  /** Messages not delivered to a subscriber: its queue was full, it expired, it was too large. */
  publishDropped = 0
  /** Messages that their publisher had no right to publish; also in `publishDropped`. */
  publishDenied = 0
  /** Messages of queues, retained ones and those of shared groups not sent for want of a right; also in `publishDropped`. */
  deliveryDenied = 0
  /** Filters of SUBSCRIBE refused for want of a right. */
  subscribeDenied = 0
  /** Messages of this node's clients that skipped the order of the cluster, and those that came so from other nodes. */
  fastPublished = 0
  fastReceived = 0
  /** Such messages that another node did not get because it lagged behind, once for each node. */
  fastDropped = 0
  /** Frames of them that came a second time, after a link was lost. */
  fastRepeated = 0
  /** Messages of this node's clients that were sealed, and those of them that nobody could open: they were not published. */
  sealedPublished = 0
  sealedVoid = 0
  connectionsAccepted = 0
  connectsAccepted = 0
  connectsRefused = 0
  /** Messages refused because they would have to be kept and the disk took nothing. */
  storageRefused = 0
  /** Sessions that ended by expiry. */
  sessionsExpired = 0
  /** Commands that were no-ops: stale or malformed. */
  commandsIgnored = 0
  /** Calls of a program's own topic store that threw or returned nonsense. */
  topicStoreFailures = 0
  /** Calls of hooks that threw, rejected, took too long or returned nonsense. */
  hookFailures = 0
  /** Calls of hooks that held up the event loop for more than 50 ms. */
  hooksSlow = 0
  /** Messages that a handler of `broker.subscribe()` did not get because its queue was full. */
  inlineDropped = 0
  /** Calls of such handlers that threw or rejected. */
  inlineFailures = 0

  /** Control packets of any type. */
  get packetsReceived(): number {
    return this.receivedByType.reduce((sum, count) => sum + count, 0)
  }

  get packetsSent(): number {
    return this.sentByType.reduce((sum, count) => sum + count, 0)
  }

  /** So many control packets of one type arrived. */
  arrived(type: number, count = 1): void {
    this.receivedByType[type] = (this.receivedByType[type] as number) + count
  }

  /** So many control packets of one type are on their way. */
  left(type: number, count = 1): void {
    this.sentByType[type] = (this.sentByType[type] as number) + count
  }
}

/** What several counted together; of one it is that one itself. */
export function sumOf(all: readonly [Counters, ...Counters[]]): Counters {
  const [first] = all
  if (all.length === 1) return first
  const sum = new Counters()
  for (const counters of all) {
    add(sum, counters)
    add(sum.limits, counters.limits)
    for (let type = 0; type < sum.receivedByType.length; type++) {
      sum.arrived(type, counters.receivedByType[type])
      sum.left(type, counters.sentByType[type])
    }
  }
  return sum
}

/** Adds all numbers of one object to those of another of the same class. */
function add(sum: object, more: object): void {
  const into = sum as Record<string, unknown>
  for (const [name, value] of Object.entries(more)) {
    if (typeof value === 'number') into[name] = (into[name] as number) + value
  }
}
