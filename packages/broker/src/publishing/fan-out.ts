/**
 * From a message to whoever is connected here: a copy into the outbox of each subscriber of its topic.
 *
 *   run ─▶ targets of its route ─▶ encoded once per protocol generation and QoS ─▶ outboxes ─▶ pressure on the publisher
 *
 * Absent: kept sessions and shared groups, whose copies come from the machine (`sessions/`).
 */
import { Buffer } from 'node:buffer'
import type { PublishRun, QoS } from '@concordmq/protocol'
import type { ConnectionId, Message, PlacedMessage, PlacedRun } from '@concordmq/state'
import type { Connection } from '../connections/connection.ts'
import { timestampBytes } from '../delivery/broker-timestamps.ts'
import { encodeRun, type Form, RunForms } from '../delivery/form.ts'
import { type MessageTerms, messageForm } from '../delivery/message-form.ts'
import { positionBytes } from '../delivery/order-positions.ts'
import type { Outbox } from '../delivery/outbox.ts'
import type { Pressure } from '../delivery/pressure.ts'
import { messageAt, select } from '../delivery/screening.ts'
import type { HookPoints } from '../hooks/hook-points.ts'
import type { Route, RouteTable, Target } from '../routing/route-table.ts'
import type { SessionDriver } from '../sessions/session-driver.ts'
import { UNORDERED, unordered } from '../sessions/unordered-delivery.ts'
import { eachMessage, messageIn } from './run-messages.ts'

export interface FanOutOptions {
  readonly driver: SessionDriver<Connection>
  readonly routes: RouteTable<Connection>
  readonly pressure: Pressure
  readonly hooks: HookPoints
  /** Whoever in this program subscribes: asked only for topics that it wants. */
  readonly inline: { offer(message: Message): void }
  /** Seconds; 0: no limit. */
  readonly messageExpiryMax: () => number
  readonly nowMs: () => number
}

const NO_IDS: readonly number[] = []
const PLAIN = ([0, 1, 2] as const).map((qos) => ({ qos, retain: false, dup: false, subscriptionIds: NO_IDS })) as [
  MessageTerms,
  MessageTerms,
  MessageTerms,
]

export class FanOut {
  /** The route of the message that is being submitted: it may take its place before that is over. */
  submitting: Route<Connection> | undefined
  readonly #o: FanOutOptions
  readonly #forms = new RunForms()
  /** Place of the first message of the run that is delivered; undefined: it has none yet. */
  #placed: PlacedRun | undefined
  /** A property of what is delivered now, encoded: that it has no place. */
  #mark: Uint8Array | undefined

  constructor(options: FanOutOptions) {
    this.#o = options
  }

  /**
   * A run, to the subscribers of its topic. `addressed`: the machine delivers to the client that the topic names; its own
   * subscriptions add nothing.
   */
  run(
    from: Connection | undefined,
    publisher: string,
    run: PublishRun,
    route: Route<Connection>,
    addressed = false,
  ): void {
    const { pressure, nowMs, messageExpiryMax } = this.#o
    const { targets } = route
    if (addressed && route.topic.startsWith('$')) return
    if (route.inline)
      for (let i = 0; i < run.count; i++)
        this.#offer(messageIn(run, { topic: route.topic, publisher, expiryMax: messageExpiryMax() }, i))
    if (targets.length === 0) return
    const { hooks } = this.#o
    if (hooks.outgoing && hooks.uses('selectSubscribers')) {
      this.#runSelected(from, run, route, addressed)
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
  #runSelected(from: Connection | undefined, run: PublishRun, route: Route<Connection>, addressed: boolean): void {
    const { hooks, nowMs } = this.#o
    const whole: Target<Connection>[] = []
    for (const target of route.targets) {
      const own = targetFor(target, from)
      if (own !== undefined && !(addressed && own.subscriber.clientId === route.topic)) whole.push(own)
    }
    const clientIds = whole.map((target) => target.subscriber.clientId)
    eachMessage(run, (single) => {
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
    eachMessage(run, (single) => {
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

  /** A run that came out of the order of a cluster, for the transient sessions of this node; `from` another node's client, too. */
  ordered(run: PublishRun, placed: PlacedRun, had: ReadonlySet<unknown> | undefined): void {
    const { connection, publisher } = placed
    const { driver, routes } = this.#o
    const route = routes.lookup(run.topicBuf, run.topicStart, run.topicEnd)
    const { targets } = route
    // Whoever had it while nothing was ordered is passed over.
    if (had !== undefined) route.targets = targets.filter(({ subscriber }) => !had.has(subscriber))
    this.#placed = placed
    this.run(driver.byId(connection), publisher, run, route)
    this.#placed = undefined
    route.targets = targets
  }

  /** A message with its place, for the transient sessions of this node: retained, wills, the broker's own. */
  placed(placed: PlacedMessage, publisher: ConnectionId | undefined, had?: ReadonlySet<unknown>): void {
    const { driver } = this.#o
    const route = this.#routeOf(placed.message.topic)
    if (route.inline) this.#o.inline.offer(placed.message)
    const wanting = had === undefined ? route.targets : route.targets.filter(({ subscriber }) => !had.has(subscriber))
    if (wanting.length === 0) return
    const { hooks } = this.#o
    if (!hooks.outgoing || !hooks.uses('selectSubscribers')) {
      this.#give(wanting, placed, publisher)
      return
    }
    const clientIds = wanting.map(({ subscriber }) => subscriber.clientId)
    const plain = messageForm(placed, true, PLAIN[placed.message.qos], driver.now())
    const selected = new Set(select(hooks, messageAt(plain, 0, true), clientIds))
    hooks.selected = true
    try {
      const targets = wanting.filter(({ subscriber }) => selected.has(subscriber.clientId))
      this.#give(targets, placed, publisher)
    } finally {
      hooks.selected = false
    }
  }

  #routeOf(topic: string): Route<Connection> {
    const { submitting } = this
    const { routes } = this.#o
    const isKnown = submitting !== undefined && submitting.topic === topic && submitting.version === routes.version
    return isKnown ? submitting : routes.lookupText(topic)
  }

  #give(targets: readonly Target<Connection>[], placed: PlacedMessage, publisher: ConnectionId | undefined): void {
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

  /** A run that has no place yet, marked so, to the subscribers of its topic; gives who got it. */
  unplacedRun(from: Connection, run: PublishRun, route: Route<Connection>): Set<Connection> {
    const { nowMs } = this.#o
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

  /** The same for one message. */
  unplacedMessage(from: Connection, message: Message, route: Route<Connection>): Set<Connection> {
    const targets = route.targets.flatMap((target) => targetFor(target, from) ?? [])
    const { driver } = this.#o
    const timeUs = driver.now().us
    this.marked(() => this.#give(targets, { message: unordered(message), position: 0, index: 0, timeUs }, from.id))
    return new Set(targets.map(({ subscriber }) => subscriber))
  }

  /** What is given meanwhile is marked: it skips the order. */
  marked(give: () => void): void {
    this.#mark = UNORDERED
    try {
      give()
    } finally {
      this.#mark = undefined
    }
  }
}

function targetFor(target: Target<Connection>, author: Connection | undefined): Target<Connection> | undefined {
  if (target.own === undefined || target.subscriber !== author) return target
  return target.own === 'nothing' ? undefined : target.own
}

/** A publisher whose own acknowledgements the subscriber's window may wait for must go on being read. */
function mayWait(from: Connection, outbox: Outbox): boolean {
  return outbox.output.congested || !from.hasOutbox || from.outbox.window.inflight === 0
}
