import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'

/** The first lines of the README, and what `npm start` prints, as someone follows them from terminal to terminal. */

const root = fileURLToPath(new URL('../..', import.meta.url))

describe('the first minute', () => {
  test('README begins with the two lines that do everything', () => {
    const readme = readFileSync(`${root}README.md`, 'utf8')
    const block = /```sh\n(.+)\n(.+)\n```/u.exec(readme)
    assert.ok(block)
    assert.match(block[1] ?? '', /^npm ci && npm start\b/u)
    assert.match(block[2] ?? '', /^npm ci && npm test\b/u)
    assert.ok(readme.indexOf(block[0]) < 300)
  })

  test('npm start prints commands that work in a second and a third terminal', { timeout: 60_000 }, async (t) => {
    const broker = startTerminal('npm start -- --port 0 --mqtts-port 0 --websockets-port 0')
    t.after(() => broker.end())
    const printed = await broker.until(/concordmq pub .*\n/u)
    const commands = [...printed.matchAll(/^ *(npx concordmq .+)$/gmu)].map(([, command = '']) => command)
    const subscribe = commands.find((command) => command.includes(' sub '))
    const publish = commands.find((command) => command.includes(' pub '))
    assert.ok(subscribe !== undefined && publish !== undefined, printed)

    const second = startTerminal(subscribe)
    t.after(() => second.end())
    // Whoever types the third command gives the second its moment; a program repeats the command instead of waiting.
    const heard = second.until(/^hello\/world Hello!$/mu)
    let done = false
    void heard.finally(() => {
      done = true
    })
    while (!done) await startTerminal(publish).ended()
    await heard
  })
})

interface Terminal {
  /** Everything printed so far, once it matches; rejects if the command ends before. */
  until(pattern: RegExp): Promise<string>
  ended(): Promise<void>
  end(): void
}

/** Runs a command line in the checkout, in a process group of its own, so that ending it ends what npm has started. */
function startTerminal(command: string): Terminal {
  const child: ChildProcess = spawn('bash', ['-c', command], {
    cwd: root,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let printed = ''
  const { promise: exit, resolve: exited } = Promise.withResolvers<void>()
  const listeners = new Set<() => void>()
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      printed += chunk.toString()
      for (const listener of listeners) listener()
    })
  }
  child.on('close', () => {
    exited()
    for (const listener of listeners) listener()
  })
  return {
    ended: () => exit,
    end: () => {
      if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
        process.kill(-child.pid, 'SIGTERM')
    },
    until: async (pattern) => {
      const { promise, resolve, reject } = Promise.withResolvers<string>()
      const look = (): void => {
        if (pattern.test(printed)) resolve(printed)
        else if (child.exitCode !== null || child.signalCode !== null)
          reject(new Error(`${command} ended early:\n${printed}`))
      }
      listeners.add(look)
      look()
      return await promise
    },
  }
}
