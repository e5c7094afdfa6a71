import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hasRepeated } from './repeated.ts'

const compare = (a: number, b: number): number => a - b

test('hasRepeated() finds a value that stands twice, wherever', () => {
  assert.equal(hasRepeated([], compare), false)
  assert.equal(hasRepeated([7], compare), false)
  assert.equal(hasRepeated([3, 1, 2], compare), false)
  for (let first = 0; first < 20; first++) {
    for (let second = 0; second < first; second++) {
      const values = Array.from({ length: 20 }, (_, i) => (i * 7) % 20)
      values[second] = values[first] as number
      assert.equal(hasRepeated(values, compare), true)
    }
  }
})

test('hasRepeated() compares a full table of 31 nodes at most n log n times, in whatever order it is', () => {
  const n = 248
  for (const step of [1, 3, 89, 247]) {
    let comparisons = 0
    const values = Array.from({ length: n }, (_, i) => (i * step) % n)
    const counted = (a: number, b: number): number => {
      comparisons++
      return a - b
    }
    hasRepeated(values, counted)
    assert.ok(comparisons <= n * Math.ceil(Math.log2(n)) + n, `${comparisons} comparisons`)
  }
})
