/** `config check` and `config show`. A check reads everything that `run` reads and writes nothing. */
import type { Logger } from '@concordmq/broker'
import { showJson, showToml } from '../config/show.ts'
import { preparePlan } from './plan.ts'
import { loadArguments, type RunArguments } from './run.ts'

export async function checkConfiguration(args: RunArguments): Promise<string> {
  const configuration = loadArguments(args)
  const notices: string[] = [...configuration.notices]
  const logger: Logger = {
    error: (_fields, message) => void notices.push(message),
    warn: (_fields, message) => void notices.push(message),
    info() {},
    debug() {},
    debugEnabled: false,
  }
  const plan = await preparePlan(configuration, { directoryGiven: args.directoryGiven, logger, writeFiles: false })
  const kinds = plan.listeners.map(
    (listener) => `${listener.kind} ${listener.kind === 'unix' ? listener.path : `${listener.host}:${listener.port}`}`,
  )
  return `${[
    ...notices.map((notice) => `Note: ${notice}`),
    `Configuration of ${configuration.directory}${configuration.file === undefined ? '' : ` with ${configuration.file}`} is usable`,
    `Listeners: ${kinds.join(', ')}`,
    `Users: ${plan.access.users?.size ?? 0}${plan.access.allowAnonymous ? ', anonymous login allowed' : ''}`,
  ].join('\n')}\n`
}

export function showConfiguration(args: RunArguments, { json }: { readonly json: boolean }): string {
  const configuration = loadArguments(args)
  return json ? showJson(configuration) : showToml(configuration)
}
