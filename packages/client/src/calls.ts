/** What the calls of a client take and give. */
import type { Properties, QoS } from '@concordmq/protocol'

export interface PublishOptions {
  /** Default 0. */
  readonly qos?: QoS
  readonly retain?: boolean
  /** 5.0: `messageExpiryInterval`, `contentType`, `responseTopic`, `userProperties`, … Topic aliases are chosen by the client. */
  readonly properties?: Properties
}

export interface SubscribeOptions {
  /** Highest QoS wanted. Default 0. */
  readonly qos?: QoS
  /** Not our own messages (5.0). */
  readonly noLocal?: boolean
  /** Keep the RETAIN flag as the publisher set it (5.0). */
  readonly retainAsPublished?: boolean
  /** Retained messages: 0 send them (default), 1 only if the subscription is new, 2 never (5.0). */
  readonly retainHandling?: 0 | 1 | 2
  readonly properties?: Properties
}

export interface Subscription {
  readonly filter: string
  /** What the server granted. */
  readonly qos: QoS
  /** Ends it; the server is told when no other `subscribe()` of the same filter is left. */
  unsubscribe(): Promise<void>
}

export interface DisconnectOptions {
  /** 5.0: 0x04 lets the server send the will. Default 0. */
  readonly reasonCode?: number
  /** 5.0: `sessionExpiryInterval`, `reasonString`, `userProperties`. */
  readonly properties?: Properties
  /** How long to wait for publications and requests that are under way. Default 5,000. */
  readonly drainTimeoutMs?: number
}
