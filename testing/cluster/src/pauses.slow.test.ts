import assert from 'node:assert/strict'
import { test } from 'node:test'
import { provePauses } from './pause-proof.ts'

test('a node stands still for less than the time-out, and no will is published; for longer, and each will is, once', {
  timeout: 240_000,
}, async () => {
  const { violations } = await provePauses({ messages: 20, shortMs: 2_000, longMs: 14_000, withinMs: 120_000 })
  assert.deepEqual(violations, [])
})
