import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test } from 'node:test'
import type { OrderedSnapshot } from '../../model/ordered-log.ts'
import { HeldSnapshots } from './snapshots.ts'

function snapshotsOf(released: string[]): (name: string) => OrderedSnapshot {
  return (name) => ({
    hashes: async () => [],
    read: async () => Buffer.from(name),
    release: () => void released.push(name),
  })
}

const textOf = async (held: HeldSnapshots, step: number): Promise<string | undefined> =>
  (await held.read(step, 0))?.toString()

test('the snapshot with which an epoch ended is held, also where the epoch before took more steps', async () => {
  const released: string[] = []
  const named = snapshotsOf(released)
  const held = new HeldSnapshots()
  held.add(9, named('end of 0'))
  held.certified(9)
  held.add(5, named('end of 1'))
  held.certified(5)
  assert.equal(await textOf(held, 5), 'end of 1')
  assert.equal(await textOf(held, 9), 'end of 0')
  held.add(5, named('in 2'))
  held.certified(5)
  assert.equal(await textOf(held, 5), 'in 2')
  assert.deepEqual(released, ['end of 0'])
})

test('of those without a certificate four are held, and none when all are let go', async () => {
  const released: string[] = []
  const named = snapshotsOf(released)
  const held = new HeldSnapshots()
  for (let step = 1; step <= 6; step++) held.add(step, named(String(step)))
  assert.deepEqual(released, ['1', '2'])
  assert.equal(await textOf(held, 2), undefined)
  held.releaseAll()
  assert.deepEqual(released, ['1', '2', '3', '4', '5', '6'])
})
