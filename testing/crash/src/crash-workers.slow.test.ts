/** The same with several threads, and with another number of them in the next life. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crash } from './crash.ts'

const seed = Date.now() % 1_000_000

test('40 kills with four workers, with one and with two: what either acknowledged is kept by the others', {
  timeout: 235_000,
}, async () => {
  const { violations, kills, acknowledged } = await crash({
    seed,
    cycles: 37,
    durability: 'fsync',
    workers: [4, 1, 4, 2],
    secondsMax: 120,
  })
  assert.deepEqual(violations, [], `Repeat: crash.ts --seed ${seed} --cycles 37 --workers 4,1,4,2`)
  assert.ok(kills >= 10 && acknowledged > 100, `${kills} kills, ${acknowledged} acknowledged`)
})
