/**
 * Files beside `users.toml` that say who may log in and what he may do. Each is read by itself at the start and on SIGHUP: one
 * that cannot be used is refused with its problems, and a running node keeps what it had of that file and takes the others.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { AccessOptions, Logger } from '@concordmq/broker'
import type { Configuration } from '../config/settings.ts'
import { readTextIfPresent } from '../files/read-text.ts'
import { parsePermissionsFile } from '../permissions/permissions-file.ts'

export interface AccessPart {
  /** What is read, as the log calls it. */
  readonly name: string
  /** What its keys begin with. */
  readonly owns: string
  /** The options it is the source of, all of them, whether they have a value or not. */
  readonly read: (configuration: Configuration, logger: Logger) => AccessOptions | Promise<AccessOptions>
}

export const accessParts: readonly AccessPart[] = [
  { name: 'permissions', owns: 'auth.ignore-permissions', read: readPermissions },
]

/** `permissions.toml`; without the file, or with --ignore-permissions, everything is allowed. */
function readPermissions({ directory, settings }: Configuration, logger: Logger): AccessOptions {
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
