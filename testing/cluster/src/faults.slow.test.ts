import assert from 'node:assert/strict'
import { test } from 'node:test'
import { proveFaults } from './fault-proof.ts'

test('nodes stand still, lose power together and die: the order goes on, sessions stay, a will fires once', {
  timeout: 235_000,
}, async () => {
  const { violations } = await proveFaults({ messages: 20, pauseMs: 3_000, withinMs: 60_000 })
  assert.deepEqual(violations, [])
})
