/** The whole suite once more, with brokers that serve with four threads: what they promise is the same. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { outside } from './target.ts'

test('brokers with 4 workers pass the whole suite', { skip: outside }, async () => {
  const folder = import.meta.dirname
  const files = readdirSync(folder)
    .filter((name) => name.endsWith('.test.ts') && !name.endsWith('.slow.test.ts'))
    .map((name) => join(folder, name))
  // Without these Node would take the tests for parts of this one, and record them with those of one thread.
  const { NODE_TEST_CONTEXT: _context, CONCORDMQ_TEST_RECORD_DIR: _folder, ...environment } = process.env
  const child = spawn(process.execPath, ['--test', '--test-reporter=tap', '--test-concurrency=1', ...files], {
    env: { ...environment, CONCORDMQ_TEST_WORKERS: '4' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let report = ''
  child.stdout.on('data', (chunk: Buffer) => {
    report += chunk.toString()
  })
  const [code] = (await once(child, 'close')) as [number]
  const failed = report.split('\n').filter((line) => /^\s*not ok /u.test(line))
  assert.deepEqual(failed, [])
  assert.equal(code, 0)
  assert.ok(Number(/^# pass (\d+)$/mu.exec(report)?.[1]) > 300, 'the suite ran')
})
