import assert from 'node:assert/strict'
import { test } from 'node:test'
import { proveClock } from './clock-proof.ts'

test('a clock that is wrong by an hour, ahead or behind, moves neither the order nor its time', {
  timeout: 240_000,
}, async () => {
  const { violations } = await proveClock({ messages: 20, withinMs: 100_000 })
  assert.deepEqual(violations, [])
})
