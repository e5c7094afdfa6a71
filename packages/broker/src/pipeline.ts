/**
 * The path of a message through the broker: authorise, order, route, deliver.
 *
 *   run of PUBLISH ─▶ may it? ─▶ receipt (QoS 2) ─▶ route of its topic ─┬─ only transient subscribers ─▶ straight to outboxes
 *                                                                       └─ retain, kept, shared, direct ─▶ command ─▶ machine ─▶ effects
 *
 * The straight way makes no object per message: the run is encoded once per protocol generation and QoS, and copied or
 * referred to once per subscriber. The other way takes one command per message through the sequencer.
 */
import { Buffer } from 'node:buffer'
import {
  decodeProperties,
  isRefusal,
  type Properties,
  type PublishRun,
  type QoS,
  ReasonCode,
} from '@concordmq/protocol'
import {
  type ConnectionId,
  DIRECT_PREFIX,
  type Message,
  type MessageHead,
  type Outcome,
  type OutsideChoice,
  type PlacedMessage,
  type PlacedRun,
  type PublishCommand,
  type PublishRunCommand,
  type RunOutcome,
  type Turns,
} from '@concordmq/state'
import type { Guard } from './access/permissions.ts'
import type { RunAnswer } from './connections/answer-line.ts'
import type { ClientRate } from './connections/client-rate.ts'
import type { Connection } from './connections/connection.ts'
import { timestampBytes } from './delivery/broker-timestamps.ts'
import { encodeRun, type Form, RunForms } from './delivery/form.ts'
import { type MessageTerms, messageForm } from './delivery/message-form.ts'
import { positionBytes } from './delivery/order-positions.ts'
import type { Outbox } from './delivery/outbox.ts'
import type { Pressure } from './delivery/pressure.ts'
import { messageAt, select } from './delivery/screening.ts'
import type { HookPoints } from './hooks/hook-points.ts'
import type { Order } from './model/order.ts'
import type { OutsideChoiceOf, Relay } from './ordering/relay.ts'
import type { RelayedItem } from './ordering/relay-frames.ts'
import type { Route, RouteTable, Target, Way } from './routing/route-table.ts'
import { messageOf, type SessionDriver } from './sessions/session-driver.ts'
import { UNORDERED, type UnorderedDelivery, unordered } from './sessions/unordered-delivery.ts'
import type { Counters } from './telemetry/counters.ts'

export interface PipelineOptions {
  /** In a cluster: every message takes this way, and reaches subscribers when it comes back. */
  readonly order: Order | undefined
  /** The way beside the order, for topics that skip it. */
  readonly relay: Relay | undefined
  /** What becomes of messages while nothing is ordered. */
  readonly stall: { readonly onStall: 'local' | 'queue' | 'refuse'; readonly stallAcknowledge: boolean }
  readonly driver: SessionDriver<Connection>
  readonly unordered: UnorderedDelivery<Connection>
  readonly routes: RouteTable<Connection>
  readonly counters: Counters
  readonly pressure: Pressure
  /** Adds up what a publisher's messages cost, and stops it in time (`connections/turns.ts`). */
  readonly turns: { spend(ms: number, publisher: Connection): void }
  readonly guard: Guard
  readonly directMessages: 'off' | 'prefix' | 'bare'
  readonly topicLevelsMax: number
  /** Seconds; 0: no limit. */
  readonly messageExpiryMax: () => number
  /** The reason code that clients get in place of another. */
  readonly told: (reasonCode: number) => number
  readonly nowMs: () => number
  readonly hooks: HookPoints
  /** Whoever in this program subscribes: asked only for topics that it wants. */
  readonly inline: { offer(message: Message): void }
}

/** Finding subscribers that takes less is not worth adding up. */
const COUNTED_MS_MIN = 1
const PUBLISH = 3
const PUBACK = 0x40
const PUBREC = 0x50
const PUBCOMP = 0x70
const DOLLAR = 0x24
const DIRECT_BYTES = Buffer.from(DIRECT_PREFIX)
/** Where clients of a cluster ask for proofs. */
const PROOF_BYTES = Buffer.from('$concord/proof')

export class Pipeline {
  readonly #o: PipelineOptions
  readonly #forms = new RunForms()
  /** Place of the first message of the run that is delivered; undefined: it has none yet. */
  #placed: PlacedRun | undefined
  /** A property of what is delivered now, encoded: that it has no place. */
  #mark: Uint8Array | undefined
  /** Whose turn it was in shared groups, for messages that skip the order. */
  readonly #turnsOutside: Turns = new WeakMap()
  #outside = 0

  constructor(options: PipelineOptions) {
    this.#o = options
  }

  /** A run of PUBLISH packets of one client. Returns 0, or the reason code with which all of it was refused. */
  publish(from: Connection, run: PublishRun): number {
    const { counters } = this.#o
    counters.arrived(PUBLISH, run.count)
    counters.publishReceived += run.count
    counters.publishBytesReceived += run.end - run.start + run.partsBytes
    return from.rate === undefined ? this.#publish(from, run) : this.#publishRated(from, from.rate, run)
  }

  #publish(from: Connection, run: PublishRun): number {
    const { counters, routes, turns } = this.#o
    const route = this.#routeOf(from, run)
    if (routes.spentMs > COUNTED_MS_MIN) {
      turns.spend(routes.spentMs, from)
      routes.spentMs = 0
    }
    const refusal = this.topicProblem(route.bytes)
    if (refusal !== 0) {
      this.refuse(from, run, refusal)
      return refusal
    }
    if (this.#o.guard.asked !== undefined && !this.#mayPublish(from, route)) {
      counters.publishDenied += run.count
      this.refuse(from, run, ReasonCode.notAuthorized)
      return ReasonCode.notAuthorized
    }
    const { relay } = this.#o
    if (relay !== undefined && this.#isFast(run, route)) {
      this.#publishFast(from, run, route, relay)
      return 0
    }
    if (this.#o.order !== undefined) {
      this.#publishInOrder(from, run, route, this.#o.order)
      return 0
    }
    if (run.qos === 2) {
      if (from.kept) this.#publishOrdered(from, run, route)
      else this.#publishOnce(from, run, route)
      return 0
    }
    if (run.retain || route.ordered || this.#direct(route)) {
      this.#publishOrdered(from, run, route)
      return 0
    }
    this.#o.driver.sequencer.take(run.count)
    this.#fanOut(from, from.clientId, run, route)
    if (run.qos === 1) this.#acknowledge(from, run, PUBACK, unmatched(route))
    return 0
  }

  /** The same for a client that may send only so fast; what is to be slowed is slowed after the read (`connection.ts`). */
  #publishRated(from: Connection, rate: ClientRate, run: PublishRun): number {
    const { counters, nowMs } = this.#o
    const now = nowMs()
    // A resend of what may have a receipt is no new message: refused, it would leave the receipt behind.
    const taken = rate.policy === 'slow' || (run.qos === 2 && run.dup) ? run.count : rate.allowed(run.count, now)
    rate.spendMessages(taken, now)
    if (taken === run.count) {
      return this.#publish(from, run)
    }
    if (rate.policy === 'disconnect') {
      from.exceedRate()
      return ReasonCode.messageRateTooHigh
    }
    counters.limits.rateDropped += run.count - taken
    const { qos } = run
    let i = 0
    this.#each(run, (single) => {
      if (i++ < taken) this.#publish(from, single)
      else if (qos === 0 || from.v5) this.refuse(from, single, ReasonCode.quotaExceeded)
      else from.conversation.disconnect(ReasonCode.quotaExceeded)
    })
    return taken > 0 ? 0 : ReasonCode.quotaExceeded
  }

  /** PUBREL: the receipt ends, PUBCOMP answers [MQTT-4.3.3-11]. */
  release(from: Connection, packetId: number): void {
    if (from.kept) {
      // PUBCOMP promises that the identifier is free: that must be kept.
      from.answerWhen((ready) => {
        this.#o.driver.release(from, packetId, (known) => ready(PUBCOMP, packetId, this.#completed(from, known)))
      })
      return
    }
    from.acknowledge(PUBCOMP, packetId, this.#completed(from, from.receipts?.delete(packetId) === true))
  }

  /** A run that came out of the order of a cluster, for the transient sessions of this node; `from` another node's client, too. */
  routeRun(run: PublishRun, placed: PlacedRun, had: ReadonlySet<unknown> | undefined): void {
    const { connection, publisher } = placed
    const { driver, routes } = this.#o
    const route = routes.lookup(run.topicBuf, run.topicStart, run.topicEnd)
    const { targets } = route
    // Whoever had it while nothing was ordered is passed over.
    if (had !== undefined) route.targets = targets.filter(({ subscriber }) => !had.has(subscriber))
    this.#placed = placed
    this.#fanOut(driver.byId(connection), publisher, run, route)
    this.#placed = undefined
    route.targets = targets
  }

  /** A message with its place, for the transient sessions of this node: retained, wills, the broker's own. */
  routePlaced(placed: PlacedMessage, publisher: ConnectionId | undefined, had?: ReadonlySet<unknown>): void {
    const { driver } = this.#o
    const route = this.#routeOfTopic(placed.message.topic)
    if (route.inline) this.#o.inline.offer(placed.message)
    const wanting = had === undefined ? route.targets : route.targets.filter(({ subscriber }) => !had.has(subscriber))
    if (wanting.length === 0) return
    const { hooks } = this.#o
    if (!hooks.outgoing || !hooks.uses('selectSubscribers')) {
      this.#routeTo(wanting, placed, publisher)
      return
    }
    const clientIds = wanting.map(({ subscriber }) => subscriber.clientId)
    const plain = messageForm(placed, true, PLAIN[placed.message.qos], driver.now())
    const selected = new Set(select(hooks, messageAt(plain, 0, true), clientIds))
    hooks.selected = true
    try {
      const targets = wanting.filter(({ subscriber }) => selected.has(subscriber.clientId))
      this.#routeTo(targets, placed, publisher)
    } finally {
      hooks.selected = false
    }
  }

  #routeTo(targets: readonly Target<Connection>[], placed: PlacedMessage, publisher: ConnectionId | undefined): void {
    const { driver } = this.#o
    const now = driver.now()
    const author = driver.byId(publisher)
    const shared: (Form | undefined)[] = []
    for (const whole of targets) {
      const target = targetFor(whole, author)
      if (target === undefined) continue
      const { subscriber } = target
      const qos = Math.min(placed.message.qos, target.qos) as QoS
      // [MQTT-3.3.1-12] [MQTT-3.3.1-13] RETAIN stays only for Retain As Published
      const retain = placed.message.retain && target.retainAsPublished
      const { v5 } = subscriber
      if (v5 && target.subscriptionIds !== undefined) {
        const { subscriptionIds, timestamps = false } = target
        // What skips the order has no place.
        const positions = target.positions === true && this.#mark === undefined
        const terms = { qos, retain, dup: false, subscriptionIds, timestamps, positions }
        subscriber.outbox.give(messageForm(placed, true, terms, now))
        continue
      }
      const index = (v5 ? 6 : 0) + (retain ? 3 : 0) + qos
      shared[index] ??= messageForm(placed, v5, { qos, retain, dup: false, subscriptionIds: NO_IDS }, now)
      subscriber.outbox.give(shared[index] as Form)
    }
  }

  // ---------------------------------------------------------------- authorise

  /** 0, or the reason code for which a client may not publish to a topic, by message or by will. */
  topicProblem(topic: Uint8Array): number {
    // Clients publish under $ only to $direct/…, and requests for proofs: everything else there is the broker's own.
    if (topic[0] === DOLLAR && !this.#isOpen(topic)) return ReasonCode.notAuthorized
    return levelsOf(topic) > this.#o.topicLevelsMax ? ReasonCode.topicNameInvalid : 0
  }

  /** Whether clients may publish to this topic that begins with $. */
  #isOpen(topic: Uint8Array): boolean {
    if (startsWith(topic, DIRECT_BYTES)) return this.#o.directMessages !== 'off'
    return this.#o.order !== undefined && topic.length === PROOF_BYTES.length && startsWith(topic, PROOF_BYTES)
  }

  /** The same for one client. */
  publishProblem(from: Connection, topic: Uint8Array): number {
    const problem = this.topicProblem(topic)
    if (problem !== 0 || this.#o.guard.asked === undefined) return problem
    const route = this.#o.routes.lookup(topic, 0, topic.length)
    if (this.#mayPublish(from, route)) return 0
    this.#o.counters.publishDenied++
    return ReasonCode.notAuthorized
  }

  /** Whether no subscriber of this node and this program wants the topic. */
  unmatched(topic: string): boolean {
    return unmatched(this.#routeOfTopic(topic))
  }

  #routeOfTopic(topic: string): Route<Connection> {
    const bytes = Buffer.from(topic)
    return this.#o.routes.lookup(bytes, 0, bytes.length)
  }

  /** Whether the rules let the client publish to the topic of a route: asked once per topic, not per message. */
  #mayPublish(from: Connection, route: Route<Connection>): boolean {
    const { guard } = this.#o
    const { asked } = from
    if (asked !== undefined && asked.route === route && asked.epoch === guard.epoch) return asked.mayPublish
    const mayPublish = guard.asked?.mayPublish(from, route.topic) !== false
    from.asked = { route, epoch: guard.epoch, mayPublish }
    return mayPublish
  }

  /**
   * The message goes nowhere; its publisher is told where the protocol allows. Before 5.0 it does not: the message is
   * acknowledged all the same, since a client whose connection is closed sends it again [MQTT3-3.3.5-2].
   */
  refuse(from: Connection, run: PublishRun, why: number): void {
    this.#o.counters.publishDropped += run.count
    if (run.qos === 0) return
    const reasonCode = this.#o.told(why)
    if (run.qos === 1) {
      from.conversation.settledIn(run.count)
      from.acknowledgeRun(run, PUBACK, reasonCode)
      return
    }
    const receipts = from.kept ? this.#o.driver.ordered.session(from.clientId)?.receipts : from.receipts
    this.#each(run, (single) => {
      // What has a receipt was published when that was allowed: it is not published again, and its exchange goes on.
      const known = receipts?.has(single.packetId(0)) === true
      if (!known || !single.dup) from.conversation.settledIn(1)
      from.acknowledgeRun(single, PUBREC, known ? 0 : reasonCode)
    })
  }

  /** The disk takes nothing at the moment, and this message would have to be kept. */
  #refuseUnkept(from: Connection, run: PublishRun): void {
    this.#o.counters.storageRefused += run.count
    if (run.qos === 0 || from.v5) {
      this.refuse(from, run, ReasonCode.quotaExceeded)
      return
    }
    // Before 5.0 no acknowledgement can say no; a client sends again what was not acknowledged when it connects again.
    this.#o.counters.publishDropped += run.count
    from.conversation.disconnect(ReasonCode.quotaExceeded)
  }

  // ---------------------------------------------------------------- route

  #routeOf(from: Connection, run: PublishRun): Route<Connection> {
    const { routes } = this.#o
    const last = from.lastRoute
    if (run.sameTopic && last !== undefined && from.conversation.lastTopic === last.bytes) {
      if (last.version !== routes.version) routes.refresh(last)
      return last
    }
    const route = routes.lookup(run.topicBuf, run.topicStart, run.topicEnd)
    from.lastRoute = route
    from.conversation.lastTopic = route.bytes
    return route
  }

  /** Whether a message of this topic is addressed to one client (row U10). */
  #direct(route: Route<Connection>): boolean {
    const { directMessages, driver } = this.#o
    if (directMessages === 'off') return false
    if (route.topic.startsWith(DIRECT_PREFIX)) return true
    // A name that somebody subscribes to is a topic, not an address.
    return (
      directMessages === 'bare' &&
      driver.ordered.session(route.topic) !== undefined &&
      !driver.local.subscriptions.has(route.topic)
    )
  }

  // ---------------------------------------------------------------- the straight way

  /** `addressed`: the machine delivers to the client that the topic names; its own subscriptions add nothing. */
  #fanOut(
    from: Connection | undefined,
    publisher: string,
    run: PublishRun,
    route: Route<Connection>,
    addressed = false,
  ): void {
    const { pressure, nowMs } = this.#o
    const { targets } = route
    if (addressed && route.bytes[0] === DOLLAR) return
    if (route.inline) for (let i = 0; i < run.count; i++) this.#offer(this.#message(publisher, run, route, i))
    if (targets.length === 0) return
    const { hooks } = this.#o
    if (hooks.outgoing && hooks.uses('selectSubscribers')) {
      this.#fanOutSelected(from, run, route, addressed)
      return
    }
    const forms = this.#forms
    forms.begin(run, run.hasProperties ? nowMs() : 0, this.#mark)
    for (let i = 0; i < targets.length; i++) {
      let target = targets[i] as Target<Connection>
      if (target.own !== undefined && target.subscriber === from) {
        if (target.own === 'nothing') continue
        target = target.own
      }
      const { subscriber } = target
      if (addressed && subscriber.clientId === route.topic) continue
      const { outbox, v5 } = subscriber
      const qos = (run.qos < target.qos ? run.qos : target.qos) as QoS
      if (v5 && (target.subscriptionIds !== undefined || subscriber.conversation.clientTopicAliasMaximum > 0)) {
        this.#giveOwn(subscriber, target, run, route, qos)
      } else outbox.give(forms.form(v5, qos))
      if (outbox.pressing) {
        if (outbox.output.full) outbox.output.flush()
        if (from !== undefined && !outbox.slow && outbox.pressing && mayWait(from, outbox)) pressure.hold(outbox, from)
      } else if (outbox.output.full) outbox.output.flush()
    }
    forms.end()
  }

  /** The same for those whom `selectSubscribers` picks, message by message. */
  #fanOutSelected(from: Connection | undefined, run: PublishRun, route: Route<Connection>, addressed: boolean): void {
    const { hooks, nowMs } = this.#o
    const whole: Target<Connection>[] = []
    for (const target of route.targets) {
      const own = targetFor(target, from)
      if (own !== undefined && !(addressed && own.subscriber.clientId === route.topic)) whole.push(own)
    }
    const clientIds = whole.map((target) => target.subscriber.clientId)
    this.#each(run, (single) => {
      const terms = { nowMs: nowMs(), retain: false, alias: 0, aliasOnly: false }
      const plain = encodeRun(single, true, single.qos, { ...terms, subscriptionIds: NO_IDS })
      const selected = new Set(select(hooks, messageAt(plain, 0, true), clientIds))
      hooks.selected = true
      try {
        for (const { subscriber, qos, subscriptionIds = NO_IDS, timestamps } of whole) {
          if (!selected.has(subscriber.clientId)) continue
          const given = Math.min(single.qos, qos) as QoS
          subscriber.outbox.give(
            encodeRun(single, subscriber.v5, given, { ...terms, subscriptionIds, extra: this.#extra(timestamps) }),
          )
        }
      } finally {
        hooks.selected = false
      }
    })
  }

  /** A 5.0 subscriber with subscription identifiers or topic aliases: encoded for it alone. */
  #giveOwn(to: Connection, target: Target<Connection>, run: PublishRun, route: Route<Connection>, qos: QoS): void {
    const placed = target.positions === true ? this.#placed : undefined
    if (placed !== undefined) {
      this.#givePlaced(to, target, run, placed)
      return
    }
    const { outbox } = to
    const nowMs = this.#o.nowMs()
    const subscriptionIds = target.subscriptionIds ?? NO_IDS
    const extra = this.#extra(target.timestamps)
    // An alias is used only for what leaves at once: a queue may drop the message that sets it.
    const leaves = outbox.open && (qos === 0 || outbox.window.room() >= run.count)
    const aliases = leaves && run.count === 1 ? to.aliases : undefined
    const assigned = aliases?.assign(route.topic) ?? 0
    let form = encodeRun(run, true, qos, {
      nowMs,
      retain: false,
      subscriptionIds,
      alias: Math.abs(assigned),
      aliasOnly: assigned > 0,
      extra,
    })
    if (assigned < 0 && form.end + form.partsBytes > to.conversation.clientPacketBytesMax) {
      aliases?.forget(route.topic)
      form = encodeRun(run, true, qos, { nowMs, retain: false, subscriptionIds, alias: 0, aliasOnly: false, extra })
    }
    outbox.give(form)
  }

  /** Each message with its place, by itself. */
  #givePlaced({ outbox }: Connection, target: Target<Connection>, run: PublishRun, placed: PlacedRun): void {
    const { position, timeUs } = placed
    const terms = { nowMs: this.#o.nowMs(), retain: false, alias: 0, aliasOnly: false }
    const { subscriptionIds = NO_IDS, timestamps } = target
    const qos = Math.min(run.qos, target.qos) as QoS
    let { index } = placed
    this.#each(run, (single) => {
      const place = positionBytes({ position, index: index++, timeUs })
      const extra = timestamps === undefined ? place : Buffer.concat([timestampBytes(timeUs, { ordered: true }), place])
      outbox.give(encodeRun(single, true, qos, { ...terms, subscriptionIds, extra }))
    })
  }

  /** Properties that the broker adds, encoded. */
  #extra(timestamps: true | undefined): Uint8Array | undefined {
    if (timestamps === undefined) return this.#mark
    const stamp = timestampBytes(this.#o.driver.now().us, { ordered: false })
    return this.#mark === undefined ? stamp : Buffer.concat([this.#mark, stamp])
  }

  /** To whoever in this program wants it. */
  #offer(message: Message): void {
    this.#o.inline.offer(this.#mark === undefined ? message : unordered(message))
  }

  /** QoS 2 of a transient session: what has a receipt was published already [MQTT-4.3.3-10]. */
  #publishOnce(from: Connection, run: PublishRun, route: Route<Connection>): void {
    const ordered = run.retain || route.ordered || this.#direct(route)
    if (ordered && this.#o.driver.sequencer.trouble) {
      this.#refuseUnkept(from, run)
      return
    }
    let fresh = 0
    while (fresh < run.count && this.#receipt(from, run.packetId(fresh))) fresh++
    if (fresh === run.count && !ordered) {
      this.#o.driver.sequencer.take(run.count)
      this.#fanOut(from, from.clientId, run, route)
      this.#acknowledge(from, run, PUBREC, unmatched(route))
      return
    }
    // Message `fresh` was there before; those before it have got their receipts, those behind it get theirs now.
    let i = 0
    this.#each(run, (single) => {
      if (i < fresh || (i > fresh && this.#receipt(from, single.packetId(0)))) {
        if (ordered) {
          i++
          this.#submit(from, single, route)
          return
        }
        this.#o.driver.sequencer.take(1)
        this.#fanOut(from, from.clientId, single, route)
      } else if (!single.dup) {
        // A resend without DUP was counted as a message of its own.
        from.conversation.settledIn(1)
      }
      i++
      from.acknowledgeRun(single, PUBREC, 0)
    })
  }

  #receipt(from: Connection, packetId: number): boolean {
    from.receipts ??= this.#o.driver.localSession(from)?.receipts
    return from.receipts?.add(packetId) === true
  }

  // ---------------------------------------------------------------- the way beside the order of a cluster

  /** Whether a run skips the order: QoS 2 and retained messages never do, and whom a message is addressed to the order knows. */
  #isFast(run: PublishRun, route: Route<Connection>): boolean {
    return route.way === 'fast' && run.qos < 2 && !run.retain && !asksForSealing(run) && !this.#direct(route)
  }

  /** Clients here have it at once, those of other nodes when it gets there; QoS 1 is acknowledged when a quorum has it. */
  #publishFast(from: Connection, run: PublishRun, route: Route<Connection>, relay: Relay): void {
    const { order, stall, counters, messageExpiryMax } = this.#o
    const { qos, count } = run
    if (qos === 1 && order?.stalled === true && stall.onStall === 'refuse') {
      this.#refuseUnkept(from, run)
      return
    }
    counters.fastPublished += count
    this.#giveUnordered(from, from.clientId, run, route)
    const choices = this.#chooseOutside(from.clientId, run, route)
    for (const { message, ...choice } of choices) this.#giveMember(choice, from.clientId, run, route, message)
    const isPlain = !run.hasProperties && messageExpiryMax() === 0
    const submit = (taken: (() => void) | undefined): void => {
      const author = { counter: from.id?.counter ?? 0, publisher: from.clientId, receipts: false }
      if (isPlain) relay.submitRun(run, author, choices, taken)
      else this.#relayEach(from.clientId, run, route, { relay, choices, taken })
    }
    if (qos === 0) submit(undefined)
    else {
      from.answerRunWhen(run, (ready) =>
        submit(() => {
          from.conversation.settledIn(count)
          ready({ firstByte: PUBACK, reasonCode: 0, taken: count, refusal: undefined })
        }),
      )
    }
    if (relay.full && from.stop()) relay.whenRoom(() => from.goOn())
  }

  /** The messages of a run one by one, with what they carry; the last one answers for all. */
  #relayEach(
    publisher: string,
    run: PublishRun,
    route: Route<Connection>,
    {
      relay,
      choices,
      taken,
    }: {
      readonly relay: Relay
      readonly choices: readonly OutsideChoiceOf[]
      readonly taken: (() => void) | undefined
    },
  ): void {
    for (let i = 0; i < run.count; i++) {
      const message = this.#message(publisher, run, route, i)
      const own = choices.filter((choice) => choice.message === i).map((choice) => ({ ...choice, message: 0 }))
      relay.submitMessage({ type: 'publish', message }, own, i === run.count - 1 ? taken : undefined)
    }
  }

  /** What another node relayed, to whoever is connected here; `choices` are members of shared groups. */
  routeRelayed(item: RelayedItem, choices: readonly OutsideChoiceOf[]): void {
    if (item.type === 'message') {
      this.#giveMarked(item.message, choices)
      return
    }
    const { run, of } = item
    const route = this.#o.routes.lookup(run.topicBuf, run.topicStart, run.topicEnd)
    this.#giveUnordered(undefined, of.publisher, run, route)
    for (const { message, ...choice } of choices) {
      if (message < run.count) this.#giveMember(choice, of.publisher, run, route, message)
    }
  }

  /** Which way a message takes that this program publishes, in its own name or in that of a client. */
  wayOf({ topic, qos, retain, properties }: Message): Way {
    if (this.#o.order === undefined) return 'ordered'
    const route = this.#routeOfTopic(topic)
    if (route.way === 'sealed' || hasSealedMark(properties)) return 'sealed'
    return route.way === 'fast' && qos < 2 && !retain && !this.#direct(route) ? 'fast' : 'ordered'
  }

  /** Publishes one that is sealed; its outcome comes when it was opened. */
  publishSealed(command: PublishCommand, answer: (outcome: Outcome) => void): void {
    this.#o.order?.submitSealed(command, answer)
  }

  /** Publishes one that skips the order; `taken` is called when a quorum has it, at QoS 0 at once. */
  publishUnordered(message: Message, taken: () => void): void {
    const { relay, counters } = this.#o
    counters.fastPublished++
    const choices = this.#o.driver.ordered
      .chooseOutside(this.#unplaced(message), this.#turnsOutside)
      .map((choice) => ({ ...choice, message: 0 }))
    this.#giveMarked(message, choices)
    relay?.submitMessage({ type: 'publish', message }, choices, message.qos === 0 ? undefined : taken)
    if (message.qos === 0) taken()
  }

  #giveUnordered(from: Connection | undefined, publisher: string, run: PublishRun, route: Route<Connection>): void {
    this.#mark = UNORDERED
    try {
      this.#fanOut(from, publisher, run, route)
    } finally {
      this.#mark = undefined
    }
    if (route.ordered) this.#o.unordered.giveRun(run, route.topic, publisher)
  }

  #giveMarked(message: Message, choices: readonly OutsideChoiceOf[]): void {
    const placed = this.#unplaced(unordered(message))
    this.#mark = UNORDERED
    try {
      this.routePlaced(placed, undefined)
    } finally {
      this.#mark = undefined
    }
    this.#o.unordered.giveMessage(placed)
    for (const choice of choices) this.#o.unordered.giveMember(choice, message.topic, () => placed)
  }

  #giveMember(choice: OutsideChoice, publisher: string, run: PublishRun, route: Route<Connection>, i: number): void {
    const make = (): PlacedMessage => this.#unplaced(unordered(this.#message(publisher, run, route, i)))
    this.#o.unordered.giveMember(choice, route.topic, make)
  }

  /** A member of each shared group for each message of a run. */
  #chooseOutside(publisher: string, run: PublishRun, route: Route<Connection>): readonly OutsideChoiceOf[] {
    const { ordered } = this.#o.driver
    if (!route.ordered || ordered.groupsWanting(route.topic).length === 0) return NO_CHOICES
    const head = { topic: route.topic, payload: NO_PAYLOAD, qos: run.qos, retain: false, publisher }
    const choices: OutsideChoiceOf[] = []
    for (let message = 0; message < run.count; message++) {
      for (const choice of ordered.chooseOutside(this.#unplaced(head), this.#turnsOutside)) {
        choices.push({ ...choice, message })
      }
    }
    return choices
  }

  /** As a message with a place, where one is asked for; the count stands for it where something is drawn from places. */
  #unplaced(message: Message): PlacedMessage {
    return { message, position: 0, index: this.#outside++, timeUs: this.#o.driver.now().us }
  }

  // ---------------------------------------------------------------- the way through the order of a cluster

  /** Answers leave when the messages have their places; so do the copies, to this client's own subscriptions too. */
  #publishInOrder(from: Connection, run: PublishRun, route: Route<Connection>, order: Order): void {
    if (order.stalled && this.#o.stall.onStall === 'refuse') {
      this.#refuseUnkept(from, run)
      return
    }
    const isBare = !run.retain && !run.hasProperties && route.way !== 'sealed'
    const isPlain = isBare && this.#o.messageExpiryMax() === 0
    if (run.qos === 2 && !from.kept) this.#publishOnceInOrder(from, run, route, isPlain ? order : undefined)
    else if (isPlain) this.#submitInOrder(from, run, route, order)
    else this.#each(run, (single) => this.#submit(from, single, route))
    if (order.full && from.stop()) order.whenRoom(() => from.goOn())
  }

  /** QoS 2 of a transient session: what has a receipt is in the order, or was. `order`: of a run; absent: a command for each. */
  #publishOnceInOrder(from: Connection, run: PublishRun, route: Route<Connection>, order: Order | undefined): void {
    let fresh = 0
    while (fresh < run.count && this.#receipt(from, run.packetId(fresh))) fresh++
    if (fresh === run.count && order !== undefined) {
      this.#submitInOrder(from, run, route, order)
      return
    }
    let i = 0
    this.#each(run, (single) => {
      const isNew = i < fresh || (i > fresh && this.#receipt(from, single.packetId(0)))
      i++
      if (isNew && order !== undefined) this.#submitInOrder(from, single, route, order)
      else if (isNew) this.#submit(from, single, route)
      else {
        // A resend without DUP was counted as a message of its own.
        if (!single.dup) from.conversation.settledIn(1)
        from.acknowledgeRun(single, PUBREC, 0)
      }
    })
  }

  /** While nothing is ordered: to the transient subscribers of this node at once, marked; undefined: it has to wait. */
  #dispatchHere(from: Connection, run: PublishRun, route: Route<Connection>): Set<Connection> | undefined {
    const { order, stall, nowMs } = this.#o
    if (order?.stalled !== true || stall.onStall !== 'local' || this.#direct(route)) return undefined
    const had = new Set<Connection>()
    const terms = { nowMs: nowMs(), retain: false, alias: 0, aliasOnly: false, extra: UNORDERED }
    for (const whole of route.targets) {
      const target = targetFor(whole, from)
      if (target === undefined) continue
      const { subscriber, subscriptionIds = NO_IDS } = target
      const qos = Math.min(run.qos, target.qos) as QoS
      subscriber.outbox.give(encodeRun(run, subscriber.v5, qos, { ...terms, subscriptionIds }))
      had.add(subscriber)
    }
    return had
  }

  #submitInOrder(from: Connection, run: PublishRun, route: Route<Connection>, order: Order): void {
    const { qos, count, dup } = run
    const author = { counter: from.id?.counter ?? 0, publisher: from.clientId, receipts: qos === 2 && from.kept }
    const had = this.#dispatchHere(from, run, route)
    // What its subscribers here have had counts as ordered for what this client does next.
    const isWaiting = had === undefined
    if (isWaiting) from.submitted()
    if (qos === 0) {
      order.submitRun(run, author, () => isWaiting && from.ordered(), had && { had, kept() {} })
      return
    }
    from.answerRunWhen(run, (ready) => {
      let answered = false
      const kept = (): void => {
        if (qos !== 1 || !this.#o.stall.stallAcknowledge || answered) return
        answered = true
        from.conversation.settledIn(count)
        ready({ firstByte: PUBACK, reasonCode: 0, taken: count, refusal: undefined })
      }
      const answer = (outcome: Outcome | RunOutcome): void => {
        if (!answered) this.#answerInOrder(from, { qos, count, dup }, outcome, ready)
        answered = true
        if (isWaiting) from.ordered()
      }
      order.submitRun(run, author, answer, had && { had, kept })
    })
  }

  #answerInOrder(
    from: Connection,
    { qos, count, dup }: { readonly qos: QoS; readonly count: number; readonly dup: boolean },
    outcome: Outcome | RunOutcome,
    ready: (answer: RunAnswer) => void,
  ): void {
    const firstByte = qos === 1 ? PUBACK : PUBREC
    if (outcome.type !== 'run') {
      // The connection is no longer the session's: nobody waits for an answer, and the client sends again what needs one.
      const isOver = outcome.type === 'stale'
      const reasonCode = ReasonCode.implementationSpecificError
      ready({ firstByte, reasonCode, taken: isOver ? 0 : count, refusal: undefined })
      return
    }
    const { taken, duplicates } = outcome
    // A resend without DUP was counted as a message of its own.
    from.conversation.settledIn(qos === 1 ? count : count - taken + (dup ? 0 : duplicates))
    this.#o.counters.publishDropped += count - taken
    // Before 5.0 no acknowledgement can say no; a client sends again what was not acknowledged when it connects again.
    ready({ firstByte, reasonCode: 0, taken, refusal: from.v5 ? ReasonCode.quotaExceeded : undefined })
    if (taken < count && !from.v5) from.conversation.disconnect(ReasonCode.quotaExceeded)
  }

  // ---------------------------------------------------------------- the ordered way

  #publishOrdered(from: Connection, run: PublishRun, route: Route<Connection>): void {
    if (this.#o.driver.sequencer.trouble) {
      this.#refuseUnkept(from, run)
      return
    }
    const { nowMs, turns } = this.#o
    const begun = nowMs()
    if (run.count > 1 && run.qos < 2) this.#submitRun(from, run, route)
    else this.#each(run, (single) => this.#submit(from, single, route))
    // The machine looks for subscribers at every message.
    turns.spend(nowMs() - begun, from)
  }

  /** One message as a command, and its run to the transient subscribers. */
  #submit(from: Connection, run: PublishRun, route: Route<Connection>): void {
    const { driver } = this.#o
    const { qos } = run
    const packetId = qos > 0 ? run.packetId(0) : 0
    const command: PublishCommand = {
      type: 'publish',
      message: this.#message(from.clientId, run, route),
      ...(from.id !== undefined && { connection: from.id }),
      ...(qos === 2 && from.kept && { receipt: packetId }),
    }
    // Without the RETAIN flag the live copies are those of the run; with it they depend on Retain As Published.
    const { order } = this.#o
    driver.runPayloads = run.retain ? undefined : [command.message.payload]
    driver.runPlaced = 0
    const { dup } = run
    const isSealed = order !== undefined && (route.way === 'sealed' || asksForSealing(run))
    // What is sealed goes to nobody before its time, and nothing waits for it.
    const had = order === undefined || isSealed ? undefined : this.#dispatchHere(from, run, route)
    const isWaiting = had === undefined && !isSealed
    if (isWaiting) from.submitted()
    let told = false
    const answer = (
      outcome: Outcome,
      ready: (firstByte: number, packetId: number, reasonCode: number) => void,
    ): void => {
      if (isWaiting) from.ordered()
      if (told) return
      // A resend without DUP was counted as a message of its own.
      if (outcome.type === 'published' && outcome.duplicate && !dup) from.conversation.settledIn(1)
      // Stale: the connection is no longer the session's, and nobody waits for an answer.
      if (outcome.type === 'stale') {
        ready(0, packetId, 0)
        return
      }
      let reasonCode = 0
      if (outcome.type === 'malformed') reasonCode = ReasonCode.implementationSpecificError
      else if (outcome.type === 'refused') {
        // There is no room for what the message asks for.
        this.#o.counters.publishDropped++
        reasonCode = outcome.reasonCode
        if (qos > 0 && !from.v5) {
          // Earlier clients send again what was not acknowledged, when they are back.
          ready(0, packetId, 0)
          from.conversation.disconnect(reasonCode)
          return
        }
      } else if (outcome.type === 'published' && this.#isUnmatched(outcome, route)) {
        reasonCode = ReasonCode.noMatchingSubscribers
      }
      if (qos === 0) return
      if (qos === 1 || reasonCode >= 0x80) from.conversation.settledIn(1)
      if (reasonCode >= 0x80 && !from.kept) from.receipts?.delete(packetId)
      ready(qos === 1 ? PUBACK : PUBREC, packetId, reasonCode)
    }
    if (order !== undefined) {
      const begin = (ready: (firstByte: number, packetId: number, reasonCode: number) => void): void => {
        const kept = (): void => {
          if (qos !== 1 || !this.#o.stall.stallAcknowledge || told) return
          told = true
          from.conversation.settledIn(1)
          ready(PUBACK, packetId, 0)
        }
        const answered = (outcome: Outcome): void => answer(outcome, ready)
        if (isSealed) order.submitSealed(command, answered)
        else order.submitPublish(command, answered, had && { had, kept })
      }
      if (qos > 0) from.answerWhen(begin)
      else begin(nothing)
    } else if (qos > 0) {
      from.answerWhen((ready) => driver.sequencer.submit(command, (outcome) => answer(outcome, ready)))
    } else driver.sequencer.submit(command, (outcome) => answer(outcome, nothing))
    driver.runPayloads = undefined
    // It has its place: the live copies leave now, whatever the answer waits for.
    if (driver.runPlaced > 0) this.#fanOut(from, from.clientId, run, route, this.#direct(route))
  }

  /** A run at QoS 0 or 1 as one command, and as it is to the transient subscribers. */
  #submitRun(from: Connection, run: PublishRun, route: Route<Connection>): void {
    const { driver } = this.#o
    const { qos, count } = run
    const payloads: Uint8Array[] = []
    for (let i = 0; i < count; i++) payloads.push(run.copyPayload(i))
    const expirySeconds = this.#o.messageExpiryMax()
    const head: MessageHead = {
      topic: route.topic,
      qos,
      retain: false,
      publisher: from.clientId,
      ...(expirySeconds > 0 && { expirySeconds }),
    }
    const command: PublishRunCommand = {
      type: 'publishRun',
      head,
      payloads,
      ...(from.id !== undefined && { connection: from.id }),
    }
    driver.runPayloads = payloads
    driver.runPlaced = 0
    from.submitted()
    if (qos > 0) {
      from.answerRunWhen(run, (ready) =>
        driver.sequencer.submit(command, (outcome) => this.#answerRun(from, { count, route, outcome }, ready)),
      )
    } else driver.sequencer.submit(command, () => from.ordered())
    driver.runPayloads = undefined
    const placed = driver.runPlaced
    if (placed === count) this.#fanOut(from, from.clientId, run, route, this.#direct(route))
    else if (placed > 0) {
      const { end } = run
      run.end = run.endOf(placed - 1)
      run.count = placed
      this.#fanOut(from, from.clientId, run, route, this.#direct(route))
      run.end = end
      run.count = count
    }
  }

  /** Tells the publisher of a run what became of it. Messages that found no room are refused; the others are not. */
  #answerRun(
    from: Connection,
    { count, route, outcome }: { readonly count: number; readonly route: Route<Connection>; readonly outcome: Outcome },
    ready: (answer: RunAnswer) => void,
  ): void {
    from.ordered()
    from.conversation.settledIn(count)
    let taken = 0
    let reasonCode = 0
    let refusal: number = ReasonCode.quotaExceeded
    if (outcome.type === 'publishedRun') {
      taken = outcome.taken
      if (outcome.matched === 0 && unmatched(route)) reasonCode = ReasonCode.noMatchingSubscribers
    } else if (outcome.type === 'refused') refusal = outcome.reasonCode
    else {
      taken = count
      reasonCode = ReasonCode.implementationSpecificError
    }
    this.#o.counters.publishDropped += count - taken
    ready({ firstByte: PUBACK, reasonCode, taken, refusal: from.v5 ? refusal : undefined })
    // Earlier clients send again what was not acknowledged, when they are back.
    if (taken < count && !from.v5) from.conversation.disconnect(refusal)
  }

  /** Whether a 5.0 publisher is told that nobody subscribes. In a cluster no node knows of the others' transient subscribers. */
  #isUnmatched({ duplicate, matched }: { duplicate: boolean; matched: number }, route: Route<Connection>): boolean {
    if (duplicate || matched > 0) return false
    if (this.#o.order === undefined) return unmatched(route)
    return this.#o.directMessages !== 'off' && route.topic.startsWith(DIRECT_PREFIX)
  }

  #message(publisher: string, run: PublishRun, route: Route<Connection>, i = 0): Message {
    let properties: Properties | undefined
    if (run.hasProperties) {
      const { propertiesStart, propertiesEnd } = run.scan
      // A copy: correlation data would otherwise keep the read buffer alive.
      const own = new Uint8Array(run.buf.subarray(propertiesStart, propertiesEnd))
      const decoded = decodeProperties(own, 0, own.length, 'publish')
      if (!isRefusal(decoded)) properties = decoded
    }
    return messageOf(
      { topic: route.topic, payload: run.copyPayload(i), qos: run.qos, retain: run.retain },
      properties,
      publisher,
      this.#o.messageExpiryMax(),
    )
  }

  /** Calls `visit` with each packet of the run as a run of its own. */
  #each(run: PublishRun, visit: (single: PublishRun) => void): void {
    if (run.count === 1) {
      visit(run)
      return
    }
    const { start, end, count } = run
    const heads = run.heads.slice(0, count)
    const ids = run.ids.slice(0, count)
    const payloads = run.payloads.slice(0, count)
    for (let i = 0; i < count; i++) {
      run.start = heads[i] as number
      run.end = i + 1 < count ? (heads[i + 1] as number) : end
      run.count = 1
      run.heads[0] = heads[i] as number
      run.ids[0] = ids[i] as number
      run.payloads[0] = payloads[i] as number
      visit(run)
    }
    run.start = start
    run.end = end
    // Whoever comes after gets the run as it was: other subscribers, and whoever counts what was taken.
    run.count = count
    run.heads[0] = heads[0] as number
    run.ids[0] = ids[0] as number
    run.payloads[0] = payloads[0] as number
  }

  // ---------------------------------------------------------------- acknowledge

  /** PUBACK or PUBREC for every packet of the run. */
  #acknowledge(from: Connection, run: PublishRun, firstByte: number, unmatched: boolean): void {
    if (firstByte === PUBACK) from.conversation.settledIn(run.count)
    // [MQTT-3.4.2-1] 0x10 tells a 5.0 publisher that nobody subscribes
    from.acknowledgeRun(run, firstByte, unmatched ? ReasonCode.noMatchingSubscribers : 0)
  }

  /** The reason code of PUBCOMP. */
  #completed(from: Connection, known: boolean): number {
    if (known) from.conversation.settledIn(1)
    return known ? 0 : ReasonCode.packetIdentifierNotFound
  }
}

/** QoS 0 has no acknowledgement. */
function nothing(): void {}

/** The user property by which a publisher asks for one message to be sealed. */
const SEALED_MARK = 'concord-sealed'
const NO_IDS: readonly number[] = []
const NO_CHOICES: readonly OutsideChoiceOf[] = []
const NO_PAYLOAD = new Uint8Array(0)
const PLAIN = ([0, 1, 2] as const).map((qos) => ({ qos, retain: false, dup: false, subscriptionIds: NO_IDS })) as [
  MessageTerms,
  MessageTerms,
  MessageTerms,
]

/** Whether nobody connected here subscribes. */
function unmatched(route: Route<Connection>): boolean {
  return route.targets.length === 0 && !route.inline
}

function targetFor(target: Target<Connection>, author: Connection | undefined): Target<Connection> | undefined {
  if (target.own === undefined || target.subscriber !== author) return target
  return target.own === 'nothing' ? undefined : target.own
}

/** A publisher whose own acknowledgements the subscriber's window may wait for must go on being read. */
function mayWait(from: Connection, outbox: Outbox): boolean {
  return outbox.output.congested || !from.hasOutbox || from.outbox.window.inflight === 0
}

/** Whether the publisher asks for its message to be sealed. */
function asksForSealing(run: PublishRun): boolean {
  if (!run.hasProperties) return false
  const { propertiesStart, propertiesEnd } = run.scan
  const bytes = run.buf.subarray(propertiesStart, propertiesEnd)
  if (!Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(SEALED_MARK)) return false
  const properties = decodeProperties(bytes, 0, bytes.length, 'publish')
  return !isRefusal(properties) && hasSealedMark(properties)
}

function hasSealedMark(properties: Properties | undefined): boolean {
  return properties?.userProperties?.some(([name, value]) => name === SEALED_MARK && value === '1') === true
}

function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  for (let i = 0; i < prefix.length; i++) if (bytes[i] !== prefix[i]) return false
  return true
}

function levelsOf(topic: Uint8Array): number {
  let levels = 1
  for (let i = 0; i < topic.length; i++) if (topic[i] === 0x2f) levels++
  return levels
}
