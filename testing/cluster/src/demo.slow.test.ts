import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const concordmq = fileURLToPath(new URL('../../../packages/concordmq/bin/concordmq.js', import.meta.url))

test('concordmq demo kills a node of four, brings it back, and ends with the verdict that all saw one order', {
  timeout: 200_000,
}, async () => {
  const { promise, resolve } = Promise.withResolvers<{ readonly code: number; readonly output: string }>()
  const child = execFile(
    process.execPath,
    [concordmq, 'demo', '--rate', '60', '--seconds', '9'],
    { timeout: 180_000 },
    (error, stdout, stderr) => resolve({ code: Number(error?.code ?? 0), output: stdout + stderr }),
  )
  child.stdin?.end()
  const { code, output } = await promise
  assert.equal(code, 0, output)
  assert.match(output, /node 2 is killed/)
  assert.match(output, /node 2 is back/)
  assert.match(
    output.trimEnd(),
    /OK: 4 nodes delivered [\d,]+ messages in one order \([0-9a-f]{16}\); none of [\d,]+ .* lost.*$/,
  )
})
