/** Runs the whole suite in a process of its own, under other circumstances than its tests choose. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'

/** Fails with the names of the tests that do. */
export async function passWholeSuite(circumstances: Readonly<Record<string, string>>): Promise<void> {
  const folder = import.meta.dirname
  const files = readdirSync(folder)
    .filter((name) => name.endsWith('.test.ts') && !name.endsWith('.slow.test.ts'))
    .map((name) => join(folder, name))
  // Without these Node would take the tests for parts of this one, and record them with those of the usual run.
  const { NODE_TEST_CONTEXT: _context, CONCORDMQ_TEST_RECORD_DIR: _folder, ...environment } = process.env
  const child = spawn(process.execPath, ['--test', '--test-reporter=tap', '--test-concurrency=1', ...files], {
    env: { ...environment, ...circumstances },
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
}
