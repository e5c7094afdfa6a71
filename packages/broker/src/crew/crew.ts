/**
 * The other worker threads of a broker, as its first one sees them: starts them, calls them, hears what they count and which
 * clients they have, and ends with them.
 *
 * A thread that fails takes the process with it, as an uncaught error in a broker of one thread does: what it had taken in and
 * not answered is sent again by its clients, and half a broker that goes on would keep an order that one of its parts no longer reads.
 */
import { Worker } from 'node:worker_threads'
import type { ClientInfo } from '../model/client-info.ts'
import type { SysValue } from '../model/sys-value.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { WorkerFigures, WorkerPlace } from '../workers/worker-place.ts'
import type { LocalBroker } from './local-broker.ts'
import { type FromWorker, receiveError, type ToWorker, type WorkerCalls, type WorkerStart } from './messages.ts'

interface Waiting {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

/** One of the other threads. */
interface Hand {
  readonly worker: number
  readonly thread: Worker
  /** While it starts. */
  begun: { readonly resolve: () => void; readonly reject: (error: Error) => void } | undefined
  figures: WorkerFigures | undefined
  settled: boolean
}

export class Crew {
  readonly workers: number
  /** Set as soon as there is one. */
  first: LocalBroker | undefined
  readonly #logger: Logger
  readonly #hands: Hand[] = []
  readonly #waiting = new Map<number, Waiting>()
  /** Clients of the others, by client identifier. */
  readonly #clients = new Map<string, { readonly worker: number; readonly client: ClientInfo }>()
  #calls = 0
  #ending = false
  #allSettled: (() => void) | undefined

  constructor(workers: number, logger: Logger) {
    this.workers = workers
    this.#logger = logger
  }

  /** What the first worker needs of the others. */
  get place(): Omit<WorkerPlace, 'log' | 'storage' | 'connections' | 'tallies'> {
    return {
      others: () => this.#hands.flatMap(({ figures }) => figures ?? []),
      tellSys: (values) => this.#tellSys(values),
      banned: (ban, reason) => this.tell('ban', ban, reason),
      lastSubmitted: (settle) => this.#lastSubmitted(settle),
    }
  }

  /** Starts the threads, each with what it finds on disk (`storageOf`); resolves when all serve. */
  async start(start: Omit<WorkerStart, 'worker' | 'storage'>, storageOf: () => WorkerStart['storage']): Promise<void> {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
    const script = new URL(`../worker-thread.${extension}`, import.meta.url)
    await Promise.all(
      Array.from({ length: this.workers - 1 }, async (_, i) => {
        const worker = i + 1
        const storage = storageOf()
        const thread = new Worker(script, {
          workerData: { ...start, storage, worker } satisfies WorkerStart,
          transferList: storage === undefined ? [] : [storage.copy.store],
          name: `concordmq-worker-${worker}`,
        })
        const hand: Hand = { worker, thread, begun: undefined, figures: undefined, settled: false }
        this.#hands.push(hand)
        await new Promise<void>((resolve, reject) => {
          hand.begun = { resolve, reject }
          thread.on('message', (message: FromWorker) => this.#heard(hand, message))
          thread.on('error', (error) => this.#failed(hand, error))
          thread.on('exit', (code) => this.#failed(hand, new Error(`it ended with code ${code}`)))
        })
        hand.begun = undefined
      }),
    )
  }

  /** Calls one worker. */
  call<N extends keyof WorkerCalls>(
    worker: number,
    name: N,
    ...args: Parameters<WorkerCalls[N]>
  ): Promise<ReturnType<WorkerCalls[N]>> {
    const hand = this.#hands[worker - 1]
    if (hand === undefined) return Promise.reject(new Error(`there is no worker ${worker}`))
    const id = ++this.#calls
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject })
      hand.thread.postMessage({ type: 'call', id, name, args } satisfies ToWorker)
    })
  }

  /** Calls all of them. */
  callAll<N extends keyof WorkerCalls>(
    name: N,
    ...args: Parameters<WorkerCalls[N]>
  ): Promise<ReturnType<WorkerCalls[N]>[]> {
    return Promise.all(this.#hands.map(({ worker }) => this.call(worker, name, ...args)))
  }

  /** The same where nobody waits for it; what goes wrong is logged. */
  tell<N extends keyof WorkerCalls>(name: N, ...args: Parameters<WorkerCalls[N]>): void {
    this.#tellAll(this.#hands, name, ...args)
  }

  #tellAll<N extends keyof WorkerCalls>(hands: readonly Hand[], name: N, ...args: Parameters<WorkerCalls[N]>): void {
    Promise.all(hands.map(({ worker }) => this.call(worker, name, ...args))).catch((error: unknown) => {
      this.#logger.error({ event: 'worker.call', call: name, error: String(error) }, 'A worker could not do it')
    })
  }

  /** Clients that are connected to the others. */
  *clients(): Generator<ClientInfo> {
    for (const [clientId, { worker, client }] of this.#clients) {
      if (this.first?.workerOf(clientId) === worker) yield client
      else this.#clients.delete(clientId)
    }
  }

  client(clientId: string): ClientInfo | undefined {
    const known = this.#clients.get(clientId)
    return known !== undefined && this.first?.workerOf(clientId) === known.worker ? known.client : undefined
  }

  /** Ends all threads at once. */
  async terminate(): Promise<void> {
    this.#ending = true
    await Promise.all(this.#hands.map(({ thread }) => thread.terminate()))
  }

  #heard(hand: Hand, message: FromWorker): void {
    switch (message.type) {
      case 'answer': {
        const waiting = this.#waiting.get(message.id)
        this.#waiting.delete(message.id)
        if (message.error === undefined) waiting?.resolve(message.value)
        else waiting?.reject(receiveError(message.error))
        return
      }
      case 'log':
        this.#logger[message.level]({ ...message.fields, worker: hand.worker }, message.message)
        return
      case 'clients':
        for (const client of message.left) this.#left(hand.worker, client)
        for (const client of message.entered) this.#clients.set(client.clientId, { worker: hand.worker, client })
        return
      case 'figures':
        hand.figures = message.figures
        return
      case 'banned':
        this.first?.takeBan(message.ban, message.reason)
        this.#tellAll(
          this.#hands.filter((other) => other !== hand),
          'ban',
          message.ban,
          message.reason,
        )
        return
      case 'settled':
        hand.settled = true
        if (this.#hands.every(({ settled }) => settled)) this.#allSettled?.()
        return
      case 'ready':
        hand.begun?.resolve()
        return
      case 'failed':
        hand.begun?.reject(receiveError(message.error))
    }
  }

  #left(worker: number, { clientId, connection }: ClientInfo): void {
    const known = this.#clients.get(clientId)
    if (known?.worker === worker && known.client.connection === connection) this.#clients.delete(clientId)
  }

  #tellSys(values: readonly SysValue[]): void {
    if (!this.#ending) this.tell('sys', values)
  }

  /** All are to go on reading until none has anything more to say. */
  async #lastSubmitted(settle: () => Promise<void>): Promise<void> {
    await settle()
    await new Promise<void>((resolve) => {
      this.#allSettled = resolve
      if (this.#hands.every(({ settled }) => settled)) resolve()
    })
    // The last words of the others came before this.
    await settle()
    this.#ending = true
    for (const { thread } of this.#hands) thread.postMessage({ type: 'end' } satisfies ToWorker)
  }

  #failed({ worker, begun }: Hand, cause: Error): void {
    if (this.#ending) return
    if (begun !== undefined) {
      begun.reject(cause)
      return
    }
    this.#ending = true
    this.#logger.error(
      { event: 'worker.failed', worker, error: cause.stack ?? cause.message },
      'A worker failed: the process ends',
    )
    throw new Error(`worker ${worker} failed: ${cause.message}`, { cause })
  }
}
