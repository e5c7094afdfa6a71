/**
 * What clients send, while hooks look at it: PUBLISH, SUBSCRIBE and UNSUBSCRIBE on their way to the pipeline.
 *
 *   packet ─▶ admit ─▶ authorize… ─▶ transform… ─▶ as if the client had sent the result ─▶ observations
 *                          │ a promise
 *                          └▶ later packets of this connection wait here and in its conversation, in order
 *
 * What a hook has changed becomes a packet again and takes the ordinary way, so nothing of the pipeline is written twice.
 * One decision waits per connection at a time; behind it wait the packets of the same run, and the conversation keeps what
 * one read brought and stops reading, so both are bounded. Runs are split into single messages here; without hooks nothing
 * of this file is reached.
 */
import {
  encodePublish,
  filterProblem,
  PacketType,
  type ProtocolVersion,
  PublishRun,
  ReasonCode,
  type SubscribePacket,
  type SubscriptionRequest,
  scanPublish,
  type UnsubscribePacket,
} from '@concordmq/protocol'
import type { Connection } from '../connections/connection.ts'
import { PUBACK, PUBCOMP, PUBREC } from '../connections/first-bytes.ts'
import { messageOfRun, packetOf, takeIncoming } from '../hooks/hook-message.ts'
import { type HookPoints, Refused } from '../hooks/hook-points.ts'
import type { HookMessage } from '../hooks/hooks.ts'
import type { Pipeline } from '../pipeline.ts'
import type { Counters } from '../telemetry/counters.ts'

export interface IncomingOptions {
  readonly hooks: HookPoints
  readonly pipeline: Pipeline
  readonly counters: Counters
  /** Shared groups that want a topic. */
  readonly groupsWanting: (topic: string) => readonly string[]
}

type MayWait<T> = T | Promise<T>
type Judged = HookMessage | Refused

export class Incoming {
  readonly #o: IncomingOptions
  /** QoS 2 messages that a hook dropped: acknowledged, hence their PUBREL is too. */
  readonly #dropped = new WeakMap<Connection, Set<number>>()
  /** Whether any ever was: until then no PUBREL looks there. */
  swallows = false
  /** Runs for messages that are packets again; more than one only while effects nest. */
  readonly #spare: PublishRun[] = []

  constructor(options: IncomingOptions) {
    this.#o = options
  }

  // ---------------------------------------------------------------- PUBLISH

  publish(from: Connection, run: PublishRun): void {
    const { start, end, count } = run
    const heads = run.heads.slice(0, count)
    const ids = run.ids.slice(0, count)
    const payloads = run.payloads.slice(0, count)
    for (let i = 0; i < count && !from.conversation.closed; i++) {
      run.start = heads[i] as number
      run.end = i + 1 < count ? (heads[i + 1] as number) : end
      run.count = 1
      run.heads[0] = heads[i] as number
      run.ids[0] = ids[i] as number
      run.payloads[0] = payloads[i] as number
      // What went before may have had another topic in the end.
      run.sameTopic = false
      const message = messageOfRun(run, 0)
      if (!this.#admit(from, message)) break
      const judged = this.#judge(from, message)
      if (!(judged instanceof Promise)) {
        this.#finish(from, message, judged, run)
        continue
      }
      const waiting: HookMessage[] = []
      for (let k = i + 1; k < count; k++) {
        run.start = heads[k] as number
        run.end = k + 1 < count ? (heads[k + 1] as number) : end
        run.heads[0] = heads[k] as number
        run.ids[0] = ids[k] as number
        run.payloads[0] = payloads[k] as number
        waiting.push(messageOfRun(run, 0))
      }
      this.#hold(from, this.#goOn(from, message, judged, waiting))
      break
    }
    run.start = start
    run.end = end
    run.count = count
  }

  /** A PUBREL that the pipeline cannot know of: true if it has been answered here. */
  release(from: Connection, packetId: number): boolean {
    const dropped = this.#dropped.get(from)
    if (dropped === undefined || !dropped.delete(packetId)) return false
    from.conversation.settledIn(1)
    from.acknowledge(PUBCOMP, packetId, 0)
    return true
  }

  /** `authorizePublish`, then `transformPublish`. */
  judge(client: Parameters<HookPoints['observe']>[1], message: HookMessage): MayWait<Judged> {
    const { hooks } = this.#o
    const change = (decision: number): MayWait<Judged> =>
      decision > 0 ? new Refused(decision) : hooks.transform('transformPublish', [client], message, takeIncoming)
    if (client === undefined || !hooks.uses('authorizePublish')) return change(0)
    const decision = hooks.decide('authorizePublish', [client, message], { denial: ReasonCode.notAuthorized })
    return decision instanceof Promise ? decision.then(change) : change(decision)
  }

  /** A message was taken. */
  tellPublished(client: Connection['client'] | undefined, message: HookMessage): void {
    const { hooks, groupsWanting } = this.#o
    if (message.retain && hooks.uses('retainedStored')) hooks.observe('retainedStored', message)
    if (hooks.uses('published')) {
      hooks.observe('published', client, message, { sharedFilters: groupsWanting(message.topic) })
    }
  }

  #admit(from: Connection, message: HookMessage): boolean {
    return !this.#o.hooks.packets || from.admits(packetOf(message))
  }

  #judge(from: Connection, message: HookMessage): MayWait<Judged> {
    return this.judge(from.client, message)
  }

  /** The rest of a run, message by message, after a decision that took time. */
  async #goOn(
    from: Connection,
    first: HookMessage,
    firstJudged: Promise<Judged>,
    waiting: readonly HookMessage[],
  ): Promise<void> {
    this.#finish(from, first, await firstJudged, undefined)
    for (const message of waiting) {
      if (!from.conversation.closed && !this.#admit(from, message)) return
      const judged = this.#judge(from, message)
      this.#finish(from, message, judged instanceof Promise ? await judged : judged, undefined)
    }
  }

  /** `run`: the message as it came, where that is still at hand. */
  #finish(from: Connection, message: HookMessage, judged: Judged, run: PublishRun | undefined): void {
    const { hooks, counters, pipeline } = this.#o
    // The client has gone meanwhile: QoS 0 and 1 still count, at QoS 2 it will send the message again.
    if (from.conversation.closed && message.qos === 2) return
    if (judged instanceof Refused) {
      counters.arrived(PacketType.publish)
      counters.publishReceived++
      counters.publishBytesReceived += message.payload.length
      if (judged.reasonCode === 0) this.#swallow(from, message)
      else {
        this.#as(message, from.conversation.version, (single) => pipeline.refuse(from, single, judged.reasonCode))
        hooks.observe('publishRefused', from.client, message, judged.reasonCode)
      }
    } else {
      let refusal = 0
      if (judged === message && run !== undefined) refusal = pipeline.publish(from, run)
      else {
        this.#as(judged, from.conversation.version, (single) => {
          refusal = pipeline.publish(from, single)
        })
      }
      if (refusal === 0) this.tellPublished(from.client, judged)
      else hooks.observe('publishRefused', from.client, judged, refusal)
    }
    if (hooks.packets) from.processed(packetOf(message))
  }

  /** Acknowledged and given to nobody. */
  #swallow(from: Connection, message: HookMessage): void {
    this.#o.counters.publishDropped++
    const { qos, packetId } = message
    if (qos === 0) return
    if (qos === 1) from.conversation.settledIn(1)
    else {
      let dropped = this.#dropped.get(from)
      if (dropped === undefined) {
        dropped = new Set()
        this.#dropped.set(from, dropped)
      }
      dropped.add(packetId)
      this.swallows = true
    }
    from.acknowledge(qos === 1 ? PUBACK : PUBREC, packetId, 0)
  }

  /** The message as a run of one packet. */
  #as(message: HookMessage, version: ProtocolVersion, use: (run: PublishRun) => void): void {
    const packet = packetOf(message)
    const { properties: _properties, ...plain } = packet
    const buf = encodePublish(version === 5 ? packet : plain, version)
    const run = this.#spare.pop() ?? new PublishRun()
    try {
      fill(run, buf, version)
      use(run)
    } finally {
      run.clear()
      this.#spare.push(run)
    }
  }

  /** Nothing more of this connection is read until the work is done. */
  #hold(from: Connection, work: Promise<void>): void {
    from.conversation.hold()
    work
      .catch((error: unknown) => from.fault(error))
      .finally(() => {
        if (from.conversation.closed) return
        from.conversation.release()
        from.answered()
      })
      .catch((error: unknown) => from.fault(error))
  }

  // ---------------------------------------------------------------- SUBSCRIBE, UNSUBSCRIBE

  /** `go` gets the packet as hooks left it, and for each filter 0 or the code that refuses it. */
  subscribe(
    from: Connection,
    packet: SubscribePacket,
    go: (packet: SubscribePacket, denied: readonly number[]) => void,
  ): void {
    const judged = this.judgeSubscriptions(from.client, packet.subscriptions, from.conversation.version)
    const finish = ({ subscriptions, denied }: JudgedSubscriptions): void => {
      if (from.conversation.closed) return
      go({ ...packet, subscriptions }, denied)
      from.processed(packet)
    }
    if (judged instanceof Promise) this.#hold(from, judged.then(finish))
    else finish(judged)
  }

  /** `transformSubscribe`, then `authorizeSubscribe` for each. */
  judgeSubscriptions(
    client: Connection['client'],
    asked: readonly SubscriptionRequest[],
    version: ProtocolVersion,
  ): MayWait<JudgedSubscriptions> {
    const { hooks } = this.#o
    const changed = hooks.transform('transformSubscribe', [client], asked, (answer, current) =>
      takeSubscriptions(answer, current, version),
    )
    const authorize = (subscriptions: readonly SubscriptionRequest[] | Refused): MayWait<JudgedSubscriptions> => {
      if (subscriptions instanceof Refused) {
        return { subscriptions: asked, denied: asked.map(() => subscriptions.reasonCode) }
      }
      if (!hooks.uses('authorizeSubscribe')) return { subscriptions, denied: asked.map(() => 0) }
      return this.#authorizeEach(client, subscriptions, 0, [])
    }
    return changed instanceof Promise ? changed.then(authorize) : authorize(changed)
  }

  #authorizeEach(
    client: Connection['client'],
    subscriptions: readonly SubscriptionRequest[],
    from: number,
    denied: number[],
  ): MayWait<JudgedSubscriptions> {
    for (let i = from; i < subscriptions.length; i++) {
      const decision = this.#o.hooks.decide('authorizeSubscribe', [client, subscriptions[i]], {
        denial: ReasonCode.notAuthorized,
      })
      if (decision instanceof Promise) {
        return decision.then((later) => {
          denied.push(Math.max(0, later))
          return this.#authorizeEach(client, subscriptions, i + 1, denied)
        })
      }
      denied.push(Math.max(0, decision))
    }
    return { subscriptions, denied }
  }

  unsubscribe(
    from: Connection,
    packet: UnsubscribePacket,
    go: (packet: UnsubscribePacket, denied: number) => void,
  ): void {
    const finish = (filters: readonly string[] | Refused): void => {
      if (from.conversation.closed) return
      if (filters instanceof Refused) go(packet, filters.reasonCode)
      else go({ ...packet, filters }, 0)
      from.processed(packet)
    }
    const changed = this.judgeFilters(from.client, packet.filters, from.conversation.version)
    if (changed instanceof Promise) this.#hold(from, changed.then(finish))
    else finish(changed)
  }

  judgeFilters(
    client: Connection['client'],
    filters: readonly string[],
    version: ProtocolVersion,
  ): MayWait<readonly string[] | Refused> {
    return this.#o.hooks.transform('transformUnsubscribe', [client], filters, (answer, current) =>
      Array.isArray(answer) && answer.length === current.length && answer.every((one) => isFilter(one, version))
        ? (answer as string[])
        : undefined,
    )
  }
}

export interface JudgedSubscriptions {
  readonly subscriptions: readonly SubscriptionRequest[]
  /** 0, or the reason code. */
  readonly denied: readonly number[]
}

function takeSubscriptions(
  answer: unknown,
  current: readonly SubscriptionRequest[],
  version: ProtocolVersion,
): readonly SubscriptionRequest[] | undefined {
  if (answer === current) return current
  if (!Array.isArray(answer) || answer.length !== current.length) return undefined
  return answer.every((one) => isSubscription(one, version)) ? (answer as SubscriptionRequest[]) : undefined
}

function isSubscription(answer: unknown, version: ProtocolVersion): boolean {
  if (typeof answer !== 'object' || answer === null) return false
  const { filter, qos, noLocal, retainAsPublished, retainHandling } = answer as Partial<SubscriptionRequest>
  return (
    isFilter(filter, version) &&
    (qos === 0 || qos === 1 || qos === 2) &&
    typeof noLocal === 'boolean' &&
    typeof retainAsPublished === 'boolean' &&
    (retainHandling === 0 || retainHandling === 1 || retainHandling === 2)
  )
}

function isFilter(filter: unknown, version: ProtocolVersion): boolean {
  return typeof filter === 'string' && filterProblem(filter, version) === undefined
}

/** Fills a run with one packet that lies whole in `buf`. */
function fill(run: PublishRun, buf: Uint8Array, version: ProtocolVersion): void {
  const first = buf[0] as number
  let body = 1
  while (((buf[body] as number) & 0x80) !== 0) body++
  body++
  const { scan } = run
  scanPublish(first, buf, body, buf.length, version, scan)
  run.buf = buf
  run.start = 0
  run.end = buf.length
  run.count = 1
  run.version = version
  run.qos = ((first >> 1) & 3) as 0 | 1 | 2
  run.retain = (first & 1) !== 0
  run.dup = (first & 8) !== 0
  run.topicBuf = buf
  run.topicStart = scan.topicStart
  run.topicEnd = scan.topicEnd
  run.sameTopic = false
  run.hasProperties = scan.propertiesEnd > scan.propertiesStart
  run.parts = undefined
  run.partsBytes = 0
  run.heads[0] = 0
  run.ids[0] = scan.topicEnd
  run.payloads[0] = scan.payloadStart
}
