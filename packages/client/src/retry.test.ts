import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RETRY_DEFAULTS, retryDelayMs } from './retry.ts'

test('retryDelayMs() doubles up to the maximum, and draws the upper half of it', () => {
  const options = { ...RETRY_DEFAULTS, retryDelayMsMin: 100, retryDelayMsMax: 1000 }
  const lowest = [1, 2, 3, 4, 5, 6].map((attempt) => retryDelayMs(attempt, options, 0))
  const highest = [1, 2, 3, 4, 5, 6].map((attempt) => retryDelayMs(attempt, options, 0.999_999))
  assert.deepEqual(lowest, [50, 100, 200, 400, 500, 500])
  assert.deepEqual(highest, [100, 200, 400, 800, 1000, 1000])
})

test('retryDelayMs() stays finite after any number of attempts', () => {
  assert.equal(retryDelayMs(1_000_000, RETRY_DEFAULTS, 0), RETRY_DEFAULTS.retryDelayMsMax / 2)
})
