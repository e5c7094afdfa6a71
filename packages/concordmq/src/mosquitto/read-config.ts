/**
 * A `mosquitto.conf` as its options in order, each with its place, those of `include_dir` among them. Options that follow a
 * `listener` belong to that listener, those that follow a `connection` to that bridge, those that follow `plugin` to it.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { configurationError, fileProblem } from '../command-error.ts'
import { readText } from '../files/read-text.ts'

export interface MosquittoOption {
  readonly name: string
  readonly value: string
  /** `mosquitto.conf:12`. */
  readonly place: string
}

export interface MosquittoListener {
  /** The `listener` line; undefined: the default listener. */
  readonly line: MosquittoOption | undefined
  readonly options: readonly MosquittoOption[]
}

export interface MosquittoBridge {
  readonly line: MosquittoOption
  readonly options: readonly MosquittoOption[]
}

export interface MosquittoConfig {
  readonly global: readonly MosquittoOption[]
  readonly listeners: readonly MosquittoListener[]
  readonly bridges: readonly MosquittoBridge[]
  /** Of a listener, and before the first one, where Mosquitto makes no listener of them. */
  readonly idle: readonly MosquittoOption[]
}

/** Longest chain of files: `include_dir` counts only in the main file. */
const includedFilesMax = 1_000

export function readMosquittoConfig(path: string): MosquittoConfig {
  return arrange(optionsOf(path))
}

function optionsOf(path: string): MosquittoOption[] {
  const main = linesOf(path)
  return main.flatMap((option) => {
    if (option.name !== 'include_dir') return [option]
    return includedFiles(option).flatMap((file) => linesOf(file).filter(({ name }) => name !== 'include_dir'))
  })
}

/** Names that end in `.conf`, in the order of their bytes, as Mosquitto reads them. */
function includedFiles({ value, place }: MosquittoOption): string[] {
  try {
    const names = readdirSync(value).filter((name) => name.endsWith('.conf'))
    if (names.length > includedFilesMax)
      throw configurationError(`${place}: ${value} has more than ${includedFilesMax} files`)
    return names.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))).map((name) => join(value, name))
  } catch (error) {
    if (error instanceof Error && 'code' in error) {
      throw configurationError(`${place}: cannot read the directory ${value}: ${fileProblem(error)}`)
    }
    throw error
  }
}

function linesOf(path: string): MosquittoOption[] {
  const { text } = readText(path, 'Give the path of a mosquitto.conf')
  const options: MosquittoOption[] = []
  for (const [i, raw] of text.split('\n').entries()) {
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) continue
    const [, name = '', value = ''] = /^(\S+)\s*([\s\S]*)$/.exec(line) ?? []
    options.push({ name, value, place: `${path}:${i + 1}` })
  }
  return options
}

/** Options that belong to the listener they follow. */
export const listenerOptions: ReadonlySet<string> = new Set([
  'allow_zero_length_clientid',
  'auto_id_prefix',
  'bind_interface',
  'cafile',
  'capath',
  'certfile',
  'ciphers',
  'ciphers_tls1.3',
  'crlfile',
  'dhparamfile',
  'enable_proxy_protocol',
  'proxy_protocol_v2_require_tls',
  'http_dir',
  'keyfile',
  'accept_protocol_versions',
  'max_connections',
  'max_qos',
  'max_topic_alias',
  'max_topic_alias_broker',
  'mount_point',
  'protocol',
  'psk_hint',
  'require_certificate',
  'socket_domain',
  'tls_engine',
  'tls_engine_kpass_sha1',
  'tls_keyform',
  'tls_version',
  'use_identity_as_username',
  'use_subject_as_username',
  'use_username_as_clientid',
  'websockets_origin',
  'disable_client_cert_date_checks',
])

/** Global, or the listener's if `per_listener_settings` says so. */
const perListener: ReadonlySet<string> = new Set([
  'acl_file',
  'allow_anonymous',
  'password_file',
  'psk_file',
  'auth_plugin',
  'plugin',
  'allow_zero_length_clientid',
  'auto_id_prefix',
  'listener_allow_anonymous',
  'listener_auto_id_prefix',
])

function arrange(options: readonly MosquittoOption[]): MosquittoConfig {
  const separate = options.some(({ name, value }) => name === 'per_listener_settings' && value === 'true')
  const global: MosquittoOption[] = []
  const byDefault: MosquittoOption[] = []
  const listeners: { line: MosquittoOption | undefined; options: MosquittoOption[] }[] = []
  const bridges: { line: MosquittoOption; options: MosquittoOption[] }[] = []
  let bridge: { options: MosquittoOption[] } | undefined
  for (const option of options) {
    const { name } = option
    if (name === 'connection') {
      const next = { line: option, options: [] }
      bridges.push(next)
      bridge = next
    } else if (name === 'listener') {
      bridge = undefined
      listeners.push({ line: option, options: [] })
    } else if (bridge !== undefined && isBridgeOption(name)) bridge.options.push(option)
    else if (name === 'port' || name === 'bind_address') byDefault.push(option)
    else if (listenerOptions.has(name) || name.startsWith('listener_') || (separate && perListener.has(name))) {
      ;(listeners.at(-1)?.options ?? byDefault).push(option)
    } else global.push(option)
  }
  const serves = byDefault.some(makesDefaultListener)
  const wanted = serves || listeners.length === 0
  return {
    global,
    listeners: wanted ? [{ line: undefined, options: byDefault }, ...listeners] : listeners,
    bridges,
    idle: wanted ? [] : byDefault.filter(({ name }) => !startsDefaultListener.has(name)),
  }
}

/**
 * Options that make Mosquitto serve port 1883 on all addresses when they stand before the first `listener`, unless they have the
 * value that stands here. Without them and without a `listener` it serves its own machine only.
 */
const startsDefaultListener: ReadonlyMap<string, string> = new Map([
  ...[
    ...[
      'port',
      'bind_address',
      'bind_interface',
      'socket_domain',
      'mount_point',
      'psk_hint',
      'psk_file',
      'password_file',
    ],
    ...[
      'cafile',
      'capath',
      'certfile',
      'keyfile',
      'ciphers',
      'ciphers_tls1.3',
      'crlfile',
      'dhparamfile',
      'auth_plugin',
    ],
    'plugin',
  ].map((name): [string, string] => [name, '']),
  ['max_connections', '-1'],
  ['max_qos', '2'],
  ['protocol', 'mqtt'],
  ['require_certificate', 'false'],
  ['use_identity_as_username', 'false'],
  ['use_subject_as_username', 'false'],
  ['use_username_as_clientid', 'false'],
])

/** Whether an option of the default listener makes Mosquitto start it. */
export function makesDefaultListener({ name, value }: MosquittoOption): boolean {
  const idle = startsDefaultListener.get(name)
  return idle !== undefined && value !== idle
}

/** Any other option in the middle of a bridge is what it would be elsewhere. */
function isBridgeOption(name: string): boolean {
  return /^(bridge_|local_|remote_|notification)/.test(name) || bridgeOptions.has(name)
}

const bridgeOptions: ReadonlySet<string> = new Set([
  'address',
  'addresses',
  'cleansession',
  'clientid',
  'idle_timeout',
  'keepalive_interval',
  'password',
  'restart_timeout',
  'round_robin',
  'start_type',
  'threshold',
  'topic',
  'try_private',
  'username',
])
