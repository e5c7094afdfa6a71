/**
 * Every configuration key of the program with its type, default and a line of explanation: the one list behind
 * `concordmq.toml`, the `CONCORDMQ_…` variables, `config check`, `config show` and the reference page. A dotted path is a
 * key in a TOML table: `mqtt.addr` is `addr` in `[mqtt]`.
 *
 * What the library has options for is taken from the library's own table: default, range and explanation stand there once.
 */
import { optionKeys } from '@concordmq/broker'
import {
  addresses,
  addressOrOff,
  integer,
  type Key,
  networks,
  oneOf,
  optionChoice,
  optionFilters,
  optionInteger,
  optionText,
  optionYesNo,
  path,
  pathOrOff,
  paths,
  secretText,
  text,
  threads,
  yesNo,
} from './key-types.ts'
import { deliveryLimitKeys, limitKeys, sessionLimitKeys } from './limit-keys.ts'
import { tokenKeys } from './token-keys.ts'

const { access, limits, sessions, delivery, features, sys, ordering } = optionKeys

const proxies = 'Proxies that put a PROXY protocol header in front of each connection'

export const keys = {
  'secret-key-file': path('P-256 private key of this node, PEM (SEC1 or PKCS#8). None: a new random key at each start'),
  'secret-key': secretText('The private key itself as hex DER; from the environment or a flag, never from a file'),
  'data-dir': {
    ...path('Folder for what survives a restart: kept sessions, their messages, retained messages, wills'),
    fallbackRule: 'data/<key id> in the configuration directory',
  },
  durability: oneOf(['fsync', 'os', 'memory'], {
    fallback: 'fsync',
    about:
      'What an acknowledgement promises: it survives the loss of power (fsync), the end of the process (os), or nothing (memory: no data folder)',
  }),
  'control-socket': pathOrOff(
    'Unix socket that `concordmq ctl` speaks to; only the user the node runs as can open it',
    'control.sock in the configuration directory',
  ),

  workers: threads(31, {
    fallback: 1,
    about:
      'Threads that serve clients, each with sockets of its own and all in one order. auto: one for each core, at most 8 (docs/guide/workers.md)',
  }),
  'cpu-profile': path('Where a profile of the CPU is written when the node stops (row S10). None: none is taken'),

  'log.format': oneOf(['full', 'compact', 'pretty', 'json'], {
    fallback: 'full',
    about: 'How log lines look',
    change: 'live',
  }),
  'log.level': oneOf(['error', 'warn', 'info', 'debug', 'trace'], {
    fallback: 'info',
    about: 'Least important level that is logged',
    change: 'live',
  }),

  'mqtt.addr': addresses({ fallback: ['0.0.0.0:1883'], about: 'Where MQTT over TCP listens' }),
  'mqtt.proxy-from': networks({ fallback: [], about: `${proxies}, on \`mqtt.addr\`` }),
  'mqtts.enabled': yesNo({ fallback: false, about: 'MQTT over TLS' }),
  'mqtts.addr': addresses({ fallback: ['0.0.0.0:8883'], about: 'Where MQTT over TLS listens' }),
  'mqtts.proxy-from': networks({ fallback: [], about: `${proxies}, on \`mqtts.addr\`` }),
  'websockets.enabled': yesNo({ fallback: false, about: 'MQTT over WebSocket' }),
  'websockets.addr': addresses({ fallback: ['0.0.0.0:8080'], about: 'Where MQTT over WebSocket listens' }),
  'websockets.proxy-from': networks({ fallback: [], about: `${proxies}, on \`websockets.addr\`` }),
  'wss.enabled': yesNo({ fallback: false, about: 'MQTT over WebSocket over TLS' }),
  'wss.addr': addresses({ fallback: ['0.0.0.0:8084'], about: 'Where MQTT over WebSocket over TLS listens' }),
  'wss.proxy-from': networks({ fallback: [], about: `${proxies}, on \`wss.addr\`` }),
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
    about: 'Do not enforce permissions.toml: every client that may log in may do everything',
    change: 'live',
  }),
  // The library follows the words of the code, the program FoxMQ, whose clients may look for it (row F15).
  'auth.refused-login-code': { ...optionInteger<4 | 5>(access.refusedLoginCode), fallback: 5 },
  'auth.certificate-user': optionChoice(access.certificateUser),
  'auth.password-checks-max': optionInteger(access.passwordChecksMax),
  'auth.password-queue-max': optionInteger(access.passwordQueueMax),
  ...tokenKeys,

  'limits.packet-bytes-max': optionInteger(limits.packetBytesMax),
  'limits.connect-timeout-ms': optionInteger(limits.connectTimeoutMs),
  'limits.keep-alive-max': optionInteger(limits.keepAliveMax),
  'limits.receive-maximum': optionInteger(limits.receiveMaximum),
  'limits.topic-alias-maximum': optionInteger(limits.topicAliasMaximum),
  'limits.inflight-max': optionInteger(limits.inflightMax),
  'limits.connections-max': optionInteger(limits.connectionsMax),
  'limits.maximum-qos': optionInteger(limits.maximumQoS),
  'limits.retain-available': optionYesNo(limits.retainAvailable),
  'limits.wildcard-subscription-available': optionYesNo(limits.wildcardSubscriptionAvailable),
  'limits.subscription-identifier-available': optionYesNo(limits.subscriptionIdentifierAvailable),
  'limits.shared-subscription-available': optionYesNo(limits.sharedSubscriptionAvailable),
  'limits.client-id-bytes-max': optionInteger(limits.clientIdBytesMax),
  'limits.topic-levels-max': optionInteger(limits.topicLevelsMax),
  ...limitKeys,

  'sessions.expiry-max': optionInteger(sessions.expiryMax),
  'sessions.queue-messages-max': optionInteger(sessions.queueMessagesMax),
  'sessions.queue-bytes-max': optionInteger(sessions.queueBytesMax),
  'sessions.queue-full': optionChoice(sessions.queueFull),
  ...sessionLimitKeys,

  'delivery.queue-bytes-max': optionInteger(delivery.queueBytesMax),
  'delivery.queue-messages-max': optionInteger(delivery.queueMessagesMax),
  'delivery.queue-full': optionChoice(delivery.queueFull),
  ...deliveryLimitKeys,

  'features.direct-messages': optionChoice(features.directMessages),
  'features.share-strategy': optionChoice(features.shareStrategy),
  'features.obscure-not-authorized': optionYesNo(features.obscureNotAuthorized),
  'features.response-information': optionText(features.responseInformation),
  'features.always-return-response': optionYesNo(features.alwaysReturnResponse),
  'sys.interval-seconds': optionInteger(sys.intervalSeconds),

  'ordering.fast': optionFilters(ordering.fast),
  'ordering.sealed': optionFilters(ordering.sealed),

  'shutdown.grace-ms': integer(0, 600_000, {
    fallback: 5_000,
    about: 'Longest time a graceful stop takes, milliseconds',
    change: 'live',
  }),

  'cluster.mode': oneOf(['auto', 'none', 'bft'], {
    fallback: 'auto',
    about:
      'Who orders messages: the nodes of the address book together (bft), or this one alone (none). auto: together where the book has several',
  }),
  'cluster.addr': {
    ...addresses({ fallback: [], about: 'Where this node listens to the others, UDP for QUIC and TCP for TLS' }),
    fallbackRule: 'the port of this node in the address book, on all interfaces',
  },
  'cluster.transport': oneOf(['auto', 'quic', 'tls'], {
    fallback: 'auto',
    about: 'What links nodes: QUIC (UDP), TLS 1.3 (TCP), or both, QUIC first',
  }),
  'cluster.join': yesNo({
    fallback: false,
    about:
      'Start although the address book does not name this node: it waits until operators add it, and takes over the state of the others',
  }),
  'cluster.network': text('1 to 64 characters without spaces', /^[\x21-\x7e]{1,64}$/, {
    fallback: 'concordmq',
    about: 'Name of the network; nodes of another one are refused',
  }),
  'cluster.proof-bytes-max': integer(0, 2 ** 40, {
    fallback: 2 ** 30,
    about:
      'Bytes of the ordered log kept on disk, from which old positions are proven. 0: only what memory holds since the start',
  }),
  'cluster.node-timeout-ms': integer(1_000, 3_600_000, {
    fallback: 10_000,
    about:
      'How long a node is silent before its clients count as lost and their wills are published, milliseconds; the same on all nodes',
  }),
  'cluster.on-stall': oneOf(['local', 'queue', 'refuse'], {
    fallback: 'local',
    about:
      'Messages while too few nodes are there to order them: given to subscribers of this node at once, marked, and ordered later (local), waiting (queue), or refused',
  }),
  'cluster.stall-acknowledge': yesNo({
    fallback: true,
    about: 'With on-stall local: QoS 1 is acknowledged when the disk of this node has it, before it is ordered',
  }),
  'cluster.serve-stale': yesNo({
    fallback: false,
    about:
      'Take clients before this node has caught up with the others: those without a kept session, on what it knows so far; what they publish waits',
  }),
  'cluster.cert': path(
    'Certificate chain of the key of this node, PEM; with it a node that the address book does not name asks to be taken in',
  ),
  'cluster.root-cert': path(
    'Certificate of the authority, PEM, whose certificates take new nodes in; the same on all nodes since the network began',
  ),
  'cluster.accept-peer-with-cert': yesNo({
    fallback: false,
    about: 'Whether new nodes with a certificate of the authority may ask this node to be taken in, over TLS (TCP)',
  }),
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
