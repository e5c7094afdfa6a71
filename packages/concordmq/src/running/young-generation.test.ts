import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import process from 'node:process'
import { test } from 'node:test'

/** Size of the young generation, bytes, after 200,000 objects that all survive; with and without the call. */
function sizeAfterSurvivors(call: string): number {
  const script = `
    import { getHeapSpaceStatistics } from 'node:v8'
    import { keepYoungGenerationSmall } from ${JSON.stringify(new URL('./young-generation.ts', import.meta.url).href)}
    ${call}
    const alive = []
    for (let i = 0; i < 200_000; i++) alive.push({ i, text: 'n' + i, more: [i] })
    const size = getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').space_size
    console.log(alive.length, size)
  `
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
  assert.equal(stderr, '')
  const [count, size] = stdout.trim().split(' ').map(Number)
  assert.equal(count, 200_000)
  return size as number
}

test('keepYoungGenerationSmall() stops the growth of the young generation, and the engine knows the flag', () => {
  assert.ok(sizeAfterSurvivors('keepYoungGenerationSmall()') * 2 <= sizeAfterSurvivors(''))
})
