/**
 * What the machine asks of the world. Every replica produces the same effects; a node carries out those that concern its
 * own sockets. An effect never calls back into `apply`; reading the machine from within one is allowed.
 */
import type { QoS } from '@concordmq/protocol'
import type { AdminSubject } from './admin/admin-document.ts'
import type { ConnectionId } from './commands/commands.ts'
import type { RunPlace } from './messages/body-run.ts'
import type { Message, MessageHead, PlacedMessage } from './messages/message.ts'
import type { Payloads } from './messages/payloads.ts'

/** How a message reaches one session. */
export interface DeliveryTerms {
  /** QoS granted for this delivery: min(publish, subscription). */
  readonly qos: QoS
  /** The RETAIN flag on the wire. */
  readonly retain: boolean
  /** Identifiers of all matching subscriptions, ascending; empty: none. */
  readonly subscriptionIds: readonly number[]
}

export interface Effects {
  /**
   * A message took its place in the order (publish, will). Nodes route it to their own transient sessions. Comes after the
   * retained message is stored and before what this machine queues and delivers itself; not for direct messages.
   */
  published(placed: PlacedMessage, publisher: ConnectionId | undefined): void
  /** The same for all messages of a run together; absent: `published` is called with each. */
  publishedRun?(head: MessageHead, payloads: Payloads, place: RunPlace, publisher: ConnectionId | undefined): void
  /**
   * A kept session (or a member of a shared group) has `count` new queue entries, from `q` on; its node sends them when the
   * window allows.
   */
  queued(clientId: string, connection: ConnectionId | undefined, q: number, count: number): void
  /** A QoS 0 message for a connected kept session, or for the chosen member of a shared group: send in line, or drop. */
  deliver(clientId: string, connection: ConnectionId, placed: PlacedMessage, terms: DeliveryTerms): void
  /** A connection ended by the order: taken over (0x8E), or its node fell. Its node closes the socket. */
  connectionEnded(connection: ConnectionId, clientId: string, reasonCode: number): void
  /** A session ended: expired, replaced by a clean start, or ended with its connection. */
  sessionEnded(clientId: string, reason: 'expired' | 'cleanStart' | 'disconnect'): void
  /**
   * A queue entry was dropped by the machine; `passedOn`: another member of the shared group has the message now. `q` is
   * -1 for a message that found the queue full and never got a number.
   */
  dropped(clientId: string, q: number, reason: 'expired' | 'queueFull' | 'sessionEnded' | 'passedOn'): void
  /** A retained message reached the end of its lifetime. For whoever wants to know; nothing depends on it. */
  retainedExpired?(topic: string): void
  /** A will was published, after its `published`. For whoever wants to know. */
  willPublished?(clientId: string, will: Message): void
  /** Another document of operators is in force, or none any more: `Machine.admin` has it. */
  administered?(subject: AdminSubject): void
}

/** What `apply` answers to the author of the command. */
export type Outcome =
  | { readonly type: 'done' }
  /** The command is not of the current connection of that session life: nothing happened (fencing). */
  | { readonly type: 'stale' }
  /** Malformed: nothing happened. */
  | { readonly type: 'malformed'; readonly detail: string }
  /** A document of operators is not signed by enough of them, or not later than the one in force: nothing happened. */
  | { readonly type: 'rejected'; readonly detail: string }
  /** A maximum is reached: CONNECT or the message cannot be accepted, and nothing happened. */
  | { readonly type: 'refused'; readonly reasonCode: number }
  | { readonly type: 'connected'; readonly sessionPresent: boolean; readonly kept: boolean }
  /** `duplicate`: the receipt was there already, nothing was published a second time. */
  | { readonly type: 'published'; readonly duplicate: boolean; readonly matched: number }
  /** The first `taken` messages of a run were published, `matched` counts for each; those behind them found no room. */
  | { readonly type: 'publishedRun'; readonly taken: number; readonly matched: number }
  /**
   * One reason code per requested filter. `retainedDue`: by retain handling this filter gets retained messages now, and the
   * machine has not queued them, because the session is transient; the node sends what `retainedFor` lists.
   */
  | {
      readonly type: 'subscribed'
      readonly reasonCodes: readonly number[]
      readonly retainedDue: readonly boolean[]
    }
  | { readonly type: 'unsubscribed'; readonly reasonCodes: readonly number[] }
