/**
 * SIGHUP: users, TLS files and the live settings are read again. What is wrong is logged and changes nothing; what cannot
 * change while running is named. Connected clients stay. Each part is taken or left by itself: a broken certificate does
 * not keep a new password out. A signal during the start waits until the node serves; of those that come while one is
 * being carried out, one more is, since it reads everything.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Broker, ListenerHandle, TlsMaterial } from '@concordmq/broker'
import { allPaths, keys, type Path } from '../config/keys.ts'
import type { Configuration } from '../config/settings.ts'
import type { Log } from '../log/log.ts'
import { type Plan, prepareAccess } from './plan.ts'
import { prepareTls } from './tls.ts'

export interface ReloadContext {
  readonly log: Log
  readonly load: () => Configuration
  readonly broker: Broker
  /** Those that are open. */
  readonly listeners: readonly ListenerHandle[]
}

export interface Reload {
  /** The node serves: what was asked for meanwhile is done now. */
  begin(): void
  /** From now on the signal does nothing. */
  close(): void
}

export function openReload(plan: Plan, context: ReloadContext): Reload {
  let state: 'starting' | 'idle' | 'busy' | 'closed' = 'starting'
  let wanted = false
  const run = async () => {
    state = 'busy'
    while (wanted && state === 'busy') {
      wanted = false
      await reload(plan, context)
    }
    if (state === 'busy') state = 'idle'
  }
  process.on('SIGHUP', () => {
    wanted = true
    if (state === 'idle') void run()
  })
  return {
    begin: () => void run(),
    close: () => {
      state = 'closed'
    },
  }
}

async function reload(plan: Plan, { log, load, broker, listeners }: ReloadContext): Promise<void> {
  const logger = log.logger('concordmq::reload')
  const attempt = async (what: string, act: () => void | Promise<void>) => {
    try {
      await act()
      logger.info({ event: 'reload.done', part: what }, `read ${what} again`)
    } catch (error) {
      logger.error({ event: 'reload.refused', part: what, reason: error }, `keeping the old ${what}`)
    }
  }
  let configuration = plan.configuration
  await attempt('configuration', () => {
    configuration = load()
    log.setLevel(configuration.settings['log.level'])
    const waiting = changedUntilRestart(plan.configuration, configuration)
    if (waiting.length > 0)
      logger.warn({ event: 'reload.waiting', keys: waiting }, 'these changes take effect at the next start')
  })
  await attempt('users', () => broker.reloadAccess(prepareAccess(configuration, logger)))
  if (plan.tls !== undefined) {
    await attempt('certificates', async () => {
      // Only the TLS files are live; which listeners exist and what they are called was decided at the start.
      const material = await prepareTls(configuration, plan.key, { logger, writeFiles: true })
      await reloadListeners(listeners, material)
    })
  }
}

async function reloadListeners(listeners: readonly ListenerHandle[], material: TlsMaterial): Promise<void> {
  for (const listener of listeners) {
    if (listener.kind === 'tls' || listener.kind === 'wss') await listener.reloadTls(material)
  }
}

function changedUntilRestart(before: Configuration, after: Configuration): Path[] {
  return allPaths.filter(
    (path) => keys[path].change === 'restart' && !isDeepStrictEqual(before.settings[path], after.settings[path]),
  )
}
