/**
 * The path of a message through the broker: authorise, order, route, deliver.
 *
 *   run of PUBLISH ─▶ may it? ─▶ receipt (QoS 2) ─▶ route of its topic ─┬─ only transient subscribers ─▶ straight to outboxes
 *                                                                       └─ retain, kept, shared, direct ─▶ command ─▶ machine ─▶ effects
 *
 * In a cluster all of it goes through the order, but what skips it (`publishing/beside-order.ts`).
 *
 * The straight way makes no object per message: the run is encoded once per protocol generation and QoS, and copied or
 * referred to once per subscriber. The other way takes one command per message through the sequencer.
 */
import { Buffer } from 'node:buffer'
import { type PublishRun, type QoS, ReasonCode } from '@concordmq/protocol'
import {
  DIRECT_PREFIX,
  type Message,
  type MessageHead,
  type Outcome,
  type PublishCommand,
  type PublishRunCommand,
  packPayloads,
  type RunOutcome,
} from '@concordmq/state'
import type { Guard } from './access/permissions.ts'
import type { RunAnswer } from './connections/answer-line.ts'
import type { ClientRate } from './connections/client-rate.ts'
import type { Connection } from './connections/connection.ts'
import { PUBACK, PUBCOMP, PUBREC } from './connections/first-bytes.ts'
import { REFER_BYTES_MIN } from './delivery/outbox.ts'
import { BORROW_BYTES_MIN, COPY_BYTES_MAX } from './delivery/output.ts'
import type { Pressure } from './delivery/pressure.ts'
import { slabOf } from './delivery/slab.ts'
import type { HookPoints } from './hooks/hook-points.ts'
import type { Order, Unplaced } from './model/order.ts'
import type { Relay } from './ordering/relay.ts'
import { BesideOrder } from './publishing/beside-order.ts'
import { Exchange } from './publishing/exchange.ts'
import { FanOut } from './publishing/fan-out.ts'
import { asksForSealing, eachMessage, hasSealedMark, messageIn, packetsForm } from './publishing/run-messages.ts'
import type { Route, RouteTable, Way } from './routing/route-table.ts'
import type { SessionDriver } from './sessions/session-driver.ts'
import type { UnorderedDelivery } from './sessions/unordered-delivery.ts'
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
const DOLLAR = 0x24
const NO_TOPIC = new Uint8Array(0)
const DIRECT_BYTES = Buffer.from(DIRECT_PREFIX)
/** Where clients of a cluster ask for proofs. */
const PROOF_BYTES = Buffer.from('$concord/proof')

export class Pipeline {
  readonly #o: PipelineOptions
  /** To whoever is connected here. */
  readonly fanOut: FanOut
  /** For messages that skip the order of a cluster. */
  readonly besideOrder: BesideOrder

  constructor(options: PipelineOptions) {
    this.#o = options
    this.fanOut = new FanOut(options)
    this.besideOrder = new BesideOrder({ ...options, fanOut: this.fanOut })
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
    const refusal = this.topicProblem(run.topicBuf, run.topicStart, run.topicEnd)
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
    if (run.lent && !this.#takesLent(run, route)) run.own()
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
    this.fanOut.run(from, from.clientId, run, route)
    if (run.qos === 1) this.#acknowledge(from, run, PUBACK, unmatched(route))
    return 0
  }

  /**
   * Whether lent bytes are taken at once, or copied anyway: the straight way to transient subscribers while no hook looks, and
   * the way to kept sessions alone, which get payloads of their own. What would go to several by reference is copied once for
   * all of them, unless it lies in a slab.
   */
  #takesLent(run: PublishRun, route: Route<Connection>): boolean {
    const { hooks, order } = this.#o
    if (order !== undefined || run.retain || route.inline || this.#direct(route)) return false
    if (hooks.outgoing || hooks.watchesSent || hooks.watchesDropped) return false
    if (route.ordered) return route.targets.length === 0
    const bytes = run.end - run.start
    if (route.targets.length < 2 || bytes <= (run.qos === 0 ? COPY_BYTES_MAX : run.count * REFER_BYTES_MIN)) return true
    return bytes > run.count * BORROW_BYTES_MIN && slabOf(run.buf) !== undefined
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
    eachMessage(run, (single) => {
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

  // ---------------------------------------------------------------- authorise

  /** 0, or the reason code for which a client may not publish to a topic, by message or by will. */
  topicProblem(bytes: Uint8Array, start = 0, end: number = bytes.length): number {
    // Clients publish under $ only to $direct/…, and requests for proofs: everything else there is the broker's own.
    if (bytes[start] === DOLLAR && !this.#isOpen(bytes.subarray(start, end))) return ReasonCode.notAuthorized
    return levelsOf(bytes, start, end) > this.#o.topicLevelsMax ? ReasonCode.topicNameInvalid : 0
  }

  /** Whether clients may publish to this topic that begins with $. */
  #isOpen(topic: Uint8Array): boolean {
    if (startsWith(topic, DIRECT_BYTES)) return this.#o.directMessages !== 'off'
    return this.#o.relay !== undefined && topic.length === PROOF_BYTES.length && startsWith(topic, PROOF_BYTES)
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
    return unmatched(this.#o.routes.lookupText(topic))
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
    eachMessage(run, (single) => {
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
    const { bytes } = route
    from.lastRoute = bytes === undefined ? undefined : route
    from.conversation.lastTopic = bytes ?? NO_TOPIC
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
      this.fanOut.run(from, from.clientId, run, route)
      this.#acknowledge(from, run, PUBREC, unmatched(route))
      return
    }
    // Message `fresh` was there before; those before it have got their receipts, those behind it get theirs now.
    let i = 0
    eachMessage(run, (single) => {
      if (i < fresh || (i > fresh && this.#receipt(from, single.packetId(0)))) {
        if (ordered) {
          i++
          this.#submit(from, single, route)
          return
        }
        this.#o.driver.sequencer.take(1)
        this.fanOut.run(from, from.clientId, single, route)
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

  // ---------------------------------------------------------------- which way

  /** Which way a message takes that this program publishes, in its own name or in that of a client. */
  wayOf({ topic, qos, retain, properties }: Message): Way {
    if (this.#o.relay === undefined) return 'ordered'
    const route = this.#o.routes.lookupText(topic)
    if (route.way === 'sealed' || hasSealedMark(properties)) return 'sealed'
    return route.way === 'fast' && qos < 2 && !retain && !this.#direct(route) ? 'fast' : 'ordered'
  }

  /** Whether a run skips the order: QoS 2 and retained messages never do, and whom a message is addressed to the order knows. */
  #isFast(run: PublishRun, route: Route<Connection>): boolean {
    return route.way === 'fast' && run.qos < 2 && !run.retain && !asksForSealing(run) && !this.#direct(route)
  }

  #publishFast(from: Connection, run: PublishRun, route: Route<Connection>, relay: Relay): void {
    const { order, stall } = this.#o
    if (run.qos === 1 && order?.stalled === true && stall.onStall === 'refuse') this.#refuseUnkept(from, run)
    else this.besideOrder.publish(from, run, route, relay)
  }

  // ---------------------------------------------------------------- the way through the order of a cluster

  /** Publishes one that is sealed; its outcome comes when it was opened. */
  publishSealed(command: PublishCommand, answer: (outcome: Outcome) => void): void {
    this.#o.order?.submitSealed(command, answer)
  }

  /** Answers leave when the messages have their places; so do the copies, to this client's own subscriptions too. */
  #publishInOrder(from: Connection, run: PublishRun, route: Route<Connection>, order: Order): void {
    const isRefused = order.stalled && this.#o.stall.onStall === 'refuse'
    if (isRefused || (this.#o.driver.sequencer.trouble && this.#wantsDisk(from, run, route))) {
      this.#refuseUnkept(from, run)
      return
    }
    const isBare = !run.retain && !run.hasProperties && route.way !== 'sealed'
    const isPlain = isBare && this.#o.messageExpiryMax() === 0
    if (run.qos === 2 && !from.kept) this.#publishOnceInOrder(from, run, route, isPlain ? order : undefined)
    else if (isPlain) this.#submitInOrder(from, run, route, order)
    else eachMessage(run, (single) => this.#submit(from, single, route))
    if (order.full && from.stop()) order.whenRoom(() => from.goOn())
  }

  /** Whether something durable depends on it, as far as this thread knows. */
  #wantsDisk(from: Connection, run: PublishRun, route: Route<Connection>): boolean {
    return run.retain || route.ordered || this.#direct(route) || (run.qos === 2 && from.kept)
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
    eachMessage(run, (single) => {
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

  #submitInOrder(from: Connection, run: PublishRun, route: Route<Connection>, order: Order): void {
    const { qos, count, dup } = run
    const author = { counter: from.id?.counter ?? 0, publisher: from.clientId, receipts: qos === 2 && from.kept }
    const placed = waitOf(from)
    const give = (unplaced: PublishRun): Set<Connection> => this.#giveUnplaced(from, unplaced, route)
    if (qos === 0) {
      order.submitRun(run, author, placed, this.#unplaced(route, give, { placed, kept() {} }))
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
        placed()
      }
      order.submitRun(run, author, answer, this.#unplaced(route, give, { placed, kept }))
    })
  }

  /** A resend that has a receipt is no message of its own [MQTT-4.3.3-10]. */
  #giveUnplaced(from: Connection, run: PublishRun, route: Route<Connection>): Set<Connection> {
    if (run.qos < 2 || !from.kept) return this.fanOut.unplacedRun(from, run, route)
    const had = new Set<Connection>()
    eachMessage(run, (single) => {
      if (this.#isResent(from, single.packetId(0))) return
      for (const subscriber of this.fanOut.unplacedRun(from, single, route)) had.add(subscriber)
    })
    return had
  }

  /** Whether the order has a receipt for a QoS 2 message of this kept session. */
  #isResent(from: Connection, packetId: number): boolean {
    return this.#o.driver.ordered.session(from.clientId)?.receipts.has(packetId) === true
  }

  /** While nothing is ordered: to the transient subscribers of this node, marked; undefined: it has to wait. */
  #unplaced<T>(
    route: Route<Connection>,
    give: (message: T) => Set<Connection>,
    { placed, kept }: { readonly placed: () => void; readonly kept: () => void },
  ): Unplaced<T> | undefined {
    const { routes, stall } = this.#o
    if (stall.onStall !== 'local' || this.#direct(route)) return undefined
    return {
      dispatch: (message) => {
        if (route.version !== routes.version) routes.refresh(route)
        const had = give(message)
        // What its subscribers here have had counts as ordered for what this client does next.
        placed()
        return had
      },
      kept,
    }
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
    const { nowMs, turns, driver } = this.#o
    // The machine looks for subscribers at every message, and serves them.
    const begun = driver.ordered.filters > 0 ? nowMs() : undefined
    if (run.count > 1 && run.qos < 2) this.#submitRun(from, run, route)
    else eachMessage(run, (single) => this.#submit(from, single, route))
    if (begun !== undefined) turns.spend(nowMs() - begun, from)
  }

  /** One message as a command, and its run to the transient subscribers. */
  #submit(from: Connection, run: PublishRun, route: Route<Connection>): void {
    const { driver, order } = this.#o
    const exchange = new Exchange(from, run, route)
    const command = this.#command(exchange, run)
    // Without the RETAIN flag the live copies are those of the run; with it they depend on Retain As Published.
    driver.runPayloads = run.retain ? undefined : [command.message.payload]
    driver.runPlaced = 0
    this.fanOut.submitting = route
    if (order === undefined) {
      from.submitted()
      driver.sequencer.submit(command, (outcome) => {
        from.ordered()
        this.#answer(exchange, outcome)
      })
    } else this.#submitToOrder(exchange, command, run, order)
    exchange.submitted()
    driver.runPayloads = undefined
    this.fanOut.submitting = undefined
    // It has its place: the live copies leave now, whatever the answer waits for.
    if (driver.runPlaced > 0) this.fanOut.run(from, from.clientId, run, route, this.#direct(route))
  }

  #command({ from, route, qos, packetId }: Exchange, run: PublishRun): PublishCommand {
    const message = this.#message(from.clientId, run, route)
    const { id } = from
    if (id === undefined) return { type: 'publish', message }
    if (qos < 2 || !from.kept) return { type: 'publish', message, connection: id }
    return { type: 'publish', message, connection: id, receipt: packetId }
  }

  #submitToOrder(exchange: Exchange, command: PublishCommand, run: PublishRun, order: Order): void {
    const { from, route, qos, packetId } = exchange
    const isSealed = this.#o.relay !== undefined && (route.way === 'sealed' || asksForSealing(run))
    // What is sealed goes to nobody before its time, and nothing waits for it.
    const placed = isSealed ? (): void => {} : waitOf(from)
    const answered = (outcome: Outcome): void => {
      placed()
      if (!exchange.answered) this.#answer(exchange, outcome)
    }
    if (isSealed) {
      order.submitSealed(command, answered)
      return
    }
    const kept = (): void => {
      if (qos !== 1 || !this.#o.stall.stallAcknowledge || exchange.answered) return
      from.conversation.settledIn(1)
      exchange.answer(0)
    }
    const give = (message: Message): Set<Connection> =>
      qos === 2 && from.kept && this.#isResent(from, packetId)
        ? new Set()
        : this.fanOut.unplacedMessage(from, message, route)
    order.submitPublish(command, answered, this.#unplaced(route, give, { placed, kept }))
  }

  #answer(exchange: Exchange, outcome: Outcome): void {
    const { from, qos, packetId, dup, route } = exchange
    // A resend without DUP was counted as a message of its own.
    if (outcome.type === 'published' && outcome.duplicate && !dup) from.conversation.settledIn(1)
    // Stale: the connection is no longer the session's, and nobody waits for an answer.
    if (outcome.type === 'stale') {
      exchange.giveUp()
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
        exchange.giveUp()
        from.conversation.disconnect(reasonCode)
        return
      }
    } else if (outcome.type === 'published' && this.#isUnmatched(outcome, route)) {
      reasonCode = ReasonCode.noMatchingSubscribers
    }
    if (qos > 0 && (qos === 1 || reasonCode >= 0x80)) from.conversation.settledIn(1)
    if (qos === 2 && reasonCode >= 0x80 && !from.kept) from.receipts?.delete(packetId)
    exchange.answer(reasonCode)
  }

  /** A run at QoS 0 or 1 as one command, and as it is to the transient subscribers. */
  #submitRun(from: Connection, run: PublishRun, route: Route<Connection>): void {
    const { driver } = this.#o
    const { qos, count } = run
    const payloads = packPayloads(run, packetsForm(run))
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
    if (placed === count) this.fanOut.run(from, from.clientId, run, route, this.#direct(route))
    else if (placed > 0) {
      const { end } = run
      run.end = run.endOf(placed - 1)
      run.count = placed
      this.fanOut.run(from, from.clientId, run, route, this.#direct(route))
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

  #message(publisher: string, run: PublishRun, { topic }: Route<Connection>): Message {
    return messageIn(run, { topic, publisher, expiryMax: this.#o.messageExpiryMax() })
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

/** Whether nobody connected here subscribes. */
function unmatched(route: Route<Connection>): boolean {
  return route.targets.length === 0 && !route.inline
}

/** Something of this client is submitted to the order; what this gives is called when that has its place, or counts as having it. */
function waitOf(from: Connection): () => void {
  let waits = true
  from.submitted()
  return () => {
    if (waits) from.ordered()
    waits = false
  }
}

function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  for (let i = 0; i < prefix.length; i++) if (bytes[i] !== prefix[i]) return false
  return true
}

function levelsOf(bytes: Uint8Array, start: number, end: number): number {
  let levels = 1
  for (let i = start; i < end; i++) if (bytes[i] === 0x2f) levels++
  return levels
}
