/** A client as programs written for Aedes see it: an emitter with an identifier, a stream and a few calls. */
import { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Broker } from '@concordmq/broker'
import type { QoS } from '@concordmq/protocol'
import { type Publishable, publishOptionsOf, type Subscription } from './packets.ts'

export type Done = (error?: Error | null) => void

/** What a client asks of its broker. */
export interface ClientHost {
  /** Resolves once the broker runs. */
  broker(): Promise<Broker>
}

type Subscriptions = Subscription | readonly Subscription[] | { readonly subscriptions: readonly Subscription[] }
type Unsubscriptions =
  | string
  | readonly string[]
  | Pick<Subscription, 'topic'>
  | readonly Pick<Subscription, 'topic'>[]
  | { readonly unsubscriptions: readonly string[] }

export class Client extends EventEmitter {
  /** Null until CONNECT was accepted. */
  id: string | null = null
  clean = true
  version: 3 | 4 | 5 | null = null
  connecting = false
  connected = false
  closed = false
  readonly conn: Duplex
  readonly req: IncomingMessage | undefined
  readonly #host: ClientHost

  constructor(host: ClientHost, conn: Duplex, req: IncomingMessage | undefined) {
    super()
    this.#host = host
    this.conn = conn
    this.req = req
    // As with Aedes, an error nobody listens for must not end the process.
    this.on('error', () => {})
  }

  /** Sends a message to this client alone. To clients with a session that is kept, at QoS 0. */
  publish(packet: Publishable, done: Done = () => {}): void {
    this.#settle(done, (broker, id) => {
      if (!broker.sendTo(id, publishOptionsOf(packet))) throw new Error(`client ${id} is not connected`)
    })
  }

  /** Subscribes the client, as if it had asked itself; it is sent no SUBACK. */
  subscribe(subscriptions: Subscriptions, done: Done = () => {}): void {
    const list: readonly Subscription[] =
      'subscriptions' in subscriptions
        ? subscriptions.subscriptions
        : Array.isArray(subscriptions)
          ? (subscriptions as readonly Subscription[])
          : [subscriptions as Subscription]
    this.#settle(done, (broker, clientId) =>
      broker.inject(
        { type: 'subscribe', subscriptions: list.map(({ topic, qos }) => ({ filter: topic, qos: qos as QoS })) },
        { clientId },
      ),
    )
  }

  unsubscribe(unsubscriptions: Unsubscriptions, done: Done = () => {}): void {
    const list: readonly (string | Pick<Subscription, 'topic'>)[] =
      typeof unsubscriptions === 'object' && 'unsubscriptions' in unsubscriptions
        ? unsubscriptions.unsubscriptions
        : Array.isArray(unsubscriptions)
          ? (unsubscriptions as readonly string[])
          : [unsubscriptions as string]
    const filters = list.map((one) => (typeof one === 'string' ? one : one.topic))
    this.#settle(done, (broker, clientId) => broker.inject({ type: 'unsubscribe', filters }, { clientId }))
  }

  /** Disconnects the client. */
  close(done: () => void = () => {}): void {
    if (this.closed) {
      queueMicrotask(done)
      return
    }
    this.conn.once('close', () => done())
    this.#host.broker().then(
      (broker) => {
        if (this.id === null || !this.connected || !broker.disconnectClient(this.id)) this.conn.destroy()
      },
      () => this.conn.destroy(),
    )
  }

  /** Not there: the queue of a kept session belongs to the session. The callback says so. */
  emptyOutgoingQueue(done: Done = () => {}): void {
    queueMicrotask(() => done(new Error('emptyOutgoingQueue() is not supported: end the session instead')))
  }

  #settle(done: Done, work: (broker: Broker, id: string) => unknown): void {
    this.#host
      .broker()
      .then((broker) => {
        if (this.id === null) throw new Error('the client is not connected')
        return work(broker, this.id)
      })
      .then(
        () => done(null),
        (error: unknown) => done(error instanceof Error ? error : new Error(String(error))),
      )
      // What a callback throws is its program's, as if it had been called from a timer.
      .catch((error: unknown) =>
        setImmediate(() => {
          throw error
        }),
      )
  }
}
