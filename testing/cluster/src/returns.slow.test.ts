import assert from 'node:assert/strict'
import { test } from 'node:test'
import { proveReturns } from './return-proof.ts'

const seed = Date.now() % 1_000_000

test('after kill -9 the order goes on, clients are served elsewhere, and the node serves again when it is back', {
  timeout: 200_000,
}, async () => {
  // On a machine with more to do than cores: on a quiet one all three take less than a second.
  const bars = { resumedWithinMs: 10_000, servedWithinMs: 10_000, withinMs: 60_000 }
  const { violations } = await proveReturns({ nodes: 4, kills: 2, seed, ...bars })
  assert.deepEqual(violations, [], `Repeat: live.ts returns --kills 2 --seed ${seed}`)
})
