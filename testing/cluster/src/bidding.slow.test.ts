import assert from 'node:assert/strict'
import { test } from 'node:test'
import { proveBidding } from './bidding-proof.ts'

test('agents at four nodes bid for tasks, and all see the same winner for each [F36]', {
  timeout: 200_000,
}, async () => {
  const { violations } = await proveBidding({ tasks: 100, withinMs: 90_000 })
  assert.deepEqual(violations, [])
})
