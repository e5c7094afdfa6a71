/** `config check` and `config show`. A check reads everything that `run` reads and writes nothing. */
import type { Logger, PermissionOptions } from '@concordmq/broker'
import { formatAddress } from '../config/host-port.ts'
import type { Settings } from '../config/keys.ts'
import type { Configuration } from '../config/settings.ts'
import { showJson, showToml } from '../config/show.ts'
import { preparePlan, readUsersFile } from './plan.ts'
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
    (listener) =>
      `${listener.kind} ${listener.kind === 'unix' ? listener.path : formatAddress({ host: listener.host ?? '', port: listener.port })}`,
  )
  return `${[
    ...notices.map((notice) => `Note: ${notice}`),
    `Configuration of ${configuration.directory}${configuration.file === undefined ? '' : ` with ${configuration.file}`} is usable`,
    `Listeners: ${kinds.join(', ')}`,
    `Users: ${plan.access.users?.size ?? 0}${plan.access.allowAnonymous ? ', anonymous login allowed' : ''}`,
    `Addresses: ${plan.access.addresses?.allow?.length ?? 0} allowed, ${plan.access.addresses?.deny?.length ?? 0} denied`,
    `Tokens: ${plan.access.tokens === undefined ? 'not taken' : 'taken'}`,
    `Permissions: ${describePermissions(plan.access.permissions)}`,
  ].join('\n')}\n`
}

function describePermissions(permissions: PermissionOptions | undefined): string {
  if (permissions === undefined) return 'everything is allowed'
  const { users, clients, addresses, default: preset } = permissions
  const tables = (users?.size ?? 0) + (clients?.size ?? 0) + (addresses?.size ?? 0)
  return `${tables} ${tables === 1 ? 'table' : 'tables'}, what no rule matches is ${preset === 'allow' ? 'allowed' : 'denied'}`
}

export function showConfiguration(args: RunArguments, { json }: { readonly json: boolean }): string {
  const configuration = withUsersFile(loadArguments(args))
  return json ? showJson(configuration) : showToml(configuration)
}

/** `[auth]` of users.toml is in force too: either place turns a setting on (rows F24, F25). */
function withUsersFile(configuration: Configuration): Configuration {
  const { path, read } = readUsersFile(configuration.directory)
  const settings: { -readonly [P in keyof Settings]: Settings[P] } = { ...configuration.settings }
  const origins = new Map(configuration.origins)
  const turnOn = (key: 'auth.allow-anonymous-login' | 'auth.silent-connect-errors', on: boolean) => {
    if (!on || settings[key]) return
    settings[key] = true
    origins.set(key, path)
  }
  turnOn('auth.allow-anonymous-login', read.allowAnonymous)
  turnOn('auth.silent-connect-errors', read.silentConnectErrors)
  return { ...configuration, settings, origins }
}
