import assert from 'node:assert/strict'
import { test } from 'node:test'
import { proveOrder } from './order-proof.ts'

test('four processes: subscribers on every node see one order of QoS 0, 1 and 2, without loss or duplicate', {
  timeout: 230_000,
}, async () => {
  const { violations } = await proveOrder({ nodes: 4, messages: 2_000, withinMs: 120_000 })
  assert.deepEqual(violations, [])
})
