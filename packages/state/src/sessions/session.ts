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
import { SessionQueue } from '../queue/session-queue.ts'
import { RecordKind } from '../records/kinds.ts'
import { type RecordTable, StateRecord } from '../records/record-table.ts'
import { Receipts } from './receipts.ts'

/** What a session has before its first subscription: most connections only publish, and a map each is not free. */
const NO_SUBSCRIPTIONS: ReadonlyMap<string, Subscription> = new Map<string, Subscription>()

export class Session extends StateRecord implements Deadlined {
  readonly clientId: string
  /** Whether it outlives its connection: born with an expiry above 0. */
  readonly kept: boolean
  connection: ConnectionId | undefined
  principal = ''
  version: ProtocolVersion = 5
  receiveMaximum = 65535
  /** Session expiry interval in seconds; 2^32-1: never. 0: it ends with the present connection. */
  expirySeconds = 0
  will: WillOrder | undefined
  /** When a delayed will is published, microseconds since 1970. */
  willDueUs = NEVER
  /** When the session expires, while it has no connection. */
  expiresUs = NEVER
  /** By whole filter. */
  subscriptions: ReadonlyMap<string, Subscription> = NO_SUBSCRIPTIONS
  readonly receipts = new Receipts()
  readonly queue: SessionQueue
  dueUs = NEVER
  dueIndex = -1
  readonly dueKey: string
  readonly dueKind = 0

  constructor(clientId: string, records: RecordTable, options: { readonly kept: boolean }) {
    super()
    this.clientId = clientId
    this.dueKey = clientId
    this.kept = options.kept
    this.queue = new SessionQueue(clientId, records, this)
  }

  addSubscription(subscription: Subscription): void {
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
    const { connection, queue, will } = this
    writer.u8((this.kept ? 1 : 0) | (connection === undefined ? 0 : 2) | (will === undefined ? 0 : 4))
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
    if (will !== undefined) {
      writer.u32(will.delaySeconds)
      writeMessage(writer, will.message)
    }
    writer.u53(queue.base)
    writer.u53(queue.next)
    writer.u53(queue.sentBelow)
    writer.u53(queue.expiryFloorUs)
    writer.u32(this.receipts.size)
    for (const packetId of this.receipts.list()) writer.u16(packetId)
  }
}

/** One subscription of one session. */
export class Subscription extends StateRecord implements SubscriptionOrder {
  readonly session: Session
  readonly filter: string
  /** The filter that topics are matched with: without `$share/name/`. */
  readonly topicFilter: string
  /** Share name; empty: not shared. */
  readonly shareName: string
  qos: QoS
  noLocal: boolean
  retainAsPublished: boolean
  retainHandling: 0 | 1 | 2
  subscriptionId: number

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
    this.qos = order.qos
    this.noLocal = order.noLocal
    this.retainAsPublished = order.retainAsPublished
    this.retainHandling = order.retainHandling
    this.subscriptionId = order.subscriptionId
  }

  /** The options of a later SUBSCRIBE take the place of these [MQTT-3.8.4-3]. */
  replaceOptions(order: SubscriptionOrder): void {
    this.qos = order.qos
    this.noLocal = order.noLocal
    this.retainAsPublished = order.retainAsPublished
    this.retainHandling = order.retainHandling
    this.subscriptionId = order.subscriptionId
  }

  override writeKey(writer: Writer): void {
    writer.u8(RecordKind.subscription)
    writer.string(this.session.clientId)
    writer.string(this.filter)
  }

  override writeValue(writer: Writer): void {
    writer.u8(this.qos | (this.noLocal ? 4 : 0) | (this.retainAsPublished ? 8 : 0) | (this.retainHandling << 4))
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
