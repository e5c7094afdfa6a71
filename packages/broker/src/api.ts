/** The public face of a broker, as `createBroker()` returns it. */
import type { Duplex } from 'node:stream'
import type { Properties, QoS } from '@concordmq/protocol'
import type { Ban, BanRequest } from './access/limits/bans.ts'
import type { DrainOptions } from './admin/drain.ts'
import type { Inspection } from './admin/inspection.ts'
import type { AccessOptions, BrokerOptions, ListenerHandle, ListenerOptions } from './config/options.ts'
import type { Counters } from './telemetry/counters.ts'

export interface PublishOptions {
  readonly topic: string
  readonly payload: Uint8Array | string
  /** Default 0. */
  readonly qos?: QoS
  readonly retain?: boolean
  readonly properties?: Properties
}

/** One connected client, as seen from outside. */
export interface ClientInfo {
  readonly clientId: string
  readonly username: string
  readonly version: 3 | 4 | 5
  readonly listener: string
  readonly remoteAddress: string
  readonly connectedAtMs: number
  readonly keepAliveSeconds: number
}

export interface Broker {
  readonly counters: Counters
  /** Opens a listener. Rejects with a `ConcordError` (`CMQ_ADDRESS_IN_USE`, …). */
  listen(options: ListenerOptions): Promise<ListenerHandle>
  /** Serves MQTT on any Duplex stream. */
  handle(stream: Duplex, info?: { readonly remoteAddress?: string }): void
  /** Publishes in the broker's own name; resolves when the message has its place in the order. */
  publish(message: PublishOptions): Promise<void>
  clients(): Iterable<ClientInfo>
  /** Closes one client's connection (5.0: DISCONNECT 0x98). False if it is not connected. */
  disconnectClient(clientId: string): boolean
  /** Replaces who may log in; connected clients stay. */
  reloadAccess(access: AccessOptions): void
  /**
   * Takes over limits, bans, delivery and `$SYS` settings as far as each can change while running (`optionKeys`: `live` at once,
   * `new` for new connections); the rest waits for the next broker. Throws `CMQ_OPTIONS`, and then nothing has changed.
   */
  reconfigure(options: Pick<BrokerOptions, 'limits' | 'bans' | 'delivery' | 'sys'>): void
  /** What an operator may see, and do to sessions. */
  readonly inspection: Inspection
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
  /** Ready for clients: listeners open and not closing. */
  readonly ready: boolean
  /** Hash over the replicated state, 32 bytes; only kept when the options have a `commandLog`. */
  readonly stateHash: Uint8Array | undefined
  /** No new connections, DISCONNECT 0x8B to 5.0 clients, then everything ends; at most `graceMs` (default 5,000). */
  close(options?: { readonly graceMs?: number }): Promise<void>
}
