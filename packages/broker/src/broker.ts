/**
 * Builds a broker and reads like its table of contents: the machines, the order, the sessions, the pipeline, the entrance,
 * the listeners.
 *
 * ```ts
 * const broker = await createBroker({ access: { allowAnonymous: true } })
 * const listener = await broker.listen({ kind: 'tcp', host: '127.0.0.1', port: 1883 })
 * await broker.publish({ topic: 'hello', payload: 'world' })
 * await broker.close()
 * ```
 */
import { Buffer } from 'node:buffer'
import { performance } from 'node:perf_hooks'
import type { Duplex } from 'node:stream'
import {
  type DisconnectPacket,
  PacketType,
  PublishRun,
  parseShare,
  ReasonCode,
  type ServerSettings,
  type SubscribePacket,
  topicNameProblem,
  type UnsubscribePacket,
} from '@concordmq/protocol'
import { DIRECT_PREFIX, Machine } from '@concordmq/state'
import { Access } from './access/access.ts'
import { AddressTable } from './access/limits/address-table.ts'
import { type Ban, type BanRequest, Bans } from './access/limits/bans.ts'
import type { Guard } from './access/permissions.ts'
import { type DrainOptions, endSpread } from './admin/drain.ts'
import { type Inspection, inspectionOf } from './admin/inspection.ts'
import { SysDriver, type SysGauges } from './admin/sys-driver.ts'
import type { Broker, ClientInfo, PublishOptions } from './api.ts'
import { resolveOptions, type Settings } from './config/check.ts'
import { localMachineSettings, orderedMachineSettings } from './config/machine-settings.ts'
import type { AccessOptions, BrokerOptions, ListenerHandle, ListenerOptions } from './config/options.ts'
import type { Arrival } from './connections/arrival.ts'
import { Connection, type ConnectionHandler, type ConnectionShared } from './connections/connection.ts'
import { DeadlineWheel } from './connections/deadline-wheel.ts'
import { Entrance } from './connections/entrance.ts'
import { Gate } from './connections/gate.ts'
import { StreamTransport } from './connections/stream-transport.ts'
import type { Transport } from './connections/transport.ts'
import { TurnFlushQueue } from './delivery/flush-queue.ts'
import { messageForm } from './delivery/message-form.ts'
import type { OutboxLimits } from './delivery/outbox.ts'
import { Pressure } from './delivery/pressure.ts'
import { ConcordError } from './errors.ts'
import { Admission } from './listeners/admission.ts'
import { openListener } from './listeners/listener.ts'
import { keyOfAddress } from './model/address-key.ts'
import { LocalSequencer } from './ordering/local-sequencer.ts'
import { Pipeline } from './pipeline.ts'
import { type Match, RouteTable } from './routing/route-table.ts'
import { messageOf, orderOf, SessionDriver } from './sessions/session-driver.ts'
import { MemoryJournal } from './storage/journal.ts'
import { Counters } from './telemetry/counters.ts'
import { LimitedLogger } from './telemetry/limited-logger.ts'
import { silentLogger } from './telemetry/logger.ts'

/** Topics whose subscriber lists are cached. */
const ROUTES_MAX = 65536
const GRACE_MS = 5000
/** How often a part of the cached routes is looked through for outdated ones, and how large a part: all in a minute. */
const SWEEP_MS = 1000
const SWEEP_PLACES = Math.ceil(ROUTES_MAX / 60)

/** Makes a broker without listeners. Rejects with `CMQ_OPTIONS` that lists every problem of the options. */
export async function createBroker(options: BrokerOptions = {}): Promise<Broker> {
  return new ConcordBroker(resolveOptions(options), options)
}

class ConcordBroker implements Broker, ConnectionHandler {
  readonly counters = new Counters()
  readonly inspection: Inspection
  #settings: Settings
  readonly #options: BrokerOptions
  readonly #logger: LimitedLogger
  readonly #access: Access
  readonly #driver: SessionDriver<Connection>
  readonly #sequencer: LocalSequencer
  readonly #pipeline: Pipeline
  readonly #entrance: Entrance
  #shared: ConnectionShared
  readonly #wheel = new DeadlineWheel(monotonicMs)
  readonly #pressure = new Pressure(monotonicMs)
  readonly #admission: Admission
  readonly #bans: Bans
  readonly #gate: Gate
  readonly #sys: SysDriver
  readonly #connections = new Set<Connection>()
  readonly #listeners = new Set<ListenerHandle>()
  readonly #sweeper: NodeJS.Timeout
  readonly #outboxLimits: { -readonly [P in keyof OutboxLimits]: OutboxLimits[P] }
  #silent: boolean
  #draining = false
  #closing: Promise<void> | undefined

  constructor(settings: Settings, options: BrokerOptions) {
    const logger = new LimitedLogger(options.logger ?? silentLogger, this.counters.limits, monotonicMs)
    this.#settings = settings
    this.#options = options
    this.#logger = logger
    this.#silent = settings.access.silentConnectErrors
    this.#access = new Access(settings.access, logger)
    const limits = (): Settings['limits'] => this.#settings.limits
    const shared = { counters: this.counters.limits, logger, nowMs: monotonicMs }
    const bans = new Bans({ ...shared, limits: () => this.#settings.bans })
    this.#bans = bans
    this.#admission = new Admission({
      ...shared,
      limits,
      bans,
      addresses: new AddressTable({ ...shared, limits, windowMs: () => this.#settings.bans.failuresWindowMs }),
      silent: () => this.#silent,
    })
    this.#gate = new Gate({ ...shared, limits, bans })
    // Shared with every outbox, so that a change reaches them all.
    const outboxLimits = { ...settings.delivery }
    this.#outboxLimits = outboxLimits

    // Nobody compares states on a single node: the hash is kept only for whoever records the commands.
    const machines = machinesOf(settings, { hashing: options.commandLog !== undefined })
    this.#driver = new SessionDriver<Connection>({
      ...machines,
      counters: this.counters,
      guard: this.#access.guard,
      outboxLimits,
      nowMs: monotonicMs,
      routePlaced: (placed, publisher) => this.#pipeline.routePlaced(placed, publisher),
      nodeRetained: (filter) => this.#sys.retainedFor(filter),
    })
    this.#sequencer = new LocalSequencer(machines.ordered, this.#driver, new MemoryJournal(options.commandLog))
    this.#driver.sequencer = this.#sequencer
    const incarnation = Date.now()
    this.#driver.start(0, incarnation)

    const routes = routesOf(this.#driver, this.#access.guard)
    this.#sweeper = setInterval(() => routes.sweep(SWEEP_PLACES), SWEEP_MS)
    this.#sweeper.unref()
    this.#pipeline = new Pipeline({
      driver: this.#driver,
      routes,
      counters: this.counters,
      pressure: this.#pressure,
      guard: this.#access.guard,
      directMessages: settings.features.directMessages,
      topicLevelsMax: settings.limits.topicLevelsMax,
      messageExpiryMax: () => this.#settings.limits.messageExpiryMax,
      nowMs: monotonicMs,
    })
    this.#entrance = new Entrance({
      driver: this.#driver,
      access: this.#access,
      enhanced: options.access?.enhanced,
      gate: this.#gate,
      counters: this.counters,
      logger,
      silent: () => this.#silent,
      closing: () => this.#closing !== undefined,
      topicProblem: (topic) => this.#pipeline.topicProblem(Buffer.from(topic)),
      sessionExpiryMax: settings.sessions.expiryMax,
      clientIdBytesMax: () => this.#settings.limits.clientIdBytesMax,
      messageExpiryMax: () => this.#settings.limits.messageExpiryMax,
      node: 0,
      incarnation,
    })
    this.#shared = {
      settings: this.#serverSettings(),
      handler: this,
      counters: this.counters,
      logger,
      flushQueue: new TurnFlushQueue(this.counters),
      wheel: this.#wheel,
      pressure: this.#pressure,
      run: new PublishRun(),
      outboxLimits,
      inflightMax: settings.limits.inflightMax,
      connectTimeoutMs: settings.limits.connectTimeoutMs,
      nowMs: monotonicMs,
    }
    this.inspection = inspectionOf({
      driver: this.#driver,
      connections: () => this.#connections.size,
      disconnect: (clientId) => this.disconnectClient(clientId),
      nextId: () => this.#entrance.nextId(),
    })
    this.#sys = new SysDriver({
      intervalSeconds: settings.sys.intervalSeconds,
      counters: this.counters,
      gauges: () => this.#gauges(),
      now: () => this.#driver.now(),
      deliver: (placed) => this.#deliverHere(placed),
    })
  }

  // ---------------------------------------------------------------- what embedders call

  async listen(options: ListenerOptions): Promise<ListenerHandle> {
    if (this.#closing !== undefined)
      throw new ConcordError('CMQ_CLOSED', 'Cannot open a listener: the broker is closed')
    const packetBytesMax = (): number => this.#settings.limits.packetBytesMax
    const handle = await openListener(options, {
      accept: (transport, arrival) => this.#accept(transport, arrival),
      logger: this.#logger,
      counters: this.counters.limits,
      admission: this.#admission,
      get packetBytesMax() {
        return packetBytesMax()
      },
      silent: () => this.#silent,
      handshakeTimeoutMs: this.#settings.limits.handshakeTimeoutMs,
    })
    this.#listeners.add(handle)
    return handle
  }

  handle(stream: Duplex, info: { readonly remoteAddress?: string } = {}): void {
    const { remoteAddress = '' } = info
    const arrival = this.#admission.admit(stream, { address: remoteAddress, port: 0 })
    if (arrival === undefined) return
    const known = { listener: 'stream', remoteAddress, remotePort: 0, encrypted: false }
    this.#accept(new StreamTransport(stream, known), arrival)
  }

  publish(options: PublishOptions): Promise<void> {
    const { topic, qos = 0, retain = false, properties } = options
    const problem = topicNameProblem(topic)
    if (problem !== undefined) {
      return Promise.reject(new ConcordError('CMQ_TOPIC', `Cannot publish to ${JSON.stringify(topic)}: ${problem}`))
    }
    const payload = typeof options.payload === 'string' ? Buffer.from(options.payload) : new Uint8Array(options.payload)
    const message = messageOf({ topic, payload, qos, retain }, properties, '', this.#settings.limits.messageExpiryMax)
    return new Promise((resolve, reject) =>
      this.#sequencer.submit({ type: 'publish', message }, (outcome) => {
        if (outcome.type === 'refused')
          reject(
            new ConcordError('CMQ_QUOTA', `Cannot publish to ${JSON.stringify(topic)}: there is no room to keep it`),
          )
        else if (outcome.type !== 'malformed') resolve()
        else reject(new ConcordError('CMQ_TOPIC', `Cannot publish to ${JSON.stringify(topic)}: ${outcome.detail}`))
      }),
    )
  }

  *clients(): Iterable<ClientInfo> {
    for (const connection of this.#driver.connections()) {
      yield {
        clientId: connection.clientId,
        username: connection.principal,
        version: connection.conversation.version,
        listener: connection.transport.info.listener,
        remoteAddress: connection.transport.info.remoteAddress,
        connectedAtMs: connection.connectedAtMs,
        keepAliveSeconds: connection.conversation.keepAliveSeconds,
      }
    }
  }

  disconnectClient(clientId: string): boolean {
    const connection = this.#driver.byClient(clientId)
    connection?.conversation.disconnect(ReasonCode.administrativeAction)
    return connection !== undefined
  }

  reloadAccess(access: AccessOptions): void {
    this.#access.reload(access)
    this.#silent = access.silentConnectErrors ?? false
  }

  reconfigure(options: Pick<BrokerOptions, 'limits' | 'bans' | 'delivery' | 'sys'>): void {
    const { limits, bans, delivery, sys } = resolveOptions(options)
    const { topicLevelsMax, ipv6PrefixBits, handshakeTimeoutMs } = this.#settings.limits
    const { intervalSeconds } = this.#settings.sys
    // The machine was told the depth of topics once and for all, and addresses are known by their prefixes.
    const fixed = { topicLevelsMax, ipv6PrefixBits, handshakeTimeoutMs }
    this.#settings = { ...this.#settings, limits: { ...limits, ...fixed }, bans, delivery, sys }
    Object.assign(this.#outboxLimits, delivery)
    // Connections hold on to what they were accepted with: theirs was told to the client.
    const { inflightMax, connectTimeoutMs } = limits
    this.#shared = { ...this.#shared, settings: this.#serverSettings(), inflightMax, connectTimeoutMs }
    if (sys.intervalSeconds !== intervalSeconds) this.#sys.intervalSeconds = sys.intervalSeconds
  }

  async drain(options: DrainOptions): Promise<void> {
    if (this.#draining || this.#closing !== undefined) return
    this.#draining = true
    this.#sys.notice('shutting down')
    await Promise.all([...this.#listeners].map((listener) => listener.close()))
    await endSpread(this.#connections, options)
  }

  bans(): readonly Ban[] {
    return this.#bans.list()
  }

  ban({ kind, value, forMs }: BanRequest): void {
    this.#bans.ban(kind, this.#banned(kind, value), forMs)
  }

  liftBan({ kind, value }: Pick<Ban, 'kind' | 'value'>): boolean {
    return this.#bans.lift(kind, this.#banned(kind, value))
  }

  /** What stands for it in the list: of an IPv6 address its network. */
  #banned(kind: Ban['kind'], value: string): string {
    const key = kind === 'address' ? keyOfAddress(value, this.#settings.limits) : value
    if (key !== undefined && key !== '') return key
    throw new ConcordError('CMQ_BANS', `Cannot ban ${kind} ${JSON.stringify(value)}: it is not one`)
  }

  get ready(): boolean {
    return this.#closing === undefined && !this.#draining && this.#listeners.size > 0
  }

  get stateHash(): Uint8Array | undefined {
    return this.#options.commandLog === undefined ? undefined : this.#driver.ordered.hash()
  }

  close(options: { readonly graceMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(options.graceMs ?? GRACE_MS)
    return this.#closing
  }

  async #close(graceMs: number): Promise<void> {
    if (!this.#draining) this.#sys.notice('shutting down')
    this.#sys.close()
    const listeners = [...this.#listeners].map((listener) => listener.close())
    for (const connection of [...this.#connections]) connection.shutDown()
    const gone = new Promise<void>((resolve) => {
      if (this.#connections.size === 0) resolve()
      else this.#allGone = resolve
    })
    let timer: NodeJS.Timeout | undefined
    await Promise.race([
      gone,
      new Promise<void>((resolve) => {
        timer = setTimeout(resolve, graceMs)
      }),
    ])
    clearTimeout(timer)
    for (const connection of [...this.#connections]) connection.transport.destroy()
    await Promise.all(listeners)
    clearInterval(this.#sweeper)
    this.#sequencer.close()
    this.#wheel.close()
    this.#pressure.close()
    this.#logger.close()
  }

  #allGone: (() => void) | undefined

  // ---------------------------------------------------------------- what connections ask for

  connect(connection: Connection, packet: Parameters<ConnectionHandler['connect']>[1]): void {
    this.#entrance.connect(connection, packet)
  }

  authenticate(connection: Connection, packet: Parameters<ConnectionHandler['authenticate']>[1]): void {
    this.#entrance.authenticate(connection, packet)
  }

  // Named apart from the broker's own publish().
  publishRun(connection: Connection, run: PublishRun): void {
    this.#pipeline.publish(connection, run)
  }

  pubrel(connection: Connection, packetId: number): void {
    this.#pipeline.release(connection, packetId)
  }

  subscribe(connection: Connection, packet: SubscribePacket): void {
    const { settings: limits } = connection
    const id = packet.properties?.subscriptionIdentifiers?.[0] ?? 0
    const problems = packet.subscriptions.map(
      (request) => subscriptionProblem(request.filter, limits) || this.#subscriptionDenied(connection, request.filter),
    )
    const orders = packet.subscriptions
      .filter((_request, i) => problems[i] === 0)
      .map((request) => orderOf(request, limits.maximumQoS, id))
    const answer = (codes: readonly number[]): void => {
      let granted = 0
      for (const code of codes) if (code === ReasonCode.quotaExceeded) this.counters.limits.subscriptionsFull++
      const reasonCodes = problems.map((problem) => (problem === 0 ? (codes[granted++] as number) : problem))
      connection.conversation.send({
        type: PacketType.suback,
        packetId: packet.packetId,
        // [MQTT3-3.9.3-2] before 5.0 every refusal is 0x80
        reasonCodes: connection.v5 ? reasonCodes : reasonCodes.map((code) => (code > 2 ? 0x80 : code)),
      })
    }
    if (orders.length === 0) answer([])
    else this.#driver.subscribe(connection, orders, answer)
  }

  unsubscribe(connection: Connection, packet: UnsubscribePacket): void {
    this.#driver.unsubscribe(connection, packet.filters, (reasonCodes) => {
      connection.conversation.send({ type: PacketType.unsuback, packetId: packet.packetId, reasonCodes })
    })
  }

  sharedSettled(
    connection: Connection,
    q: number,
    outcome: 'acked' | 'received' | 'completed' | 'givenUp',
    reasonCode: number,
  ): void {
    this.#driver.sharedSettled(connection, q, outcome, reasonCode)
  }

  left(connection: Connection, packet: DisconnectPacket | undefined, reasonCode: number): void {
    if (this.#logger.debugEnabled) {
      this.#logger.debug({ event: 'client.disconnected', clientId: connection.clientId }, 'Client disconnected')
    }
    this.#gate.left(connection)
    this.#driver.leave(connection, packet, reasonCode)
  }

  expelled(connection: Connection): void {
    this.#gate.left(connection)
  }

  gone(connection: Connection): void {
    this.#connections.delete(connection)
    if (this.#connections.size === 0) this.#allGone?.()
  }

  // ---------------------------------------------------------------- private

  #accept(transport: Transport, arrival: Arrival | undefined): void {
    if (this.#closing !== undefined) {
      transport.destroy()
      return
    }
    this.counters.connectionsAccepted++
    this.#connections.add(new Connection(transport, this.#shared, arrival))
  }

  /** 0, or the reason code for which the client may not subscribe. */
  #subscriptionDenied(connection: Connection, filter: string): number {
    const { asked } = this.#access.guard
    if (asked === undefined || asked.maySubscribe(connection, parseShare(filter)?.filter ?? filter)) return 0
    this.counters.subscribeDenied++
    return ReasonCode.notAuthorized
  }

  /** A message of this node alone (`$SYS`): QoS 0, outside the order. */
  #deliverHere(placed: Parameters<Pipeline['routePlaced']>[0]): void {
    this.#pipeline.routePlaced(placed, undefined)
    this.#driver.ordered.subscriptions.match(placed.message.topic, (_subscription, clientId) => {
      const connection = this.#driver.byClient(clientId)
      const { topic } = placed.message
      if (connection?.feed === undefined || !this.#driver.mayReceive(connection, topic)) return
      connection.feed.giveZero(messageForm(placed, connection.v5, PLAIN_ZERO, this.#driver.now()), topic)
    })
  }

  #gauges(): SysGauges {
    const { ordered, local, connected } = this.#driver
    let inflightMessages = 0
    let outPackets = 0
    let outBytes = 0
    for (const connection of this.#driver.connections()) {
      const { hasOutbox, output } = connection
      outBytes += output.pending
      if (!hasOutbox) continue
      const { outbox } = connection
      inflightMessages += outbox.window.inflight
      outPackets += outbox.waiting
      outBytes += outbox.waitingBytes
    }
    return {
      clientsConnected: connected,
      // A session without connection is a kept one.
      clientsDisconnected: ordered.sessions.size - connected,
      inflightMessages,
      outPackets,
      outBytes,
      sessions: ordered.sessions.size,
      connections: this.#connections.size,
      subscriptions: ordered.subscriptions.size + local.subscriptions.size,
      sharedSubscriptions: ordered.sharedSubscriptions,
      retainedMessages: ordered.retained.count,
      storedMessages: ordered.queuesMessages + ordered.retained.count,
      storedBytes: ordered.queuesBytes + ordered.retained.bytes,
      machine: ordered.counters,
      halfOpen: this.#admission.halfOpen,
      bans: this.#bans.list().length,
    }
  }

  #serverSettings(): ServerSettings {
    const { limits } = this.#settings
    return {
      packetBytesMax: limits.packetBytesMax,
      connectBytesMax: limits.connectBytesMax,
      protocolVersionMin: limits.protocolVersionMin,
      receiveMaximum: limits.receiveMaximum,
      topicAliasMaximum: limits.topicAliasMaximum,
      keepAliveMax: limits.keepAliveMax,
      maximumQoS: limits.maximumQoS,
      retainAvailable: limits.retainAvailable,
      wildcardSubscriptionAvailable: limits.wildcardSubscriptionAvailable,
      subscriptionIdentifierAvailable: limits.subscriptionIdentifierAvailable,
      sharedSubscriptionAvailable: limits.sharedSubscriptionAvailable,
      silent: () => this.#silent,
    }
  }
}

const PLAIN_ZERO = { qos: 0, retain: false, dup: false, subscriptionIds: [] } as const

function monotonicMs(): number {
  return performance.now()
}

/** The ordered machine, and the local one that transient sessions live in. */
function machinesOf(
  settings: Settings,
  options: { readonly hashing: boolean },
): { readonly ordered: Machine; readonly local: Machine } {
  return {
    ordered: new Machine(orderedMachineSettings(settings, options)),
    local: new Machine(localMachineSettings(settings)),
  }
}

/**
 * Routes over the local machine's subscriptions; any subscription change, in either machine, reaches them. Who may not
 * receive a topic is not in its route, so that no message asks.
 */
function routesOf(driver: SessionDriver<Connection>, guard: Guard): RouteTable<Connection> {
  const { ordered, local } = driver
  const routes = new RouteTable<Connection>(
    {
      matches(topic: string, visit: (match: Match<Connection>) => void) {
        local.subscriptions.match(topic, (subscription, clientId) => {
          const subscriber = driver.byClient(clientId)
          if (subscriber === undefined || guard.asked?.mayReceive(subscriber, topic) === false) return
          const { qos, noLocal, retainAsPublished, subscriptionId } = subscription
          visit({ subscriber, qos, noLocal, retainAsPublished, subscriptionId })
        })
      },
      ordered: (topic) => ordered.wants(topic),
    },
    ROUTES_MAX,
  )
  const changed = (filter: string): void => routes.changed(filter)
  ordered.onSubscriptionChange(changed)
  local.onSubscriptionChange(changed)
  guard.onChange(() => routes.changedAll())
  return routes
}

/** 0, or the reason code that refuses a filter. Its syntax was checked by the codec; the machine checks its depth. */
function subscriptionProblem(filter: string, limits: ServerSettings): number {
  const share = parseShare(filter)
  if (share !== undefined && !limits.sharedSubscriptionAvailable) return ReasonCode.sharedSubscriptionsNotSupported
  // What is addressed to one client is nobody else's to hear.
  if (`${share?.filter ?? filter}/`.startsWith(DIRECT_PREFIX)) return ReasonCode.notAuthorized
  if (!limits.wildcardSubscriptionAvailable && /[+#]/.test(filter)) return ReasonCode.wildcardSubscriptionsNotSupported
  return 0
}
