import assert from 'node:assert/strict'
import { test } from 'node:test'
import { proveUpgrade } from './upgrade-proof.ts'

test('node by node is ended and started again under load, and clients that go on elsewhere have no publish refused', {
  timeout: 235_000,
}, async () => {
  const { violations } = await proveUpgrade({ nodes: 4, messages: 60, withinMs: 90_000 })
  assert.deepEqual(violations, [])
})
