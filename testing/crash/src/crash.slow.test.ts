/**
 * The short forms; a failure names the command that repeats it. Starting the program is most of a cycle, so that a hundred
 * kills take a minute or two. Each has a file's time to itself: see the other `crash-*.slow.test.ts`.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crash } from './crash.ts'

const seed = Date.now() % 1_000_000
/** Enough for all of them on two cores that do nothing else; where they do, fewer kills must do. */
const secondsMax = 120

test('100 kills: nothing acknowledged is lost, doubled or reordered, identifiers, wills and retained messages are right', {
  timeout: 235_000,
}, async () => {
  // One cycle in ten has a second kill, while the broker starts.
  const { violations, kills, acknowledged } = await crash({ seed, cycles: 91, durability: 'fsync', secondsMax })
  assert.deepEqual(violations, [], `Repeat: crash.ts --seed ${seed} --cycles 91`)
  assert.ok(kills >= 20 && acknowledged > 200, `${kills} kills, ${acknowledged} acknowledged`)
})
