import assert from 'node:assert/strict'
import { constants, PerformanceObserver } from 'node:perf_hooks'
import { test } from 'node:test'
import { createContext, runInContext } from 'node:vm'
import { ReadMemory } from './read-memory.ts'

const MIB = 1 << 20

/** Reads 512 MiB in pieces of 64 KiB, as a socket does, and counts how often the engine marked everything alive. */
async function marksWhileReading(memory: ReadMemory): Promise<number> {
  let marks = 0
  const observer = new PerformanceObserver((list) => {
    for (const { detail } of list.getEntries() as unknown as readonly {
      readonly detail: { readonly kind: number }
    }[]) {
      if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) marks++
    }
  })
  observer.observe({ entryTypes: ['gc'] })
  let last: Uint8Array | undefined
  for (let i = 0; i < 8192; i++) {
    last = new Uint8Array(new ArrayBuffer(65536))
    last[0] = i
    memory.took(last.length)
    // The engine frees such memory beside the program, which a socket gives it the time for.
    if (i % 64 === 0) await new Promise(setImmediate)
  }
  await new Promise(setImmediate)
  await new Promise(setImmediate)
  observer.disconnect()
  assert.ok(last !== undefined)
  return marks
}

test('memory of what was read goes back without the engine marking everything alive', async () => {
  const without = await marksWhileReading(new ReadMemory(() => undefined))
  const collected = await marksWhileReading(new ReadMemory())
  assert.ok(without >= 3, `${without} without`)
  assert.ok(collected <= 1, `${collected} with`)
})

test('a collection is asked for when 4 MiB more lie outside the heap, and the way to it is looked for once', () => {
  let found = 0
  let collections = 0
  let outside = 30 * MIB
  const memory = new ReadMemory(
    () => {
      found++
      return () => {
        collections++
        outside -= 3 * MIB
      }
    },
    () => outside,
  )
  const read = (mebibytes: number, kept: boolean): void => {
    for (let i = 0; i < mebibytes; i++) {
      if (kept) outside += MIB
      memory.took(MIB)
    }
  }
  read(1, false)
  read(3, true)
  assert.equal(collections, 0)
  read(1, true)
  assert.equal(collections, 1)
  // What is read and not kept asks for nothing.
  read(100, false)
  assert.equal(collections, 1)
  // The engine frees beside the program: what counts is the least that was seen.
  outside -= 8 * MIB
  read(1, false)
  read(4, true)
  assert.equal(collections, 2)
  read(4, true)
  assert.equal(collections, 3)
  assert.equal(found, 1)
})

test('an engine without such a function is left alone', () => {
  let asked = 0
  let outside = 0
  const memory = new ReadMemory(
    () => {
      asked++
      return undefined
    },
    () => (outside += 8 * MIB),
  )
  for (let i = 0; i < 32; i++) memory.took(MIB)
  assert.equal(asked, 1)
})

test('the program around the broker sees nothing of it', () => {
  let outside = 0
  const memory = new ReadMemory(undefined, () => (outside += 8 * MIB))
  for (let i = 0; i < 4; i++) memory.took(MIB)
  assert.equal('gc' in globalThis, false)
  assert.equal(runInContext('typeof gc', createContext()), 'undefined')
})
