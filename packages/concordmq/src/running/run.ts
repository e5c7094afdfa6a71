/**
 * `concordmq run`: from arguments to a broker that serves until a signal ends it. The order is the order of messages a
 * person wants: configuration, then log, then what the directory holds, then addresses.
 */

import { CommandError } from '../command-error.ts'
import type { Assignment } from '../config/assignment.ts'
import { fromText } from '../config/environment.ts'
import type { GivenFlag } from '../config/flags.ts'
import { keys } from '../config/keys.ts'
import { type Configuration, loadConfiguration } from '../config/settings.ts'
import { type Log, openLog } from '../log/log.ts'
import { startCpuProfile } from './cpu-profile.ts'
import { type Plan, preparePlan } from './plan.ts'
import { type RunningNode, serve } from './serve.ts'

export interface RunArguments {
  readonly directory: string
  /** Whether the directory was named; then it must exist. */
  readonly directoryGiven: boolean
  readonly file: string | undefined
  readonly given: readonly GivenFlag[]
  readonly environment: Readonly<Record<string, string | undefined>>
  /** What SIGHUP does to the node; nothing to `config check`. */
  readonly onHangup?: 'reload' | 'stop'
}

/** Called once, when all listeners are open. */
export type Announce = (node: RunningNode, plan: Plan) => void

/** Serves until stopped by a signal; throws a `CommandError` if it cannot start. */
export async function runNode(args: RunArguments, announce?: Announce): Promise<void> {
  const load = () => loadArguments(args)
  const configuration = load()
  const log = await openProgramLog(configuration)
  const logger = log.logger('concordmq::program')
  try {
    for (const notice of configuration.notices) logger.warn({ event: 'config.notice' }, notice)
    const plan = await preparePlan(configuration, { directoryGiven: args.directoryGiven, logger, writeFiles: true })
    const profileFile = configuration.settings['cpu-profile']
    const profile = profileFile === undefined ? undefined : await startCpuProfile(profileFile)
    try {
      await serve(plan, { log, load, announce, onHangup: args.onHangup ?? 'reload' })
    } finally {
      await profile?.stop()
    }
  } catch (error) {
    // Under json every line of the log is an object, the last one too; others read it on standard error.
    if (error instanceof CommandError && configuration.settings['log.format'] === 'json') {
      logger.error({ event: 'program.refused', remedy: error.remedy, exit_code: error.exitCode }, error.message)
    }
    throw error
  }
}

/** Reads all layers anew; also what SIGHUP does. */
export function loadArguments({ directory, file, given, environment }: RunArguments): Configuration {
  return loadConfiguration({ directory, file, flags: given.map(toAssignment), environment })
}

function toAssignment({ path, flag, values }: GivenFlag): Assignment {
  const base = process.cwd()
  if (values === true) return { path, value: true, origin: flag, base }
  const text = values.join(',')
  return { path, value: fromText(keys[path], text), origin: flag, base }
}

function openProgramLog({ settings }: Configuration): Promise<Log> {
  const output = process.stdout
  // Neither a reader that goes away nor a full disk stops the broker.
  output.on('error', () => {})
  return openLog({
    format: settings['log.format'],
    level: settings['log.level'],
    sink: output,
    colour: output.isTTY === true && !process.env.NO_COLOR,
  })
}
