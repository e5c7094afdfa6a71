import assert from 'node:assert/strict'
import { test } from 'node:test'
import { proveNetwork } from './network-proof.ts'

const seed = Date.now() % 1_000_000

test('a slow network that loses much, and a node cut off in either direction: the others go on, and all have one list', {
  timeout: 235_000,
}, async () => {
  const trouble = { cutMs: 3_000, delayMs: 50, loss: 0.02 }
  const { violations } = await proveNetwork({ transport: 'quic', messages: 20, ...trouble, seed, withinMs: 60_000 })
  assert.deepEqual(violations, [], `Repeat: live.ts network --messages 20 --seed ${seed}`)
})
