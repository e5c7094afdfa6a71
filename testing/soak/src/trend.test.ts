import assert from 'node:assert/strict'
import { test } from 'node:test'
import { randomFrom } from '../../testkit/src/random.ts'
import { isFlat, trendOf } from './trend.ts'

const row = (value: (i: number) => number) =>
  Array.from({ length: 40 }, (_, i) => ({ atSeconds: i * 90, value: value(i) }))

test('trendOf() finds the slope of a straight line, without error', () => {
  const { growth, error, perHour } = trendOf(row((i) => 1000 + 5 * i))
  assert.ok(Math.abs(growth - 195) < 1e-6)
  assert.ok(error < 1e-6)
  assert.ok(Math.abs(perHour - 200) < 1e-6)
})

test('isFlat() takes noise for flat and a leak under the same noise for growth', () => {
  const random = randomFrom(1)
  const noise = row(() => 10_000 + random.below(200))
  assert.ok(isFlat(trendOf(noise), 100))
  const leak = noise.map(({ atSeconds, value }, i) => ({ atSeconds, value: value + 10 * i }))
  assert.ok(!isFlat(trendOf(leak), 100))
})

test('isFlat() takes a row that shrinks for flat', () => {
  assert.ok(isFlat(trendOf(row((i) => 1000 - i)), 0))
})

test('isFlat() calls one step up in the middle growth', () => {
  assert.ok(!isFlat(trendOf(row((i) => (i < 20 ? 0 : 5_000))), 1_000))
})

test('trendOf() needs a point', () => {
  assert.throws(() => trendOf([]), /needs a point/u)
})
