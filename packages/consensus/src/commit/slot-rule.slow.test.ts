/**
 * The model of the slot rule with schedule change (`testing/promela/slot-rule.pml`), checked whole by spin, and checked to find
 * the errors that are planted in it. Needs Debian's `spin` and a C compiler: skipped where one is missing, but a failure where
 * `CONCORDMQ_TEST_REQUIRE_INTEROP=1` says that every program is there.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const model = fileURLToPath(new URL('../../testing/promela/slot-rule.pml', import.meta.url))
const required = process.env['CONCORDMQ_TEST_REQUIRE_INTEROP'] === '1'
const missing = [
  ['spin', '-V'],
  ['cc', '--version'],
].filter(([program, flag]) => spawnSync(program as string, [flag as string]).status !== 0)
const skip =
  missing.length > 0 && !required ? `${missing.map(([program]) => program).join(' and ')} not installed` : false

/** What the verifier says of the model with these names defined. */
function verify(...defined: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'concordmq-spin-'))
  const run = (program: string, ...args: readonly string[]) => {
    const { status, stdout, stderr, error } = spawnSync(program, args, { cwd: folder, encoding: 'utf8' })
    assert.ok(status === 0, `${program} ended with ${status}\n${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}`)
    return stdout
  }
  try {
    run('spin', ...defined.map((name) => `-D${name}`), '-a', model)
    run('cc', '-O2', '-w', '-DSAFETY', '-DCOLLAPSE', '-o', 'verifier', 'pan.c')
    return run(join(folder, 'verifier'), '-m100000')
  } finally {
    rmSync(folder, { recursive: true })
  }
}

test('a node that learns facts in any order and changes its schedule decides what is so', { skip }, () => {
  const report = verify()
  assert.match(report, /errors: 0/u)
  assert.doesNotMatch(report, /Search not completed/u)
  const states = Number(/(\d+) states, stored/u.exec(report)?.[1])
  assert.ok(states > 2_000_000, `${states} states`)
})

test('the model finds decisions that are kept over a change of schedule', { skip }, () => {
  assert.match(verify('KEEP_CACHE'), /assertion violated/u)
})

test('the model finds an anchor that is taken from beyond an undecided slot', { skip }, () => {
  assert.match(verify('PASS_UNDECIDED'), /assertion violated/u)
})
