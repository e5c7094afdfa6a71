import assert from 'node:assert/strict'
import { test } from 'node:test'
import { proveFairness } from './fairness-proof.ts'

test('clients of no node are preferred, and a node that delays the others gains no more than its delay [row F2]', {
  timeout: 230_000,
}, async () => {
  const { violations } = await proveFairness({ rounds: 20, biasMax: 0.25, seed: 1, withinMs: 100_000 })
  assert.deepEqual(violations, [])
})
