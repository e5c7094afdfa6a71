import assert from 'node:assert/strict'
import { test } from 'node:test'
import { proveFullDisk } from './disk-proof.ts'

test('a node whose disk is full says so and acknowledges nothing that it cannot keep; with room again it takes part as before', {
  timeout: 240_000,
}, async () => {
  const { violations } = await proveFullDisk({ messages: 20, failAt: 60, failFor: 40, withinMs: 100_000 })
  assert.deepEqual(violations, [])
})
