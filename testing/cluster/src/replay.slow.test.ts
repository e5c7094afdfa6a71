import assert from 'node:assert/strict'
import { test } from 'node:test'
import { proveReplay } from './replay-proof.ts'

test('what a node was given from the order gives a fresh machine the same state, node death and will included', {
  timeout: 200_000,
}, async () => {
  const { violations } = await proveReplay({ messages: 40, withinMs: 90_000 })
  assert.deepEqual(violations, [])
})
