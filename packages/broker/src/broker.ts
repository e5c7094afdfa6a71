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
import { setTimeout as setTimeoutPromise } from 'node:timers/promises'
import {
  type DisconnectPacket,
  disconnectReasonCodes,
  PacketType,
  PublishRun,
  ReasonCode,
  type ServerSettings,
  type SubscribePacket,
  type UnsubscribePacket,
} from '@concordmq/protocol'
import { Machine, type PlacedMessage } from '@concordmq/state'
import { Access } from './access/access.ts'
import { AddressTable } from './access/limits/address-table.ts'
import { type Ban, type BanRequest, Bans } from './access/limits/bans.ts'
import { Administration } from './admin/administration.ts'
import { type DrainOptions, endSpread } from './admin/drain.ts'
import { gaugesOf, outgoingOf } from './admin/figures.ts'
import { type Inspection, inspectionOf } from './admin/inspection.ts'
import { SysDriver, type SysGauges } from './admin/sys-driver.ts'
import type {
  Broker,
  ClientInfo,
  DisconnectOptions,
  InjectedPacket,
  InlineHandler,
  InlineMessage,
  PublishOptions,
} from './api.ts'
import { resolveOptions, type Settings } from './config/check.ts'
import { localMachineSettings, orderedMachineSettings } from './config/machine-settings.ts'
import type { AccessOptions, BrokerOptions, ListenerHandle, ListenerOptions } from './config/options.ts'
import { authenticatorOf, factoryOf, storeOf } from './config/providers.ts'
import { serverSettingsOf } from './config/server-settings.ts'
import type { Arrival } from './connections/arrival.ts'
import { ConnectLine } from './connections/connect-line.ts'
import { Connection, type ConnectionHandler, type ConnectionShared } from './connections/connection.ts'
import { DeadlineWheel } from './connections/deadline-wheel.ts'
import { Entrance } from './connections/entrance.ts'
import { Gate } from './connections/gate.ts'
import { ReadMemory } from './connections/read-memory.ts'
import { StreamTransport } from './connections/stream-transport.ts'
import type { Transport } from './connections/transport.ts'
import { Turns } from './connections/turns.ts'
import type { LocalBroker } from './crew/local-broker.ts'
import { openCrew, workersOf } from './crew/open-crew.ts'
import { Backlog } from './delivery/backlog.ts'
import { TurnFlushQueue } from './delivery/flush-queue.ts'
import { messageForm } from './delivery/message-form.ts'
import type { OutboxLimits } from './delivery/outbox.ts'
import { Pressure } from './delivery/pressure.ts'
import { Incoming } from './embedding/incoming.ts'
import { Injector } from './embedding/injecting.ts'
import { InlineSubscriptions } from './embedding/inline-subscriptions.ts'
import { listenerOf } from './embedding/listen-address.ts'
import { retainedValue } from './embedding/retained-value.ts'
import { ConcordError } from './errors.ts'
import { HookPoints } from './hooks/hook-points.ts'
import type { Hooks } from './hooks/hooks.ts'
import { Admission } from './listeners/admission.ts'
import { openListener } from './listeners/listener.ts'
import { keyOfAddress } from './model/address-key.ts'
import type { Journal } from './model/journal.ts'
import type { OrderedLog } from './model/ordered-log.ts'
import type { Sequencer } from './model/sequencer.ts'
import type { SysValue } from './model/sys-value.ts'
import { OwnTally } from './model/tally.ts'
import { isAmong } from './model/topic-filters.ts'
import { BftSequencer } from './ordering/bft-sequencer.ts'
import { LocalSequencer } from './ordering/local-sequencer.ts'
import { Relay } from './ordering/relay.ts'
import { Replica } from './ordering/replica.ts'
import { Pipeline } from './pipeline.ts'
import type { RouteTable, Way } from './routing/route-table.ts'
import { TopicIndex } from './routing/topic-index.ts'
import { watcherOf } from './sessions/hook-watcher.ts'
import { SessionDriver } from './sessions/session-driver.ts'
import { ROUTES_MAX, routesOf } from './sessions/topic-routes.ts'
import { UnorderedDelivery } from './sessions/unordered-delivery.ts'
import { openStorage, type Storage } from './storage/open-storage.ts'
import { Subscribing } from './subscribing/subscribing.ts'
import { Counters, sumOf } from './telemetry/counters.ts'
import { LimitedLogger } from './telemetry/limited-logger.ts'
import { silentLogger } from './telemetry/logger.ts'
import type { WorkerFigures, WorkerPlace } from './workers/worker-place.ts'

const GRACE_MS = 5000
/** In a cluster: largest packet that is taken, bytes. A block of the order is 1 MiB. */
const ORDERED_PACKET_BYTES_MAX = 960 * 1024
/** A broker that is alone never stalls. */
const ALONE = { onStall: 'local', stallAcknowledge: true } as const
const DRAIN_CHECK_MS = 10
/** What `retained()` lists unless told otherwise. */
const RETAINED_MAX = 1000
const NOBODY: readonly WorkerFigures[] = []
const NONE_DENIED: readonly number[] = []
/** Index of the node that is alone. */
const NODE = 0
/** How often a part of the cached routes is looked through for outdated ones, and how large a part: all in a minute. */
const SWEEP_MS = 1000
const SWEEP_PLACES = Math.ceil(ROUTES_MAX / 60)

/**
 * Makes a broker without listeners. Rejects with `CMQ_OPTIONS` that lists every problem of the options, or with a
 * `CMQ_DATA_…` when the data directory cannot be used.
 */
export async function createBroker(options: BrokerOptions = {}): Promise<Broker> {
  const workers = workersOf(options)
  return workers === 1 ? openBroker(options) : openCrew(options, workers, openBroker)
}

/** The same for one thread. `worker`: it is one of several, which share an order. */
export async function openBroker(options: BrokerOptions, worker?: WorkerPlace): Promise<LocalBroker> {
  const settings = fitForCluster(resolveOptions(options))
  const storage = worker?.storage ?? (await openOwnStorage(settings, options))
  const broker = new ConcordBroker(settings, options, storage, worker)
  await broker.joinOrder()
  return broker
}

async function openOwnStorage(settings: Settings, options: BrokerOptions): Promise<Storage> {
  const { directory, durability, files } = settings.storage
  const store = await storeOf(options.sessionStore, options.providers)
  return await openStorage(
    { directory, durability, store, files },
    {
      // Nobody compares states on a single node: the hash is kept only for whoever records the commands.
      settings: orderedMachineSettings(settings, { hashing: options.commandLog !== undefined }),
      logger: options.logger ?? silentLogger,
      observer: options.commandLog,
    },
  )
}

class ConcordBroker implements LocalBroker, ConnectionHandler {
  readonly counters = new Counters()
  readonly inspection: Inspection
  readonly administration: Administration | undefined
  #settings: Settings
  readonly #logger: LimitedLogger
  readonly #access: Access
  readonly #hooks: HookPoints
  readonly #incoming: Incoming
  readonly #journal: Journal
  readonly #driver: SessionDriver<Connection>
  readonly #sequencer: Sequencer
  /** In a cluster, or among workers. */
  readonly #bft: BftSequencer | undefined
  readonly #log: OrderedLog | undefined
  readonly #worker: WorkerPlace | undefined
  readonly #relay: Relay | undefined
  readonly #topics: TopicIndex | undefined
  readonly #routes: RouteTable<Connection>
  readonly #pipeline: Pipeline
  readonly #entrance: Entrance
  #shared: ConnectionShared
  readonly #wheel = new DeadlineWheel(monotonicMs)
  readonly #pressure: Pressure
  readonly #backlog: Backlog
  readonly #turns = new Turns()
  readonly #admission: Admission
  readonly #bans: Bans
  readonly #gate: Gate
  readonly #sys: SysDriver
  readonly #connections = new Set<Connection>()
  readonly #listeners = new Set<ListenerHandle>()
  readonly #sweeper: NodeJS.Timeout
  readonly #outboxLimits: { -readonly [P in keyof OutboxLimits]: OutboxLimits[P] }
  readonly #inline: InlineSubscriptions
  readonly #subscribing: Subscribing
  readonly #injector: Injector
  readonly #incarnation: number
  #accepted = 0
  #silent: boolean
  #draining = false
  #closing: Promise<void> | undefined

  constructor(settings: Settings, options: BrokerOptions, storage: Storage, worker: WorkerPlace | undefined) {
    const logger = new LimitedLogger(options.logger ?? silentLogger, this.counters.limits, monotonicMs)
    this.#settings = settings
    this.#logger = logger
    this.#silent = settings.access.silentConnectErrors
    this.#hooks = new HookPoints({ counters: this.counters, logger, timeoutMs: settings.embedding.hookTimeoutMs })
    for (const hooks of options.hooks ?? []) this.#hooks.add(hooks)
    this.#access = new Access(settings.access, logger)
    const limits = (): Settings['limits'] => this.#settings.limits
    const shared = { counters: this.counters.limits, logger, nowMs: monotonicMs }
    const bans = new Bans({ ...shared, limits: () => this.#settings.bans, begun: worker?.banned })
    this.#bans = bans
    this.#admission = new Admission({
      ...shared,
      limits,
      bans,
      total: worker?.connections ?? new OwnTally(),
      denies: (address) => this.#access.addressVerdict(address) === 'deny',
      addresses: new AddressTable({
        ...{ ...shared, limits, shared: worker?.tallies },
        windowMs: () => this.#settings.bans.failuresWindowMs,
      }),
      silent: () => this.#silent,
    })
    this.#gate = new Gate({ ...shared, limits, bans, shared: worker?.tallies })
    const backlog = new Backlog(
      () => this.#settings.delivery.backlogBytesMax,
      (shed, bytes) => {
        this.counters.limits.backlogFull += shed
        logger.warn({ event: 'delivery.backlog', shed, bytes }, 'Too much is queued: those with most of it give it up')
      },
    )
    this.#backlog = backlog
    this.#pressure = new Pressure(monotonicMs, {
      bytesPerSecondMin: () => this.#settings.delivery.drainBytesPerSecondMin,
      exceeded: () => this.counters.limits.drainSlow++,
    })
    // Shared with every outbox, so that a change reaches them all.
    const outboxLimits = { ...settings.delivery }
    this.#outboxLimits = outboxLimits

    const makeStore = factoryOf('topic store', options.topicStore, options.providers?.topicStores)
    this.#topics =
      makeStore === undefined ? undefined : new TopicIndex({ store: makeStore(), counters: this.counters, logger })

    const ordered = storage.machine
    this.#journal = storage.journal
    this.#driver = new SessionDriver<Connection>({
      ordered,
      local: new Machine(localMachineSettings(settings)),
      contents: storage.contents,
      counters: this.counters,
      guard: this.#access.guard,
      outboxLimits,
      nowMs: monotonicMs,
      routePlaced: (placed, publisher, had) => this.#pipeline.fanOut.placed(placed, publisher, had),
      routeRun: (run, placed, had) => this.#pipeline.fanOut.ordered(run, placed, had),
      nodeRetained: (filter) => this.#sys.retainedFor(filter),
      watcher: watcherOf(this.#hooks),
      administered: () => this.administration?.changed(),
      topics: this.#topics,
    })
    // What a data directory brought back.
    for (const filter of this.#topics === undefined ? [] : ['#', '$SYS/#']) {
      for (const { message } of ordered.retainedFor(filter, 0)) this.#topics?.retain(message.topic, true)
    }
    const parts = { machine: ordered, effects: this.#driver, journal: storage.journal, position: storage.position }
    const sequencer = factoryOf('sequencer', options.sequencer, options.providers?.sequencers)
    const cluster = settings.cluster
    const log = cluster?.log ?? worker?.log
    const readMemory = new ReadMemory()
    this.#log = log
    this.#worker = worker
    this.#bft =
      log === undefined
        ? undefined
        : new BftSequencer({
            ...{ machine: ordered, effects: this.#driver, journal: storage.journal, log, logger },
            counters: this.counters,
            nowMs: monotonicMs,
            serving: (serves) => this.#serve(serves),
            stalls: () => this.#entrance.stalled(),
            keepsInStall: (settings.cluster ?? ALONE).onStall === 'local',
            took: worker === undefined ? undefined : (bytes) => readMemory.took(bytes),
            ...(cluster?.serveStale === true && { announced: () => this.#begin() }),
          })
    const way = wayOf(settings)
    this.#relay =
      cluster === undefined
        ? undefined
        : new Relay({
            log: cluster.log,
            counters: this.counters,
            nowMs: monotonicMs,
            cpuUs,
            isFast: (topic) => way(topic) === 'fast' && topic.split('/').length <= settings.limits.topicLevelsMax,
            deliver: (item, choices) => this.#pipeline.besideOrder.relayed(item, choices),
          })
    this.#sequencer =
      this.#bft ??
      sequencer?.(parts) ??
      new LocalSequencer(parts.machine, parts.effects, parts.journal, { position: parts.position })
    this.#driver.sequencer = this.#sequencer
    if (cluster !== undefined) ordered.judge = cluster.log.judge
    this.administration = cluster === undefined ? undefined : new Administration(ordered, this.#sequencer)
    storage.journal.onLogged = ({ clientId }) => this.#driver.byClient(clientId)?.feed?.pump()
    // Above those of earlier lives, whatever the wall clock says.
    this.#incarnation = Math.max(Date.now(), ordered.incarnationOf(this.#node) + 1)

    this.#inline = new InlineSubscriptions({
      counters: this.counters,
      logger,
      queueMessagesMax: settings.embedding.inlineQueueMessagesMax,
      queueBytesMax: settings.embedding.inlineQueueBytesMax,
      retained: (filter) => this.#retainedFor(filter).map((placed) => placed.message),
      changed: (filter) => routes.changed(filter),
    })
    const routes = routesOf(this.#driver, this.#access.guard, {
      topics: this.#topics,
      inline: (topic) => this.#inline.wants(topic),
      way,
    })
    this.#routes = routes
    this.#sweeper = setInterval(() => routes.sweep(SWEEP_PLACES), SWEEP_MS)
    this.#sweeper.unref()
    this.#pipeline = new Pipeline({
      order: this.#bft,
      relay: this.#relay,
      stall: settings.cluster ?? ALONE,
      driver: this.#driver,
      unordered: new UnorderedDelivery(this.#driver, monotonicMs),
      routes,
      counters: this.counters,
      pressure: this.#pressure,
      turns: this.#turns,
      guard: this.#access.guard,
      directMessages: settings.features.directMessages,
      topicLevelsMax: settings.limits.topicLevelsMax,
      messageExpiryMax: () => this.#settings.limits.messageExpiryMax,
      told: (reasonCode) => this.#told(reasonCode),
      nowMs: monotonicMs,
      hooks: this.#hooks,
      inline: this.#inline,
    })
    this.#incoming = new Incoming({
      hooks: this.#hooks,
      pipeline: this.#pipeline,
      counters: this.counters,
      groupsWanting: (topic) => ordered.groupsWanting(topic),
    })
    this.#subscribing = new Subscribing({
      driver: this.#driver,
      guard: this.#access.guard,
      hooks: this.#hooks,
      counters: this.counters,
      order: this.#bft,
      amongWorkers: worker !== undefined,
      positions: this.#relay !== undefined,
      told: (reasonCode) => this.#told(reasonCode),
    })
    this.#injector = new Injector({
      driver: this.#driver,
      pipeline: this.#pipeline,
      incoming: this.#incoming,
      hooks: this.#hooks,
      messageExpiryMax: () => this.#settings.limits.messageExpiryMax,
      subscribe: (connection, subscriptions, denied, answer) =>
        this.#subscribing.subscribe(connection, { subscriptions }, denied, answer),
      unsubscribe: (connection, filters, answer) => this.#subscribing.unsubscribe(connection, filters, answer),
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
      node: () => this.#node,
      incarnation: () => this.#bft?.incarnation ?? this.#incarnation,
      serves: () => this.#bft?.serves ?? true,
      line: this.#connectLine(),
      servesStale: () => settings.cluster?.serveStale === true && this.#bft?.isBehind === true,
      stalled: () => this.#bft?.stalled ?? false,
      onStall: settings.cluster?.onStall ?? ALONE.onStall,
      hooks: this.#hooks,
      authenticator: this.#authenticatorOf(options),
    })
    this.#shared = {
      settings: this.#serverSettings(),
      handler: this,
      counters: this.counters,
      logger,
      flushQueue: new TurnFlushQueue(this.counters, backlog),
      wheel: this.#wheel,
      readMemory,
      pressure: this.#pressure,
      run: new PublishRun(),
      outboxLimits,
      inflightMax: settings.limits.inflightMax,
      connectTimeoutMs: settings.limits.connectTimeoutMs,
      nowMs: monotonicMs,
      hooks: this.#hooks,
    }
    this.inspection = inspectionOf({
      driver: this.#driver,
      connections: () => this.#connections.size,
      disconnect: (clientId) => this.disconnectClient(clientId),
      nextId: () => this.#entrance.nextId(),
    })
    this.#sys = new SysDriver({
      intervalSeconds: settings.sys.intervalSeconds,
      counters: () => sumOf([this.counters, ...this.#others().map(({ counters }) => counters)]),
      gauges: () => this.#gauges(),
      cluster: cluster && {
        log: cluster.log,
        counters: () => this.counters,
        documents: () => this.administration?.documents ?? new Map(),
      },
      now: () => this.#driver.now(),
      deliver: (placed) => this.#deliverHere(placed),
      tell: worker?.tellSys,
      ticked: (values) => this.#hooks.observe('sysTicked', values),
    })
    // All is in place: the connections of the last life end now, and their wills are published.
    if (this.#bft === undefined) {
      this.#endWorkers()
      this.#driver.start(this.#node, this.#incarnation)
    }
    this.#hooks.observe('started')
  }

  // ---------------------------------------------------------------- the cluster

  /** Which node this is: may change with the epoch. */
  get #node(): number {
    return this.#log?.node ?? NODE
  }

  /** The last life had several workers: their connections end, too. */
  #endWorkers(): void {
    const { ordered, sequencer } = this.#driver
    const lost = new Set<number>()
    for (const { connection } of ordered.sessions.values()) if (connection !== undefined) lost.add(connection.node)
    lost.delete(this.#node)
    for (const node of [...lost].sort((a, b) => a - b)) {
      sequencer.submit({ type: 'start', node, incarnation: ordered.incarnationOf(node) + 1 })
    }
  }

  /** Takes part in the order of the cluster, or of the workers; clients are served when the order has this life of the node. */
  async joinOrder(): Promise<void> {
    if (this.#bft === undefined || this.#log === undefined) return
    const replica = new Replica({
      machine: this.#driver.ordered,
      sequencer: this.#bft,
      relay: this.#relay ?? NO_RELAY,
      replaced: () => {
        this.#routes.changedAll()
        this.administration?.changed()
      },
      statusChanged: () => {},
    })
    await this.#log.start(replica)
    this.#bft.submit({ type: 'start', node: this.#node, incarnation: this.#incarnation })
    // No other process is waited for.
    if (this.#worker !== undefined) await this.#settled()
  }

  /** A life of this node begins in the order, or ended there. */
  #serve(serves: boolean): void {
    if (serves) this.#begin()
    else this.#driver.endAll(ReasonCode.useAnotherServer)
  }

  #begin(): void {
    if (this.#bft !== undefined) this.#driver.begin(this.#node, this.#bft.incarnation)
  }

  // ---------------------------------------------------------------- what embedders call

  async listen(where: ListenerOptions | string): Promise<ListenerHandle> {
    if (this.#closing !== undefined) throw closed('open a listener')
    const options = typeof where === 'string' ? listenerOf(where) : where
    const packetBytesMax = (): number => this.#settings.limits.packetBytesMax
    const handle = await openListener(options, {
      accept: (transport, arrival) => this.#accept(transport, arrival),
      portSharing: this.#worker === undefined ? undefined : this.#worker.log.node === 0 ? 'first' : 'joins',
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

  handle(stream: Duplex, info: { readonly remoteAddress?: string } = {}): number {
    const { remoteAddress = '' } = info
    const arrival = this.#admission.admit(stream, { address: remoteAddress, port: 0 })
    if (arrival === undefined) return 0
    const known = { listener: 'stream', remoteAddress, remotePort: 0, encrypted: false }
    return this.#accept(new StreamTransport(stream, known), arrival)
  }

  publish(message: PublishOptions): Promise<void> {
    if (this.#closing !== undefined) return Promise.reject(closed('publish'))
    return this.#injector.publish(message)
  }

  async inject(packet: InjectedPacket, options: { readonly clientId?: string } = {}): Promise<readonly number[]> {
    if (this.#closing !== undefined) throw closed('inject')
    return await this.#injector.inject(packet, options.clientId)
  }

  sendTo(clientId: string, message: PublishOptions): boolean {
    return this.#injector.sendTo(clientId, message)
  }

  subscribe(filter: string, handler: InlineHandler, options: { readonly id?: number } = {}): void {
    if (this.#closing !== undefined) throw closed('subscribe')
    this.#inline.subscribe(filter, handler, options.id ?? 0)
  }

  unsubscribe(filter: string, options: { readonly id?: number } = {}): number {
    return this.#inline.unsubscribe(filter, options.id)
  }

  addHooks(hooks: Hooks): () => void {
    this.#hooks.add(hooks)
    return () => {
      this.#hooks.remove(hooks)
    }
  }

  *clients(): Generator<ClientInfo> {
    for (const connection of this.#driver.connections()) yield connection.client
  }

  client(clientId: string): ClientInfo | undefined {
    return this.#driver.byClient(clientId)?.client
  }

  *retained(filter = '#', options: { readonly max?: number } = {}): Generator<InlineMessage> {
    const { us } = this.#driver.now()
    let left = options.max ?? RETAINED_MAX
    for (const placed of this.#retainedFor(filter)) {
      if (left-- <= 0) return
      yield retainedValue(placed, us)
    }
  }

  disconnectClient(clientId: string, options: DisconnectOptions = {}): boolean {
    const { reasonCode = ReasonCode.administrativeAction, reason, serverReference } = options
    if (!disconnectReasonCodes.has(reasonCode)) {
      throw new ConcordError(
        'CMQ_MESSAGE',
        `Cannot disconnect a client with reason code ${reasonCode}: DISCONNECT has none such`,
      )
    }
    const connection = this.#driver.byClient(clientId)
    connection?.disconnect(reasonCode, {
      ...(reason !== undefined && { reason }),
      ...(serverReference !== undefined && { serverReference }),
    })
    return connection !== undefined
  }

  reloadAccess(access: AccessOptions): void {
    this.#access.reload(access)
    this.#silent = access.silentConnectErrors ?? false
    for (const connection of [...this.#connections]) {
      if (this.#access.addressVerdict(connection.remoteAddress) === 'deny') connection.banish()
    }
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

  get current(): boolean {
    return this.#bft?.serves ?? true
  }

  get ready(): boolean {
    return (
      this.current &&
      this.#closing === undefined &&
      !this.#draining &&
      this.#listeners.size > 0 &&
      !this.#journal.trouble
    )
  }

  get stateHash(): Uint8Array | undefined {
    const { ordered } = this.#driver
    return ordered.settings.hashing ? ordered.hash() : undefined
  }

  close(options: { readonly graceMs?: number; readonly drainMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(options.graceMs ?? GRACE_MS, options.drainMs ?? 0)
    return this.#closing
  }

  async #close(graceMs: number, drainMs: number): Promise<void> {
    if (!this.#draining) this.#sys.notice('shutting down')
    this.#sys.close()
    const listeners = [...this.#listeners].map((listener) => listener.close())
    if (drainMs > 0) await this.#drained(drainMs)
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
    this.#inline.close()
    this.#topics?.close()
    await this.#worker?.lastSubmitted(() => this.#settled())
    this.#sequencer.close()
    this.administration?.close()
    this.#relay?.close()
    await this.#log?.stop()
    await this.#journal.close()
    this.#wheel.close()
    this.#pressure.close()
    this.#logger.close()
    this.#hooks.observe('stopped')
  }

  /** Until every client has fetched and acknowledged what is queued for it, or the time is over. */
  async #drained(drainMs: number): Promise<void> {
    const until = monotonicMs() + drainMs
    while (monotonicMs() < until && [...this.#driver.connections()].some((connection) => connection.owed)) {
      await setTimeoutPromise(DRAIN_CHECK_MS)
    }
  }

  /** All that this worker submitted is applied. */
  #settled(): Promise<void> {
    return new Promise((resolve) => this.#sequencer.submit({ type: 'tick' }, undefined, () => resolve()))
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
    if (this.#hooks.incoming) {
      run.own()
      this.#incoming.publish(connection, run)
    } else this.#pipeline.publish(connection, run)
  }

  pubrel(connection: Connection, packetId: number): void {
    if (this.#incoming.swallows && this.#incoming.release(connection, packetId)) return
    this.#pipeline.release(connection, packetId)
  }

  subscribeRequest(connection: Connection, packet: SubscribePacket): void {
    const begun = monotonicMs()
    const answer = (reasonCodes: readonly number[]): void => {
      connection.conversation.send({ type: PacketType.suback, packetId: packet.packetId, reasonCodes })
    }
    if (!this.#hooks.incoming) this.#subscribing.subscribe(connection, packet, NONE_DENIED, answer)
    else
      this.#incoming.subscribe(connection, packet, (judged, denied) =>
        this.#subscribing.subscribe(connection, judged, denied, answer),
      )
    // A wide filter may match hundreds of thousands of retained messages.
    this.#turns.spend(monotonicMs() - begun, connection)
  }

  unsubscribeRequest(connection: Connection, packet: UnsubscribePacket): void {
    const answer = (reasonCodes: readonly number[]): void => {
      connection.conversation.send({ type: PacketType.unsuback, packetId: packet.packetId, reasonCodes })
    }
    if (!this.#hooks.incoming) this.#subscribing.unsubscribe(connection, packet.filters, answer)
    else
      this.#incoming.unsubscribe(connection, packet, (judged, denied) => {
        if (denied > 0) answer(judged.filters.map(() => denied))
        else this.#subscribing.unsubscribe(connection, judged.filters, answer)
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
    this.#hooks.observe('clientDisconnected', connection.client, {
      reasonCode: packet?.reasonCode ?? reasonCode,
      byClient: packet !== undefined,
    })
  }

  expelled(connection: Connection): void {
    this.#gate.left(connection)
  }

  gone(connection: Connection): void {
    this.#connections.delete(connection)
    if (this.#connections.size === 0) this.#allGone?.()
  }

  // ---------------------------------------------------------------- private

  /** The number of the connection; 0: refused. */
  #accept(transport: Transport, arrival: Arrival | undefined): number {
    if (this.#closing !== undefined) {
      transport.destroy()
      return 0
    }
    if (this.#hooks.uses('admitConnection')) {
      const { listener, remoteAddress } = transport.info
      if (this.#hooks.decideNow('admitConnection', [{ listener, remoteAddress }], ReasonCode.notAuthorized) > 0) {
        this.counters.connectsRefused++
        transport.destroy()
        return 0
      }
    }
    this.counters.connectionsAccepted++
    const connection = new Connection(transport, this.#shared, arrival)
    // Unlike those of all other workers.
    connection.number = ++this.#accepted * (this.#worker?.log.nodes.length ?? 1) + (this.#worker?.log.node ?? 0)
    this.#connections.add(connection)
    return connection.number
  }

  /** A message of this node alone (`$SYS`): QoS 0, outside the order. */
  #deliverHere(placed: PlacedMessage): void {
    this.#pipeline.fanOut.placed(placed, undefined)
    this.#driver.ordered.subscriptions.match(placed.message.topic, (_subscription, clientId) => {
      const connection = this.#driver.byClient(clientId)
      const { topic } = placed.message
      if (connection?.feed === undefined || !this.#driver.mayReceive(connection, topic)) return
      connection.feed.giveZero(messageForm(placed, connection.v5, PLAIN_ZERO, this.#driver.now()), topic)
    })
  }

  /** Only where other nodes apply each login, too. */
  #connectLine(): ConnectLine | undefined {
    const bft = this.#bft
    if (bft === undefined || this.#worker !== undefined) return undefined
    const { limits } = this.counters
    return new ConnectLine({
      messages: () => bft.messages,
      waits: () => {
        limits.loginsWaited++
      },
      nowMs: monotonicMs,
    })
  }

  /** The program's authenticator, contained as hooks are. */
  #authenticatorOf({ authenticator, providers }: BrokerOptions): HookPoints | undefined {
    const authenticate = authenticatorOf(authenticator, providers)
    if (authenticate === undefined) return undefined
    const { hookTimeoutMs: timeoutMs } = this.#settings.embedding
    const points = new HookPoints({ counters: this.counters, logger: this.#logger, timeoutMs })
    points.add({ name: 'authenticator', authenticate })
    return points
  }

  /** Retained messages, the broker's own values among them. */
  #retainedFor(filter: string): readonly PlacedMessage[] {
    return [...this.#driver.ordered.retainedFor(filter, this.#driver.now().us), ...this.#sys.retainedFor(filter)]
  }

  #others(): readonly WorkerFigures[] {
    return this.#worker?.others() ?? NOBODY
  }

  /** What this thread counts of its own clients. */
  figures(): WorkerFigures {
    const { local, connected } = this.#driver
    return {
      counters: this.counters,
      ...outgoingOf(this.#driver.connections()),
      clientsConnected: connected,
      connections: this.#connections.size,
      subscriptions: local.subscriptions.size,
      halfOpen: this.#admission.halfOpen,
      backlogBytes: this.#backlog.bytes,
    }
  }

  #gauges(): SysGauges {
    return gaugesOf(this.#driver.ordered, [this.figures(), ...this.#others()], {
      storageTrouble: this.#journal.trouble ? 1 : 0,
      bans: this.#bans.list().length,
    })
  }

  /** `$SYS` of the first worker. */
  showSys(values: readonly SysValue[]): void {
    this.#sys.show(values)
  }

  /** A ban that began at another worker. */
  takeBan(ban: BanRequest, reason: Ban['reason']): void {
    this.#bans.take(ban, reason)
  }

  /** Whose connection a client has: `worker` of all, or nobody's. */
  workerOf(clientId: string): number | undefined {
    return this.#driver.ordered.session(clientId)?.connection?.node
  }

  /** What a client is told in place of a code that says too much (row C6). */
  #told(reasonCode: number): number {
    const obscured = this.#settings.features.obscureNotAuthorized && reasonCode === ReasonCode.notAuthorized
    return obscured ? ReasonCode.unspecifiedError : reasonCode
  }

  #serverSettings(): ServerSettings {
    return serverSettingsOf(this.#settings, {
      silent: () => this.#silent,
      refusedLoginCode: () => this.#access.refusedLoginCode,
    })
  }
}

/** Workers tell each other nothing beside the order. */
const NO_RELAY = { linked() {}, relayed: () => undefined, epochChanged() {} }

const PLAIN_ZERO = { qos: 0, retain: false, dup: false, subscriptionIds: [] } as const

function monotonicMs(): number {
  return performance.now()
}

/** CPU time of this thread, µs. */
function cpuUs(): number {
  const { user, system } = process.threadCpuUsage()
  return user + system
}

/** Which way topics take through the cluster; without one all are ordered. What nobody may read yet does not go round at once. */
function wayOf({ cluster, ordering }: Settings): (topic: string) => Way {
  const { fast, sealed } = ordering
  if (cluster === undefined || fast.length + sealed.length === 0) return () => 'ordered'
  return (topic) => (isAmong(sealed, topic) ? 'sealed' : isAmong(fast, topic) ? 'fast' : 'ordered')
}

/** What goes through the order fits into one block of it. */
function fitForCluster(settings: Settings): Settings {
  if (settings.cluster === undefined) return settings
  const packetBytesMax = Math.min(settings.limits.packetBytesMax, ORDERED_PACKET_BYTES_MAX)
  return { ...settings, limits: { ...settings.limits, packetBytesMax } }
}

function closed(what: string): ConcordError {
  return new ConcordError('CMQ_CLOSED', `Cannot ${what}: the broker is closed`)
}
