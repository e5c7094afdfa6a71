import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EncodedRounds } from './encoded-rounds.ts'

const bytesOf = (round: number): Uint8Array => Uint8Array.of(round & 0xff, (round >>> 8) & 0xff, 7)

test('keeps as many rounds as count together, and takes no round for another', () => {
  const encoded = new EncodedRounds(100, 4)
  for (let round = 1; round <= 1000; round++) {
    encoded.set(round, bytesOf(round))
    for (let old = Math.max(1, round - 99); old <= round; old++) assert.deepEqual(encoded.get(old), bytesOf(old))
    assert.equal(encoded.get(round + 1), undefined)
  }
  assert.equal(encoded.get(1), undefined)
})

test('forgets a round, and only that one', () => {
  const encoded = new EncodedRounds(100, 4)
  encoded.set(5, bytesOf(5))
  encoded.set(6, new Uint8Array(0))
  encoded.forget(5)
  encoded.forget(6 + 128)
  assert.equal(encoded.get(5), undefined)
  assert.deepEqual(encoded.get(6), new Uint8Array(0))
})

test('does not keep what is longer than its place', () => {
  const encoded = new EncodedRounds(100, 4)
  encoded.set(5, new Uint8Array(5))
  assert.equal(encoded.get(5), undefined)
})
