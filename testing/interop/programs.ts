/**
 * Other people's programs as processes. Nothing waits for time: a program is ready, or done, when it has printed something
 * or has ended, and everything has a deadline that fails with all that was printed.
 *
 * A program that is not installed is a reason to skip; with `CONCORDMQ_TEST_REQUIRE_INTEROP=1` the test runner counts such a skip
 * as a failure.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

const deadlineMs = Number(process.env['CONCORDMQ_TEST_DEADLINE_MS'] ?? 20_000)

/** What a failed test leaves behind ends with the tests, however they end. */
const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** Debian's Python has paho; another one may come first in PATH. */
export const python: string = process.env['CONCORDMQ_TEST_PYTHON'] ?? '/usr/bin/python3'

/** A reason to skip if one of the programs is not in PATH. */
export function missing(...programs: readonly string[]): string | false {
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  const absent = programs.filter((program) => !folders.some((folder) => isProgram(join(folder, program))))
  return absent.length === 0
    ? false
    : `${absent.join(', ')} not installed (apt-get install mosquitto-clients openssl coreutils)`
}

/** A reason to skip if Python has no paho. */
export function missingPaho(): string | false {
  return spawnSync(python, ['-c', 'import paho.mqtt.client']).status === 0
    ? false
    : `no paho for ${python} (apt-get install python3-paho-mqtt)`
}

export interface ProgramOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  /** Written to standard input, which is then closed. */
  readonly input?: string | Uint8Array
  /** Makes a C program write each line when it is complete, as it does to a terminal. */
  readonly lineBuffered?: boolean
}

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly output: string
}

/** A program that runs; `output` is both its streams as they came. */
export class Running {
  readonly #name: string
  readonly #child: ChildProcess
  readonly #chunks: Buffer[] = []
  readonly #listeners = new Set<() => void>()
  #ended: Ended | undefined

  constructor(program: string, args: readonly string[], options: ProgramOptions = {}) {
    const { cwd, env, input, lineBuffered } = options
    this.#name = [program, ...args].join(' ').slice(0, 300)
    const [first = '', ...rest] = [...(lineBuffered === true ? ['stdbuf', '-oL'] : []), program, ...args]
    const child = spawn(first, rest, {
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(cwd === undefined ? {} : { cwd }),
      env: env ?? process.env,
    })
    this.#child = child
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.#chunks.push(chunk)
        this.#changed()
      })
    }
    // A program may end without reading what it was given.
    child.stdin?.on('error', () => {})
    child.stdin?.end(input)
    child.on('error', (error) => {
      this.#chunks.push(Buffer.from(error.message))
      this.#end(null, null)
    })
    child.on('close', (code, signal) => this.#end(code, signal))
    running.add(child)
    child.on('close', () => running.delete(child))
  }

  get output(): string {
    return Buffer.concat(this.#chunks).toString()
  }

  /** Everything printed, once it matches. */
  async until(pattern: RegExp): Promise<string> {
    await this.#wait(() => pattern.test(this.output), `print ${pattern}`)
    return this.output
  }

  /** How it ended. */
  async ended(): Promise<Ended> {
    await this.#wait(() => this.#ended !== undefined, 'end')
    return this.#ended as Ended
  }

  /** What it printed, if it ended well. */
  async succeeded(): Promise<string> {
    const { code, signal, output } = await this.ended()
    assert.equal(code, 0, `${this.#name} ended with ${code ?? signal}:\n${output}`)
    return output
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<Ended> {
    this.#child.kill(signal)
    return this.ended()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended === undefined) await this.kill()
  }

  #end(code: number | null, signal: NodeJS.Signals | null): void {
    this.#ended ??= { code, signal, output: this.output }
    this.#changed()
  }

  #changed(): void {
    for (const listener of this.#listeners) listener()
  }

  #wait(done: () => boolean, what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error?: Error): void => {
        clearTimeout(timer)
        this.#listeners.delete(look)
        if (error === undefined) resolve()
        else reject(error)
      }
      const look = (): void => {
        if (done()) settle()
        else if (this.#ended !== undefined) {
          settle(new Error(`${this.#name} ended with ${this.#ended.code} and did not ${what}:\n${this.output}`))
        }
      }
      const late = (): void => {
        // It must not outlive its test: it would keep the process.
        this.#child.kill('SIGKILL')
        settle(new Error(`${this.#name} did not ${what} within ${deadlineMs} ms:\n${this.output}`))
      }
      const timer = setTimeout(late, deadlineMs)
      this.#listeners.add(look)
      look()
    })
  }
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
