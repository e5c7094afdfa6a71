/**
 * Drives the two machines of a node: which session sits on which connection, and the machine's effects to sockets.
 *
 *   ordered   every CONNECT and DISCONNECT; kept sessions whole; of transient ones the connection, the will and their
 *             memberships in shared groups. Its commands go through the sequencer.
 *   local     transient sessions' own subscriptions and receipts: the same code, never ordered, logged or hashed.
 *
 * What a client asks for is split here: a kept session asks the ordered machine, a transient one the local machine, except
 * for shared groups.
 */
import {
  type DisconnectPacket,
  type Properties,
  type ProtocolVersion,
  type PublishRun,
  parseShare,
  type QoS,
  ReasonCode,
  type SubscriptionRequest,
  type Will,
} from '@concordmq/protocol'
import type {
  AcknowledgeCommand,
  ConnectCommand,
  ConnectionId,
  DeliveryTerms,
  Effects,
  Machine,
  Message,
  MessageHead,
  Outcome,
  PackedMessage,
  Payloads,
  PlacedMessage,
  PlacedRun,
  RunPlace,
  Session,
  Settlement,
  SubscriptionOrder,
} from '@concordmq/state'
import type { Guard, PermissionClient } from '../access/permissions.ts'
import { wantsTimestamps } from '../delivery/broker-timestamps.ts'
import type { Form } from '../delivery/form.ts'
import { messageForm, type Now, secondsLeft } from '../delivery/message-form.ts'
import { wantsPositions } from '../delivery/order-positions.ts'
import type { Outbox, OutboxLimits } from '../delivery/outbox.ts'
import type { Sequencer } from '../model/sequencer.ts'
import type { TopicIndex } from '../routing/topic-index.ts'
import type { ContentReader } from '../storage/content-reader.ts'
import type { Counters } from '../telemetry/counters.ts'
import { KeptFeed, SETTLEMENTS_MAX } from './kept-feed.ts'
import { LazyFlush } from './lazy-flush.ts'

/** The connection as this driver needs it. */
export interface SessionConnection extends PermissionClient {
  readonly id: ConnectionId | undefined
  readonly clientId: string
  readonly kept: boolean
  readonly v5: boolean
  readonly outbox: Outbox
  readonly hasOutbox: boolean
  feed: KeptFeed | undefined
  /** Topic of its will; undefined: it has none. */
  readonly willTopic: string | undefined
  readonly conversation: { readonly version: ProtocolVersion; readonly clientPacketBytesMax: number }
  makeOutbox(firstNumber: number): Outbox
  expel(reasonCode: number): void
  /** What hooks make of one message for this client, while there are such hooks. */
  readonly screening?: ((form: Form) => Form | undefined) | undefined
  /** What the client asked for cannot be kept on disk, and its protocol has no way to say so: the connection ends as lost. */
  expelUnkept(): void
}

/** What the order said to a CONNECT. */
export type Entering =
  | { readonly type: 'connected'; readonly sessionPresent: boolean; readonly kept: boolean }
  | { readonly type: 'refused'; readonly reasonCode: number }

export interface SessionDriverOptions {
  readonly ordered: Machine
  readonly local: Machine
  readonly counters: Counters
  /** What a client may receive is asked again when it is sent. */
  readonly guard: Guard
  readonly outboxLimits: OutboxLimits
  readonly nowMs: () => number
  /** A message took its place and no run carried it: route it to this node's transient sessions. */
  readonly routePlaced: (placed: PlacedMessage, publisher: ConnectionId | undefined, had?: ReadonlySet<unknown>) => void
  /** The same for a run that came out of the order of a cluster. */
  readonly routeRun: (run: PublishRun, placed: PlacedRun, had: ReadonlySet<unknown> | undefined) => void
  /** Messages of kept sessions that lie on disk. */
  readonly contents: ContentReader
  /** Retained messages of this node alone (`$SYS`), for a filter. */
  readonly nodeRetained: (filter: string) => readonly PlacedMessage[]
  /** An index of the program's own; absent: the machines' trees answer. */
  readonly topics?: TopicIndex | undefined
  /** Whoever wants to know what the machine did; absent: nobody can. */
  readonly watcher?: MachineWatcher
  /** Another document of operators counts, from this command on. */
  readonly administered?: () => void
}

/** Told what the machine's effects say, beyond what is done about them here. */
export interface MachineWatcher {
  sessionEnded(clientId: string, reason: 'expired' | 'cleanStart' | 'disconnect'): void
  dropped(clientId: string, reason: 'expired' | 'queueFull' | 'sessionEnded' | 'passedOn'): void
  retainedExpired(topic: string): void
  willPublished(clientId: string, will: Message): void
}

export class SessionDriver<C extends SessionConnection> implements Effects {
  readonly ordered: Machine
  readonly local: Machine
  /** Payloads of the messages that reach transient sessions by their run; others that the same command sets free do not. */
  runPayloads: Payloads | undefined
  /** How many of them, the first ones, have got their place. */
  runPlaced = 0
  readonly #o: SessionDriverOptions
  readonly #byCounter = new Map<number, C>()
  readonly #byClient = new Map<string, C>()
  /** This life of this node: connections of others are not here, whatever their counter. */
  #life = { node: -1, incarnation: -1 }
  readonly #lazy = new LazyFlush()
  /** What transient members of shared groups have settled and the order does not know. */
  readonly #shared = new Map<C, { readonly settlements: Settlement[]; flush(): void }>()
  #sequencer: Sequencer | undefined
  readonly #ignored: Effects = new IgnoredEffects()

  constructor(options: SessionDriverOptions) {
    this.#o = options
    this.ordered = options.ordered
    this.local = options.local
  }

  /** Set once, before anything else; driver and sequencer need each other. */
  set sequencer(sequencer: Sequencer) {
    this.#sequencer = sequencer
  }

  get sequencer(): Sequencer {
    return this.#sequencer as Sequencer
  }

  get connected(): number {
    return this.#byClient.size
  }

  connections(): Iterable<C> {
    return this.#byClient.values()
  }

  byClient(clientId: string): C | undefined {
    return this.#byClient.get(clientId)
  }

  byId(id: ConnectionId | undefined): C | undefined {
    if (id === undefined || id.node !== this.#life.node || id.incarnation !== this.#life.incarnation) return undefined
    return this.#byCounter.get(id.counter)
  }

  now(): Now {
    return { us: this.sequencer.nowUs(), ms: this.#o.nowMs() }
  }

  // ---------------------------------------------------------------- what clients ask for

  /** First of all: this life of the node begins, in both machines. */
  start(node: number, incarnation: number): void {
    this.sequencer.submit({ type: 'start', node, incarnation })
    this.begin(node, incarnation)
  }

  /** The order has this life of the node: connections have identities of it from now on. */
  begin(node: number, incarnation: number): void {
    this.#life = { node, incarnation }
    this.#applyLocal({ type: 'start', node, incarnation })
  }

  /**
   * Takes the session over. `entered` is called as soon as the order has decided, `kept` when the client may be told. What this gives
   * lets a transient session in before that, since nothing is ordered now; once the order has decided it does nothing.
   */
  enter(
    connection: C,
    command: ConnectCommand,
    { entered, kept }: { readonly entered: (how: Entering) => void; readonly kept: (how: Entering) => void },
  ): () => void {
    let isProvisional = false
    let isDecided = false
    let how: Entering = { type: 'refused', reasonCode: ReasonCode.unspecifiedError }
    const decided = (outcome: Outcome): void => {
      isDecided = true
      if (isProvisional) {
        this.#confirm(connection, command, outcome)
        return
      }
      if (outcome.type === 'connected') {
        // What the order does to this connection from now on concerns it, told or not.
        this.#byCounter.set(command.connection.counter, connection)
        if (!this.#cameLater(command)) this.#byClient.set(command.clientId, connection)
        how = outcome
      } else {
        this.#o.counters.commandsIgnored++
        if (outcome.type === 'refused') how = outcome
      }
      entered(how)
    }
    const told = (): void => {
      if (!isProvisional) kept(how)
    }
    this.sequencer.submit(command, told, decided)
    return () => {
      if (isProvisional || isDecided) return
      isProvisional = true
      // [MQTT-3.1.4-3] the client's older connection ends; the order will find it gone
      const older = this.#byClient.get(command.clientId)
      if (older !== undefined) {
        this.#forget(older)
        older.expel(ReasonCode.sessionTakenOver)
      }
      this.#byCounter.set(command.connection.counter, connection)
      this.#byClient.set(command.clientId, connection)
      const transient = { type: 'connected', sessionPresent: false, kept: false } as const
      entered(transient)
      kept(transient)
    }
  }

  /** The client has come again since, and was let in while nothing was ordered: its own CONNECT is behind this one. */
  #cameLater({ clientId, connection }: ConnectCommand): boolean {
    const id = this.#byClient.get(clientId)?.id
    return id !== undefined && id.incarnation === connection.incarnation && id.counter > connection.counter
  }

  /** The order has the CONNECT of a client that was let in before. */
  #confirm(connection: C, { connection: { counter } }: ConnectCommand, outcome: Outcome): void {
    if (outcome.type === 'connected' || !this.#byCounter.has(counter)) return
    this.#o.counters.commandsIgnored++
    this.#forget(connection)
    connection.expel(outcome.type === 'refused' ? outcome.reasonCode : ReasonCode.useAnotherServer)
  }

  /** The local session of a transient connection, made when it first needs one: most publishers never do. */
  localSession(connection: C): Session | undefined {
    const { id, clientId, principal } = connection
    const found = this.local.session(clientId)
    if (found !== undefined || id === undefined) return found
    this.#applyLocal({
      type: 'connect',
      connection: id,
      clientId,
      principal,
      version: connection.conversation.version,
      cleanStart: true,
      sessionExpirySeconds: 0,
      receiveMaximum: 1,
    })
    return this.local.session(clientId)
  }

  /** A kept session's queue begins to flow, after CONNACK. */
  feed(connection: C): void {
    const session = this.ordered.session(connection.clientId)
    if (session === undefined) return
    const outbox = connection.makeOutbox(session.queue.base)
    const { settings } = this.ordered
    connection.feed = new KeptFeed({
      session,
      outbox,
      v5: connection.v5,
      packetBytesMax: connection.conversation.clientPacketBytesMax,
      limits: this.#o.outboxLimits,
      counters: this.#o.counters,
      mayReceive: this.#rightsOf(connection),
      now: () => this.now(),
      screen: () => connection.screening,
      acknowledge: (settlements, then) => this.#acknowledge(connection, settlements, then),
      contents: this.#o.contents,
      ...(settings.replicated && {
        order: { lagMax: settings.settlementLagMax, later: (feed: KeptFeed) => this.#lazy.later(feed) },
      }),
    })
    connection.feed.resume()
  }

  /** The connection is over. `packet`: the client's own DISCONNECT. */
  leave(connection: C, packet: DisconnectPacket | undefined, reasonCode: number): void {
    const { id, clientId } = connection
    if (id === undefined) return
    connection.feed?.flush()
    this.#shared.get(connection)?.flush()
    const sessionExpirySeconds = packet?.properties?.sessionExpiryInterval
    this.#forget(connection)
    this.sequencer.submit({
      type: 'disconnect',
      connection: id,
      clientId,
      reasonCode: packet?.reasonCode ?? reasonCode,
      // [MQTT-3.14.4-3] a normal DISCONNECT drops the will; 0x04 and a lost connection publish it [MQTT-3.1.2-8]
      // A will that its client would no longer be allowed to publish is not published for it either.
      will: (packet !== undefined && packet.reasonCode === 0) || !this.#mayLeaveWill(connection) ? 'drop' : 'publish',
      ...(sessionExpirySeconds !== undefined && { sessionExpirySeconds }),
      ...(connection.feed !== undefined && { sentBelow: connection.feed.sentBelow }),
    })
  }

  /** Subscribes; `done` gets one code per filter, and after it retained messages are sent. */
  subscribe(connection: C, orders: readonly SubscriptionOrder[], done: (reasonCodes: readonly number[]) => void): void {
    const { id, clientId } = connection
    if (id === undefined) return
    if (connection.kept) {
      if (this.sequencer.trouble) {
        done(orders.map(() => ReasonCode.quotaExceeded))
        return
      }
      connection.feed?.hold()
      this.sequencer.submit({ type: 'subscribe', connection: id, clientId, subscriptions: orders }, (outcome) => {
        done(this.#codes(outcome, 'subscribed', orders.length))
        connection.feed?.resume()
        for (const order of orders) this.#sendNodeRetained(connection, order)
      })
      return
    }
    const shared = orders.filter((order) => isShared(order.filter))
    const own = orders.filter((order) => !isShared(order.filter))
    if (own.length > 0) this.localSession(connection)
    const ownOutcome =
      own.length === 0
        ? undefined
        : this.#applyLocal({ type: 'subscribe', connection: id, clientId, subscriptions: own })
    const ownCodes = ownOutcome === undefined ? [] : this.#codes(ownOutcome, 'subscribed', own.length)
    const finish = (sharedCodes: readonly number[]): void => {
      let a = 0
      let b = 0
      done(orders.map((order) => (isShared(order.filter) ? sharedCodes[a++] : ownCodes[b++]) as number))
      if (ownOutcome?.type !== 'subscribed') return
      for (const [i, order] of own.entries()) if (ownOutcome.retainedDue[i]) this.#sendRetained(connection, order)
    }
    if (shared.length === 0) finish([])
    else {
      this.sequencer.submit({ type: 'subscribe', connection: id, clientId, subscriptions: shared }, (outcome) =>
        finish(this.#codes(outcome, 'subscribed', shared.length)),
      )
    }
  }

  unsubscribe(connection: C, filters: readonly string[], done: (reasonCodes: readonly number[]) => void): void {
    const { id, clientId } = connection
    if (id === undefined) return
    if (connection.kept && this.sequencer.trouble) {
      // Before 5.0 UNSUBACK cannot say no: the client has to try again.
      if (connection.v5) done(filters.map(() => ReasonCode.unspecifiedError))
      else connection.expelUnkept()
      return
    }
    const local = connection.kept ? [] : filters.filter((filter) => !isShared(filter))
    const ordered = connection.kept ? filters : filters.filter((filter) => isShared(filter))
    if (local.length > 0) this.localSession(connection)
    const localCodes =
      local.length === 0
        ? []
        : this.#codes(
            this.#applyLocal({ type: 'unsubscribe', connection: id, clientId, filters: local }),
            'unsubscribed',
            local.length,
          )
    const finish = (orderedCodes: readonly number[]): void => {
      let a = 0
      let b = 0
      done(
        filters.map((filter) => (connection.kept || isShared(filter) ? orderedCodes[a++] : localCodes[b++]) as number),
      )
    }
    if (ordered.length === 0) finish([])
    else {
      this.sequencer.submit({ type: 'unsubscribe', connection: id, clientId, filters: ordered }, (outcome) =>
        finish(this.#codes(outcome, 'unsubscribed', ordered.length)),
      )
    }
  }

  /** PUBREL of a kept session; `done` when its receipt is gone, with whether there was one. */
  release(connection: C, packetId: number, done: (known: boolean) => void): void {
    const { id, clientId } = connection
    if (id === undefined) return
    const known = this.ordered.session(clientId)?.receipts.has(packetId) === true
    this.sequencer.submit({ type: 'release', connection: id, clientId, packetIds: [packetId] }, () => done(known))
  }

  /** A transient session settled an entry of a shared group. */
  sharedSettled(
    connection: C,
    q: number,
    outcome: 'acked' | 'received' | 'completed' | 'givenUp',
    reasonCode: number,
  ): void {
    if (this.ordered.settings.replicated) this.#settleLater(connection, { q, outcome, reasonCode })
    else this.#acknowledge(connection, [{ q, outcome, reasonCode }])
  }

  #settleLater(connection: C, settlement: Settlement): void {
    let gathered = this.#shared.get(connection)
    if (gathered === undefined) {
      const settlements: Settlement[] = []
      const flush = (): void => {
        if (settlements.length > 0) this.#acknowledge(connection, settlements.splice(0))
      }
      gathered = { settlements, flush }
      this.#shared.set(connection, gathered)
    }
    gathered.settlements.push(settlement)
    if (gathered.settlements.length >= SETTLEMENTS_MAX) gathered.flush()
    else this.#lazy.later(gathered)
  }

  // ---------------------------------------------------------------- effects of the ordered machine

  published(placed: PlacedMessage, publisher: ConnectionId | undefined, had?: ReadonlySet<unknown>): void {
    const { message } = placed
    if (message.retain) this.#o.topics?.retain(message.topic, message.payload.length > 0)
    // The same object, not equal bytes: only the machine of this process, told just now, has it.
    if (message.payload === this.runPayloads?.at(this.runPlaced)) this.runPlaced++
    else this.#o.routePlaced(placed, publisher, had)
  }

  publishedRun(head: MessageHead, payloads: Payloads, place: RunPlace, publisher: ConnectionId | undefined): void {
    if (payloads === this.runPayloads) {
      this.runPlaced = payloads.length
      return
    }
    const { position, index, timeUs } = place
    for (let i = 0; i < payloads.length; i++) {
      const message = { ...head, payload: payloads.at(i) as Uint8Array }
      this.published({ message, position, index: index + i, timeUs }, publisher)
    }
  }

  run(run: PublishRun, placed: PlacedRun, had: ReadonlySet<unknown> | undefined): void {
    this.#o.routeRun(run, placed, had)
  }

  queued(_clientId: string, connection: ConnectionId | undefined, first: number, count: number): void {
    const on = this.byId(connection)
    if (on === undefined) return
    if (on.feed !== undefined) {
      on.feed.pump()
      return
    }
    if (on.kept) return
    for (let q = first; q < first + count; q++) this.#sendQueued(on, q)
  }

  deliver(clientId: string, connection: ConnectionId, placed: PlacedMessage, terms: DeliveryTerms): void {
    const on = this.byId(connection)
    if (on === undefined || !this.mayReceive(on, placed.message.topic)) return
    if (on.feed?.dropsZero(placed.message) === true) return
    const { qos, retain, subscriptionIds } = terms
    const session = this.ordered.session(clientId)
    const timestamps = wantsTimestamps(session, placed.message.topic)
    const positions = wantsPositions(session, placed.message.topic)
    const form = messageForm(
      placed,
      on.v5,
      { qos, retain, dup: false, subscriptionIds, timestamps, positions },
      this.now(),
    )
    if (on.feed !== undefined) on.feed.giveZero(form, placed.message.topic)
    else on.outbox.give(form)
  }

  /** Whether a message may be sent to a client; counted if not. */
  mayReceive(connection: C, topic: string): boolean {
    const { guard, counters } = this.#o
    if (guard.asked === undefined || guard.asked.mayReceive(connection, topic)) return true
    counters.deliveryDenied++
    counters.publishDropped++
    return false
  }

  /** The same for one that is asked about a topic many times in a row: the last yes holds until the rules change. */
  #rightsOf(connection: C): (topic: string) => boolean {
    const { guard } = this.#o
    let allowed: string | undefined
    let epoch = 0
    return (topic) => {
      if (guard.asked === undefined || (topic === allowed && epoch === guard.epoch)) return true
      if (!this.mayReceive(connection, topic)) return false
      allowed = topic
      epoch = guard.epoch
      return true
    }
  }

  connectionEnded(connection: ConnectionId, _clientId: string, reasonCode: number): void {
    const on = this.byId(connection)
    if (on === undefined) return
    this.#forget(on)
    on.expel(reasonCode)
  }

  /** This life of the node is over in the order: whoever is connected here goes elsewhere. */
  endAll(reasonCode: number): void {
    for (const connection of [...this.#byCounter.values()]) {
      this.#forget(connection)
      connection.expel(reasonCode)
    }
  }

  sessionEnded(clientId: string, reason: 'expired' | 'cleanStart' | 'disconnect'): void {
    if (reason === 'expired') this.#o.counters.sessionsExpired++
    this.#o.watcher?.sessionEnded(clientId, reason)
  }

  dropped(clientId: string, _q: number, reason: 'expired' | 'queueFull' | 'sessionEnded' | 'passedOn'): void {
    if (reason === 'expired' || reason === 'queueFull') this.#o.counters.publishDropped++
    this.#o.watcher?.dropped(clientId, reason)
  }

  retainedExpired(topic: string): void {
    this.#o.topics?.retain(topic, false)
    this.#o.watcher?.retainedExpired(topic)
  }

  administered(): void {
    this.#o.administered?.()
  }

  willPublished(clientId: string, will: Message): void {
    this.#o.watcher?.willPublished(clientId, will)
  }

  // ---------------------------------------------------------------- private

  /** An entry of a transient session: of a shared group, or addressed to it. */
  #sendQueued(on: C, q: number): void {
    const { clientId } = on
    const entry = this.ordered.session(clientId)?.queue.entry(q)
    // What a transient session has queued is in memory.
    if (entry?.placed === undefined) return
    if (!this.mayReceive(on, entry.placed.message.topic)) {
      this.#acknowledge(on, [{ q, outcome: 'givenUp', reasonCode: ReasonCode.notAuthorized }])
      return
    }
    const { qos, retain, subscriptionIds } = entry.terms
    const session = this.ordered.session(clientId)
    const timestamps = wantsTimestamps(session, entry.placed.message.topic)
    const positions = wantsPositions(session, entry.placed.message.topic)
    const given = { qos, retain, dup: false, subscriptionIds, timestamps, positions }
    on.outbox.give(messageForm(entry.placed, on.v5, given, this.now()), q)
  }

  #mayLeaveWill(connection: C): boolean {
    const { willTopic } = connection
    return willTopic === undefined || this.#o.guard.asked?.mayPublish(connection, willTopic) !== false
  }

  /** In line, each encoded when it can leave: a filter may find more than any queue holds. */
  #sendRetained(connection: C, order: SubscriptionOrder): void {
    const { v5 } = connection
    const found = this.#retainedFor(order.filter)
    const retained = found.concat(this.#o.nodeRetained(order.filter))
    const subscriptionIds = order.subscriptionId > 0 ? [order.subscriptionId] : NO_IDS
    const timestamps = order.timestamps === true
    const positions = order.positions === true
    const isBare = !v5 || (subscriptionIds === NO_IDS && !timestamps && !positions)
    connection.outbox.giveSeries(
      {
        count: retained.length,
        plain: isBare
          ? { qosMax: order.qos, v5, message: (i) => this.#plain(connection, order, retained, i) }
          : undefined,
        form: (i) => {
          const placed = retained[i] as PlacedMessage
          const now = this.now()
          // [MQTT-3.8.3-3] not to the client that published it
          if (order.noLocal && placed.message.publisher === connection.clientId) return undefined
          if (secondsLeft(placed, now.us) === 0) return undefined
          if (!this.mayReceive(connection, placed.message.topic)) return undefined
          const qos = Math.min(order.qos, placed.message.qos) as QoS
          // [MQTT-3.3.1-8] the RETAIN flag says that it is a retained message
          return messageForm(placed, v5, { qos, retain: true, dup: false, subscriptionIds, timestamps, positions }, now)
        },
      },
      this.#o.nowMs(),
    )
  }

  /** A retained message that goes to this client as it is, without a look at the clock. */
  #plain(
    connection: C,
    order: SubscriptionOrder,
    retained: readonly PlacedMessage[],
    i: number,
  ): Message | PackedMessage | undefined {
    // One that may not be sent is looked at again, and counted there.
    if (this.#o.guard.asked !== undefined) return undefined
    const placed = retained[i] as PlacedMessage
    // Who published it only an object says.
    const { packed } = placed
    if (packed !== undefined && !order.noLocal) return packed
    const { message } = placed
    if (message.expirySeconds !== undefined || (connection.v5 && message.properties !== undefined)) return undefined
    if (order.noLocal && message.publisher === connection.clientId) return undefined
    return message
  }

  /** Oldest first. An index of the program's own says which topics; the messages are the machine's. */
  #retainedFor(filter: string): PlacedMessage[] {
    const nowUs = this.sequencer.nowUs()
    const topics = this.#o.topics?.retained(filter)
    if (topics === undefined) return this.ordered.retainedFor(filter, nowUs)
    const found = topics
      .map((topic) => this.ordered.retained.get(topic, nowUs))
      .filter((placed) => placed !== undefined)
    return found.sort((a, b) => a.position - b.position || a.index - b.index)
  }

  #sendNodeRetained(connection: C, order: SubscriptionOrder): void {
    const now = this.now()
    const subscriptionIds = order.subscriptionId > 0 ? [order.subscriptionId] : NO_IDS
    for (const placed of this.#o.nodeRetained(order.filter)) {
      const { topic } = placed.message
      if (!this.mayReceive(connection, topic)) continue
      const terms = {
        qos: 0,
        retain: true,
        dup: false,
        subscriptionIds,
        timestamps: order.timestamps === true,
        positions: order.positions === true,
      } as const
      const form = messageForm(placed, connection.v5, terms, now)
      connection.feed?.giveZero(form, topic)
    }
  }

  #acknowledge(
    connection: C,
    settlements: AcknowledgeCommand['settlements'],
    { kept, applied }: { readonly kept?: (() => void) | undefined; readonly applied?: () => void } = {},
  ): void {
    const { id, clientId } = connection
    if (id === undefined) return
    this.sequencer.submit({ type: 'acknowledge', connection: id, clientId, settlements }, kept, applied)
  }

  #forget(connection: C): void {
    const { id, clientId } = connection
    if (id === undefined) return
    connection.feed?.hold()
    this.#shared.delete(connection)
    this.#byCounter.delete(id.counter)
    if (this.#byClient.get(clientId) === connection) this.#byClient.delete(clientId)
    if (!connection.kept && this.local.session(clientId) !== undefined) {
      this.#applyLocal({ type: 'disconnect', connection: id, clientId, reasonCode: 0, will: 'drop' })
    }
  }

  #applyLocal(command: Parameters<Machine['apply']>[0]): Outcome {
    const { topics } = this.#o
    if (topics !== undefined) return this.#applyIndexed(command, topics)
    return this.local.apply(command, 0, this.sequencer.nowUs(), this.#ignored)
  }

  /** The same, told to an index of the program's own. Before the machine drops what it had; after it took what is new. */
  #applyIndexed(command: Parameters<Machine['apply']>[0], topics: TopicIndex): Outcome {
    if (command.type === 'disconnect' || command.type === 'unsubscribe') {
      const had = this.local.session(command.clientId)?.subscriptions ?? new Map<string, unknown>()
      const gone = command.type === 'unsubscribe' ? command.filters : [...had.keys()]
      for (const filter of gone) if (had.has(filter)) topics.unsubscribe(filter, command.clientId)
    }
    // A takeover by a connect ends what the session had: the driver disconnected it before.
    if (command.type === 'subscribe') {
      for (const order of command.subscriptions) topics.subscribe(order.filter, command.clientId, order)
    }
    const outcome = this.local.apply(command, 0, this.sequencer.nowUs(), this.#ignored)
    if (command.type === 'subscribe') {
      const has = this.local.session(command.clientId)?.subscriptions
      for (const { filter } of command.subscriptions) {
        if (has?.has(filter) !== true) topics.unsubscribe(filter, command.clientId)
      }
    }
    return outcome
  }

  #codes(outcome: Outcome, type: 'subscribed' | 'unsubscribed', count: number): readonly number[] {
    if (outcome.type === type) return outcome.reasonCodes
    this.#o.counters.commandsIgnored++
    return new Array(count).fill(ReasonCode.unspecifiedError)
  }
}

const NO_IDS: readonly number[] = []

/** Whether the ordered machine holds it whatever the session. */
function isShared(filter: string): boolean {
  return parseShare(filter) !== undefined
}

/** The local machine has neither queues nor wills nor retained messages: its effects concern nobody. */
class IgnoredEffects implements Effects {
  published(): void {}
  queued(): void {}
  deliver(): void {}
  connectionEnded(): void {}
  sessionEnded(): void {}
  dropped(): void {}
}

/** A will as the machine takes it. */
export function willMessage(will: Will, publisher: string, expirySecondsMax = 0): Message {
  return messageOf(
    { topic: will.topic, payload: will.payload, qos: will.qos, retain: will.retain },
    will.properties,
    publisher,
    expirySecondsMax,
  )
}

/** Splits off what is not carried with a message. `expirySecondsMax`: longest message expiry, 0: any. */
export function messageOf(
  base: { readonly topic: string; readonly payload: Uint8Array; readonly qos: QoS; readonly retain: boolean },
  properties: Properties | undefined,
  publisher: string,
  expirySecondsMax = 0,
): Message {
  if (properties === undefined) {
    const { topic, payload, qos, retain } = base
    const message = { topic, payload, qos, retain, publisher }
    return expirySecondsMax === 0 ? message : { ...message, expirySeconds: expirySecondsMax }
  }
  const {
    topicAlias: _alias,
    subscriptionIdentifiers: _ids,
    messageExpiryInterval,
    willDelayInterval: _delay,
    ...carried
  } = properties
  const ceiling = expirySecondsMax === 0 ? messageExpiryInterval : expirySecondsMax
  const expirySeconds = Math.min(messageExpiryInterval ?? Infinity, ceiling ?? Infinity)
  return {
    ...base,
    publisher,
    ...(Object.keys(carried).length > 0 && { properties: carried }),
    ...(expirySeconds < Infinity && { expirySeconds }),
  }
}

/** A requested subscription as the machine takes it. */
export function orderOf(
  request: SubscriptionRequest,
  qosMax: QoS,
  subscriptionId: number,
  { timestamps, positions }: { readonly timestamps: boolean; readonly positions: boolean } = {
    timestamps: false,
    positions: false,
  },
): SubscriptionOrder {
  return {
    filter: request.filter,
    qos: Math.min(request.qos, qosMax) as QoS,
    noLocal: request.noLocal,
    retainAsPublished: request.retainAsPublished,
    retainHandling: request.retainHandling,
    subscriptionId,
    ...(timestamps && { timestamps }),
    ...(positions && { positions }),
  }
}
