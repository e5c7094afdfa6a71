import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import process from 'node:process'
import { test } from 'node:test'

const module = JSON.stringify(new URL('./young-generation.ts', import.meta.url).href)

/** What a script prints. */
function printed(script: string, ...flags: string[]): string {
  const { stdout, stderr } = spawnSync(process.execPath, [...flags, '--input-type=module', '-e', script], {
    encoding: 'utf8',
  })
  assert.equal(stderr, '')
  return stdout.trim()
}

/** Size of the young generation, bytes, after 200,000 objects that all survive; with and without the call. */
function sizeAfterSurvivors(call: string): number {
  const script = `
    import { getHeapSpaceStatistics } from 'node:v8'
    import { keepYoungGenerationSmall } from ${module}
    ${call}
    const alive = []
    for (let i = 0; i < 200_000; i++) alive.push({ i, text: 'n' + i, more: [i] })
    const size = getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').space_size
    console.log(alive.length, size)
  `
  const [count, size] = printed(script).split(' ').map(Number)
  assert.equal(count, 200_000)
  return size as number
}

test('keepYoungGenerationSmall() stops the growth of the young generation, and the engine knows the flag', () => {
  assert.ok(sizeAfterSurvivors('keepYoungGenerationSmall()') * 2 <= sizeAfterSurvivors(''))
})

/** Megabytes that collections of the young generation leave behind: first messages are kept, then as many are let go at once. */
function leftBehind(call: string): number {
  const script = `
    import { getHeapStatistics } from 'node:v8'
    import { beginInYoungGeneration } from ${module}
    ${call}
    const run = (i) => {
      const list = []
      for (let k = 0; k < 10; k++) list.push({ i, k, text: 'n' + i, payload: new Uint8Array(100) })
      return list
    }
    const queue = []
    for (let i = 0; i < 20_000; i++) queue.push(run(i))
    gc()
    const before = getHeapStatistics().used_heap_size
    let messages = 0
    for (let i = 0; i < 5_000; i++) {
      messages += run(i).length
      if (i % 500 === 499) gc({ type: 'minor' })
    }
    console.log(queue.length + messages, (getHeapStatistics().used_heap_size - before) / 1e6)
  `
  const [messages, megabytes] = printed(script, '--expose-gc').split(' ').map(Number)
  assert.equal(messages, 70_000)
  return megabytes as number
}

test('beginInYoungGeneration() lets what a full queue drops go young, and the engine knows the flag', () => {
  // Whether the engine learns it in so short a time is left to chance: of two processes one does.
  let without = 0
  for (let tried = 0; tried < 20 && without < 5; tried++) without = leftBehind('')
  assert.ok(without >= 5, `${without} MB were left without it`)
  for (let tried = 0; tried < 4; tried++) assert.ok(leftBehind('beginInYoungGeneration()') < 1)
})
