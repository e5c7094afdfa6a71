/**
 * The program `concordmq run` in a process of its own: what kills, limits and measurements need that a broker inside the test
 * cannot give. It is started as its users start it, on free ports, and read by its log; the probe beside it answers questions
 * about memory and handles.
 *
 *     await using broker = await startBroker({ directory, flags: ['--data-dir', data] })
 *     const client = await connect(broker.target, 5, { clientId: 'a' })
 *     await broker.kill()
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Footprint, FootprintRequest } from './process-probe.ts'
import type { Target } from './raw-client.ts'

export interface BrokerProcessOptions {
  /** Of configuration; it should exist. */
  readonly directory: string
  /** Of `concordmq run`, beside those for ports and log. */
  readonly flags?: readonly string[]
  /** Settings by their `CONCORDMQ_…` name. */
  readonly environment?: Readonly<Record<string, string>>
  /** Also WebSocket, or TLS with the certificate that the program makes itself. */
  readonly websocket?: boolean
  readonly tls?: boolean
  /** Preloaded beside the probe, for example to stand between the program and its disk. */
  readonly preload?: readonly string[]
  /** For Node itself. */
  readonly nodeFlags?: readonly string[]
  /** In place of `concordmq`: a script that takes the same arguments and logs the same. */
  readonly program?: string
  /** Of all its threads; below 0 only root may. */
  readonly niceness?: number
  readonly readyWithinMs?: number
  /** Kills it, also while it starts; `startBroker()` rejects then. */
  readonly signal?: AbortSignal
}

/** How much of the log is kept for error messages. */
const logCharactersMax = 20_000

const concordmq = fileURLToPath(new URL('../../../packages/concordmq/bin/concordmq.js', import.meta.url))
const probe = new URL('./process-probe.ts', import.meta.url).href

export class BrokerProcess {
  readonly target: Target
  /** Where WebSocket and TLS listen, if they were asked for. */
  readonly websocket: Target | undefined
  readonly tls: Target | undefined
  readonly pid: number
  readonly #child: ChildProcess
  readonly #log: Log
  readonly #exited: Promise<unknown>

  constructor(child: ChildProcess, log: Log) {
    const target = log.listeners.get('tcp')
    if (target === undefined || child.pid === undefined) throw new Error(`The broker does not listen\n${log.text}`)
    this.target = target
    this.websocket = log.listeners.get('ws')
    this.tls = log.listeners.get('tls')
    this.pid = child.pid
    this.#child = child
    this.#log = log
    this.#exited = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : Promise.resolve()
  }

  get alive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** The end of what it logged. */
  get log(): string {
    return this.#log.text
  }

  /** When it logs such a line, from now on. */
  logs(line: RegExp): Promise<void> {
    return new Promise((resolve) => this.#log.awaited.push({ line, resolve }))
  }

  /** Lines of warnings and errors. */
  get complaints(): readonly string[] {
    return this.#log.complaints
  }

  /** What the process holds; `collected` forces a collection first, which stops it for some milliseconds. */
  async footprint(kind: FootprintRequest['footprint'] = 'collected'): Promise<Footprint> {
    if (!this.alive) throw new Error(`The broker has ended\n${this.log}`)
    const channel = this.#child.channel
    channel?.ref()
    try {
      const answer = once(this.#child, 'message')
      this.#child.send({ footprint: kind } satisfies FootprintRequest)
      return (await answer)[0] as Footprint
    } finally {
      channel?.unref()
    }
  }

  /** As a power cut or the kernel does it: no handler runs. */
  async kill(): Promise<void> {
    this.#child.ref()
    this.#child.kill('SIGKILL')
    await this.#exited
  }

  /** Asks it to end, and waits; gives the exit code. */
  async stop(): Promise<number | null> {
    this.#child.ref()
    this.#child.kill('SIGTERM')
    await this.#exited
    return this.#child.exitCode
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.alive) await this.kill()
  }
}

/** Starts the program and waits until it says that it is ready. Rejects with its log if it ends before. */
export async function startBroker(options: BrokerProcessOptions): Promise<BrokerProcess> {
  const { directory, flags = [], environment = {}, preload = [], nodeFlags = [] } = options
  const imports = [probe, ...preload].flatMap((url) => ['--import', url])
  const extra = [
    ...(options.websocket === true ? ['--websockets', '--websockets-addr', '127.0.0.1:0'] : []),
    ...(options.tls === true ? ['--mqtts', '--mqtts-addr', '127.0.0.1:0'] : []),
  ]
  const nice = options.niceness === undefined ? [] : ['nice', '-n', String(options.niceness)]
  const child = spawn(
    nice[0] ?? process.execPath,
    [
      ...(nice.length > 0 ? [...nice.slice(1), process.execPath] : []),
      ...[
        '--expose-gc',
        '--disable-warning=ExperimentalWarning',
        ...nodeFlags,
        ...imports,
        options.program ?? concordmq,
        'run',
        directory,
      ],
      ...['-L', '127.0.0.1:0', '--http-addr', 'off', '--log', 'json', ...extra, ...flags],
    ],
    { stdio: ['ignore', 'pipe', 'pipe', 'ipc'], env: { ...process.env, ...environment } },
  )
  const log = new Log(child)
  const timer = setTimeout(() => child.kill('SIGKILL'), options.readyWithinMs ?? 60_000)
  options.signal?.addEventListener('abort', () => child.kill('SIGKILL'), { once: true })
  const ready = await Promise.race([log.ready, once(child, 'exit').then(() => false)])
  clearTimeout(timer)
  if (!ready)
    throw new Error(`The broker ended with ${child.exitCode ?? child.signalCode} before it was ready\n${log.text}`)
  // A test that failed must not be kept alive by its broker.
  child.unref()
  child.channel?.unref()
  for (const stream of [child.stdout, child.stderr]) (stream as unknown as { unref?(): void } | null)?.unref?.()
  return new BrokerProcess(child, log)
}

interface LogLine {
  readonly level?: string
  readonly fields?: { readonly event?: string; readonly transport?: string; readonly listen_addr?: string }
}

/** Reads the log as it is written. */
class Log {
  readonly listeners = new Map<string, Target>()
  readonly complaints: string[] = []
  readonly ready: Promise<true>
  awaited: { readonly line: RegExp; readonly resolve: () => void }[] = []
  text = ''

  constructor(child: ChildProcess) {
    const { promise, resolve } = Promise.withResolvers<true>()
    this.ready = promise
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue
      createInterface({ input: stream }).on('line', (line) => {
        this.text = (this.text + line + '\n').slice(-logCharactersMax)
        for (const { resolve } of this.awaited.filter((one) => one.line.test(line))) resolve()
        this.awaited = this.awaited.filter((one) => !one.line.test(line))
        if (!line.startsWith('{')) return
        const { level, fields } = JSON.parse(line) as LogLine
        if ((level === 'WARN' || level === 'ERROR') && this.complaints.length < 1_000) this.complaints.push(line)
        if (fields?.event === 'listener.open') this.#listener(fields)
        if (fields?.event === 'node.started') resolve(true)
      })
    }
  }

  #listener({ transport, listen_addr: address }: NonNullable<LogLine['fields']>): void {
    const at = address?.lastIndexOf(':') ?? -1
    if (transport === undefined || address === undefined || at < 0) return
    this.listeners.set(transport, { host: address.slice(0, at), port: Number(address.slice(at + 1)) })
  }
}
