/** Without storage: what must hold when all connections are cut at once and the broker goes on. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crash } from './crash.ts'

const seed = Date.now() % 1_000_000

test('40 times all connections cut: nothing lost, doubled or reordered, identifiers and wills right', {
  timeout: 110_000,
}, async () => {
  const { violations, acknowledged, arrivals } = await crash({
    seed,
    cycles: 40,
    durability: 'none',
    connectionsOnly: true,
  })
  assert.deepEqual(violations, [], `Repeat: crash.ts --seed ${seed} --cycles 40 --durability none --connections-only`)
  assert.ok(acknowledged > 500 && arrivals > 500, `${acknowledged} acknowledged, ${arrivals} arrived`)
})
