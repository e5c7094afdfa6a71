/**
 * A node at work: opens what the plan says, serves, reads its live settings again on SIGHUP, and stops on SIGTERM or
 * SIGINT in bounded time. Whatever fails while opening closes what was open before it is reported.
 */
import {
  type Broker,
  type BrokerOptions,
  type Consensus,
  createBroker,
  type HealthHandle,
  type ListenerHandle,
  type ListenerOptions,
  type Logger,
} from '@concordmq/broker'
import { CommandError, configurationError, errorCode } from '../command-error.ts'
import { formatAddress } from '../config/host-port.ts'
import type { Settings } from '../config/keys.ts'
import type { Configuration } from '../config/settings.ts'
import { type ControlHandle, openControl } from '../control/control.ts'
import { ExitCode } from '../exit-codes.ts'
import type { Log } from '../log/log.ts'
import { answerProofs } from '../proof/answer-proofs.ts'
import { programVersion } from '../version.ts'
import { type ClusterContext, openCluster } from './cluster.ts'
import { dataPlace } from './data-place.ts'
import { openHealthServer } from './health.ts'
import { optionsOf } from './option-sections.ts'
import type { Plan } from './plan.ts'
import { openReload } from './reload.ts'
import { whenStopped } from './signals.ts'
import { watchTokenFiles } from './watch-token-files.ts'
import { beginInYoungGeneration, keepYoungGenerationSmall } from './young-generation.ts'

export interface RunningNode {
  readonly broker: Broker
  readonly listeners: readonly ListenerHandle[]
  /** `HOST:PORT` of `/healthz` and `/readyz`, or undefined if off. */
  readonly healthAddress: string | undefined
  /** Path of the control socket, or undefined if off. */
  readonly controlSocket: string | undefined
}

export interface ServeContext {
  readonly log: Log
  /** Reads the configuration anew, for SIGHUP. */
  readonly load: () => Configuration
  readonly announce: ((node: RunningNode, plan: Plan) => void) | undefined
  /** What SIGHUP does. */
  readonly onHangup: 'reload' | 'stop'
}

/** Resolves after a graceful stop. */
export async function serve(plan: Plan, { log, load, announce, onHangup }: ServeContext): Promise<void> {
  beginInYoungGeneration()
  const logger = log.logger('concordmq::broker')
  const { settings } = plan.configuration
  const graceMs = () => settings['shutdown.grace-ms']
  // Listening for signals comes first: a stop during the start is a stop.
  const stopped = whenStopped({ logger, graceMs, hangupStops: onHangup === 'stop' })
  // Reading the data may take a moment; a SIGHUP that comes meanwhile is carried out afterwards.
  let hangup = false
  const onEarlyHangup = () => {
    hangup = true
  }
  process.on('SIGHUP', onEarlyHangup)
  let broker: Broker
  let cluster: Consensus | undefined
  try {
    const options = brokerOptions(settings, plan, logger)
    cluster = await openClusterOf(plan, {
      options,
      logger: log.logger('concordmq::cluster'),
      stop: () => stopped.request(),
    })
    broker = await openBroker(
      cluster === undefined ? options : { ...options, cluster: clusterOptions(settings, cluster) },
    )
  } catch (error) {
    await cluster?.stop()
    stopped.done()
    throw error
  }
  if (cluster !== undefined) answerProofs(broker, cluster)
  let health: HealthHandle | undefined
  const listeners: ListenerHandle[] = []
  const reload = openReload(plan, {
    log,
    load,
    broker,
    listeners,
    reconfigure: ({ settings: next }) => broker.reconfigure(reconfigurable(next)),
    onHangup: onHangup === 'reload',
  })
  // Before the first client: what the state already says, and then each change at its place in the order.
  broker.administration?.watch((documents) => reload.order(documents))
  process.off('SIGHUP', onEarlyHangup)
  if (hangup && onHangup === 'reload') void reload.request().catch(() => {})
  let control: ControlHandle | undefined
  let unwatch: (() => void) | undefined
  try {
    await openListeners(broker, { plan, logger, listeners })
    health = await openHealthServer(plan.configuration, { broker, cluster, logger: log.logger('concordmq::http') })
    control = await openControl(plan, {
      broker,
      cluster,
      listeners,
      reload,
      logger: log.logger('concordmq::control'),
      stop: () => stopped.request(),
    })
    const data = dataPlace(plan.configuration, plan.key)
    logger.info(
      { event: 'data.open', data_dir: data ?? 'none', durability: settings.durability },
      data === undefined ? 'nothing is kept: durability is memory' : 'data is kept',
    )
    logger.info({ event: 'node.started', node: plan.key.id, version: programVersion() }, 'node is ready')
    keepYoungGenerationSmall()
    announce?.({ broker, listeners, healthAddress: health?.address, controlSocket: control?.path }, plan)
    reload.begin()
    unwatch = watchTokenFiles(reload, log.logger('concordmq::reload'))
    const signal = await stopped.signal
    reload.close()
    logger.info({ event: 'node.stopping', signal, clients: [...broker.clients()].length }, 'stopping')
    await broker.close({ graceMs: graceMs() })
    logger.info({ event: 'node.stopped' }, 'stopped')
  } catch (error) {
    await broker.close({ graceMs: 0 })
    throw error
  } finally {
    unwatch?.()
    await control?.close()
    await health?.close()
    stopped.done()
  }
}

async function openClusterOf(plan: Plan, context: ClusterContext): Promise<Consensus | undefined> {
  try {
    return await openCluster(plan, context)
  } catch (error) {
    throw startError(error)
  }
}

async function openBroker(options: BrokerOptions): Promise<Broker> {
  try {
    return await createBroker(options)
  } catch (error) {
    throw startError(error)
  }
}

interface Opening {
  readonly plan: Plan
  readonly logger: Logger
  /** Takes what is open. */
  readonly listeners: ListenerHandle[]
}

async function openListeners(broker: Broker, { plan, logger, listeners }: Opening): Promise<void> {
  for (const options of plan.listeners) {
    try {
      const handle = await broker.listen(options)
      listeners.push(handle)
      logger.info(
        { event: 'listener.open', listen_addr: handle.address, transport: handle.kind },
        'listening for connections',
      )
    } catch (error) {
      throw listenError(error, options)
    }
  }
}

const flagOf = {
  tcp: '--mqtt-addr',
  tls: '--mqtts-addr',
  ws: '--websockets-addr',
  wss: '--wss-addr',
  unix: '--unix',
} as const

/** Addresses that cannot be had end the program with 69 and name the flag that changes them. */
function listenError(error: unknown, options: ListenerOptions): Error {
  const code = errorCode(error) ?? ''
  const message = error instanceof Error ? error.message : String(error)
  if (!/^(CMQ_(ADDRESS|LISTEN)|E[A-Z]+$)/.test(code)) return startError(error)
  const where = options.kind === 'unix' ? options.path : formatAddress({ host: options.host ?? '', port: options.port })
  return new CommandError(ExitCode.unavailable, message, {
    remedy: `The address ${where} comes from ${flagOf[options.kind]} or its default; give another with ${flagOf[options.kind]}`,
    cause: error,
  })
}

/** What the library refuses is a matter of configuration; anything else is a defect and passes through. */
function startError(error: unknown): Error {
  if (errorCode(error) === 'CMQ_DATA_LOCKED' && error instanceof Error) {
    return new CommandError(ExitCode.unavailable, error.message, {
      remedy:
        'Two nodes must not share one key: each is started with its own --secret-key-file, and has its own folder by it',
      cause: error,
    })
  }
  if (errorCode(error) === 'CMQ_DATA_UNUSABLE' && error instanceof Error) {
    return configurationError(
      error.message,
      'Name another folder with --data-dir, or keep nothing with --durability memory',
    )
  }
  if (/^CMQ_(ADDRESS_IN_USE|LISTEN_FAILED)$/.test(errorCode(error) ?? '') && error instanceof Error) {
    return new CommandError(ExitCode.unavailable, error.message, {
      remedy: 'Where nodes are listened to comes from the address book; give another place with --cluster-addr',
      cause: error,
    })
  }
  if (errorCode(error)?.startsWith('CMQ_') && error instanceof Error) return configurationError(error.message)
  return error instanceof Error ? error : new Error(String(error))
}

/** What a running broker can be told. */
function reconfigurable(settings: Settings) {
  return {
    limits: optionsOf('limits', settings),
    bans: optionsOf('bans', settings),
    delivery: optionsOf('delivery', settings),
    sys: optionsOf('sys', settings),
  }
}

/** What `createBroker` is told of the data folder. */
function storageOptions({ configuration, key }: Plan): NonNullable<BrokerOptions['storage']> {
  const directory = dataPlace(configuration, key)
  const { durability } = configuration.settings
  return directory === undefined || durability === 'memory' ? {} : { directory, durability }
}

function clusterOptions(settings: Settings, log: Consensus): NonNullable<BrokerOptions['cluster']> {
  return {
    log,
    nodeTimeoutMs: settings['cluster.node-timeout-ms'],
    onStall: settings['cluster.on-stall'],
    stallAcknowledge: settings['cluster.stall-acknowledge'],
    serveStale: settings['cluster.serve-stale'],
  }
}

function brokerOptions(settings: Settings, plan: Plan, logger: Logger): BrokerOptions {
  return {
    logger,
    workers: settings.workers,
    access: plan.access,
    limits: optionsOf('limits', settings),
    bans: optionsOf('bans', settings),
    sessions: optionsOf('sessions', settings),
    retained: optionsOf('retained', settings),
    delivery: optionsOf('delivery', settings),
    features: optionsOf('features', settings),
    sys: optionsOf('sys', settings),
    ordering: optionsOf('ordering', settings),
    storage: storageOptions(plan),
  }
}
