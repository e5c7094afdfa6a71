import assert from 'node:assert/strict'
import { test } from 'node:test'
import { proveLiar } from './liar-proof.ts'

test('one of four nodes lies in many ways: the others keep one order, and once it forks they prove that and jail it', {
  timeout: 300_000,
}, async () => {
  // A flood takes half a core of each node, which a machine with other tests to run has not.
  const chapters = ['signature,replay,silence,garbage,foreign', 'fork']
  const { violations } = await proveLiar({ transport: 'tls', messages: 20, chapters, withinMs: 200_000 })
  assert.deepEqual(violations, [])
})
