/**
 * The class of Aedes over a broker: its handlers are hooks, its events are observations, its calls are the broker's.
 *
 *   handle(stream) ─▶ broker.handle ─▶ hooks ─▶ preConnect, authenticate, authorize…   callbacks become promises
 *                                         └───▶ events: client, publish, subscribe, …
 *
 * `new Aedes()` may be used at once: what is called before the broker runs waits for it. Absent: middleware (`mq`,
 * `persistence`), which the broker has inside.
 */
import { randomUUID } from 'node:crypto'
import { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import {
  type Broker,
  type ClientInfo,
  createBroker,
  type HookMessage,
  type Hooks,
  type InlineMessage,
  type Verdict,
} from '@concordmq/broker'
import type { SubscriptionRequest } from '@concordmq/protocol'
import { Client, type Done } from './client.ts'
import {
  type AedesOptions,
  type Authenticate,
  type AuthorizeForward,
  type AuthorizePublish,
  type AuthorizeSubscribe,
  brokerOptionsOf,
  checkOptions,
  type PreConnect,
  type Published,
} from './options.ts'
import {
  changedConnect,
  changedMessage,
  connectPacketOf,
  type Publishable,
  type PublishPacket,
  publishOptionsOf,
  publishPacketOf,
  reasonOfReturnCode,
  returnCodeOfReason,
  returnCodeTexts,
  type Subscription,
} from './packets.ts'

export type DeliverFunction = (packet: PublishPacket, done: () => void) => void

const publishAll: AuthorizePublish = (_client, _packet, done) => done(null)
const ignorePublished: Published = (_packet, _client, done) => done()
const NOT_AUTHORIZED = { deny: 0x87 } as const
const KEEP_ALIVE_TIMEOUT = 0x8d
/** Ends that are nobody's error: the broker closes, a takeover, an operator. */
const orderly: ReadonlySet<number> = new Set([0x00, 0x04, 0x8b, 0x8e, 0x98])

export class Aedes extends EventEmitter {
  readonly id: string
  connectedClients = 0
  closed = false
  preConnect: PreConnect
  authenticate: Authenticate
  authorizePublish: AuthorizePublish
  authorizeSubscribe: AuthorizeSubscribe
  published: Published
  #authorizeForward: AuthorizeForward | undefined
  #removeForward: (() => void) | undefined
  #broker: Broker | undefined
  readonly #running: Promise<Broker>
  readonly #clients = new Map<number, Client>()
  /** Subscriptions that `authorizeSubscribe` said no to, by the object that goes on. */
  readonly #refused = new WeakSet<object>()
  readonly #inline = new Map<string, Map<DeliverFunction, number>>()
  #inlineId = 0
  readonly #heartbeat: NodeJS.Timeout

  static async createBroker(options: AedesOptions = {}): Promise<Aedes> {
    const aedes = new Aedes(options)
    await aedes.listen()
    return aedes
  }

  constructor(options: AedesOptions = {}) {
    super()
    checkOptions(options)
    this.id = options.id ?? randomUUID()
    this.preConnect = options.preConnect ?? ((_client, _packet, done) => done(null, true))
    this.authenticate = options.authenticate ?? ((_client, _username, _password, done) => done(null, true))
    this.authorizePublish = options.authorizePublish ?? publishAll
    this.authorizeSubscribe = options.authorizeSubscribe ?? ((_client, subscription, done) => done(null, subscription))
    this.published = options.published ?? ignorePublished
    // As with Aedes, errors of clients are for whoever listens.
    this.on('newListener', (event) => {
      if (event === 'ping') this.#watchPings()
    })
    const brokerOptions = brokerOptionsOf(options)
    this.#running = createBroker({ ...brokerOptions, hooks: [this.#hooks(), ...(brokerOptions.hooks ?? [])] })
    this.#running.then(
      (broker) => {
        this.#broker = broker
        this.authorizeForward = this.#authorizeForward ?? options.authorizeForward
      },
      // Whoever awaits `listen()`, or calls anything, gets it.
      () => {},
    )
    this.#heartbeat = setInterval(() => this.#tell('heartbeat', this.id), options.heartbeatInterval ?? 60_000)
    this.#heartbeat.unref()
  }

  /** Resolves when the broker runs. Calls before that are not lost. */
  async listen(): Promise<void> {
    await this.#running
  }

  /** The broker underneath, for what Aedes has no name for. */
  broker(): Promise<Broker> {
    return this.#running
  }

  /** Serves MQTT on a stream. An arrow, because programs hand it to `createServer()` as it is. */
  readonly handle = (stream: Duplex, request?: IncomingMessage): Client => {
    const client = new Client(this, stream, request)
    stream.once('close', () => {
      client.closed = true
      client.connected = false
    })
    // Aedes' broker is deaf to errors of a stream that nobody listens to; so is this one.
    stream.on('error', (error: Error) => {
      if (client.id === null) this.emit('connectionError', client, error)
      else this.#clientError(client, error)
    })
    if (this.#broker !== undefined) this.#serve(this.#broker, client)
    else this.#running.then((broker) => this.#serve(broker, client)).catch(() => stream.destroy())
    return client
  }

  get authorizeForward(): AuthorizeForward | undefined {
    return this.#authorizeForward
  }

  /** Only a broker that has one asks about every delivery. */
  set authorizeForward(handler: AuthorizeForward | undefined) {
    this.#authorizeForward = handler
    if (this.#broker === undefined) return
    this.#removeForward?.()
    this.#removeForward = undefined
    if (handler === undefined) return
    this.#removeForward = this.#broker.addHooks({
      name: 'aedes authorizeForward',
      transformOutgoing: (info, message) => {
        const client = this.#clients.get(info.connection)
        if (client === undefined) return message
        const packet = handler.call(this, client, publishPacketOf(message, this.id))
        return packet === null || packet === undefined ? 'drop' : changedMessage(message, packet)
      },
    })
  }

  publish(packet: Publishable, done: Done = () => {}): void {
    this.#running
      .then((broker) => broker.publish(publishOptionsOf(packet)))
      .then(
        () => done(null),
        (error: unknown) => done(errorOf(error)),
      )
      .catch(rethrow)
  }

  subscribe(topic: string, deliver: DeliverFunction, done: Done = () => {}): void {
    this.#running
      .then((broker) => {
        const ids = this.#inline.get(topic) ?? new Map<DeliverFunction, number>()
        this.#inline.set(topic, ids)
        if (ids.has(deliver)) return
        const id = ++this.#inlineId
        broker.subscribe(topic, (message) => this.#deliver(deliver, message), { id })
        ids.set(deliver, id)
      })
      .then(
        () => done(null),
        (error: unknown) => done(errorOf(error)),
      )
      .catch(rethrow)
  }

  unsubscribe(topic: string, deliver: DeliverFunction, done: Done = () => {}): void {
    this.#running
      .then((broker) => {
        const ids = this.#inline.get(topic)
        const id = ids?.get(deliver)
        if (ids === undefined || id === undefined) return
        broker.unsubscribe(topic, { id })
        ids.delete(deliver)
        if (ids.size === 0) this.#inline.delete(topic)
      })
      .then(
        () => done(null),
        (error: unknown) => done(errorOf(error)),
      )
      .catch(rethrow)
  }

  close(done: () => void = () => {}): void {
    const again = this.closed
    this.closed = true
    clearInterval(this.#heartbeat)
    this.#running
      .then((broker) => broker.close())
      .catch(() => {})
      .then(() => {
        if (!again) this.emit('closed')
        done()
      })
      .catch(rethrow)
  }

  // ---------------------------------------------------------------- private

  #serve(broker: Broker, client: Client): void {
    const { conn, req } = client
    const remoteAddress = (conn as { readonly remoteAddress?: string }).remoteAddress ?? req?.socket.remoteAddress
    const connection = broker.handle(conn, remoteAddress === undefined ? {} : { remoteAddress })
    if (connection === 0) return
    this.#clients.set(connection, client)
    conn.once('close', () => this.#clients.delete(connection))
  }

  #deliver(deliver: DeliverFunction, message: InlineMessage): Promise<void> {
    const packet = publishPacketOf({ dup: false, packetId: 0, ...message }, this.id, message.publisher)
    return new Promise((resolve) => deliver.call(this, packet, resolve))
  }

  /** One of the broker's own messages below `$SYS/<id>/`. */
  #tell(name: string, payload: string): void {
    if (!this.closed) this.publish({ topic: `$SYS/${this.id}/${name}`, payload })
  }

  #clientError(client: Client, error: Error): void {
    client.emit('error', error)
    this.emit('clientError', client, error)
  }

  #hooks(): Hooks {
    const clientOf = (info: ClientInfo): Client | undefined => this.#clients.get(info.connection)
    return {
      name: 'aedes',
      transformConnect: async (info, packet) => {
        const client = clientOf(info)
        if (client === undefined) return packet
        client.connecting = true
        const changed = connectPacketOf(packet)
        const [error, success] = await called<[Error | null | undefined, (boolean | undefined)?]>((done) =>
          this.preConnect(client, changed, (...answer) => done(answer)),
        )
        if (isNone(error) && success === true) return changedConnect(packet, changed)
        client.connecting = false
        if (!isNone(error)) this.emit('connectionError', client, error)
        return NOT_AUTHORIZED
      },
      authenticate: async (info, { username, password }): Promise<Verdict> => {
        const client = clientOf(info)
        if (client === undefined) return 'ignore'
        client.id = info.clientId
        const bytes = password === undefined ? undefined : Buffer.from(password)
        const [error, success] = await called<
          [(Error & { returnCode?: number }) | null | undefined, (boolean | null | undefined)?]
        >((done) => this.authenticate(client, username, bytes, (...answer) => done(answer)))
        if (isNone(error) && success === true) return true
        const returnCode =
          error?.returnCode !== undefined && error.returnCode >= 2 && error.returnCode <= 5 ? error.returnCode : 5
        const told = error ?? new Error(returnCodeTexts[returnCode])
        this.#clientError(client, Object.assign(told, { errorCode: returnCode }))
        return { deny: reasonOfReturnCode(returnCode) }
      },
      clientAuthenticated: (info, packet) => {
        const client = clientOf(info)
        if (client === undefined) return
        client.id = info.clientId
        client.clean = packet.cleanStart
        client.version = packet.version
        this.emit('client', client)
        this.#tell('new/clients', info.clientId)
      },
      clientConnected: (info, { present }) => {
        const client = clientOf(info)
        if (client === undefined) return
        client.id = info.clientId
        client.connecting = false
        client.connected = true
        this.connectedClients++
        this.emit('connackSent', { cmd: 'connack', returnCode: 0, sessionPresent: present }, client)
        this.emit('clientReady', client)
        client.emit('connected')
      },
      connectRefused: (info, reasonCode) => {
        const client = clientOf(info)
        if (client === undefined) return
        client.id = null
        client.connecting = false
        const packet = { cmd: 'connack', returnCode: returnCodeOfReason(reasonCode), sessionPresent: false }
        this.emit('connackSent', packet, client)
      },
      clientDisconnected: (info, { reasonCode, byClient }) => {
        const client = clientOf(info)
        if (client === undefined) return
        client.connected = false
        client.closed = true
        this.connectedClients--
        if (reasonCode === KEEP_ALIVE_TIMEOUT) {
          this.emit('keepaliveTimeout', client)
          this.#clientError(client, new Error('keep alive timeout'))
        } else if (!byClient && !orderly.has(reasonCode) && reasonCode !== 0x80) {
          this.#clientError(client, new Error(`the client broke a rule, reason code 0x${reasonCode.toString(16)}`))
        }
        this.emit('clientDisconnect', client)
        this.#tell('disconnect/clients', info.clientId)
      },
      transformPublish: (info, message) => {
        const client = info === undefined ? undefined : clientOf(info)
        return client === undefined ? message : this.#authorize(client, message)
      },
      transformWill: (info, will) => {
        const client = clientOf(info)
        return client === undefined ? will : this.#authorize(client, will)
      },
      published: (info, message) => this.#published(info === undefined ? null : (clientOf(info) ?? null), message),
      willSent: (_clientId, will) => this.#published(null, will),
      transformSubscribe: async (info, subscriptions) => {
        const client = clientOf(info)
        if (client === undefined) return subscriptions
        const decided: SubscriptionRequest[] = []
        for (const request of subscriptions) decided.push(await this.#decideSubscription(client, request))
        return decided
      },
      authorizeSubscribe: (_info, subscription) => !this.#refused.has(subscription),
      subscribed: (info, subscriptions, { reasonCodes }) => {
        const client = clientOf(info)
        const subs = subscriptions.map(({ filter, qos }, i): Subscription => {
          return { topic: filter, qos: (reasonCodes[i] as number) >= 0x80 ? 128 : qos }
        })
        this.emit('subscribe', subs, client ?? null)
        this.#tell('new/subscribers', JSON.stringify({ clientId: info.clientId, subs }))
      },
      unsubscribed: (info, filters) => {
        this.emit('unsubscribe', filters, clientOf(info) ?? null)
        this.#tell('new/unsubscribers', JSON.stringify({ clientId: info.clientId, subs: filters }))
      },
      acknowledged: (info, packetId, qos) => {
        this.emit('ack', { cmd: qos === 1 ? 'publish' : 'pubrel', qos, messageId: packetId }, clientOf(info) ?? null)
      },
    }
  }

  /** `authorizePublish`: a refusal is the client's error, and closes it, as with Aedes. */
  #authorize(client: Client, message: HookMessage): HookMessage | Promise<HookMessage | typeof NOT_AUTHORIZED> {
    // Without a handler no message waits.
    return this.authorizePublish === publishAll ? message : this.#askAuthorize(client, message)
  }

  async #askAuthorize(client: Client, message: HookMessage): Promise<HookMessage | typeof NOT_AUTHORIZED> {
    const packet = publishPacketOf(message, this.id, client.id ?? undefined)
    const [error] = await called<[(Error | null | undefined)?]>((done) =>
      this.authorizePublish(client, packet, (...answer) => done(answer)),
    )
    if (isNone(error)) return changedMessage(message, packet)
    this.#clientError(client, error)
    if (client.connected) setImmediate(() => client.close())
    return NOT_AUTHORIZED
  }

  async #decideSubscription(client: Client, request: SubscriptionRequest): Promise<SubscriptionRequest> {
    const given: Subscription = { topic: request.filter, qos: request.qos }
    const [error, answer] = await called<[Error | null | undefined, (Subscription | null | undefined)?]>((done) =>
      this.authorizeSubscribe(client, given, (...all) => done(all)),
    )
    const refused = { ...request }
    if (!isNone(error)) {
      this.#clientError(client, error)
      this.#refused.add(refused)
      setImmediate(() => client.close())
      return refused
    }
    if (answer === null || answer === undefined || answer.qos === 128) {
      this.#refused.add(refused)
      return refused
    }
    return { ...request, filter: answer.topic, qos: answer.qos }
  }

  #published(client: Client | null, message: HookMessage): void {
    if (this.published === ignorePublished && this.listenerCount('publish') === 0) return
    const packet = publishPacketOf(message, this.id, client?.id ?? undefined)
    this.emit('publish', packet, client)
    this.published(packet, client, (error) => {
      if (!isNone(error) && client !== null) this.#clientError(client, error)
    })
  }

  #watchPings(): void {
    if (this.listenerCount('ping') > 0) return
    this.#running.then(
      (broker) =>
        broker.addHooks({
          name: 'aedes ping',
          packetReceived: (info, { type }) => {
            if (type === 12) this.emit('ping', { cmd: 'pingreq' }, this.#clients.get(info.connection))
          },
        }),
      () => {},
    )
  }
}

/** What a callback was called with, once. What the function throws is what the hook throws. */
function called<T>(call: (done: (answer: T) => void) => void): Promise<T> {
  return new Promise((resolve) => call(resolve))
}

function isNone(error: Error | null | undefined): error is null | undefined {
  return error === null || error === undefined
}

function errorOf(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}

/** What a callback throws is its program's. */
function rethrow(error: unknown): void {
  setImmediate(() => {
    throw error
  })
}
