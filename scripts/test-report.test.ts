import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Report } from './test-report.ts'

const file = '/checkout/a.test.ts'

interface Given {
  readonly name?: string
  readonly skip?: string
  readonly type?: 'suite' | 'test'
  readonly error?: Error
}

/** Feeds events as node:test makes them; gives back what was printed and whether the run counts as a success. */
function reportOf(
  events: readonly (readonly [type: string, given: Given])[],
  options: { readonly skipIsFailure?: boolean } = {},
): { lines: string[]; ok: boolean } {
  let printed = ''
  const report = new Report({
    root: '/checkout',
    write: (text) => {
      printed += text
    },
    skipIsFailure: () => options.skipIsFailure ?? false,
  })
  for (const [type, { name = 'a test', skip, type: kind = 'test', error }] of events) {
    const details = { duration_ms: 1, type: kind, error }
    report.take({
      type,
      data: { name, file, nesting: 0, details, message: name, ...(skip === undefined ? {} : { skip }) },
    })
  }
  const ok = report.end(1)
  return { lines: printed.trimEnd().split('\n'), ok }
}

function failure(failureType: string, cause?: Error): Error {
  return Object.assign(new Error('wrapped', { cause }), { failureType })
}

describe('Report', () => {
  test('closes with the count and nothing after it', () => {
    const { lines, ok } = reportOf([
      ['test:pass', {}],
      ['test:pass', { name: 'another' }],
    ])
    assert.equal(lines.at(-1), '2 passed, 0 failed')
    assert.equal(ok, true)
  })

  test('counts a skip apart and prints its reason once', () => {
    const skip = { skip: 'mosquitto_pub is not installed' }
    const { lines, ok } = reportOf([
      ['test:pass', {}],
      ['test:pass', skip],
      ['test:pass', skip],
    ])
    assert.equal(lines.at(-1), '1 passed, 0 failed, 2 skipped')
    assert.deepEqual(
      lines.filter((line) => line.includes('mosquitto_pub')),
      ['Skipped 2: mosquitto_pub is not installed'],
    )
    assert.equal(ok, true)
  })

  test('counts a skip as a failure where everything must run', () => {
    const { lines, ok } = reportOf(
      [
        ['test:pass', {}],
        ['test:pass', { skip: 'no program' }],
      ],
      { skipIsFailure: true },
    )
    assert.equal(lines.at(-1), '1 passed, 1 failed')
    assert.equal(ok, false)
  })

  test('prints what a failed test threw, not the wrapper', () => {
    const error = failure('testCodeFailure', new Error('two is not three'))
    const { lines, ok } = reportOf([['test:fail', { error }]])
    assert.equal(lines.at(-1), '0 passed, 1 failed')
    assert.ok(lines.some((line) => line.includes('two is not three')))
    assert.equal(ok, false)
  })

  test('counts no suite, and no test that failed only by its parts', () => {
    const suite = { type: 'suite' } as const
    const { lines } = reportOf([
      ['test:pass', {}],
      ['test:pass', suite],
      ['test:fail', { ...suite, error: failure('subtestsFailed') }],
    ])
    assert.equal(lines.at(-1), '1 passed, 0 failed')
  })

  test('counts a suite whose hook failed', () => {
    const { lines } = reportOf([['test:fail', { type: 'suite', error: failure('hookFailed', new Error('no port')) }]])
    assert.equal(lines.at(-1), '0 passed, 1 failed')
  })

  test('counts a file without a test as a failure', () => {
    const { lines, ok } = reportOf([['test:pass', { name: file }]])
    assert.equal(lines.at(-1), '0 passed, 1 failed')
    assert.equal(ok, false)
  })

  test('counts what failed after its test had ended', () => {
    const name = 'Error: A resource generated asynchronous activity after the test ended.'
    const { lines, ok } = reportOf([
      ['test:pass', {}],
      ['test:diagnostic', { name }],
    ])
    assert.equal(lines.at(-1), '1 passed, 1 failed')
    assert.equal(ok, false)
  })

  test('is no success when nothing ran, or only skips', () => {
    assert.equal(reportOf([]).ok, false)
    assert.equal(reportOf([['test:pass', { skip: 'no program' }]]).ok, false)
  })
})
