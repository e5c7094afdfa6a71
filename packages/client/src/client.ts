/**
 * An MQTT client: one session, and one network connection after the other to carry it.
 *
 *   connect() ─▶ connecting ─▶ connected ─▶ (lost) ─▶ waiting ─▶ connecting ─▶ …
 *                    │             │ Server Reference ──────────────┘
 *                    └─────────────┴── refusal, disconnect(), attempts used up ─▶ closed
 *
 * The protocol is in `ClientConversation`, the bytes are in `Connection`; here is what lasts: promises, subscriptions with
 * their handlers, the choice of the server and the patience to come back. Absent: storage. A session lives in memory, and a
 * program that wants its messages after a restart connects with the same client identifier and `cleanStart: false`.
 */
import {
  type AuthPacket,
  type ClientEnd,
  ClientSession,
  type ConnackPacket,
  filterProblem,
  type Properties,
  type PublishPacket,
  type QoS,
  ReasonCode,
  type Refusal,
  topicNameProblem,
} from '@concordmq/protocol'
import type { DisconnectOptions, PublishOptions, SubscribeOptions, Subscription } from './calls.ts'
import { connectContents } from './connect-contents.ts'
import { Connection, type ConnectionUser, nowMs } from './connection.ts'
import { endError } from './end-error.ts'
import { ClientError } from './errors.ts'
import { MessageQueue } from './message-queue.ts'
import { Operations, type PublishAck } from './operations.ts'
import {
  asBytes,
  type ClientOptions,
  type ClientSettings,
  type Message,
  type MessageHandler,
  resolveOptions,
} from './options.ts'
import { retryDelayMs } from './retry.ts'
import { addressText, followServerReference, type ServerAddress } from './server-address.ts'
import { type Entry, Subscriptions } from './subscriptions.ts'

export type ClientState = 'connecting' | 'connected' | 'waiting' | 'closed'

/** A connection that held this long has settled: redirects and attempts count from the start again. */
const SETTLED_MS = 30_000

/**
 * Connects, and resolves when the server has accepted.
 *
 * ```ts
 * const client = await connect('mqtt://localhost:1883', { clientId: 'thermostat' })
 * await client.subscribe('hall/+', { qos: 1 }, (message) => console.log(message.topic, message.payload.length))
 * await client.publish('hall/temperature', '21.5', { qos: 1 })
 * await client.disconnect()
 * ```
 */
export async function connect(
  server: string | ClientOptions,
  options: Omit<ClientOptions, 'url'> = {},
): Promise<Client> {
  const settings = resolveOptions(typeof server === 'string' ? { ...options, url: server } : server)
  const client = new Client(settings)
  await client.opened
  return client
}

export class Client {
  /** Resolves with the first CONNACK; rejects if there is none. */
  readonly opened: Promise<ConnackPacket>
  /** Resolves when the client is over: without an error after `disconnect()`. */
  readonly closed: Promise<ClientError | undefined>
  /** Messages dropped because a program was slow and reading could not be stopped. */
  dropped = 0
  readonly #settings: ClientSettings
  readonly #session: ClientSession
  readonly #operations = new Operations()
  readonly #subscriptions = new Subscriptions()
  readonly #queues = new Set<MessageQueue>()
  #state: ClientState = 'connecting'
  #connection: Connection | undefined
  #clientId: string
  #address: ServerAddress
  /** Where to go when a server that is only a substitute (0x9C) is lost. */
  #home: ServerAddress
  #connack: ConnackPacket | undefined
  #connectedAtMs = 0
  #attempt = 0
  #redirects = 0
  #timer: ReturnType<typeof setTimeout> | undefined
  #reading = true
  #resolveOpened!: (connack: ConnackPacket) => void
  #rejectOpened!: (error: ClientError) => void
  #resolveClosed!: (error: ClientError | undefined) => void

  constructor(settings: ClientSettings) {
    this.#settings = settings
    this.#clientId = settings.clientId
    this.#address = settings.address
    this.#home = settings.address
    this.#session = new ClientSession(settings)
    this.opened = new Promise((resolve, reject) => {
      this.#resolveOpened = resolve
      this.#rejectOpened = reject
    })
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve
    })
    this.#open()
  }

  get state(): ClientState {
    return this.#state
  }

  /** The one the server chose, if ours was empty. */
  get clientId(): string {
    return this.#clientId
  }

  /** The server at the other end, without credentials. */
  get server(): string {
    return addressText(this.#address)
  }

  /** The last CONNACK. */
  get connack(): ConnackPacket | undefined {
    return this.#connack
  }

  /**
   * Publishes. Resolves for QoS 0 when the bytes are written, for QoS 1 with PUBACK, for QoS 2 with PUBCOMP; while there is
   * no connection it waits, up to `queueMessagesMax` and `queueBytesMax`. Messages leave in the order of the calls.
   */
  publish(topic: string, payload: Uint8Array | string, options: PublishOptions = {}): Promise<PublishAck> {
    const { qos = 0, retain = false, properties } = options
    const what = `publish to "${topic}"`
    const problem = topicNameProblem(topic)
    if (problem !== undefined)
      return Promise.reject(new ClientError('CMQ_OPTION', `Cannot ${what}: the topic name ${problem}`))
    const wrong = this.#wrong(what, qos, properties)
    if (wrong !== undefined) return Promise.reject(wrong)
    if (properties?.topicAlias !== undefined || properties?.subscriptionIdentifiers !== undefined) {
      const message = `Cannot ${what}: topic alias and subscription identifiers are not the program's to set; leave them out`
      return Promise.reject(new ClientError('CMQ_OPTION', message))
    }
    const message = { topic, payload: asBytes(payload), qos, retain, ...(properties && { properties }) }
    return this.#operations.begin({ what, code: 'CMQ_PUBLISH_REFUSED', qos }, (operation) =>
      this.#start(
        (conversation, now) => conversation.publish(operation, message, now),
        () => this.#session.enqueue(operation, message),
      ),
    )
  }

  /**
   * Subscribes, and resolves when the server has granted it. The handler gets the messages of this filter only; without one
   * they are for `messages()`. Connections to come subscribe again where the server has forgotten.
   */
  async subscribe(filter: string, options: SubscribeOptions = {}, handler?: MessageHandler): Promise<Subscription> {
    const { qos = 0, noLocal = false, retainAsPublished = false, retainHandling = 0, properties } = options
    const what = `subscribe to "${filter}"`
    const problem = filterProblem(filter, this.#settings.version)
    if (problem !== undefined) throw new ClientError('CMQ_OPTION', `Cannot ${what}: ${problem.detail}`)
    const wrong = this.#wrong(what, qos, properties)
    if (wrong !== undefined) throw wrong
    const entry = this.#subscriptions.open({ filter, qos, noLocal, retainAsPublished, retainHandling }, properties)
    entry.uses++
    // Before the answer: retained messages may overtake SUBACK.
    if (handler !== undefined) entry.handlers.push(handler)
    try {
      const granted = await this.#request(entry, what)
      return { filter, qos: granted, unsubscribe: () => this.#leave(entry, handler) }
    } catch (error) {
      this.#forget(entry, handler)
      throw error
    }
  }

  /** Ends a subscription with all its handlers. */
  async unsubscribe(filter: string, options: { readonly properties?: Properties } = {}): Promise<void> {
    const what = `unsubscribe from "${filter}"`
    const problem = filterProblem(filter, this.#settings.version)
    if (problem !== undefined) throw new ClientError('CMQ_OPTION', `Cannot ${what}: ${problem.detail}`)
    const entry = this.#subscriptions.get(filter)
    if (entry !== undefined) this.#subscriptions.close(entry)
    const { properties } = options
    const request = { kind: 'unsubscribe', filters: [filter], ...(properties && { properties }) } as const
    await this.#operations.begin({ what, code: 'CMQ_UNSUBSCRIBE_REFUSED' }, (operation) =>
      this.#start(
        (conversation, now) => conversation.unsubscribe(operation, request.filters, properties, now),
        () => this.#session.enqueueRequest({ ...request, operation }),
      ),
    )
  }

  /**
   * Messages as they come, from this call on, all or those of a filter, whether a handler gets them too or not. The server
   * is answered when the loop has taken them. Without a loop that reads them the connection comes to a halt: leave the
   * loop, or call `return()`, when they are no longer wanted.
   *
   * ```ts
   * const messages = client.messages()
   * await client.subscribe('hall/#', { qos: 1 })
   * for await (const { topic } of messages) console.log(topic)
   * ```
   */
  messages(filter?: string): AsyncIterableIterator<Message> {
    const queue = new MessageQueue({
      itemsMax: this.#settings.iteratorMessagesMax,
      filter,
      fullChanged: () => this.#controlReading(),
      ended: (ended) => this.#queues.delete(ended),
    })
    this.#queues.add(queue)
    if (this.#state === 'closed') queue.close(undefined)
    return queue
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Message> {
    return this.messages()
  }

  /** Begins a re-authentication (5.0) with the method of the `authentication` option. */
  reauthenticate(data?: Uint8Array): void {
    let begun = false
    this.#connection?.step((conversation, now) => {
      begun = conversation.authenticate(data, now)
    })
    if (!begun) {
      throw new ClientError(
        'CMQ_AUTHENTICATION',
        'Cannot re-authenticate: not connected, or no authentication method; set the option "authentication"',
      )
    }
  }

  /** Waits for what is under way, says DISCONNECT and closes. What is not settled by then is rejected with `CMQ_CLOSED`. */
  async disconnect(options: DisconnectOptions = {}): Promise<void> {
    const { reasonCode = 0, properties, drainTimeoutMs = 5000 } = options
    if (this.#state === 'connected' && drainTimeoutMs > 0) await within(drainTimeoutMs, this.#operations.idle())
    if (this.#state === 'connected') {
      this.#connection?.step((conversation, now) => conversation.disconnect(reasonCode, properties, now))
    }
    this.#close(undefined)
    await this.closed
  }

  #open(): void {
    const { settings, to } = { settings: this.#settings, to: this.#address }
    this.#state = 'connecting'
    const { keepAlive, connackTimeoutMs, connectTimeoutMs, maximumPacketSize, pingTimeoutMs, topicAliasesUsedMax } =
      settings
    const limits = {
      connackTimeoutMs,
      pingTimeoutMs,
      packetBytesMax: maximumPacketSize,
      topicAliasMax: topicAliasesUsedMax,
    }
    const connection: Connection = new Connection(
      {
        session: this.#session,
        connect: { ...connectContents(settings, this.#connack !== undefined), keepAlive, clientId: this.#clientId },
        limits,
        dial: settings.dial,
        to: { address: to, tls: settings.options.tls ?? {}, connectTimeoutMs },
      },
      this.#user(() => connection),
    )
    this.#connection = connection
  }

  #user(self: () => Connection): ConnectionUser {
    const operations = this.#operations
    return {
      connected: (connack) => this.#onConnected(connack),
      message: (packet, acknowledge) => this.#onMessage(packet, acknowledge),
      authentication: (packet) => void this.#onAuthentication(packet, self()),
      settledPublish: (operation, reasonCode, properties) => operations.settle(operation, reasonCode, properties),
      settledUncertain: (operation) => operations.uncertain(operation),
      // UNSUBACK has no codes before 5.0.
      settledAnswer: (operation, codes, properties) => operations.settle(operation, codes[0] ?? 0, properties),
      settledRefused: (operation, refusal) => operations.refuse(operation, refusal),
      waitsForWriting: (operation) => operations.waitsForWriting(operation),
      ended: (end, cause) => this.#onEnded(end, cause),
    }
  }

  #onConnected(connack: ConnackPacket): void {
    this.#state = 'connected'
    this.#connack = connack
    this.#connectedAtMs = nowMs()
    // [MQTT-3.2.2-16] The server may have chosen the client identifier.
    this.#clientId = connack.properties?.assignedClientIdentifier ?? this.#clientId
    if (!connack.sessionPresent) for (const entry of this.#subscriptions.granted()) this.#subscribeAgain(entry)
    if (!this.#reading) this.#connection?.setReading(false)
    this.#settings.notices.connected?.(connack)
    this.#resolveOpened(connack)
  }

  #subscribeAgain(entry: Entry): void {
    this.#request(entry, `subscribe again to "${entry.request.filter}"`).catch((error: unknown) => {
      if (this.#state === 'closed') return
      this.#subscriptions.close(entry)
      this.#tell(error)
    })
  }

  #onMessage(packet: PublishPacket, acknowledge: (reasonCode: number) => void): void {
    let open = 1
    let reasonCode: number = ReasonCode.success
    const done = (): void => {
      if (--open === 0) acknowledge(reasonCode)
    }
    const failed = (error: unknown): void => {
      reasonCode = ReasonCode.implementationSpecificError
      this.#tell(error)
      done()
    }
    for (const handler of this.#subscriptions.handlersFor(packet)) {
      open++
      try {
        const result = handler(packet)
        if (result === undefined) done()
        else result.then(done, failed)
      } catch (error) {
        failed(error)
      }
    }
    for (const queue of this.#queues) {
      if (!queue.wants(packet.topic)) continue
      open++
      if (!queue.push(packet, done)) {
        this.dropped++
        done()
      }
    }
    done()
  }

  async #onAuthentication(packet: AuthPacket, connection: Connection): Promise<void> {
    if (packet.reasonCode !== ReasonCode.continueAuthentication) return
    try {
      const { authentication } = this.#settings.options
      const properties = packet.properties ?? {}
      const data = await authentication?.respond(properties.authenticationData, properties)
      connection.step((conversation, now) => conversation.authenticate(data, now))
    } catch (cause) {
      if (connection !== this.#connection) return
      this.#close(
        new ClientError('CMQ_AUTHENTICATION', 'Cannot authenticate: the option "authentication" failed to respond', {
          cause,
        }),
      )
    }
  }

  #onEnded(end: ClientEnd, cause: Error | undefined): void {
    this.#connection = undefined
    if (this.#state === 'closed') return
    if (end.kind === 'left') {
      this.#close(undefined)
      return
    }
    const settled = this.#state === 'connected' && nowMs() - this.#connectedAtMs >= SETTLED_MS
    if (settled) {
      this.#redirects = 0
      this.#attempt = 0
    }
    const error = endError(end, cause, {
      server: this.server,
      version: this.#settings.version,
      wasConnected: this.#state === 'connected',
    })
    if (this.#state === 'connected') this.#settings.notices.disconnected?.(error)
    if (this.#followReference(end)) return
    const { reconnect } = this.#settings
    if (
      this.#connack === undefined ||
      !error.retryable ||
      reconnect === undefined ||
      this.#attempt >= reconnect.attemptsMax
    ) {
      this.#close(error)
      return
    }
    this.#address = this.#home
    this.#attempt++
    this.#state = 'waiting'
    const delayMs = retryDelayMs(this.#attempt, reconnect, this.#settings.random())
    this.#settings.notices.reconnecting?.({ attempt: this.#attempt, delayMs, server: this.server })
    this.#timer = setTimeout(() => this.#open(), delayMs)
  }

  /** Section 4.13: 0x9C and 0x9D may name another server. True if the client is on its way there, or has given up. */
  #followReference(end: ClientEnd): boolean {
    if (end.kind !== 'refused' && end.kind !== 'disconnected') return false
    const moved = end.reasonCode === ReasonCode.serverMoved
    if (!moved && end.reasonCode !== ReasonCode.useAnotherServer) return false
    const reference = end.properties?.serverReference
    const next = reference === undefined ? undefined : followServerReference(this.#address, reference)
    if (next === undefined) return false
    const { redirectsMax } = this.#settings
    if (this.#redirects >= redirectsMax) {
      const message = `Cannot follow ${this.server} to ${addressText(next)}: ${redirectsMax} redirects are allowed in a row; raise redirectsMax, or connect there`
      this.#close(new ClientError('CMQ_REDIRECT_LIMIT', message, { reasonCode: end.reasonCode }))
      return true
    }
    this.#redirects++
    this.#address = next
    if (moved) this.#home = next
    this.#open()
    return true
  }

  async #request(entry: Entry, what: string): Promise<QoS> {
    const limits = this.#state === 'connected' ? this.#connection?.conversation.server : undefined
    this.#subscriptions.identify(
      entry,
      this.#settings.version === 5 && limits?.subscriptionIdentifierAvailable === true,
    )
    const { identifier, request } = entry
    const properties: Properties | undefined =
      identifier === 0 ? entry.properties : { ...entry.properties, subscriptionIdentifiers: [identifier] }
    const answer = await this.#operations.begin({ what, code: 'CMQ_SUBSCRIBE_REFUSED' }, (operation) =>
      this.#start(
        (conversation, now) => conversation.subscribe(operation, [request], properties, now),
        () =>
          this.#session.enqueueRequest({
            kind: 'subscribe',
            operation,
            subscriptions: [request],
            ...(properties && { properties }),
          }),
      ),
    )
    entry.granted = answer.reasonCode as QoS
    return entry.granted
  }

  async #leave(entry: Entry, handler: MessageHandler | undefined): Promise<void> {
    if (this.#subscriptions.get(entry.request.filter) !== entry) return
    if (entry.uses > 1) this.#forget(entry, handler)
    else await this.unsubscribe(entry.request.filter)
  }

  #forget(entry: Entry, handler: MessageHandler | undefined): void {
    entry.uses--
    const at = handler === undefined ? -1 : entry.handlers.indexOf(handler)
    if (at >= 0) entry.handlers.splice(at, 1)
    if (entry.uses <= 0) this.#subscriptions.close(entry)
  }

  /** Hands something to the conversation, or to the session alone while there is none. */
  #start(
    run: (conversation: Connection['conversation'], now: number) => Refusal | undefined,
    queue: () => Refusal | undefined,
  ): Refusal | undefined {
    if (this.#connection === undefined) return queue()
    let refusal: Refusal | undefined
    this.#connection.step((conversation, now) => {
      refusal = run(conversation, now)
    })
    return refusal
  }

  #wrong(what: string, qos: number, properties: Properties | undefined): ClientError | undefined {
    if (this.#state === 'closed')
      return new ClientError('CMQ_CLOSED', `Cannot ${what}: the client is closed; connect again`)
    if (qos !== 0 && qos !== 1 && qos !== 2) {
      return new ClientError('CMQ_OPTION', `Cannot ${what}: QoS ${qos} does not exist; expected 0, 1 or 2`)
    }
    if (properties !== undefined && this.#settings.version !== 5) {
      return new ClientError('CMQ_OPTION', `Cannot ${what} with properties in MQTT 3: set version to 5`)
    }
    return undefined
  }

  #controlReading(): void {
    let full = false
    for (const queue of this.#queues) full ||= queue.full
    if (full !== this.#reading) return
    this.#reading = !full
    this.#connection?.setReading(this.#reading)
  }

  #tell(error: unknown): void {
    this.#settings.notices.error?.(error)
  }

  #close(error: ClientError | undefined): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    clearTimeout(this.#timer)
    this.#connection?.destroy()
    const reason = error ?? new ClientError('CMQ_CLOSED', 'the client was closed before the server answered')
    this.#rejectOpened(reason)
    this.opened.catch(() => {})
    this.#operations.failAll(reason)
    for (const queue of [...this.#queues]) queue.close(error)
    this.#settings.notices.closed?.(error)
    this.#resolveClosed(error)
  }
}

async function within(timeoutMs: number, promise: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs)
  })
  await Promise.race([promise, timeout])
  clearTimeout(timer)
}
