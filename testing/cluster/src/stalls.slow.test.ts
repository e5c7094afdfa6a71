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

for (const since of ['before', 'others'] as const) {
  test(`what was acknowledged while two of four nodes were gone has its place, though the node that said so is killed, too (${since})`, {
    timeout: 120_000,
  }, async () => {
    const { violations, figures } = await proveStallKept({ since, withinMs: 60_000 })
    assert.deepEqual(violations, [])
    assert.ok((figures['acknowledged'] ?? 0) > 0)
  })
}
