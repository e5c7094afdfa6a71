/**
 * What a node needs before it opens an address: its key, its address book, its users, its certificate. Everything a
 * directory can have wrong is found here, so `config check` and `run` say the same.
 */
import { hkdfSync } from 'node:crypto'
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { AccessOptions, ListenerOptions, Logger, TlsMaterial } from '@concordmq/broker'
import type { SourceText } from '../administration/ordered-texts.ts'
import { CommandError, configurationError, configurationErrors } from '../command-error.ts'
import { readAddress } from '../config/host-port.ts'
import type { Settings } from '../config/keys.ts'
import type { Configuration } from '../config/settings.ts'
import { readTextIfPresent } from '../files/read-text.ts'
import { loadKeyFile, type NodeKey, parseHexKey, randomKey } from '../identity/secret-key.ts'
import { recordProblem } from '../users/password-record.ts'
import { parseUsersFile } from '../users/users-file.ts'
import { accessParts } from './access-parts.ts'
import { type ClusterPlan, prepareCluster, refuseForeignData } from './cluster-plan.ts'
import { prepareTls } from './tls.ts'
import { tokenFiles } from './token-files.ts'
import { refuseWithWorkers } from './workers-plan.ts'

export interface Plan {
  readonly configuration: Configuration
  readonly key: NodeKey
  /** Undefined: this node orders alone. */
  readonly cluster: ClusterPlan | undefined
  readonly access: AccessOptions
  /** For all TLS listeners; undefined if there are none. */
  readonly tls: TlsMaterial | undefined
  readonly listeners: readonly ListenerOptions[]
}

export interface PlanContext {
  readonly directoryGiven: boolean
  readonly logger: Logger
  /** False: a missing certificate is not made; `config check` changes nothing. */
  readonly writeFiles: boolean
}

export async function preparePlan(
  configuration: Configuration,
  { directoryGiven, logger, writeFiles }: PlanContext,
): Promise<Plan> {
  const { settings, directory } = configuration
  requireDirectory(directory, { directoryGiven })
  const refused: CommandError[] = []
  /** Goes on after a refusal, so that a person hears of everything at once. */
  const attempt = async <T>(step: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      return await step()
    } catch (error) {
      if (!(error instanceof CommandError)) throw error
      refused.push(error)
      return undefined
    }
  }
  const key = await attempt(() => prepareKey(configuration, logger))
  const cluster = key === undefined ? undefined : await attempt(() => prepareCluster(configuration, key, logger))
  await attempt(() => refuseWithWorkers(configuration, cluster))
  // With operators, users may come with the state of the others.
  const awaited = (cluster?.book.operators.keys.length ?? 0) > 0
  const users = await attempt(() => prepareUsers(configuration, logger, { starting: true, awaited }))
  const parts = await Promise.all(accessParts.map(({ read }) => attempt(() => read(configuration, logger))))
  const wantsTls = settings['mqtts.enabled'] || settings['wss.enabled']
  // The certificate may be made for the key and written, so it comes last and only if the rest is right.
  const write = writeFiles && refused.length === 0
  const tls =
    key !== undefined && wantsTls
      ? await attempt(() => prepareTls(configuration, key, { logger, writeFiles: write }))
      : undefined
  if (key !== undefined && refused.length === 0) await attempt(() => refuseForeignData(configuration, key, cluster))
  if (refused.length > 0 || key === undefined || users === undefined) throw together(refused)
  const access: AccessOptions = Object.assign(
    {},
    users,
    ...parts,
    key.random ? {} : { scramSecret: scramSecretOf(key) },
  )
  return { configuration, key, cluster, access, tls, listeners: prepareListeners(settings, tls) }
}

/** One error as it is, several as a list, each with its own remedy. */
function together(refused: readonly CommandError[]): CommandError {
  const [only] = refused
  if (only !== undefined && refused.length === 1) return only
  return configurationErrors(
    'Cannot start',
    refused.map(({ message, remedy }) =>
      [message, ...(remedy === undefined ? [] : [remedy])].join('\n').replaceAll('\n', '\n    '),
    ),
  )
}

function requireDirectory(directory: string, { directoryGiven }: { readonly directoryGiven: boolean }): void {
  const stat = statSync(directory, { throwIfNoEntry: false })
  if (stat !== undefined && !stat.isDirectory())
    throw configurationError(`${directory} is not a directory`, 'Give the configuration directory')
  if (stat === undefined && directoryGiven) {
    throw configurationError(
      `The configuration directory ${directory} does not exist`,
      'Give an existing one, or make it with `concordmq address-book`',
    )
  }
}

export function prepareKey({ settings, origins }: Configuration, logger: Logger): NodeKey {
  const file = settings['secret-key-file']
  const hex = settings['secret-key']
  if (file !== undefined) {
    const key = loadKeyFile(file)
    if (key.exposed) {
      logger.warn({ event: 'key.exposed', file }, `Others can read the secret key; run: chmod 600 ${file}`)
    }
    return key
  }
  if (hex === undefined) return randomKey()
  const origin = origins.get('secret-key') ?? 'secret-key'
  if (origin.startsWith('-')) {
    logger.warn(
      { event: 'key.visible' },
      'A key on the command line can be seen in the process list; use SECRET_KEY or --secret-key-file',
    )
  }
  return parseHexKey(hex, origin)
}

/** `users.toml` of a directory, or what the cluster has in its place; without the file, no users. */
export function readUsersFile(directory: string, ordered?: SourceText) {
  const path = ordered?.name ?? join(directory, 'users.toml')
  const file: { readonly text: string; readonly mode?: number } | undefined = ordered ?? readTextIfPresent(path)
  const none = {
    users: new Map<string, string>(),
    scram: new Map<string, readonly string[]>(),
    allowAnonymous: false,
    silentConnectErrors: false,
  }
  return { path, file, read: file === undefined ? none : parseUsersFile(file.text, path, recordProblem) }
}

/** What salts of unknown users are made from: the same after a restart, so that nobody learns from one who is real. */
function scramSecretOf({ privateKey }: NodeKey): Uint8Array {
  const der = privateKey.export({ format: 'der', type: 'pkcs8' })
  return new Uint8Array(hkdfSync('sha256', der, '', 'concordmq: salts of users who are not there', 32))
}

export interface UsersContext {
  readonly starting: boolean
  /** Users may come from the cluster: that there are none yet is no mistake. */
  readonly awaited?: boolean
  /** What the cluster has in the place of the file. */
  readonly ordered?: SourceText | undefined
}

/** Users and how they may log in; row F17: nobody at all is a mistake. */
export function prepareUsers(
  { directory, settings }: Configuration,
  logger: Logger,
  { starting, awaited = false, ordered }: UsersContext,
): AccessOptions {
  const { path, file, read } = readUsersFile(directory, ordered)
  if (((file?.mode ?? 0) & 0o077) !== 0) {
    logger.warn({ event: 'users.exposed', file: path }, `Others can read the password records; run: chmod 600 ${path}`)
  }
  const allowAnonymous = settings['auth.allow-anonymous-login'] || read.allowAnonymous
  const others = settings['auth.certificate-user'] !== 'off' || tokenFiles(settings).length > 0
  const nobody = read.users.size === 0 && !allowAnonymous && !others
  // Of a running node the last user may be taken away: kept in force, a deleted account would still let somebody in.
  if (nobody && (awaited || (!starting && file !== undefined))) {
    logger.warn({ event: 'users.none', file: path }, 'nobody can log in: there are no users and anonymous login is off')
  } else if (nobody) {
    const why = file === undefined ? `${path} does not exist` : `${path} has no users`
    throw new CommandError(78, `Nobody could log in: ${why} and anonymous login is off`, {
      remedy: `Add a user with \`concordmq user add -O ${path}\`, or start with --allow-anonymous-login${foxmqHint(directory)}`,
    })
  }
  return {
    allowAnonymous,
    users: read.users,
    scramRecords: read.scram.size > 0 ? read.scram : undefined,
    silentConnectErrors: settings['auth.silent-connect-errors'] || read.silentConnectErrors,
    refusedLoginCode: settings['auth.refused-login-code'],
    certificateUser: settings['auth.certificate-user'],
    passwordChecksMax: settings['auth.password-checks-max'],
    passwordQueueMax: settings['auth.password-queue-max'],
  }
}

function foxmqHint(directory: string): string {
  return !existsSync(directory) && existsSync('foxmq.d')
    ? '\nThere is a directory foxmq.d here: use it with `concordmq run foxmq.d`'
    : ''
}

function prepareListeners(settings: Settings, tls: TlsMaterial | undefined): ListenerOptions[] {
  const at = (kind: 'mqtt' | 'mqtts' | 'websockets' | 'wss') => {
    const from = settings[`${kind}.proxy-from`]
    const proxied = from.length === 0 ? {} : { proxyProtocol: { from } }
    return settings[`${kind}.addr`].map((text) => ({ ...readAddress(text), ...proxied }))
  }
  const listeners: ListenerOptions[] = at('mqtt').map((where) => ({ kind: 'tcp', ...where }))
  if (settings['mqtts.enabled'] && tls !== undefined) {
    listeners.push(...at('mqtts').map((where) => ({ kind: 'tls', tls, ...where }) as const))
  }
  if (settings['websockets.enabled']) {
    listeners.push(...at('websockets').map((where) => ({ kind: 'ws', ...where }) as const))
  }
  if (settings['wss.enabled'] && tls !== undefined) {
    listeners.push(...at('wss').map((where) => ({ kind: 'wss', tls, ...where }) as const))
  }
  listeners.push(...settings['unix.paths'].map((path) => ({ kind: 'unix', path }) as const))
  return listeners
}
