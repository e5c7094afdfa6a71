/**
 * Every option with its default, unit, range and a line of explanation; the reference page is generated from this table.
 * `live`: taken over at once by `reloadAccess()` and `reconfigure()`. `new`: taken over for connections accepted afterwards.
 * `restart`: read when the broker is created.
 *
 * The defaults are those of a broker on the open Internet that stock clients find nothing wrong with: nobody is let in
 * unasked, and every queue has an end, but the ends lie beyond what an honest client reaches.
 */
import { availableParallelism } from 'node:os'
import {
  backlogKeys,
  banKeys,
  clientLimitKeys,
  connectionLimitKeys,
  retainedKeys,
  sessionLimitKeys,
} from './limit-keys.ts'
import { choice, filters, gib, kib, mib, number, type OptionKey, words, yesNo } from './option-key.ts'

export type { OptionKey } from './option-key.ts'

/** Largest packet MQTT can write: a remaining length of 268,435,455 and its five bytes of header. */
const packetBytesCeiling = 268_435_460

export const optionKeys = {
  access: {
    allowAnonymous: yesNo(false, 'live', 'Whether a client may connect without user name'),
    users: {
      default: new Map() as ReadonlyMap<string, string>,
      about: 'User names with their Argon2id records (PHC strings)',
      change: 'live',
      rule: 'a Map of user names to Argon2id records',
    } satisfies OptionKey<ReadonlyMap<string, string>>,
    refusedLoginCode: choice<4 | 5>(
      4,
      [4, 5],
      'live',
      'CONNACK code of a refused login in 3.1.1: 4 bad user name or password, 5 not authorized',
    ),
    certificateUser: choice<'off' | 'commonName' | 'dns' | 'email' | 'uri'>(
      'off',
      ['off', 'commonName', 'dns', 'email', 'uri'],
      'live',
      'Which name of a verified client certificate is the user name: its common name, or its one alternative name of a kind',
    ),
    silentConnectErrors: yesNo(false, 'live', 'Whether refused clients are closed without a byte (row F25)'),
    // Checks run in libuv's pool of four threads; the fourth is left to the disk and to names.
    passwordChecksMax: {
      ...number(
        Math.min(3, Math.max(2, availableParallelism())),
        { min: 1, max: 256, unit: 'checks' },
        'live',
        'Passwords checked at once, off the event loop; each takes 19 MiB meanwhile',
      ),
      defaultRule: 'number of cores, at least 2, at most 3',
    },
    passwordQueueMax: number(
      1_000,
      { min: 0, max: 1_000_000, unit: 'checks' },
      'live',
      'Password checks that may wait; above, CONNECT is refused as server busy',
    ),
  },
  limits: {
    // FoxMQ and Mosquitto before 2.1 had no maximum, EMQX has 1 MiB, HiveMQ 256 MiB. 16 MiB takes firmware images and
    // pictures, and four such packets still fit into one connection's queue.
    packetBytesMax: number(
      16 * mib,
      { min: 64, max: packetBytesCeiling, unit: 'bytes' },
      'new',
      'Largest packet taken from a client, fixed header included; 5.0 clients are told',
    ),
    connectTimeoutMs: number(
      30_000,
      { min: 100, max: 3_600_000, unit: 'ms' },
      'new',
      'Longest time from accept to CONNECT (row F27)',
    ),
    keepAliveMax: number(
      3_600,
      { min: 0, max: 65_535, unit: 's' },
      'new',
      'Longest keep alive; larger or zero requests are lowered to it, and 5.0 clients are told. 0: no limit (row F27)',
    ),
    receiveMaximum: number(
      1_024,
      { min: 1, max: 65_535, unit: 'messages' },
      'new',
      'QoS 1 and 2 messages a client may have unsettled towards the broker; 5.0 clients are told (row F29)',
    ),
    topicAliasMaximum: number(
      100,
      { min: 0, max: 65_535, unit: 'aliases' },
      'new',
      'Topic aliases a 5.0 client may use (row F29)',
    ),
    inflightMax: number(
      65_535,
      { min: 1, max: 65_535, unit: 'messages' },
      'new',
      'QoS 1 and 2 messages unsettled towards one client; 5.0 clients may ask for less',
    ),
    connectionsMax: number(
      1_000_000,
      { min: 1, max: 10_000_000, unit: 'connections' },
      'live',
      'Network connections at once, all listeners together',
    ),
    maximumQoS: choice<0 | 1 | 2>(2, [0, 1, 2], 'new', 'Highest QoS a client may publish with'),
    retainAvailable: yesNo(true, 'new', 'Whether clients may publish retained messages'),
    wildcardSubscriptionAvailable: yesNo(true, 'new', 'Whether topic filters may hold wildcards'),
    subscriptionIdentifierAvailable: yesNo(true, 'new', 'Whether subscriptions may carry identifiers'),
    sharedSubscriptionAvailable: yesNo(true, 'new', 'Whether clients may share subscriptions'),
    clientIdBytesMax: number(
      65_535,
      { min: 23, max: 65_535, unit: 'bytes' },
      'new',
      'Longest client identifier; 23 must be allowed [MQTT-3.1.3-5]',
    ),
    topicLevelsMax: number(
      128,
      { min: 1, max: 1_024, unit: 'levels' },
      'restart',
      'Deepest topic name or topic filter',
    ),
    ...connectionLimitKeys,
    ...clientLimitKeys,
  },
  bans: banKeys,
  sessions: {
    expiryMax: number(
      4_294_967_295,
      { min: 0, max: 4_294_967_295, unit: 's' },
      'restart',
      'Longest session expiry interval; longer requests are lowered to it, and 3.1 and 3.1.1 sessions with clean session 0 get it. 4294967295: never',
    ),
    queueMessagesMax: number(
      100_000,
      { min: 1, max: 100_000_000, unit: 'messages' },
      'restart',
      'Messages queued for one kept session',
    ),
    queueBytesMax: number(
      256 * mib,
      { min: kib, max: 1_024 * gib, unit: 'bytes' },
      'restart',
      'Bytes queued for one kept session',
    ),
    queueFull: choice<'dropNewest' | 'dropOldest'>(
      'dropNewest',
      ['dropNewest', 'dropOldest'],
      'restart',
      "What happens when a kept session's queue is full",
    ),
    ...sessionLimitKeys,
  },
  retained: retainedKeys,
  delivery: {
    queueBytesMax: number(
      64 * mib,
      { min: kib, max: 1_024 * gib, unit: 'bytes' },
      'live',
      'Bytes queued for one connection beyond what its socket took',
    ),
    queueMessagesMax: number(
      1_000_000,
      { min: 1, max: 100_000_000, unit: 'messages' },
      'live',
      'Messages queued for one connection beyond what its socket took',
    ),
    queueFull: choice<'dropQoS0' | 'dropOldest' | 'disconnect'>(
      'dropQoS0',
      ['dropQoS0', 'dropOldest', 'disconnect'],
      'live',
      'What happens when that queue is full; dropQoS0 drops QoS 0, and for QoS 1 and 2 closes the connection with 0x97',
    ),
    ...backlogKeys,
  },
  features: {
    directMessages: choice<'off' | 'prefix' | 'bare'>(
      'off',
      ['off', 'prefix', 'bare'],
      'restart',
      'Messages addressed to a client identifier: `$direct/<client id>`, or in addition the bare identifier (row U10)',
    ),
    shareStrategy: choice<'roundRobin' | 'leastInflight' | 'stickyByPublisher' | 'random'>(
      'roundRobin',
      ['roundRobin', 'leastInflight', 'stickyByPublisher', 'random'],
      'restart',
      'How the member of a shared group is chosen',
    ),
    obscureNotAuthorized: yesNo(
      false,
      'restart',
      'Answer 0x80 in place of 0x87 to publishes and subscriptions that are not allowed (row C6)',
    ),
    responseInformation: words(
      '',
      { charactersMax: 1_024 },
      'restart',
      'What 5.0 clients that ask for response information are told, such as the beginning of their response topics',
    ),
    alwaysReturnResponse: yesNo(
      false,
      'restart',
      'Tell it to 5.0 clients that do not ask too, which the standard forbids (row C6)',
    ),
  },
  embedding: {
    hookTimeoutMs: number(
      5_000,
      { min: 1, max: 3_600_000, unit: 'ms' },
      'restart',
      "Longest time a hook's promise may take; then it counts as a refusal",
    ),
    inlineQueueMessagesMax: number(
      10_000,
      { min: 1, max: 100_000_000, unit: 'messages' },
      'restart',
      'Messages that wait for one handler of `broker.subscribe()`; more are dropped',
    ),
    inlineQueueBytesMax: number(
      64 * mib,
      { min: kib, max: 1_024 * gib, unit: 'bytes' },
      'restart',
      'Bytes of payload that wait for one handler of `broker.subscribe()`; more are dropped',
    ),
  },
  ordering: {
    fast: filters(
      'restart',
      'Topics whose messages skip the order of the cluster: given to whoever is connected at once, marked `concord-ordered: false`. QoS 2 and retained ones are ordered all the same. The same on all nodes',
    ),
    sealed: filters(
      'restart',
      'Topics whose messages are sealed: no other node reads one before its place in the order of the cluster is final. The same on all nodes',
    ),
  },
  storage: {
    durability: choice<'fsync' | 'os'>(
      'fsync',
      ['fsync', 'os'],
      'restart',
      'What an acknowledgement waits for: that the disk has it, or that the operating system has it',
    ),
  },
  sys: {
    intervalSeconds: number(
      10,
      { min: 0, max: 86_400, unit: 's' },
      'live',
      'Time between updates of `$SYS`; 0 switches it off',
    ),
  },
} as const
