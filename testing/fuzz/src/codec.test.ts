import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { makeCase, runCase } from './codec.ts'

test('codec fuzz: 3,000 damaged packets break no promise', () => {
  for (let seed = 1; seed <= 3000; seed++) {
    try {
      runCase(seed)
    } catch (error) {
      throw new Error(`Repeat: node testing/fuzz/src/codec.ts --seed ${seed} --cases 1`, { cause: error })
    }
  }
})

test('codec fuzz: a seed always stands for the same bytes, and seeds differ', () => {
  assert.deepEqual(makeCase(8123), makeCase(8123))
  const distinct = new Set(Array.from({ length: 200 }, (_, seed) => makeCase(seed).bytes.join()))
  assert.ok(distinct.size > 150)
})

test('codec fuzz: bad usage exits with 64', () => {
  const program = fileURLToPath(new URL('./codec.ts', import.meta.url))
  for (const args of [
    ['--seed', 'x'],
    ['--cases', '0'],
    ['--colour', 'red'],
  ]) {
    assert.equal(spawnSync(process.execPath, [program, ...args]).status, 64, args.join(' '))
  }
})
