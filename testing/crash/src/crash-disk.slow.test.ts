/** The same when the disk has its part in it: a power cut that takes what was not synchronised, and writes that fail. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crash } from './crash.ts'

const seed = Date.now() % 1_000_000
const secondsMax = 40

test('20 power cuts take unsynchronised writes, and nothing that was acknowledged', { timeout: 118_000 }, async () => {
  const { violations, taken, acknowledged } = await crash({
    seed,
    cycles: 20,
    durability: 'fsync',
    powerCut: true,
    secondsMax,
  })
  assert.deepEqual(violations, [], `Repeat: crash.ts --seed ${seed} --cycles 20 --power-cut`)
  assert.ok(taken > 0 && acknowledged > 100, `${taken} writes taken, ${acknowledged} acknowledged`)
})

test('each of the first 30 writes fails in turn, and nothing that was acknowledged is lost', {
  timeout: 110_000,
}, async () => {
  const { violations, refusals, acknowledged } = await crash({
    seed,
    cycles: 30,
    durability: 'fsync',
    failing: true,
    secondsMax,
  })
  assert.deepEqual(violations, [], `Repeat: crash.ts --seed ${seed} --cycles 30 --failing`)
  assert.ok(acknowledged > 100, `${acknowledged} acknowledged, ${refusals} refused`)
})
