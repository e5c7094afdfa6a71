import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { test } from 'node:test'
import { at, run } from '../program.testkit.ts'

test('several `user add` at once lose nobody', async () => {
  const names = ['a', 'b', 'c', 'd']
  const codes = await Promise.all(names.map(async (name) => (await run(['user', 'add', name], { input: 'x\n' })).code))
  assert.deepEqual(codes, [0, 0, 0, 0])
  assert.deepEqual((await run(['user', 'list'])).stdout.trimEnd().split('\n').sort(), names)
  assert.deepEqual(readdirSync(at('concordmq.d')), ['users.toml'])
})
