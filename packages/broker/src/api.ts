/** The public face of a broker, as `createBroker()` returns it. */
import type { Duplex } from 'node:stream'
import type { Properties, QoS, SubscriptionRequest } from '@concordmq/protocol'
import type { Ban, BanRequest } from './access/limits/bans.ts'
import type { Administration } from './admin/administration.ts'
import type { DrainOptions } from './admin/drain.ts'
import type { Inspection } from './admin/inspection.ts'
import type { AccessOptions, BrokerOptions, ListenerHandle, ListenerOptions } from './config/options.ts'
import type { Hooks } from './hooks/hooks.ts'
import type { ClientInfo } from './model/client-info.ts'
import type { Counters } from './telemetry/counters.ts'

export type { ClientInfo }

export interface PublishOptions {
  readonly topic: string
  readonly payload: Uint8Array | string
  /** Default 0. */
  readonly qos?: QoS
  readonly retain?: boolean
  readonly properties?: Properties
}

/** A message as a handler of `broker.subscribe()` gets it. */
export interface InlineMessage {
  readonly topic: string
  /** Must not be changed: other handlers get the same bytes. */
  readonly payload: Uint8Array
  /** As it was published. */
  readonly qos: QoS
  /** True for what was retained before the handler came. */
  readonly retain: boolean
  readonly properties?: Properties
  /** Client identifier of the publisher; empty: this program. */
  readonly publisher: string
}

/** A promise holds back the next message of this handler until it settles. */
export type InlineHandler = (message: InlineMessage) => unknown

/** What `broker.inject()` handles as if a client had sent it. */
export type InjectedPacket =
  | ({ readonly type: 'publish' } & PublishOptions)
  | {
      readonly type: 'subscribe'
      readonly subscriptions: readonly (Pick<SubscriptionRequest, 'filter'> & Partial<SubscriptionRequest>)[]
    }
  | { readonly type: 'unsubscribe'; readonly filters: readonly string[] }

export interface DisconnectOptions {
  /** Told to 5.0 clients. Default 0x98, administrative action. */
  readonly reasonCode?: number
  /** A text for the client's log. */
  readonly reason?: string
  /** Where to go instead, with 0x9C or 0x9D. */
  readonly serverReference?: string
}

export interface Broker {
  readonly counters: Counters
  /**
   * Opens a listener: an object, or `tcp://127.0.0.1:1883`, `ws://…`, `unix:/path`. Rejects with a `ConcordError`
   * (`CMQ_ADDRESS_IN_USE`, …).
   */
  listen(options: ListenerOptions | string): Promise<ListenerHandle>
  /** Serves MQTT on any Duplex stream. Returns the number of the connection (`ClientInfo.connection`); 0: it was refused. */
  handle(stream: Duplex, info?: { readonly remoteAddress?: string }): number
  /** Publishes in the broker's own name; resolves when the message has its place in the order. */
  publish(message: PublishOptions): Promise<void>
  /**
   * Calls `handler` for each message that the filter matches; what is retained comes first. Several handlers of one filter
   * differ by `id` (default 0); one of the same id takes the place of the one before.
   */
  subscribe(filter: string, handler: InlineHandler, options?: { readonly id?: number }): void
  /** Without `id`: all handlers of this filter. Returns how many there were. */
  unsubscribe(filter: string, options?: { readonly id?: number }): number
  /**
   * Handles a packet as if the connected client had sent it, hooks and permissions included, and resolves with its reason
   * codes; the client is sent no acknowledgement. Without `clientId` in the name of the program, which may publish to any
   * topic, `$SYS/…` included. Rejects with `CMQ_NOT_CONNECTED`, or `CMQ_MESSAGE` for what cannot be a packet.
   */
  inject(packet: InjectedPacket, options?: { readonly clientId?: string }): Promise<readonly number[]>
  /** Sends a message to one connected client alone. False if it is not connected. To kept sessions at QoS 0. */
  sendTo(clientId: string, message: PublishOptions): boolean
  /** Connected clients. May be read piece by piece: it costs what is read. */
  clients(): Iterable<ClientInfo>
  client(clientId: string): ClientInfo | undefined
  /** Retained messages that a filter matches (default `#`), at most `max` (default 1,000). */
  retained(filter?: string, options?: { readonly max?: number }): Iterable<InlineMessage>
  /** Closes one client's connection. False if it is not connected. */
  disconnectClient(clientId: string, options?: DisconnectOptions): boolean
  /** Adds hooks behind those that are there; returns what removes them. */
  addHooks(hooks: Hooks): () => void
  /** Replaces who may log in; connected clients stay. */
  reloadAccess(access: AccessOptions): void
  /**
   * Takes over limits, bans, delivery and `$SYS` settings as far as each can change while running (`optionKeys`: `live` at once,
   * `new` for new connections); the rest waits for the next broker. Throws `CMQ_OPTIONS`, and then nothing has changed.
   */
  reconfigure(options: Pick<BrokerOptions, 'limits' | 'bans' | 'delivery' | 'sys'>): void
  /** What an operator may see, and do to sessions. */
  readonly inspection: Inspection
  /** What operators say for the whole cluster. Undefined: this broker orders alone. */
  readonly administration: Administration | undefined
  /**
   * Takes the broker out of service without a storm: listeners close, `ready` is false, and the connections are ended spread
   * over the time given. Resolves when the last was told; `close` is the caller's to call.
   */
  drain(options: DrainOptions): Promise<void>
  /** Who is kept out now, oldest first. */
  bans(): readonly Ban[]
  /** Keeps an address (of IPv6 its network), a client identifier or a user name out; who is connected stays. */
  ban(ban: BanRequest): void
  /** False: there was no such ban. */
  liftBan(ban: Pick<Ban, 'kind' | 'value'>): boolean
  /** In a cluster: this node has caught up with the order, and takes part in it. */
  readonly current: boolean
  /** Ready for clients: current, listeners open and not closing. */
  readonly ready: boolean
  /** Hash over the replicated state, 32 bytes; only kept in a cluster, and when the options have a `commandLog`. */
  readonly stateHash: Uint8Array | undefined
  /**
   * No new connections; for `drainMs` (default 0) at most, clients may fetch what is queued and acknowledge it; DISCONNECT
   * 0x8B to 5.0 clients; then everything ends, after `graceMs` (default 5,000) at the latest. Nothing stays open.
   */
  close(options?: { readonly graceMs?: number; readonly drainMs?: number }): Promise<void>
}
