/**
 * Files beside `users.toml` that say who may log in and what he may do. Each is read by itself at the start and on SIGHUP: one
 * that cannot be used is refused with its problems, and a running node keeps what it had of that file and takes the others.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type AccessOptions, type Logger, tokenProblem } from '@concordmq/broker'
import type { OrderedTexts } from '../administration/ordered-texts.ts'
import { configurationError } from '../command-error.ts'
import type { Configuration } from '../config/settings.ts'
import { readTextIfPresent } from '../files/read-text.ts'
import { addressRulesOf, parseAddressesFile } from '../permissions/addresses-file.ts'
import { parsePermissionsFile } from '../permissions/permissions-file.ts'
import { readTokenOptions } from './token-files.ts'

export interface AccessPart {
  /** What is read, as the log calls it. */
  readonly name: 'permissions' | 'addresses' | 'tokens'
  /** What its keys begin with. */
  readonly owns: string
  /** The options it is the source of, all of them, whether they have a value or not. */
  readonly read: (
    configuration: Configuration,
    logger: Logger,
    /** What the cluster has in the place of files. */
    ordered?: OrderedTexts,
  ) => AccessOptions | Promise<AccessOptions>
}

export const accessParts: readonly AccessPart[] = [
  { name: 'permissions', owns: 'auth.ignore-permissions', read: readPermissions },
  { name: 'addresses', owns: 'addresses.', read: readAddresses },
  { name: 'tokens', owns: 'jwt.', read: readTokens },
]

/**
 * What the cluster has in its place, or `permissions.toml`; without the file, or with --ignore-permissions, everything is allowed.
 * One node does not let its clients off what operators say for all.
 */
export function readPermissions(
  { directory, settings }: Configuration,
  logger: Logger,
  { permissions }: OrderedTexts = {},
): AccessOptions {
  if (permissions !== undefined) return { permissions: parsePermissionsFile(permissions.text, permissions.name) }
  const path = join(directory, 'permissions.toml')
  if (settings['auth.ignore-permissions']) {
    if (existsSync(path)) {
      logger.warn(
        { event: 'permissions.ignored', file: path },
        'permissions are not enforced, as --ignore-permissions asks',
      )
    }
    return { permissions: undefined }
  }
  const file = readTextIfPresent(path)
  return { permissions: file === undefined ? undefined : parsePermissionsFile(file.text, path) }
}

/** `addresses.toml`; without the file, no address is special. */
function readAddresses({ directory }: Configuration): AccessOptions {
  const path = join(directory, 'addresses.toml')
  const file = readTextIfPresent(path)
  if (file === undefined) return { addresses: undefined }
  return { addresses: addressRulesOf(parseAddressesFile(file.text, path)) }
}

/** What the `jwt.…` keys name. */
function readTokens(configuration: Configuration, logger: Logger): AccessOptions {
  const tokens = readTokenOptions(configuration, (file) =>
    logger.warn({ event: 'secret.exposed', file }, `Others can read the secret of tokens; run: chmod 600 ${file}`),
  )
  const problem = tokens === undefined ? undefined : tokenProblem(tokens)
  if (problem !== undefined) throw configurationError(problem)
  return { tokens }
}
