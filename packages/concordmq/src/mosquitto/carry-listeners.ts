/**
 * Mosquitto's listeners as ours. Where one says something that all of ours share (a certificate, who may log in, a maximum),
 * the first decides, and a later one that differs is left out: clients that it would have kept out must not come in by it.
 */
import { resolve } from 'node:path'
import { formatAddress } from '../config/host-port.ts'
import type { Path } from '../config/keys.ts'
import { boolean, type Settings } from './global-options.ts'
import type { Findings } from './not-carried.ts'
import { listenerOptions, type MosquittoListener, type MosquittoOption, makesDefaultListener } from './read-config.ts'

/** Who may log in at a listener, as far as it says so itself (`per_listener_settings`). */
export interface ListenerAccess {
  readonly allowAnonymous: boolean | undefined
  readonly passwordFile: MosquittoOption | undefined
  readonly aclFile: MosquittoOption | undefined
}

export interface CarriedListeners {
  /** Of the listeners that were carried over; undefined: they say nothing. */
  readonly access: ListenerAccess | undefined
  readonly count: number
}

interface Shared {
  tls: string | undefined
  access: string | undefined
  limits: Map<Path, number>
}

const addressKeys = { tcp: 'mqtt.addr', tls: 'mqtts.addr', ws: 'websockets.addr', wss: 'wss.addr' } as const
const enabledKeys = { tls: 'mqtts.enabled', ws: 'websockets.enabled', wss: 'wss.enabled' } as const

export function carryListeners(
  listeners: readonly MosquittoListener[],
  settings: Settings,
  findings: Findings,
): CarriedListeners {
  const shared: Shared = { tls: undefined, access: undefined, limits: new Map() }
  const addresses: Record<keyof typeof addressKeys, string[]> = { tcp: [], tls: [], ws: [], wss: [] }
  const sockets: string[] = []
  let access: ListenerAccess | undefined
  let count = 0
  for (const listener of listeners) {
    const place = listener.line?.place ?? listener.options[0]?.place ?? 'the default listener'
    const what = listener.line === undefined ? 'the default listener' : `listener ${listener.line.value}`
    const refused = whyNot(listener, shared)
    if (refused !== undefined) {
      findings.left.push({ place, what, outcome: `the listener is left out: ${refused}` })
      continue
    }
    const at = addressOf(listener)
    if ('problem' in at) {
      findings.left.push({ place, what, outcome: `the listener is left out: ${at.problem}` })
      continue
    }
    const kind = kindOf(listener)
    if ('path' in at) sockets.push(at.path)
    else addresses[kind].push(at.address)
    if (kind === 'tls' || kind === 'wss') carryTls(listener, settings, shared, findings)
    for (const option of listener.options) carryOption(option, { settings, shared, findings, first: count === 0 })
    access ??= accessOf(listener)
    shared.access ??= accessText(listener)
    count++
    const key = 'path' in at ? 'unix.paths' : addressKeys[kind]
    findings.carried.push({ place, what, outcome: `${key}: ${'path' in at ? at.path : at.address}` })
    if ('note' in at && at.note !== undefined) findings.left.push({ place, what, outcome: at.note })
  }
  settings.set('mqtt.addr', addresses.tcp.length === 0 ? ['off'] : addresses.tcp)
  for (const kind of ['tls', 'ws', 'wss'] as const) {
    if (addresses[kind].length === 0) continue
    settings.set(enabledKeys[kind], true)
    settings.set(addressKeys[kind], addresses[kind])
  }
  if (sockets.length > 0) settings.set('unix.paths', sockets)
  return { access, count }
}

const lastValue = ({ options }: MosquittoListener, name: string): string | undefined =>
  options.findLast((option) => option.name === name)?.value

function kindOf(listener: MosquittoListener): keyof typeof addressKeys {
  const encrypted = lastValue(listener, 'certfile') !== undefined
  const webSocket = lastValue(listener, 'protocol') === 'websockets'
  return webSocket ? (encrypted ? 'wss' : 'ws') : encrypted ? 'tls' : 'tcp'
}

/** Why a listener cannot be carried over without letting in whom it would have kept out, or mixing what it kept apart. */
function whyNot(listener: MosquittoListener, shared: Shared): string | undefined {
  const has = (name: string): boolean => lastValue(listener, name) !== undefined
  if (has('psk_hint')) return 'TLS with pre-shared keys is not supported'
  if (has('mount_point')) return 'its topics lie below a prefix (mount_point), which would be gone'
  if (has('bind_interface')) return 'it is bound to an interface; give the address of that interface'
  if (has('crlfile')) return 'revoked certificates (crlfile) would be accepted'
  if (lastValue(listener, 'use_username_as_clientid') === 'true')
    return 'client identifiers are not replaced by user names'
  if (has('enable_proxy_protocol'))
    return 'which proxy may name addresses must be said here: give the listener with its proxy-from'
  if (has('tls_engine') || has('tls_keyform')) return 'its private key lies in an engine'
  if (has('capath') && !has('cafile') && lastValue(listener, 'require_certificate') === 'true') {
    return 'its roots lie in a directory (capath); give them as one file'
  }
  if (shared.tls !== undefined && has('certfile') && tlsText(listener) !== shared.tls) {
    return 'its certificate, key or roots differ from those of an earlier TLS listener; all of them share one here'
  }
  if (shared.access !== undefined && accessText(listener) !== shared.access) {
    return 'who may log in differs from an earlier listener; that is one setting for all of them here'
  }
  return undefined
}

type At =
  | { readonly address: string; readonly note?: string | undefined }
  | { readonly path: string }
  | { readonly problem: string }

function addressOf(listener: MosquittoListener): At {
  const { line } = listener
  const words = (line?.value ?? `${lastValue(listener, 'port') ?? '1883'} ${lastValue(listener, 'bind_address') ?? ''}`)
    .trim()
    .split(/\s+/)
  const [portText = '', host] = words
  const port = /^\d{1,5}$/.test(portText) ? Number(portText) : -1
  if (port === 0 && host !== undefined) return { path: resolve(host) }
  if (port < 1 || port > 65_535) return { problem: `"${portText}" is no port` }
  // Without any listener Mosquitto serves its own machine only.
  const local = line === undefined && !listener.options.some(makesDefaultListener)
  if (local || host === 'localhost') {
    return {
      address: formatAddress({ host: '127.0.0.1', port }),
      note: `serves 127.0.0.1; for ::1 as well, add "[::1]:${port}"`,
    }
  }
  if (host !== undefined) return { address: host.includes(':') ? `[${host}]:${port}` : `${host}:${port}` }
  const domain = lastValue(listener, 'socket_domain')
  // One IPv6 socket takes IPv4 clients, too.
  return { address: formatAddress({ host: domain === 'ipv4' ? '0.0.0.0' : '::', port }) }
}

function tlsText(listener: MosquittoListener): string {
  const required = lastValue(listener, 'require_certificate') === 'true'
  return JSON.stringify([
    lastValue(listener, 'certfile'),
    lastValue(listener, 'keyfile'),
    required,
    required && lastValue(listener, 'use_identity_as_username') === 'true',
    required ? lastValue(listener, 'cafile') : '',
  ])
}

function carryTls(listener: MosquittoListener, settings: Settings, shared: Shared, { left }: Findings): void {
  if (shared.tls !== undefined) return
  shared.tls = tlsText(listener)
  const file = (name: string, key: Path): void => {
    const value = lastValue(listener, name)
    if (value !== undefined) settings.set(key, resolve(value))
  }
  file('certfile', 'tls.cert-file')
  file('keyfile', 'tls.key-file')
  if (lastValue(listener, 'require_certificate') === 'true') {
    file('cafile', 'tls.client-ca')
    settings.set('tls.require-client-cert', true)
    if (lastValue(listener, 'use_identity_as_username') === 'true') settings.set('auth.certificate-user', 'commonName')
  }
  for (const option of listener.options) {
    const reason = tlsLeft[option.name]?.(option.value)
    if (reason !== undefined)
      left.push({ place: option.place, what: `${option.name} ${option.value}`, outcome: reason })
  }
}

const tlsLeft: Readonly<Record<string, (value: string) => string | undefined>> = {
  ciphers: () => 'the ciphers of Node are used',
  'ciphers_tls1.3': () => 'the ciphers of Node are used',
  dhparamfile: () => 'Diffie-Hellman parameters are chosen by OpenSSL',
  tls_version: (value) => (value === 'tlsv1.2' ? undefined : 'TLS 1.2 and 1.3 are taken'),
  disable_client_cert_date_checks: (value) =>
    value === 'true' ? 'expired client certificates are refused' : undefined,
}

interface OptionContext {
  readonly settings: Settings
  readonly shared: Shared
  readonly findings: Findings
  /** Of the first listener, whose values hold for all. */
  readonly first: boolean
}

const limitKeys: Readonly<Record<string, { readonly path: Path; readonly none?: number }>> = {
  max_connections: { path: 'limits.connections-max', none: -1 },
  max_qos: { path: 'limits.maximum-qos' },
  max_topic_alias: { path: 'limits.topic-alias-maximum' },
}

/** Options that `carryTls`, `addressOf`, `whyNot` and `accessOf` have read. */
const readElsewhere: ReadonlySet<string> = new Set([
  ...Object.keys(tlsLeft),
  'port',
  'bind_address',
  'certfile',
  'keyfile',
  'require_certificate',
  'socket_domain',
  'allow_anonymous',
  'listener_allow_anonymous',
  'password_file',
  'acl_file',
  'psk_file',
])

function carryOption(option: MosquittoOption, { settings, shared, findings, first }: OptionContext): void {
  const { name, value, place } = option
  const what = `${name} ${value}`
  const limit = limitKeys[name]
  if (limit !== undefined) {
    const { path, none } = limit
    const given = Number(value)
    if (given === none) return
    const before = shared.limits.get(path)
    if (before === undefined && first && Number.isSafeInteger(given)) {
      shared.limits.set(path, given)
      settings.set(path, given)
      findings.carried.push({ place, what, outcome: `${path} = ${given}` })
    } else if (before !== given) {
      findings.left.push({ place, what, outcome: `${path} is one value for all listeners` })
    }
    return
  }
  if (readElsewhere.has(name)) return
  if (name === 'use_identity_as_username') {
    if (value !== 'true') return
    const used = settings.get('auth.certificate-user') === 'commonName'
    const outcome = used
      ? 'auth.certificate-user = "commonName"'
      : 'without require_certificate no client certificate is asked for'
    findings[used ? 'carried' : 'left'].push({ place, what, outcome })
    return
  }
  if (name === 'cafile') {
    const used = settings.has('tls.client-ca')
    if (!used)
      findings.left.push({
        place,
        what,
        outcome: 'without require_certificate no client certificate is asked for, so roots are not needed',
      })
    return
  }
  if (name === 'protocol') {
    if (value !== 'mqtt' && value !== 'websockets')
      findings.left.push({ place, what, outcome: 'it is no protocol of a listener here' })
    return
  }
  const reason = optionOutcome(option)
  if (reason !== undefined) findings.left.push({ place, what, outcome: reason })
  else if (!listenerOptions.has(name))
    findings.left.push({ place, what, outcome: 'Mosquitto has no such option in 2.0 or 2.1' })
}

/** Why an option of a listener, read nowhere else, is not carried over; undefined: it says nothing, or is unknown. */
export function optionOutcome({ name, value }: MosquittoOption): string | undefined {
  return optionLeft[name]?.(value)
}

const optionLeft: Readonly<Record<string, (value: string) => string | undefined>> = {
  allow_zero_length_clientid: (value) =>
    value === 'false' ? 'clients without an identifier are given one' : undefined,
  auto_id_prefix: () => 'identifiers that the broker makes begin with "concord-"',
  listener_auto_id_prefix: () => 'identifiers that the broker makes begin with "concord-"',
  http_dir: () => 'no files are served over HTTP',
  capath: () => 'give the roots as one file (tls.client-ca)',
  use_subject_as_username: (value) =>
    value === 'true'
      ? 'the subject of a client certificate is not taken as user name; clients need user name and password'
      : undefined,
  websockets_origin: () => 'the Origin header is not looked at: who may connect is decided by CONNECT',
  accept_protocol_versions: () => 'MQTT 3.1, 3.1.1 and 5.0 are all taken',
  max_topic_alias_broker: () => 'the broker uses as many topic aliases towards a client as it allows, at most 64',
}

function accessOf({ options }: MosquittoListener): ListenerAccess | undefined {
  const last = (...names: readonly string[]): MosquittoOption | undefined =>
    options.findLast(({ name }) => names.includes(name))
  const anonymous = last('allow_anonymous', 'listener_allow_anonymous')
  const passwordFile = last('password_file')
  const aclFile = last('acl_file')
  if (anonymous === undefined && passwordFile === undefined && aclFile === undefined) return undefined
  return { allowAnonymous: anonymous === undefined ? undefined : boolean(anonymous.value), passwordFile, aclFile }
}

function accessText(listener: MosquittoListener): string {
  const access = accessOf(listener)
  return JSON.stringify([access?.allowAnonymous, access?.passwordFile?.value, access?.aclFile?.value])
}
