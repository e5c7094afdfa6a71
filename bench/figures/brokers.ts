/**
 * The brokers that are measured, each with settings that are fair under this load: what drops messages by default because a
 * subscriber lags is lifted, Nagle's algorithm is off, one thread, loopback. A peer that is not installed is not measured.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as after } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { accepts, freePort } from '../ports.ts'
import { ours } from './samples.ts'
import type { Transport } from './scenario.ts'

export interface Broker {
  readonly name: string
  readonly version: string
  /** In words, for the samples. */
  readonly settings: string
  readonly transports: readonly Transport[]
  /** It knows 3.1.1 only. */
  readonly old?: boolean
  /** Command and environment that make it listen on these ports of 127.0.0.1; files go into `folder`. */
  readonly command: (
    ports: Ports,
    folder: string,
  ) => { readonly argv: readonly string[]; readonly env?: Readonly<Record<string, string>> }
}
export type Ports = Readonly<Record<Transport, number>>

export interface Running {
  readonly ports: Ports
  readonly child: ChildProcess
}

const program = fileURLToPath(new URL('../../packages/concordmq/bin/concordmq.js', import.meta.url))
/** Broker and load each have a core where there are two. */
const pinned = cpus().length > 1
export const loadCpu = pinned ? 1 : undefined
const startMsMax = 20_000
const stopMsMax = 3_000

/** Ours, and the peers that are there: at the path given, or in PATH by their usual name. */
export function findBrokers(given: ReadonlyMap<string, string>): {
  readonly found: readonly Broker[]
  readonly missing: readonly string[]
} {
  const found: Broker[] = [concordmq()]
  const missing: string[] = []
  for (const [name, make] of Object.entries({ flashmq, mosquitto, surgemq })) {
    const path = given.get(name) ?? inPath(name)
    if (path === undefined || !existsSync(path)) missing.push(name)
    else found.push(make(path))
  }
  return { found, missing }
}

function concordmq(): Broker {
  return {
    name: ours,
    version: `Node ${process.versions.node}`,
    settings: 'its default configuration, anonymous login; nothing kept on disk, as the peers keep nothing',
    transports: ['tcp', 'tls', 'websocket'],
    command: ({ tcp, tls, websocket }, folder) => {
      const { certificate, key } = certificateIn(folder)
      return {
        argv: [
          ...[process.execPath, program, 'run', folder, '--allow-anonymous-login', '--http-addr', 'off'],
          ...['--durability', 'memory'],
          ...['-L', `127.0.0.1:${tcp}`, '--websockets', '--websockets-addr', `127.0.0.1:${websocket}`],
          ...['--mqtts', '--mqtts-addr', `127.0.0.1:${tls}`, '--tls-cert-file', certificate, '--tls-key-file', key],
        ],
      }
    },
  }
}

function flashmq(path: string): Broker {
  return {
    name: 'FlashMQ',
    version: /Version (\S+)/u.exec(spawnSync(path, ['--version'], { encoding: 'utf8' }).stdout)?.[1] ?? '',
    settings: 'one thread; limits of pending QoS messages, write buffers and retained nodes lifted; TCP_NODELAY',
    transports: ['tcp', 'tls', 'websocket'],
    command: ({ tcp, tls, websocket }, folder) => {
      const { certificate, key } = certificateIn(folder)
      const listener = (protocol: string, port: number, ...more: readonly string[]): string[] => [
        ...['listen {', `protocol ${protocol}`, 'inet_protocol ip4', 'inet4_bind_address 127.0.0.1', `port ${port}`],
        ...['tcp_nodelay true', ...more, '}'],
      ]
      const file = write(folder, 'flashmq.conf', [
        ...['thread_count 1', 'allow_anonymous true', 'log_file /dev/null'],
        ...['max_qos_msg_pending_per_client 65535', 'max_qos_bytes_pending_per_client 1073741824'],
        ...['client_max_write_buffer_size 67108864'],
        ...['retained_messages_node_limit 4294967295', 'retained_messages_node_creation_limit 4294967295'],
        ...listener('mqtt', tcp),
        ...listener('websockets', websocket),
        ...listener('mqtt', tls, `fullchain ${certificate}`, `privkey ${key}`),
      ])
      return { argv: [path, '-c', file] }
    },
  }
}

function mosquitto(path: string): Broker {
  const version = /version (\S+)/u.exec(spawnSync(path, ['-h'], { encoding: 'utf8' }).stdout)?.[1] ?? ''
  return {
    name: 'mosquitto',
    version,
    settings: 'no limit of queued messages, queued bytes and inflight messages; TCP_NODELAY; without WebSocket',
    transports: ['tcp', 'tls'],
    command: ({ tcp, tls }, folder) => {
      const { certificate, key } = certificateIn(folder)
      const file = write(folder, 'mosquitto.conf', [
        ...['allow_anonymous true', 'max_inflight_messages 0', 'max_queued_messages 0', 'max_queued_bytes 0'],
        ...['set_tcp_nodelay true', `listener ${tcp} 127.0.0.1`],
        ...[`listener ${tls} 127.0.0.1`, `certfile ${certificate}`, `keyfile ${key}`],
      ])
      return { argv: [path, '-c', file] }
    },
  }
}

/** A program around its service package that takes an address: `peers/surgemq.go`. */
function surgemq(path: string): Broker {
  return {
    name: 'SurgeMQ',
    version: 'last source',
    settings: 'sessions and topics in memory, one thread of Go',
    transports: ['tcp'],
    old: true,
    command: ({ tcp }) => ({
      argv: [path, '-addr', `127.0.0.1:${tcp}`, '-log_dir', tmpdir()],
      env: { GOMAXPROCS: '1' },
    }),
  }
}

/** Starts it, ours with so many threads, and waits until it accepts. Rejects with its name if it does not. */
export async function start(broker: Broker, folder: string, workers = 1): Promise<Running> {
  const ports = { tcp: await freePort(), tls: await freePort(), websocket: await freePort() }
  const own = join(folder, broker.name)
  mkdirSync(own, { recursive: true })
  const { argv: plain, env = {} } = broker.command(ports, own)
  const argv = workers === 1 ? plain : [...plain, '--workers', String(workers)]
  const command = pinned ? ['taskset', '-c', '0', ...argv] : argv
  const log = openSync(join(own, 'log'), 'w')
  const child = spawn(command[0] as string, command.slice(1), {
    ...{ stdio: ['ignore', 'ignore', log], cwd: own, env: { ...process.env, ...env } },
  })
  closeSync(log)
  const endMs = performance.now() + startMsMax
  while (!(await accepts(ports.tcp))) {
    if (child.exitCode !== null || performance.now() > endMs) {
      throw new Error(`${broker.name} does not start: ${argv.join(' ')}\n${readFileSync(join(own, 'log'), 'utf8')}`)
    }
    await after(25)
  }
  return { ports, child }
}

export async function stop({ child }: Running): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGCONT')
  child.kill('SIGTERM')
  // A broker that does not stop in time is ended: its figures are taken already.
  const timer = setTimeout(() => child.kill('SIGKILL'), stopMsMax)
  await gone
  clearTimeout(timer)
}

function inPath(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/usr/local/sbin']
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path))
}

function write(folder: string, name: string, lines: readonly string[]): string {
  const file = join(folder, name)
  writeFileSync(file, `${lines.join('\n')}\n`)
  return file
}

/** One for all brokers, so that TLS costs all the same handshake. */
function certificateIn(folder: string): { readonly certificate: string; readonly key: string } {
  const certificate = join(dirname(folder), 'certificate.pem')
  const key = join(dirname(folder), 'key.pem')
  if (!existsSync(certificate)) {
    const curve = [
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '30',
      '-subj',
      '/CN=localhost',
    ]
    execFileSync('openssl', ['req', '-x509', ...curve, '-keyout', key, '-out', certificate], { stdio: 'ignore' })
    // mosquitto gives up root's rights before it reads its key.
    execFileSync('chmod', ['644', key])
    execFileSync('chmod', ['755', dirname(folder)])
  }
  return { certificate, key }
}
