/** What becomes of Mosquitto's global options: a key of ours, or the reason why there is none. */
import type { Path } from '../config/keys.ts'
import type { MosquittoOption } from './read-config.ts'

export type Settings = Map<Path, unknown>

/** Sets keys and returns what became of the option, or why nothing did. */
export type Carry = (
  option: MosquittoOption,
  settings: Settings,
) => { readonly carried: string } | { readonly left: string }

/** Whatever has no key of its own here. */
export function carryGlobal(option: MosquittoOption, settings: Settings): ReturnType<Carry> {
  const { name } = option
  const carry = globals[name]
  if (carry !== undefined) return carry(option, settings)
  const reason = without[name] ?? prefixed(name)
  if (reason !== undefined) return { left: reason }
  return { left: 'Mosquitto has no such option in 2.0 or 2.1' }
}

const done = (path: Path, value: unknown): { readonly carried: string } => ({
  carried: `${path} = ${JSON.stringify(value)}`,
})

/** A number; `none` is what Mosquitto writes for "no limit", `most` what we write for it. */
function number(
  path: Path,
  range: { readonly min: number; readonly max: number; readonly none?: number; readonly most?: number },
): Carry {
  return ({ value }, settings) => {
    const given = /^-?\d{1,15}$/.test(value) ? Number(value) : Number.NaN
    if (Number.isNaN(given)) return { left: 'it is not a number' }
    const { min, max, none, most = max } = range
    const meant = given === none ? most : Math.min(max, Math.max(min, given))
    settings.set(path, meant)
    const { carried } = done(path, meant)
    return { carried: given === none || meant === given ? carried : `${carried}, the nearest that is possible` }
  }
}

function yesNo(path: Path): Carry {
  return ({ value }, settings) => {
    const on = boolean(value)
    if (on === undefined) return { left: 'it is neither true nor false' }
    settings.set(path, on)
    return done(path, on)
  }
}

export function boolean(value: string): boolean | undefined {
  return value === 'true' || value === '1' ? true : value === 'false' || value === '0' ? false : undefined
}

const globals: Readonly<Record<string, Carry>> = {
  max_keepalive: number('limits.keep-alive-max', { min: 0, max: 65_535 }),
  max_packet_size: number('limits.packet-bytes-max', { min: 64, max: 268_435_460, none: 0 }),
  max_inflight_messages: (option, settings) => {
    const range = { min: 1, max: 65_535, none: 0 }
    number('limits.receive-maximum', range)(option, settings)
    return number('limits.inflight-max', range)(option, settings)
  },
  max_queued_messages: number('sessions.queue-messages-max', { min: 1, max: 100_000_000, none: 0 }),
  max_queued_bytes: number('sessions.queue-bytes-max', { min: 1_024, max: 1_024 ** 4, none: 0 }),
  global_max_connections: number('limits.connections-max', { min: 1, max: 10_000_000, none: -1, most: 1_000_000 }),
  retain_available: yesNo('limits.retain-available'),
  sys_interval: number('sys.interval-seconds', { min: 0, max: 86_400 }),
  persistent_client_expiration: expiry,
  log_type: () => ({ left: 'taken together with the other log_type lines' }),
}

const unitSeconds: Readonly<Record<string, number>> = { h: 3_600, d: 86_400, w: 604_800, m: 2_592_000, y: 31_536_000 }

function expiry({ value }: MosquittoOption, settings: Settings): ReturnType<Carry> {
  const [, count = '', unit = ''] = /^(\d{1,9})([hdwmy])$/.exec(value) ?? []
  const seconds = Number(count) * (unitSeconds[unit] ?? Number.NaN)
  if (!(seconds > 0)) return { left: 'it is not a number with h, d, w, m or y behind it' }
  const meant = Math.min(seconds, 4_294_967_295)
  settings.set('sessions.expiry-max', meant)
  return done('sessions.expiry-max', meant)
}

/** Least important first, as Mosquitto's types map to our levels. */
const levelOfType: Readonly<Record<string, string>> = {
  all: 'debug',
  debug: 'debug',
  subscribe: 'debug',
  unsubscribe: 'debug',
  websockets: 'debug',
  internal: 'debug',
  information: 'info',
  notice: 'info',
  warning: 'warn',
  error: 'error',
  none: 'error',
}

/** All `log_type` lines together: the most talkative wins. */
export function carryLogTypes(lines: readonly MosquittoOption[], settings: Settings): string | undefined {
  const order = ['debug', 'info', 'warn', 'error']
  const levels = lines.flatMap(({ value }) => levelOfType[value] ?? [])
  const level = order.find((one) => levels.includes(one))
  if (level === undefined) return undefined
  settings.set('log.level', level)
  return `log.level = "${level}"`
}

const nothingToDo = 'needs nothing here'
const noPlugins = 'plugins of Mosquitto cannot be loaded; what it decided is not decided by anybody now'

/** Options without a key, and why. */
const without: Readonly<Record<string, string>> = {
  allow_duplicate_messages: `${nothingToDo}: overlapping subscriptions make one delivery`,
  autosave_interval: `${nothingToDo}: nothing is saved at intervals`,
  autosave_on_changes: `${nothingToDo}: nothing is saved at intervals`,
  check_retain_source: 'the right of a retained message is that of its reader at delivery, not of its publisher',
  clientid_prefixes:
    'client identifiers are not restricted; rules for [clients."PREFIX*"] in permissions.toml can take its place',
  connection_messages: 'clients that come and go are logged at debug',
  log_dest: 'the log goes to standard output; let the service manager keep it',
  log_facility: 'the log goes to standard output; let the service manager keep it',
  log_timestamp: `${nothingToDo}: every line has its time`,
  log_timestamp_format: 'times are written as RFC 3339',
  max_inflight_bytes: 'what is in flight is bounded in messages (limits.inflight-max)',
  max_queued_qos0_messages: 'QoS 0 is not queued for absent clients',
  memory_limit: 'every queue has its own maximum; there is none for all memory',
  message_size_limit: 'packets are bounded as a whole: set limits.packet-bytes-max',
  packet_max_connect: `${nothingToDo}: limits.packet-bytes-max holds for CONNECT, too`,
  packet_max_auth: `${nothingToDo}: limits.packet-bytes-max holds for AUTH, too`,
  packet_max_simple: nothingToDo,
  packet_max_sub: nothingToDo,
  packet_max_un_sub: nothingToDo,
  packet_max_publish: nothingToDo,
  global_max_clients: 'sessions without connection are not counted against a maximum of their own',
  retain_expiry_interval: 'retained messages expire by their own message expiry interval',
  enable_control_api: '`concordmq ctl` and its socket take the place of $CONTROL',
  pid_file: 'no such file is written; `concordmq ctl state` names the process',
  psk_file: 'TLS with pre-shared keys is not supported',
  queue_qos0_messages: 'QoS 0 is not queued for absent clients',
  set_tcp_nodelay: `${nothingToDo}: it is always on`,
  upgrade_outgoing_qos: 'the QoS of a delivery is never raised above that of the message',
  user: 'start the program as the user it is to run as',
  websockets_headers_size: `${nothingToDo}: 16 KiB`,
  websockets_log_level: 'WebSocket refusals are logged at debug',
  websockets_always_allow_anonymous: 'anonymous login is one setting for all listeners',
  accept_protocol_versions: 'MQTT 3.1, 3.1.1 and 5.0 are all taken',
  auth_plugin: noPlugins,
  auth_plugin_deny_special_chars: noPlugins,
  plugin: noPlugins,
  global_plugin: noPlugins,
  plugin_load: noPlugins,
  plugin_use: noPlugins,
}

function prefixed(name: string): string | undefined {
  return /^(auth_opt_|plugin_opt_)/.test(name) ? noPlugins : undefined
}
