import assert from 'node:assert/strict'
import { test } from 'node:test'
import { proveWays } from './ways-proof.ts'

test('four processes: fast topics skip the order and outlive a node, sealed messages are in one order and in no log', {
  timeout: 230_000,
}, async () => {
  const { violations } = await proveWays({ messages: 400, withinMs: 60_000 })
  assert.deepEqual(violations, [])
})
