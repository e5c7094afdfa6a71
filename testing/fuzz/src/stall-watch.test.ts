import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'

test('stall watch: a process whose event loop stands still is ended, with the cases that were on their way', () => {
  const program = `
    import { watchForStall } from ${JSON.stringify(new URL('./stall-watch.ts', import.meta.url).href)}
    const watch = watchForStall(100)
    watch.turned(new Set([7, 5]))
    for (;;);`
  const { signal, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
    timeout: 30_000,
  })
  assert.equal(signal, 'SIGKILL')
  assert.match(stderr, /stood still for 100 ms\nRepeat: .*sockets\.ts --seed 5 --cases 3\n$/u)
})

test('stall watch: a process that turns, and ends its watch, is left alone', () => {
  const program = `
    import { watchForStall } from ${JSON.stringify(new URL('./stall-watch.ts', import.meta.url).href)}
    const watch = watchForStall(100)
    watch.turned(new Set([1]))
    await watch.end()
    const until = performance.now() + 300
    while (performance.now() < until);`
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
    timeout: 30_000,
  })
  assert.equal(status, 0, stderr)
})
