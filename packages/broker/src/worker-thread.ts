/**
 * One of the worker threads of a broker, but the first: a broker of its own on the order that all share, and someone who does for
 * it what the program asks of the first worker.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { openBroker } from './broker.ts'
import { resolveOptions } from './config/check.ts'
import { orderedMachineSettings } from './config/machine-settings.ts'
import type { ListenerHandle } from './config/options.ts'
import type { LocalBroker } from './crew/local-broker.ts'
import {
  type FromWorker,
  type LogLevel,
  sendError,
  type ToWorker,
  type WorkerCalls,
  type WorkerStart,
} from './crew/messages.ts'
import { invariant } from './errors.ts'
import type { Hooks } from './hooks/hooks.ts'
import type { ClientInfo } from './model/client-info.ts'
import type { Storage } from './storage/open-storage.ts'
import type { Logger } from './telemetry/logger.ts'
import { SharedTallies } from './workers/shared-tallies.ts'
import { SharedTally } from './workers/shared-tally.ts'
import { WorkerLog } from './workers/worker-log.ts'
import type { WorkerPlace } from './workers/worker-place.ts'
import { openWorkerStorage } from './workers/worker-storage.ts'

/** How often the first worker is told what this one counts. */
const FIGURES_MS = 1000

const start = workerData as WorkerStart
invariant(parentPort !== null, 'a worker thread has a parent')
const port = parentPort
const listeners = new Map<number, ListenerHandle>()
let end: (() => void) | undefined

function say(message: FromWorker): void {
  port.postMessage(message)
}

/** The log is the first worker's. */
function logger(): Logger {
  const line =
    (level: LogLevel): Logger[LogLevel] =>
    (fields, message) =>
      say({ type: 'log', level, fields, message })
  return {
    ...{ error: line('error'), warn: line('warn'), info: line('info'), debug: line('debug') },
    debugEnabled: start.debugEnabled,
  }
}

/** Tells who comes and goes, all of a turn at once. */
function directory(): Hooks {
  let entered: ClientInfo[] = []
  let left: ClientInfo[] = []
  const soon = (): void => {
    if (entered.length + left.length > 1) return
    setImmediate(() => {
      say({ type: 'clients', entered, left })
      entered = []
      left = []
    })
  }
  return {
    name: 'workers',
    clientConnected(client) {
      entered.push(client)
      soon()
    },
    clientDisconnected(client) {
      // Who came and went within one turn never was there.
      const i = entered.findIndex(({ connection }) => connection === client.connection)
      if (i >= 0) entered.splice(i, 1)
      left.push(client)
      soon()
    },
  }
}

function place(storage: Storage): WorkerPlace {
  const { memory, worker, firstPosition, tally, tallies } = start
  return {
    log: new WorkerLog({ memory, worker, firstPosition, nowUs: () => Date.now() * 1000 }),
    storage,
    others: () => [],
    tellSys() {},
    connections: new SharedTally(tally),
    tallies: new SharedTallies(tallies),
    banned: (ban, reason) => say({ type: 'banned', ban, reason }),
    async lastSubmitted(settle) {
      await settle()
      say({ type: 'settled' })
      await new Promise<void>((resolve) => {
        end = resolve
      })
    },
  }
}

function callsOf(broker: LocalBroker): { readonly [N in keyof WorkerCalls]: Answering<WorkerCalls[N]> } {
  return {
    async listen(options, listener) {
      listeners.set(listener, await broker.listen(options))
    },
    reloadTls: async (listener, tls) => await listeners.get(listener)?.reloadTls(tls),
    closeListener: async (listener) => await listeners.get(listener)?.close(),
    inject: (packet, options) => broker.inject(packet, options),
    sendTo: (clientId, message) => void broker.sendTo(clientId, message),
    disconnectClient: (clientId, options) => void broker.disconnectClient(clientId, options),
    reloadAccess: (access) => broker.reloadAccess(access),
    reconfigure: (options) => broker.reconfigure(options),
    ban: (ban, reason) => (reason === 'operator' ? broker.ban(ban) : broker.takeBan(ban, reason)),
    liftBan: (ban) => void broker.liftBan(ban),
    sys: (values) => broker.showSys(values),
    inspect: () => ({
      clients: [...broker.inspection.clients()],
      subscriptions: [...broker.inspection.subscriptions()].filter(({ kept }) => !kept),
    }),
    drain: (options) => broker.drain(options),
    close: (options) => broker.close(options),
  }
}

type Answering<F> = F extends (...args: infer A) => infer R ? (...args: A) => R | Promise<R> : never

async function answer(broker: LocalBroker, { id, name, args }: Extract<ToWorker, { type: 'call' }>): Promise<void> {
  try {
    const call = callsOf(broker)[name] as (...args: readonly unknown[]) => unknown
    say({ type: 'answer', id, value: await call(...args) })
  } catch (error) {
    say({ type: 'answer', id, error: sendError(error) })
  }
}

async function serve(): Promise<void> {
  const { options, memory, storage: followed } = start
  const log = logger()
  const settings = orderedMachineSettings(resolveOptions(options), { hashing: false, workers: memory.workers })
  const storage = await openWorkerStorage(followed, { settings, logger: log })
  const broker = await openBroker({ ...options, logger: log, hooks: [directory()] }, place(storage))
  port.on('message', (message: ToWorker) => {
    if (message.type === 'end') end?.()
    else void answer(broker, message)
  })
  const figures = setInterval(() => say({ type: 'figures', figures: broker.figures() }), FIGURES_MS)
  figures.unref()
  say({ type: 'ready' })
}

serve().catch((error: unknown) => say({ type: 'failed', error: sendError(error) }))
