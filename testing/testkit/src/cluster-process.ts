/**
 * A cluster as its operators have it: `concordmq run` in one process per node, with keys and an address book of their own, on
 * loopback. Nodes can be killed, stopped by SIGSTOP and let go on, and started again on what their disks hold.
 *
 *     await using cluster = await startCluster({ nodes: 4, directory })
 *     await cluster.kill(2)
 *     await cluster.start(2)
 *
 * The MQTT port of a node changes with each start, so clients ask for `target(node)` again.
 */
import { execFile } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type BrokerProcess, type BrokerProcessOptions, startBroker } from './broker-process.ts'
import { FlowClient } from './flow-client.ts'
import type { Target } from './raw-client.ts'

export interface ClusterProcessesOptions {
  readonly nodes: number
  /** Where keys, book and data go; it should exist and be empty. */
  readonly directory: string
  /** Of every node's `concordmq run`. */
  readonly flags?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly nodeFlags?: readonly string[]
  /** Preloaded into every node: what stands between it and the world. */
  readonly preload?: readonly string[]
  /** What is special about one node, asked at each of its starts. */
  readonly special?: ((node: number) => Pick<ClusterProcessesOptions, 'flags' | 'environment' | 'preload'>) | undefined
  /** Told the addresses in the book before the first node starts. */
  readonly beforeStart?: ((addresses: readonly string[]) => Promise<void>) | undefined
}

const concordmq = fileURLToPath(new URL('../../../packages/concordmq/bin/concordmq.js', import.meta.url))
/** Tries to find ports that are free for both UDP and TCP. */
const portTriesMax = 100
/** Systems give outgoing connections higher ones: a port that is drawn here stays free while its node is dead. */
const portMin = 12_000
/** Four processes that start at once, on a machine that does other things. */
const readyWithinMs = 180_000
const askAgainMs = 20
const portMax = 32_000

export class ClusterProcesses {
  readonly #o: ClusterProcessesOptions
  readonly #running: (BrokerProcess | undefined)[]
  readonly #stopped = new Set<number>()

  constructor(options: ClusterProcessesOptions) {
    this.#o = options
    this.#running = new Array<undefined>(options.nodes).fill(undefined)
  }

  get nodes(): number {
    return this.#o.nodes
  }

  /** Where clients of a node connect; undefined while it does not run. */
  target(node: number): Target | undefined {
    return this.#running[node]?.target
  }

  process(node: number): BrokerProcess {
    const running = this.#running[node]
    if (running === undefined) throw new Error(`Node ${node} does not run`)
    return running
  }

  /** Nodes that run and are not stopped. */
  get alive(): readonly number[] {
    return this.#running.flatMap((running, node) => (running?.alive === true && !this.#stopped.has(node) ? [node] : []))
  }

  /** The end of what each node logged, for error messages. */
  get logs(): string {
    return this.#running
      .map((running, node) => `--- node ${node}\n${running?.log.slice(-3000) ?? 'not running'}`)
      .join('\n')
  }

  /** When a node takes clients: it is asked again and again. False: not within this time. */
  async served(node: number, withinMs = Number.POSITIVE_INFINITY): Promise<boolean> {
    const begunMs = performance.now()
    for (let tries = 0; performance.now() - begunMs < withinMs; tries++) {
      if (await this.#takes(node, `asks-${node}-${tries}`)) return true
      await wait(askAgainMs)
    }
    return false
  }

  #takes(node: number, clientId: string): Promise<boolean> {
    const { target } = this.process(node)
    return new Promise((resolve) => {
      const client = new FlowClient(target, {
        version: 5,
        connect: { clientId },
        onPacket: ({ type, reason }) => {
          if (type !== 'CONNACK') return
          resolve(reason === 0)
          if (reason === 0) client.disconnect()
          else client.drop()
        },
        onClose: () => resolve(false),
      })
    })
  }

  /** Starts a node; the others need not run. */
  async start(node: number): Promise<void> {
    const { directory, flags = [], environment = {}, nodeFlags = [], preload = [] } = this.#o
    const own = this.#o.special?.(node) ?? {}
    this.#running[node] = await startBroker({
      directory,
      flags: [
        '--secret-key-file',
        join(directory, `key_${node}.pem`),
        '--allow-anonymous-login',
        ...flags,
        ...(own.flags ?? []),
      ],
      environment: {
        // Starting is compiling, for the most part.
        NODE_COMPILE_CACHE: join(tmpdir(), 'concordmq-cluster-compiled'),
        CONCORDMQ_SYS_INTERVAL_SECONDS: '0',
        ...environment,
        ...own.environment,
      },
      nodeFlags,
      preload: [...preload, ...(own.preload ?? [])],
      readyWithinMs,
    } satisfies BrokerProcessOptions)
  }

  async startAll(): Promise<void> {
    await Promise.all(this.#running.flatMap((running, node) => (running === undefined ? [this.start(node)] : [])))
  }

  /** As a power cut does it; what was given to the disk stays there. */
  async kill(node: number): Promise<void> {
    this.#stopped.delete(node)
    await this.process(node).kill()
    this.#running[node] = undefined
  }

  /** Asks it to end, and gives its exit code. */
  async end(node: number): Promise<number | null> {
    const code = await this.process(node).stop()
    this.#running[node] = undefined
    return code
  }

  /** It stands still, with its connections open. */
  stop(node: number): void {
    process.kill(this.process(node).pid, 'SIGSTOP')
    this.#stopped.add(node)
  }

  goOn(node: number): void {
    process.kill(this.process(node).pid, 'SIGCONT')
    this.#stopped.delete(node)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#running.map(async (running) => running?.[Symbol.asyncDispose]()))
  }
}

/** Makes keys and book with the program's own command, and starts all nodes. */
export async function startCluster(options: ClusterProcessesOptions): Promise<ClusterProcesses> {
  const ports = await freePorts(options.nodes)
  const addresses = ports.map((port) => `127.0.0.1:${port}`)
  await promisify(execFile)(process.execPath, [
    ...[concordmq, 'address-book', 'from-list', ...addresses, '--force', '--output-dir', options.directory],
  ])
  await options.beforeStart?.(addresses)
  const cluster = new ClusterProcesses(options)
  try {
    await cluster.startAll()
  } catch (error) {
    await cluster[Symbol.asyncDispose]()
    throw error
  }
  return cluster
}

/** Ports of loopback that nobody has, neither for UDP nor for TCP. */
export async function freePorts(count: number): Promise<number[]> {
  const held: { close(): unknown }[] = []
  const ports: number[] = []
  try {
    for (let tries = 0; ports.length < count; tries++) {
      if (tries > count + portTriesMax) throw new Error('Found no ports that are free')
      const port = randomInt(portMin, portMax)
      const server = createServer().listen(port, '127.0.0.1')
      const listens = await once(server, 'listening').then(
        () => true,
        () => false,
      )
      if (!listens) continue
      held.push(server)
      const socket = createSocket('udp4')
      socket.bind(port, '127.0.0.1')
      const free = await once(socket, 'listening').then(
        () => true,
        () => false,
      )
      if (!free) continue
      held.push(socket)
      ports.push(port)
    }
  } finally {
    for (const one of held) one.close()
  }
  return ports
}
