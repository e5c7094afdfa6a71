/**
 * The commands of the state machine (architecture section 3.1): everything that changes state which outlives a
 * connection. Each is applied at a position and a time that the sequencer gives it.
 */
import type { ProtocolVersion, QoS } from '@concordmq/protocol'
import type { AdminDocument, AdminSignature } from '../admin/admin-document.ts'
import type { Message, MessageHead } from '../messages/message.ts'
import type { Payloads } from '../messages/payloads.ts'

/** One network connection of one life of one node. Fences the commands of a connection that is no longer the current one. */
export interface ConnectionId {
  readonly node: number
  readonly incarnation: number
  readonly counter: number
}

/** First command of a started node: all connections of its earlier incarnations end as lost. */
export interface StartCommand {
  readonly type: 'start'
  readonly node: number
  readonly incarnation: number
}

export interface PublishCommand {
  readonly type: 'publish'
  readonly message: Message
  /** Absent when the broker itself publishes. */
  readonly connection?: ConnectionId
  /** Packet identifier under which a QoS 2 publish of a kept session leaves its receipt; a transient session keeps its own. */
  readonly receipt?: number
}

/**
 * Several messages of one client that differ only in their payload, and are not retained: they are published one behind the
 * other, and cost less than one command each. At QoS 0 or 1, since each message of QoS 2 leaves a receipt of its own.
 */
export interface PublishRunCommand {
  readonly type: 'publishRun'
  readonly connection?: ConnectionId
  readonly head: MessageHead
  readonly payloads: Payloads
}

export interface WillOrder {
  readonly message: Message
  /** Seconds. */
  readonly delaySeconds: number
}

export interface ConnectCommand {
  readonly type: 'connect'
  readonly connection: ConnectionId
  readonly clientId: string
  /** User name of the authenticated client; empty for anonymous. */
  readonly principal: string
  readonly version: ProtocolVersion
  readonly cleanStart: boolean
  /** Seconds; 0: the session ends with the connection; 2^32-1: never. 3.1 and 3.1.1: 0 for clean session, else the ceiling. */
  readonly sessionExpirySeconds: number
  /** How many QoS 1 and 2 messages may be unsettled at once: Receive Maximum, or the listener's inflight limit. */
  readonly receiveMaximum: number
  readonly will?: WillOrder
}

export interface DisconnectCommand {
  readonly type: 'disconnect'
  readonly connection: ConnectionId
  readonly clientId: string
  readonly reasonCode: number
  /** Session expiry given on DISCONNECT (5.0), seconds. */
  readonly sessionExpirySeconds?: number
  /** Whether the will is published (lost connection, DISCONNECT 0x04) or dropped (normal DISCONNECT). */
  readonly will: 'publish' | 'drop'
  /** Queue numbers below this one were sent; makes the set that may have been sent exact. Absent after a crash. */
  readonly sentBelow?: number
}

export interface SubscriptionOrder {
  /** Whole filter, `$share/name/…` included. */
  readonly filter: string
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: 0 | 1 | 2
  /** 0: none. */
  readonly subscriptionId: number
  /** Deliveries carry when the broker received the message (row F33). Absent: they do not. */
  readonly timestamps?: boolean
  /** Deliveries carry their place in the order of the cluster. Absent: they do not. */
  readonly positions?: boolean
}

export interface SubscribeCommand {
  readonly type: 'subscribe'
  readonly connection: ConnectionId
  readonly clientId: string
  readonly subscriptions: readonly SubscriptionOrder[]
}

export interface UnsubscribeCommand {
  readonly type: 'unsubscribe'
  readonly connection: ConnectionId
  readonly clientId: string
  readonly filters: readonly string[]
}

/**
 * What became of a queue entry, or of `count` of them from `q` on (absent: one). `acked`: PUBACK. `received`: PUBREC. `completed`: PUBCOMP. `givenUp`: the node settles it
 * without the client (PUBREC with an error, expired, too large, denied, dropped), for `reasonCode`.
 */
export interface Settlement {
  readonly q: number
  readonly count?: number
  readonly outcome: 'acked' | 'received' | 'completed' | 'givenUp'
  readonly reasonCode?: number
}

export interface AcknowledgeCommand {
  readonly type: 'acknowledge'
  readonly connection: ConnectionId
  readonly clientId: string
  readonly settlements: readonly Settlement[]
}

/** PUBREL arrived: the receipts of these received QoS 2 messages end. */
export interface ReleaseCommand {
  readonly type: 'release'
  readonly connection: ConnectionId
  readonly clientId: string
  readonly packetIds: readonly number[]
}

/**
 * The will of a client that is gone is not published: its author lost the right to. It waits until `dueUs`, as its session says,
 * so that the command does nothing to a will that a later connection brought.
 */
export interface WithdrawWillCommand {
  readonly type: 'withdrawWill'
  readonly clientId: string
  /** Microseconds since 1970. */
  readonly dueUs: number
}

/** A document of operators comes into force on all nodes, if they signed it and it is later than the one in force. */
export interface AdminCommand {
  readonly type: 'admin'
  readonly document: AdminDocument
  /** Of distinct operators, ascending. */
  readonly signatures: readonly AdminSignature[]
}

/** Moves time on when a deadline has passed and nothing else did. */
export interface TickCommand {
  readonly type: 'tick'
}

export type Command =
  | StartCommand
  | PublishCommand
  | PublishRunCommand
  | ConnectCommand
  | DisconnectCommand
  | SubscribeCommand
  | UnsubscribeCommand
  | AcknowledgeCommand
  | ReleaseCommand
  | WithdrawWillCommand
  | AdminCommand
  | TickCommand
