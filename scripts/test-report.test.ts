import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type FileEnd, Report, type ReportOptions, type TestEvent } from './test-report.ts'

const pass: TestEvent = { type: 'pass', name: 'a test', suite: false }

/** Reports one file; gives back what was printed and whether the run counts as a success. */
function reportOf(
  events: readonly TestEvent[],
  end: Partial<FileEnd> = {},
  options: Partial<ReportOptions> = {},
): { lines: string[]; ok: boolean } {
  let printed = ''
  const write = (text: string): void => {
    printed += text
  }
  const report = new Report({ write, skipIsFailure: () => false, byName: false, ...options })
  report.file('a.test.ts', events, { code: 0, seconds: 1, output: '', ...end })
  const ok = report.end(1)
  return { lines: printed.trimEnd().split('\n'), ok }
}

function fail(failureType: string, text: string, suite = false): TestEvent {
  return { type: 'fail', name: 'a test', suite, failureType, text }
}

describe('Report', () => {
  test('closes with the count and nothing after it', () => {
    const { lines, ok } = reportOf([pass, pass])
    assert.equal(lines.at(-1), '2 passed, 0 failed')
    assert.equal(ok, true)
  })

  test('counts a skip apart and prints its reason once', () => {
    const skip: TestEvent = { ...pass, skip: 'mosquitto_pub is not installed' }
    const { lines, ok } = reportOf([pass, skip, skip])
    assert.deepEqual(lines.slice(-2), ['1 files in 1.0 s, 2 skipped', '1 passed, 0 failed'])
    assert.deepEqual(
      lines.filter((line) => line.includes('mosquitto_pub')),
      ['Skipped 2: mosquitto_pub is not installed'],
    )
    assert.equal(ok, true)
  })

  test('counts a skip as a failure where everything must run', () => {
    const { lines, ok } = reportOf([pass, { ...pass, skip: 'no program' }], {}, { skipIsFailure: () => true })
    assert.equal(lines.at(-1), '1 passed, 1 failed')
    assert.equal(ok, false)
  })

  test('prints what a failed test threw and what its file wrote', () => {
    const { lines, ok } = reportOf([fail('testCodeFailure', 'two is not three')], { code: 1, output: 'written\n' })
    assert.equal(lines.at(-1), '0 passed, 1 failed')
    assert.ok(lines.includes('  two is not three') && lines.includes('written'))
    assert.equal(ok, false)
  })

  test('counts no suite, and no test that failed only by its parts', () => {
    const { lines } = reportOf([pass, { ...pass, suite: true }, fail('subtestsFailed', '', true)])
    assert.equal(lines.at(-1), '1 passed, 0 failed')
  })

  test('counts a suite whose hook failed', () => {
    assert.equal(reportOf([fail('hookFailed', 'no port', true)]).lines.at(-1), '0 passed, 1 failed')
  })

  test('counts a file without a test as a failure, unless tests are chosen by name', () => {
    assert.equal(reportOf([]).lines.at(-1), '0 passed, 1 failed')
    assert.equal(reportOf([{ ...pass, name: '/checkout/a.test.ts' }]).lines.at(-1), '0 passed, 1 failed')
    assert.equal(reportOf([], {}, { byName: true }).lines.at(-1), '0 passed, 0 failed')
    assert.equal(reportOf([], {}, { byName: true }).ok, false)
  })

  test('counts a file that ends badly after its tests passed', () => {
    assert.equal(reportOf([pass], { code: 7 }).lines.at(-1), '1 passed, 1 failed')
  })

  test('names the unfinished tests of a file that had to be killed', () => {
    const started: TestEvent = { type: 'start', name: 'loops for ever' }
    const { lines, ok } = reportOf([{ type: 'start', name: 'a test' }, pass, started], { code: null, killedAfter: 120 })
    assert.ok(lines.includes('  Killed after 120 s; unfinished: loops for ever'))
    assert.equal(ok, false)
  })

  test('counts what failed after its test had ended', () => {
    assert.equal(reportOf([pass, { type: 'late', text: 'too late' }]).lines.at(-1), '1 passed, 1 failed')
  })

  test('is no success when only skips ran', () => {
    assert.equal(reportOf([{ ...pass, skip: 'no program' }]).ok, false)
  })
})
