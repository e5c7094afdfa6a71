/** The short form of the soak: what grows with every round shows in ten rounds as well as in sixty. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { soak, table } from './soak.ts'

const growthBytesMax = 4 * 1_048_576

test('a broker under mixed load holds no more after every round than before', { timeout: 110_000 }, async () => {
  const seed = Date.now() % 1_000_000
  const result = await soak({ seed, seconds: 20, rate: 300, samples: 8, growthBytesMax })
  assert.deepEqual(result.faults, [], `seed ${seed}\n${table(result, { growthBytesMax })}`)
  assert.ok(result.counts.checked > 500, 'The steady clients were served')
})
