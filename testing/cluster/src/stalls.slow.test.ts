import assert from 'node:assert/strict'
import { test } from 'node:test'
import { policies, proveStall, proveStallKept } from './stall-proof.ts'

for (const policy of policies) {
  test(`two of four nodes are gone, and clients see what "${policy}" says; one comes back, and the order goes on`, {
    timeout: 120_000,
  }, async () => {
    const { violations } = await proveStall({ policy, withinMs: 60_000 })
    assert.deepEqual(violations, [])
  })
}

test('what was acknowledged while two of four nodes were gone has its place, though the node that said so is killed, too', {
  timeout: 120_000,
}, async () => {
  const { violations, figures } = await proveStallKept({ withinMs: 60_000 })
  assert.deepEqual(violations, [])
  assert.ok((figures['sentBefore'] ?? 0) > 0)
})
