/**
 * A node of the demonstration: `concordmq run` in a process of its own, as an operator would start it. It is read by its log;
 * the environment's settings of a real node do not reach it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { askNode } from '../ctl/ask-node.ts'

export interface DemoNodeOptions {
  readonly directory: string
  readonly index: number
  /** For MQTT clients, on loopback. */
  readonly port: number
}

/** How the node sees the order. */
export interface NodeView {
  readonly mode: string
  readonly position: number
}

const program = fileURLToPath(new URL('../../bin/concordmq.js', import.meta.url))
const readyWithinMs = 45_000
/** How much of the end of the log is kept, for when it fails. */
const linesKept = 20

export class DemoNode {
  readonly index: number
  readonly url: string
  readonly #o: DemoNodeOptions
  #child: ChildProcess | undefined
  #lines: string[] = []

  constructor(options: DemoNodeOptions) {
    this.#o = options
    this.index = options.index
    this.url = `mqtt://127.0.0.1:${options.port}`
  }

  get alive(): boolean {
    const child = this.#child
    return child !== undefined && child.exitCode === null && child.signalCode === null
  }

  /** Resolves when the node says that it is ready; rejects with the end of its log. */
  async start(): Promise<void> {
    const { directory, index, port } = this.#o
    const flags = [
      ...['--secret-key-file', join(directory, `key_${index}.pem`), '--allow-anonymous-login'],
      ...['--mqtt-addr', `127.0.0.1:${port}`, '--http-addr', 'off', '--log', 'json'],
    ]
    const child = spawn(process.execPath, [program, 'run', directory, ...flags], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: foreignSettingsRemoved(process.env),
    })
    this.#child = child
    this.#lines = []
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        this.#lines = [...this.#lines, line].slice(-linesKept)
        if (line.includes('"node.started"')) resolve()
      })
    }
    const failed = (why: string) => () => reject(new Error(`Node ${index} ${why}\n${this.#lines.join('\n')}`))
    child.once('exit', failed('ended before it was ready'))
    child.once('error', failed('cannot be started'))
    const timer = setTimeout(failed(`was not ready after ${readyWithinMs / 1000} s`), readyWithinMs)
    try {
      await promise
    } finally {
      clearTimeout(timer)
    }
  }

  /** What `concordmq ctl cluster` would say; undefined while nobody answers. */
  async view(): Promise<NodeView | undefined> {
    if (!this.alive) return undefined
    const choice = { directory: this.#o.directory, node: this.index }
    try {
      return (await askNode(choice, { method: 'GET', path: '/v1/cluster' })) as NodeView
    } catch {
      return undefined
    }
  }

  /** No handler runs, nothing is written: as by a power cut. */
  async kill(): Promise<void> {
    const child = this.#child
    if (child === undefined || !this.alive) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  }
}

function foreignSettingsRemoved(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const own = Object.entries(environment).filter(([name]) => !/^(CONCORDMQ_|SECRET_KEY|RUST_LOG)/.test(name))
  return { ...Object.fromEntries(own), CONCORDMQ_SYS_INTERVAL_SECONDS: '0' }
}
