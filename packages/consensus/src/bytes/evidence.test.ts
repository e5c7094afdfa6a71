import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Drawing } from '../../testing/drawn-graph.ts'
import { decodeEvidence, encodeEvidence } from './evidence.ts'
import { compareBytes } from './order.ts'

const drawing = new Drawing(4)
const decode = (bytes: Uint8Array) => decodeEvidence(bytes, drawing.epoch, drawing.domain)
const one = drawing.block({ author: 2, round: 1, parents: [] })
const two = drawing.block({ author: 2, round: 1, parents: [], version: 1 })

test('evidence says the same in whichever order its maker saw the two blocks', () => {
  const bytes = encodeEvidence(one, two)
  assert.deepEqual(encodeEvidence(two, one), bytes)
  const decoded = decode(bytes)
  assert.ok(decoded.ok)
  const { author, round, blocks } = decoded.value
  assert.deepEqual([author, round], [2, 1])
  const digests = blocks.map(({ digest }) => digest)
  assert.deepEqual(digests, [one.digest, two.digest].sort(compareBytes))
})

test('decodeEvidence() refuses one block twice, two that are no fork, and two in the wrong order', () => {
  assert.deepEqual(decode(encodeEvidence(one, one)), { ok: false, problem: 'blocks are not in order' })
  const other = drawing.block({ author: 1, round: 1, parents: [] })
  assert.deepEqual(decode(encodeEvidence(one, other)), { ok: false, problem: 'no fork' })
  const bytes = encodeEvidence(one, two)
  const half = bytes.length / 2
  const swapped = Uint8Array.of(...bytes.subarray(half), ...bytes.subarray(0, half))
  assert.deepEqual(decode(swapped), { ok: false, problem: 'blocks are not in order' })
})

test('decodeEvidence() refuses evidence with any byte more, less, or outside of the signatures changed', () => {
  const bytes = encodeEvidence(one, two)
  assert.equal(decode(Uint8Array.of(...bytes, 0)).ok, false)
  for (let length = 0; length < bytes.length; length++) assert.equal(decode(bytes.subarray(0, length)).ok, false)
  for (let at = 0; at < bytes.length; at++) {
    const changed = bytes.slice()
    changed[at] = (changed[at] as number) ^ 1
    const decoded = decode(changed)
    if (!decoded.ok) continue
    // What can change and still be evidence: time stamps, hashes and signatures, each of which the signatures then refuse.
    assert.deepEqual(encodeEvidence(...decoded.value.blocks), changed)
  }
})
