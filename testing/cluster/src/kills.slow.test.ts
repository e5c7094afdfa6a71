import assert from 'node:assert/strict'
import { test } from 'node:test'
import { proveKills } from './kill-proof.ts'

const seed = Date.now() % 1_000_000

test('kill -9 of a node: nothing acknowledged is lost, nothing of QoS 2 doubled, clients go on elsewhere, lists stay equal', {
  timeout: 235_000,
}, async () => {
  const plan = { nodes: 4, victims: 1, kills: 3, messages: 1_500 }
  const { violations } = await proveKills({ ...plan, seed, withinMs: 60_000 })
  assert.deepEqual(violations, [], `Repeat: live.ts kills --kills 3 --messages 1500 --seed ${seed}`)
})
