/**
 * A session and its subscriptions: what the machine knows of one client identifier.
 *
 * The driver reads it and never writes. A transient session (`kept` false) ends with its connection; it has a queue only
 * for what reached it through a shared group or as a direct message.
 */
import type { ProtocolVersion, QoS } from '@concordmq/protocol'
import type { ConnectionId, SubscriptionOrder, WillOrder } from '../commands/commands.ts'
import { type Deadlined, NEVER } from '../deadlines/deadlines.ts'
import type { Writer } from '../encoding/writer.ts'
import { writeMessage } from '../messages/message-codec.ts'
import type { Shelf } from '../messages/shelf.ts'
import { SessionQueue } from '../queue/session-queue.ts'
import { RecordKind } from '../records/kinds.ts'
import type { RecordTable } from '../records/record-table.ts'
import { StateRecord } from '../records/state-record.ts'
import { Receipts } from './receipts.ts'

/** What a session has before its first subscription: most connections only publish, and a map each is not free. */
const NO_SUBSCRIPTIONS: ReadonlyMap<string, Subscription> = new Map<string, Subscription>()

/** The will of a connection: a record of its own, since a session's numbers change far more often. */
class WillRecord extends StateRecord {
  readonly clientId: string
  readonly order: WillOrder

  constructor(clientId: string, order: WillOrder) {
    super()
    this.clientId = clientId
    this.order = order
  }

  override writeKey(writer: Writer): void {
    writer.u8(RecordKind.will)
    writer.string(this.clientId)
  }

  override writeValue(writer: Writer): void {
    writer.u32(this.order.delaySeconds)
    writeMessage(writer, this.order.message)
  }
}

export class Session extends StateRecord implements Deadlined {
  readonly clientId: string
  /** Whether it outlives its connection: born with an expiry above 0. */
  readonly kept: boolean
  /** What belongs to it is kept on disk: it outlives its connection, or, in a cluster, the process of its node. */
  readonly persistent: boolean
  connection: ConnectionId | undefined
  principal = ''
  version: ProtocolVersion = 5
  receiveMaximum = 65535
  /** Some subscription asks for time stamps, or did: saves those without from looking. */
  timestamped = false
  /** The same for places in the order. */
  positioned = false
  /** Session expiry interval in seconds; 2^32-1: never. 0: it ends with the present connection. */
  expirySeconds = 0
  /** When a delayed will is published, microseconds since 1970. */
  willDueUs = NEVER
  /** When the session expires, while it has no connection. */
  expiresUs = NEVER
  /** By whole filter. */
  subscriptions: ReadonlyMap<string, Subscription> = NO_SUBSCRIPTIONS
  readonly queue: SessionQueue
  dueUs = NEVER
  dueIndex = -1
  readonly #durable: boolean
  #will: WillRecord | undefined
  #receipts: Receipts | undefined

  /** `durable`: kept, or with a will that must be published after a restart. */
  constructor(
    clientId: string,
    options: { readonly kept: boolean; readonly durable: boolean },
    state: { readonly records: RecordTable; readonly shelf: Shelf },
  ) {
    super()
    this.clientId = clientId
    this.kept = options.kept
    this.persistent = options.kept || state.records.keepsAll
    this.#durable = options.durable
    this.queue = new SessionQueue(this, state)
  }

  override get durable(): boolean {
    return this.#durable
  }

  get dueKey(): string {
    return this.clientId
  }

  get dueKind(): number {
    return 0
  }

  /** Made when it is first asked for: most sessions publish nothing at QoS 2. */
  get receipts(): Receipts {
    this.#receipts ??= new Receipts()
    return this.#receipts
  }

  get will(): WillOrder | undefined {
    return this.#will?.order
  }

  replaceWill(records: RecordTable, order: WillOrder | undefined): StateRecord | undefined {
    if (this.#will !== undefined) records.remove(this.#will)
    this.#will = order === undefined ? undefined : new WillRecord(this.clientId, order)
    if (this.#will !== undefined) records.add(this.#will)
    return this.#will
  }

  addSubscription(subscription: Subscription): void {
    if (subscription.timestamps) this.timestamped = true
    if (subscription.positions) this.positioned = true
    if (this.subscriptions === NO_SUBSCRIPTIONS) this.subscriptions = new Map()
    ;(this.subscriptions as Map<string, Subscription>).set(subscription.filter, subscription)
  }

  removeSubscription(filter: string): void {
    if (this.subscriptions !== NO_SUBSCRIPTIONS) (this.subscriptions as Map<string, Subscription>).delete(filter)
  }

  override writeKey(writer: Writer): void {
    writer.u8(RecordKind.session)
    writer.string(this.clientId)
  }

  override writeValue(writer: Writer): void {
    const { connection, queue } = this
    writer.u8((this.kept ? 1 : 0) | (connection === undefined ? 0 : 2))
    writer.string(this.principal)
    writer.u8(this.version)
    writer.u16(this.receiveMaximum)
    writer.u32(this.expirySeconds)
    writer.u53(this.willDueUs)
    writer.u53(this.expiresUs)
    if (connection !== undefined) {
      writer.u32(connection.node)
      writer.u53(connection.incarnation)
      writer.u53(connection.counter)
    }
    writer.u53(queue.base)
    writer.u53(queue.next)
    writer.u53(queue.sentBelow)
    writer.u53(queue.expiryFloorUs)
    const receipts = this.#receipts?.list() ?? []
    writer.u32(receipts.length)
    for (const packetId of receipts) writer.u16(packetId)
  }
}

/** A session, and the number behind its last queue entry at some place. */
export interface SessionBound {
  readonly session: Session
  readonly next: number
}

/** One subscription of one session. */
export class Subscription extends StateRecord implements SubscriptionOrder {
  readonly session: Session
  readonly filter: string
  /** The filter that topics are matched with: without `$share/name/`. */
  readonly topicFilter: string
  /** Share name; empty: not shared. */
  readonly shareName: string
  subscriptionId = 0
  /** As in its form on disk: there may be millions of these. */
  #options = 0

  constructor(
    session: Session,
    order: SubscriptionOrder,
    share: { readonly shareName: string; readonly filter: string } | undefined,
  ) {
    super()
    this.session = session
    this.filter = order.filter
    this.topicFilter = share?.filter ?? order.filter
    this.shareName = share?.shareName ?? ''
    this.#setOptions(order)
  }

  get qos(): QoS {
    return (this.#options & 3) as QoS
  }

  get noLocal(): boolean {
    return (this.#options & 4) !== 0
  }

  get retainAsPublished(): boolean {
    return (this.#options & 8) !== 0
  }

  get retainHandling(): 0 | 1 | 2 {
    return ((this.#options >> 4) & 3) as 0 | 1 | 2
  }

  get timestamps(): boolean {
    return (this.#options & 64) !== 0
  }

  get positions(): boolean {
    return (this.#options & 128) !== 0
  }

  /** The options of a later SUBSCRIBE take the place of these [MQTT-3.8.4-3]. */
  replaceOptions(order: SubscriptionOrder): void {
    this.#setOptions(order)
    if (this.timestamps) this.session.timestamped = true
    if (this.positions) this.session.positioned = true
  }

  #setOptions({
    qos,
    noLocal,
    retainAsPublished,
    retainHandling,
    timestamps,
    positions,
    subscriptionId,
  }: SubscriptionOrder): void {
    const flags =
      (noLocal ? 4 : 0) | (retainAsPublished ? 8 : 0) | (timestamps === true ? 64 : 0) | (positions === true ? 128 : 0)
    this.#options = qos | flags | (retainHandling << 4)
    this.subscriptionId = subscriptionId
  }

  override get durable(): boolean {
    return this.session.persistent
  }

  override writeKey(writer: Writer): void {
    writer.u8(RecordKind.subscription)
    writer.string(this.session.clientId)
    writer.string(this.filter)
  }

  override writeValue(writer: Writer): void {
    writer.u8(this.#options)
    writer.u32(this.subscriptionId)
  }
}

/** Whether `connection` is the one that the session has now. */
export function isCurrent(session: Session | undefined, connection: ConnectionId): session is Session {
  return isSameConnection(session?.connection, connection)
}

export function isSameConnection(a: ConnectionId | undefined, b: ConnectionId): boolean {
  return a !== undefined && a.counter === b.counter && a.node === b.node && a.incarnation === b.incarnation
}
