/**
 * The flags of `run` and `config`: FoxMQ's with their defaults (rows F14 and F17 to F27), and ours. A flag sets one
 * configuration key; the table is that mapping, and the only place where a flag's name and its key meet. It knows nothing
 * of the keys themselves, so that help and completion load fast.
 */
import { type Command, Option } from 'commander'
import { logFormats, logLevels } from '../log/entry.ts'
import type { Path } from './keys.ts'

export const defaultDirectory = 'concordmq.d'

interface Flag {
  readonly flags: string
  readonly path: Path
  readonly about: string
  readonly repeatable?: true
  readonly choices?: readonly string[]
}

const formats = [...logFormats]

export const flags: readonly Flag[] = [
  {
    flags: '-f, --secret-key-file <FILE>',
    path: 'secret-key-file',
    about: 'private key of this node, P-256 in PEM (env SECRET_KEY_FILE; default: a random key)',
  },
  {
    flags: '-k, --secret-key <HEX>',
    path: 'secret-key',
    about: 'the key as hex DER; others can see it in the process list, so prefer env SECRET_KEY',
  },
  {
    flags: '-L, --mqtt-addr <ADDR>',
    path: 'mqtt.addr',
    about: 'MQTT over TCP, or "off" (default: 0.0.0.0:1883; repeatable)',
    repeatable: true,
  },
  {
    flags: '-C, --cluster-addr <ADDR>',
    path: 'cluster.addr',
    about: 'where nodes meet, UDP and TCP (default: all interfaces, the port in the address book)',
  },
  {
    flags: '--cluster-mode <MODE>',
    path: 'cluster.mode',
    about: 'who orders messages: bft the nodes of the address book, none this one (default: auto, by the book)',
    choices: ['auto', 'none', 'bft'],
  },
  {
    flags: '--cluster-transport <KIND>',
    path: 'cluster.transport',
    about: 'what links nodes (default: auto, QUIC where it is available and TLS beside it)',
    choices: ['auto', 'quic', 'tls'],
  },
  {
    flags: '--node-timeout-ms <MS>',
    path: 'cluster.node-timeout-ms',
    about: 'how long a node is silent before its clients count as lost, the same on all nodes (default: 10000)',
  },
  {
    flags: '--on-stall <POLICY>',
    path: 'cluster.on-stall',
    about: 'what becomes of messages while too few nodes are there to order them (default: local)',
    choices: ['local', 'queue', 'refuse'],
  },
  {
    flags: '--serve-stale',
    path: 'cluster.serve-stale',
    about: 'take clients before this node has caught up with the others (default: off)',
  },
  { flags: '--join', path: 'cluster.join', about: 'wait to be added to a cluster that runs (default: off)' },
  { flags: '--mqtts', path: 'mqtts.enabled', about: 'MQTT over TLS (default: off)' },
  {
    flags: '--mqtts-addr <ADDR>',
    path: 'mqtts.addr',
    about: 'its address (default: 0.0.0.0:8883; repeatable)',
    repeatable: true,
  },
  {
    flags: '--tls-cert-file <FILE>',
    path: 'tls.cert-file',
    about: 'certificate chain in PEM (default: self-signed, kept beside the key as .crt)',
  },
  {
    flags: '--tls-key-file <FILE>',
    path: 'tls.key-file',
    about: 'its private key in PEM (default: the key of the node)',
  },
  {
    flags: '--server-name <NAME>',
    path: 'tls.server-name',
    about: 'name in the self-signed certificate (default: concordmq.local)',
  },
  {
    flags: '--tls-client-ca <FILE>',
    path: 'tls.client-ca',
    about: 'ask for client certificates issued by these roots',
  },
  {
    flags: '--tls-require-client-cert',
    path: 'tls.require-client-cert',
    about: 'refuse clients without such a certificate',
  },
  { flags: '--websockets', path: 'websockets.enabled', about: 'MQTT over WebSocket (default: off)' },
  {
    flags: '--websockets-addr <ADDR>',
    path: 'websockets.addr',
    about: 'its address (default: 0.0.0.0:8080; repeatable)',
    repeatable: true,
  },
  { flags: '--wss', path: 'wss.enabled', about: 'MQTT over WebSocket over TLS (default: off)' },
  {
    flags: '--wss-addr <ADDR>',
    path: 'wss.addr',
    about: 'its address (default: 0.0.0.0:8084; repeatable)',
    repeatable: true,
  },
  { flags: '--unix <PATH>', path: 'unix.paths', about: 'MQTT on a Unix socket (repeatable)', repeatable: true },
  {
    flags: '--http-addr <ADDR>',
    path: 'http.addr',
    about: '/healthz and /readyz, or "off" (default: 127.0.0.1:18083)',
  },
  {
    flags: '--allow-anonymous-login',
    path: 'auth.allow-anonymous-login',
    about: 'let clients in without user name (default: off)',
  },
  {
    flags: '--silent-connect-errors',
    path: 'auth.silent-connect-errors',
    about: 'close refused connections without a byte (default: off)',
  },
  {
    flags: '--ignore-permissions',
    path: 'auth.ignore-permissions',
    about: 'do not enforce permissions.toml (default: off)',
  },
  {
    flags: '--max-keep-alive <SECONDS>',
    path: 'limits.keep-alive-max',
    about: 'longest keep alive; 0: no limit (default: 3600)',
  },
  {
    flags: '--workers <N>',
    path: 'workers',
    about: 'threads that serve clients, or "auto" (default: 1)',
  },
  {
    flags: '--cpu-profile <FILE>',
    path: 'cpu-profile',
    about: 'Where a profile of the CPU is written when the node stops',
  },
  {
    flags: '--data-dir <DIR>',
    path: 'data-dir',
    about: 'what survives a restart (default: data/<key id> in DIRECTORY)',
  },
  {
    flags: '--durability <PROMISE>',
    path: 'durability',
    about: 'what an acknowledgement survives: fsync power loss, os a crash, memory nothing (default: fsync)',
    choices: ['fsync', 'os', 'memory'],
  },
  {
    flags: '--control-socket <PATH>',
    path: 'control-socket',
    about: 'what `concordmq ctl` speaks to, or "off" (default: control.sock in DIRECTORY)',
  },
  { flags: '-l, --log <FORMAT>', path: 'log.format', about: 'format of log lines (default: full)', choices: formats },
  {
    flags: '--log-level <LEVEL>',
    path: 'log.level',
    about: 'least important level logged (env RUST_LOG; default: info)',
    choices: logLevels,
  },
  {
    flags: '--cluster-cert <FILE>',
    path: 'cluster.cert',
    about: 'certificate chain with which this node joins a cluster',
  },
  {
    flags: '--cluster-root-cert <FILE>',
    path: 'cluster.root-cert',
    about: 'authority whose certificates let nodes join, the same on all nodes',
  },
  {
    flags: '--cluster-accept-peer-with-cert',
    path: 'cluster.accept-peer-with-cert',
    about: 'let nodes with such a certificate join through this one',
  },
]

/** A value given on the command line, still as text (`true` for a switch). */
export interface GivenFlag {
  readonly path: Path
  /** `--mqtt-addr`. */
  readonly flag: string
  readonly values: true | readonly string[]
}

/** All flags of the table, and `--config`. */
export function addConfigurationFlags(command: Command): Command {
  command.option('--config <FILE>', 'configuration file (default: concordmq.toml in DIRECTORY, if it exists)')
  for (const flag of flags) {
    const option = new Option(flag.flags, flag.about)
    if (flag.choices !== undefined) option.choices(flag.choices)
    if (flag.repeatable) option.argParser((value: string, before: string[] | undefined) => [...(before ?? []), value])
    command.addOption(option)
  }
  return command
}

/** What was given, in the order of the table. */
export function givenFlags(command: Command): GivenFlag[] {
  const given: GivenFlag[] = []
  for (const flag of flags) {
    const option = new Option(flag.flags)
    const name = option.attributeName()
    const value = command.getOptionValue(name) as string | string[] | true | undefined
    if (value === undefined) continue
    given.push({ path: flag.path, flag: `--${option.name()}`, values: value === true ? true : [value].flat() })
  }
  return given
}

export function configFile(command: Command): string | undefined {
  const file: unknown = command.getOptionValue('config')
  return typeof file === 'string' ? file : undefined
}
