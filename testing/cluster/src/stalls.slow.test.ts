import assert from 'node:assert/strict'
import { test } from 'node:test'
import { policies, proveStall } from './stall-proof.ts'

for (const policy of policies) {
  test(`two of four nodes are gone, and clients see what "${policy}" says; one comes back, and the order goes on`, {
    timeout: 120_000,
  }, async () => {
    const { violations } = await proveStall({ policy, withinMs: 60_000 })
    assert.deepEqual(violations, [])
  })
}
