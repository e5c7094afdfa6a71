import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'

/** A process that stops as slowly as it likes: it prints what happens and never ends by itself. */
function slowProcess(graceMs: number) {
  const module = new URL('./signals.ts', import.meta.url).href
  const code = `
    import { whenStopped } from ${JSON.stringify(module)}
    const logger = { error: (fields) => console.log(fields.event) }
    const { signal } = whenStopped({ logger, graceMs: () => ${graceMs}, hangupStops: true })
    setInterval(() => {}, 60_000)
    console.log('ready')
    console.log(await signal)
  `
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  const lines = new Set<() => void>()
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
    for (const look of lines) look()
  })
  const until = (text: string) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (output.includes(text)) resolve()
      }
      lines.add(look)
      look()
    })
  return { child, until, output: () => output }
}

for (const [signal, code] of [
  ['SIGTERM', 143],
  ['SIGINT', 130],
] as const) {
  test(`a second ${signal} ends the process at once with ${code}`, async () => {
    const { child, until } = slowProcess(60_000)
    await until('ready')
    child.kill(signal)
    await until(signal)
    child.kill(signal)
    const [status] = await once(child, 'exit')
    assert.equal(status, code)
  })
}

test('a stop that does not end within its grace is ended, and said', async () => {
  // The margin beyond the grace is two seconds; this leaves a tenth of one.
  const { child, until, output } = slowProcess(-1_900)
  await until('ready')
  child.kill('SIGTERM')
  const [status] = await once(child, 'exit')
  assert.equal(status, 70)
  assert.match(output(), /node\.stop_overdue/)
})
