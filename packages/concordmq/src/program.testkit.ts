/**
 * The real program, started as a person starts it, each test in a folder of its own. Whoever imports this has the folder
 * made before each test, and after it everything started is ended and the folder goes.
 */
import assert from 'node:assert/strict'
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach } from 'node:test'
import * as wire from '../../../testing/testkit/src/wire.ts'

/** A program that does not say for so long what it is waited for never will; below what the tests are given as a whole. */
const saysWithinMs = 100_000

const bin = new URL('../bin/concordmq.js', import.meta.url).pathname

let directory = ''
/** A path in the folder that the test has for itself: the program's working directory, home and place for its files. */
export function at(...parts: readonly string[]): string {
  return join(directory, ...parts)
}

const children = new Set<ChildProcessWithoutNullStreams>()
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'concordmq-program-'))
})
afterEach(async () => {
  for (const child of children) {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  }
  children.clear()
  rmSync(directory, { recursive: true })
})

export interface Started {
  readonly child: ChildProcessWithoutNullStreams
  readonly output: { stdout: string; stderr: string }
  /** Resolves with the match once standard output holds it; rejects if the program ends before, or does not say it for long. */
  readonly until: (pattern: RegExp) => Promise<RegExpExecArray>
  /** Resolves with the exit status. */
  readonly ended: Promise<number | null>
}

export function start(
  args: string[],
  options: { readonly input?: string; readonly env?: Record<string, string> } = {},
  [program, ...rest]: readonly [string, ...string[]] = [process.execPath, bin, ...args],
): Started {
  const { PATH, NODE_COMPILE_CACHE } = process.env
  const env = { PATH, NODE_COMPILE_CACHE, HOME: directory, TMPDIR: directory, ...options.env }
  const child = spawn(program, rest, { cwd: directory, env })
  children.add(child)
  const output = { stdout: '', stderr: '' }
  const waiting = new Set<() => void>()
  const notify = () => {
    for (const look of waiting) look()
  }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text
      notify()
    })
  }
  const ended = once(child, 'close').then(([code]) => code as number | null)
  void ended.then(notify)
  child.stdin.end(options.input ?? '')
  const until = (pattern: RegExp) =>
    new Promise<RegExpExecArray>((resolve, reject) => {
      const look = (): void => {
        const match = pattern.exec(output.stdout)
        if (match !== null) settle(() => resolve(match))
        else if (child.exitCode !== null) fail('ended')
      }
      const fail = (what: string): void =>
        settle(() => reject(new Error(`${what} without ${pattern}:\n${output.stdout}\n${output.stderr}`)))
      const settle = (how: () => void): void => {
        clearTimeout(timer)
        waiting.delete(look)
        how()
      }
      const timer = setTimeout(fail, saysWithinMs, `not in ${saysWithinMs} ms:`)
      waiting.add(look)
      look()
    })
  return { child, output, until, ended }
}

/** A bash script, in which `concordmq` is the program. */
export function startShell(script: string): Started {
  const concordmq = `set -o pipefail; node="$0"; bin="$1"; concordmq() { "$node" "$bin" "$@"; }`
  return start([], {}, ['bash', '-c', `${concordmq}; ${script}`, process.execPath, bin])
}

export async function run(args: string[], options: Parameters<typeof start>[1] = {}) {
  const { ended, output } = start(args, options)
  const code = await ended
  assert.doesNotMatch(output.stderr, /\n {4}at /, 'a stack trace at a person')
  return { code, ...output }
}

/** A node on free ports; resolves when it is ready. */
export async function startNode(args: string[], options: Parameters<typeof start>[1] = {}) {
  const node = start(['run', '-L', '127.0.0.1:0', '--http-addr', '127.0.0.1:0', ...args], options)
  await node.until(/node is ready/)
  return node
}

export async function portOf(node: Started, transport: 'tcp' | 'tls' | 'ws' | 'wss'): Promise<number> {
  const match = await node.until(
    new RegExp(`listening for connections .*listen_addr=\\S+:(\\d+) transport=${transport}`),
  )
  return Number(match[1])
}

/** CONNECT of MQTT 3.1.1 with user name and password, or without. */
export function connectPacket(user?: { readonly name: string; readonly password: string }, clientId = 'probe'): Buffer {
  return wire.connect(4, { clientId, keepAlive: 60, ...(user && { username: user.name, password: user.password }) })
}

/** What the broker answers to bytes, until it answers with `bytes` bytes or closes. */
export async function answer(socket: Socket, packet: Buffer, bytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  socket.write(packet)
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    if (Buffer.concat(chunks).length >= bytes) break
  }
  return Buffer.concat(chunks)
}

export const accepted = Buffer.from([0x20, 2, 0, 0])
export const notAuthorized = Buffer.from([0x20, 2, 0, 5])

export function writeUsers(text: string): void {
  mkdirSync(at('concordmq.d'), { recursive: true })
  writeFileSync(at('concordmq.d', 'users.toml'), text, { mode: 0o600 })
}

export async function record(name: string, password: string): Promise<string> {
  return (await run(['user', 'generate', name, password])).stdout
}
