/**
 * A broker of several worker threads, as the program sees it: the first worker, which runs in the program's own thread, and what
 * has to reach the others as well. All that is ordered (messages, sessions, subscriptions of kept ones, retained messages) the
 * first worker has itself; what only another one knows (its sockets) is told by it or asked of it.
 */
import type { Duplex } from 'node:stream'
import type { Ban, BanRequest } from '../access/limits/bans.ts'
import type { DrainOptions } from '../admin/drain.ts'
import type { Inspection } from '../admin/inspection.ts'
import type {
  Broker,
  ClientInfo,
  DisconnectOptions,
  InjectedPacket,
  InlineHandler,
  InlineMessage,
  PublishOptions,
} from '../api.ts'
import type { AccessOptions, BrokerOptions, ListenerHandle, ListenerOptions, TlsMaterial } from '../config/options.ts'
import { listenerOf } from '../embedding/listen-address.ts'
import { ConcordError } from '../errors.ts'
import type { Hooks } from '../hooks/hooks.ts'
import { type Counters, sumOf } from '../telemetry/counters.ts'
import type { Crew } from './crew.ts'
import { inspectionOfCrew } from './crew-inspection.ts'
import type { LocalBroker } from './local-broker.ts'
import { shareOf } from './share-of.ts'

export class CrewBroker implements Broker {
  readonly inspection: Inspection
  readonly administration = undefined
  readonly #first: LocalBroker
  readonly #crew: Crew
  #listeners = 0
  #closing: Promise<void> | undefined

  constructor(first: LocalBroker, crew: Crew) {
    this.#first = first
    this.#crew = crew
    this.inspection = inspectionOfCrew(first, crew)
  }

  /** All workers together, the others as they last said. */
  get counters(): Counters {
    return sumOf([this.#first.counters, ...this.#crew.place.others().map(({ counters }) => counters)])
  }

  async listen(where: ListenerOptions | string): Promise<ListenerHandle> {
    const options = typeof where === 'string' ? listenerOf(where) : where
    const handle = await this.#first.listen(options)
    // A file is one listener's. Its clients are the first worker's.
    if (options.kind === 'unix') return handle
    const number = ++this.#listeners
    const crew = this.#crew
    try {
      await crew.callAll('listen', { ...options, port: handle.port }, number)
    } catch (error) {
      await handle.close()
      crew.tell('closeListener', number)
      throw error
    }
    return {
      ...handle,
      async reloadTls(tls: TlsMaterial) {
        await handle.reloadTls(tls)
        await crew.callAll('reloadTls', number, tls)
      },
      async close() {
        await Promise.all([handle.close(), crew.callAll('closeListener', number)])
      },
    }
  }

  handle(stream: Duplex, info?: { readonly remoteAddress?: string }): number {
    return this.#first.handle(stream, info)
  }

  publish(message: PublishOptions): Promise<void> {
    return this.#first.publish(message)
  }

  subscribe(filter: string, handler: InlineHandler, options?: { readonly id?: number }): void {
    this.#first.subscribe(filter, handler, options)
  }

  unsubscribe(filter: string, options?: { readonly id?: number }): number {
    return this.#first.unsubscribe(filter, options)
  }

  async inject(packet: InjectedPacket, options: { readonly clientId?: string } = {}): Promise<readonly number[]> {
    const { clientId } = options
    const worker = clientId === undefined ? 0 : this.#workerOf(clientId)
    if (clientId === undefined || worker === 0) return await this.#first.inject(packet, options)
    return await this.#crew.call(worker, 'inject', packet, { clientId })
  }

  sendTo(clientId: string, message: PublishOptions): boolean {
    const worker = this.#workerOf(clientId)
    if (worker === 0) return this.#first.sendTo(clientId, message)
    void this.#crew.call(worker, 'sendTo', clientId, message)
    return true
  }

  *clients(): Generator<ClientInfo> {
    yield* this.#first.clients()
    yield* this.#crew.clients()
  }

  client(clientId: string): ClientInfo | undefined {
    return this.#first.client(clientId) ?? this.#crew.client(clientId)
  }

  retained(filter?: string, options?: { readonly max?: number }): Iterable<InlineMessage> {
    return this.#first.retained(filter, options)
  }

  disconnectClient(clientId: string, options: DisconnectOptions = {}): boolean {
    const worker = this.#workerOf(clientId)
    // It checks the reason code, whoever has the client.
    const isHere = this.#first.disconnectClient(clientId, options)
    if (isHere || worker === 0) return isHere
    void this.#crew.call(worker, 'disconnectClient', clientId, options)
    return true
  }

  addHooks(_hooks: Hooks): () => void {
    throw new ConcordError('CMQ_WORKERS', `Cannot add hooks to ${this.#crew.workers} workers`)
  }

  reloadAccess(access: AccessOptions): void {
    const { access: shared } = shareOf({ access }, this.#crew.workers)
    this.#first.reloadAccess(shared ?? access)
    this.#crew.tell('reloadAccess', shared ?? access)
  }

  reconfigure(options: Pick<BrokerOptions, 'limits' | 'bans' | 'delivery' | 'sys'>): void {
    const { sys, ...shared } = shareOf(options, this.#crew.workers)
    this.#first.reconfigure({ ...shared, ...(sys !== undefined && { sys }) })
    this.#crew.tell('reconfigure', { ...shared, sys: { intervalSeconds: 0 } })
  }

  async drain(options: DrainOptions): Promise<void> {
    await Promise.all([this.#first.drain(options), this.#crew.callAll('drain', options)])
  }

  bans(): readonly Ban[] {
    return this.#first.bans()
  }

  ban(ban: BanRequest): void {
    this.#first.ban(ban)
    this.#crew.tell('ban', ban, 'operator')
  }

  liftBan(ban: Pick<Ban, 'kind' | 'value'>): boolean {
    this.#crew.tell('liftBan', ban)
    return this.#first.liftBan(ban)
  }

  get current(): boolean {
    return this.#first.current
  }

  get ready(): boolean {
    return this.#first.ready
  }

  get stateHash(): Uint8Array | undefined {
    return this.#first.stateHash
  }

  close(options: { readonly graceMs?: number; readonly drainMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(options)
    return this.#closing
  }

  async #close(options: { readonly graceMs?: number; readonly drainMs?: number }): Promise<void> {
    await Promise.all([this.#first.close(options), this.#crew.callAll('close', options)])
    await this.#crew.terminate()
  }

  /** 0 also where nobody has it. */
  #workerOf(clientId: string): number {
    return this.#first.workerOf(clientId) ?? 0
  }
}
