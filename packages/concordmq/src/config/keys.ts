/**
 * Every configuration key of the program with its type, default and a line of explanation: the one list behind
 * `concordmq.toml`, the `CONCORDMQ_…` variables, `config check`, `config show` and the reference page. A dotted path is a
 * key in a TOML table: `mqtt.addr` is `addr` in `[mqtt]`.
 *
 * Limits repeat the library's defaults as values, so that `config show` prints what is in force; a test compares the two.
 */
import {
  addresses,
  addressOrOff,
  integer,
  type Key,
  notYet,
  oneOf,
  path,
  paths,
  secretText,
  text,
  yesNo,
} from './key-types.ts'

const clusterLater = 'this version runs single nodes only and cannot form a cluster'

export const keys = {
  'secret-key-file': path('P-256 private key of this node, PEM (SEC1 or PKCS#8). None: a new random key at each start'),
  'secret-key': secretText('The private key itself as hex DER; from the environment or a flag, never from a file'),
  'data-dir': path('Folder for what must survive a restart. Default: `data` in the configuration directory'),

  'log.format': oneOf(['full', 'compact', 'pretty', 'json'], { fallback: 'full', about: 'How log lines look' }),
  'log.level': oneOf(['error', 'warn', 'info', 'debug', 'trace'], {
    fallback: 'info',
    about: 'Least important level that is logged',
    change: 'live',
  }),

  'mqtt.addr': addresses({ fallback: ['0.0.0.0:1883'], about: 'Where MQTT over TCP listens' }),
  'mqtts.enabled': yesNo({ fallback: false, about: 'MQTT over TLS' }),
  'mqtts.addr': addresses({ fallback: ['0.0.0.0:8883'], about: 'Where MQTT over TLS listens' }),
  'websockets.enabled': yesNo({ fallback: false, about: 'MQTT over WebSocket' }),
  'websockets.addr': addresses({ fallback: ['0.0.0.0:8080'], about: 'Where MQTT over WebSocket listens' }),
  'wss.enabled': yesNo({ fallback: false, about: 'MQTT over WebSocket over TLS' }),
  'wss.addr': addresses({ fallback: ['0.0.0.0:8084'], about: 'Where MQTT over WebSocket over TLS listens' }),
  'unix.paths': paths('Unix sockets that speak MQTT'),

  'tls.cert-file': path('PEM certificate chain. None: a self-signed one is made once and kept beside the key', 'live'),
  'tls.key-file': path('PEM private key of the certificate. None: the key of the node', 'live'),
  'tls.server-name': text('a host name', /^(?=.{1,253}$)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*$/, {
    fallback: 'concordmq.local',
    about: 'Name in the self-signed certificate, beside localhost, the name of this machine and its addresses',
  }),
  'tls.client-ca': path('PEM roots for client certificates; with it a client certificate is asked for', 'live'),
  'tls.require-client-cert': yesNo({ fallback: false, about: 'Refuse clients without a valid certificate' }),

  'http.addr': addressOrOff({ fallback: '127.0.0.1:18083', about: 'Where /healthz and /readyz are served' }),

  'auth.allow-anonymous-login': yesNo({
    fallback: false,
    about: 'Let clients in without user name; also in `[auth]` of users.toml, either turns it on',
    change: 'live',
  }),
  'auth.silent-connect-errors': yesNo({
    fallback: false,
    about: 'Close refused connections without a byte; also in `[auth]` of users.toml, either turns it on',
    change: 'live',
  }),
  'auth.ignore-permissions': yesNo({
    fallback: false,
    about: 'Start although permissions.toml exists, which this version cannot enforce: every client may do everything',
  }),
  'auth.password-queue-max': integer(1, 1_000_000, {
    fallback: 1_000,
    about: 'Password checks that may wait; above, CONNECT is refused as server busy',
  }),

  'limits.packet-bytes-max': integer(64, 268_435_460, {
    fallback: 1_048_576,
    about: 'Largest packet taken from a client, bytes',
  }),
  'limits.connect-timeout-ms': integer(100, 3_600_000, {
    fallback: 30_000,
    about: 'Time from accept to CONNECT, milliseconds',
  }),
  'limits.keep-alive-max': integer(0, 65_535, {
    fallback: 3_600,
    about: 'Longest keep alive, seconds; larger or zero requests are lowered to it. 0: no limit',
  }),
  'limits.receive-maximum': integer(1, 65_535, {
    fallback: 1_024,
    about: 'QoS 1 and 2 messages a client may have unsettled',
  }),
  'limits.topic-alias-maximum': integer(0, 65_535, { fallback: 100, about: 'Topic aliases a client may use' }),
  'limits.inflight-max': integer(1, 65_535, {
    fallback: 65_535,
    about: 'QoS 1 and 2 messages unsettled towards one client',
  }),
  'limits.connections-max': integer(1, 10_000_000, {
    fallback: 1_000_000,
    about: 'Connections at once, all listeners together',
  }),
  'limits.maximum-qos': integer(0, 2, { fallback: 2, about: 'Highest QoS a client may publish with' }),
  'limits.client-id-bytes-max': integer(23, 65_535, { fallback: 65_535, about: 'Longest client identifier, bytes' }),
  'limits.topic-levels-max': integer(1, 1_024, { fallback: 128, about: 'Deepest topic or filter, levels' }),

  'sessions.expiry-max': integer(0, 4_294_967_295, {
    fallback: 4_294_967_295,
    about: 'Longest session expiry interval, seconds; 3.1 and 3.1.1 sessions get it. 4294967295: never',
  }),
  'sessions.queue-messages-max': integer(1, 100_000_000, {
    fallback: 100_000,
    about: 'Messages queued for one kept session',
  }),
  'sessions.queue-bytes-max': integer(1_024, 1_099_511_627_776, {
    fallback: 268_435_456,
    about: 'Bytes queued for one kept session',
  }),
  'sessions.queue-full': oneOf(['dropNewest', 'dropOldest'], {
    fallback: 'dropNewest',
    about: "What happens when a kept session's queue is full",
  }),

  'delivery.queue-bytes-max': integer(1_024, 1_099_511_627_776, {
    fallback: 67_108_864,
    about: 'Bytes queued for one connection beyond what its socket took',
  }),
  'delivery.queue-full': oneOf(['dropQoS0', 'dropOldest', 'disconnect'], {
    fallback: 'dropQoS0',
    about: 'What happens when that queue is full',
  }),

  'features.direct-messages': oneOf(['off', 'prefix', 'bare'], {
    fallback: 'off',
    about: 'Messages addressed to a client identifier: `$direct/<client id>`, or in addition the bare identifier',
  }),
  'features.share-strategy': oneOf(['roundRobin', 'leastInflight', 'stickyByPublisher', 'random'], {
    fallback: 'roundRobin',
    about: 'How the member of a shared group is chosen',
  }),
  'sys.interval-seconds': integer(0, 86_400, {
    fallback: 10,
    about: 'Seconds between $SYS updates; 0 switches $SYS off',
  }),

  'shutdown.grace-ms': integer(0, 600_000, {
    fallback: 5_000,
    about: 'Longest time a graceful stop takes, milliseconds',
    change: 'live',
  }),

  'cluster.mode': oneOf(['none'], { fallback: 'none', about: `Who orders messages; ${clusterLater}` }),
  'cluster.addr': addresses({ fallback: ['0.0.0.0:19793'], about: `Where nodes meet; unused: ${clusterLater}` }),
  'cluster.cert': notYet('path', clusterLater, 'Certificate chain of this node'),
  'cluster.root-cert': notYet('path', clusterLater, 'Root of the certificates of joining nodes'),
  'cluster.accept-peer-with-cert': notYet('boolean', clusterLater, 'Let nodes join by certificate'),
} as const satisfies Record<string, Key<unknown>>

export type Path = keyof typeof keys
type ValueOf<K> = K extends Key<infer T> ? T : never
/** Every key with its value. */
export type Settings = { readonly [P in Path]: ValueOf<(typeof keys)[P]> }

export const allPaths = Object.keys(keys) as Path[]

export function isPath(name: string): name is Path {
  return Object.hasOwn(keys, name)
}

/** `CONCORDMQ_MQTT_ADDR` for `mqtt.addr`. */
export function variableOf(path: Path): string {
  return `CONCORDMQ_${path.replaceAll(/[.-]/g, '_').toUpperCase()}`
}
