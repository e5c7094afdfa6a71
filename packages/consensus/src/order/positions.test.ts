import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { leafBytes, messageAt } from '../log/leaf.ts'
import type { BlockMessage } from '../model/block.ts'
import { fairEpoch } from './fair-order.testkit.ts'
import type { Emission } from './fair-order.ts'
import { Positions } from './positions.ts'

const epoch = fairEpoch(4)

const unit = (author: number, superseded = false): Emission => ({
  author,
  round: 1,
  digest: new Uint8Array(32).fill(author + 1),
  consensusUs: 77,
  superseded,
})

const messages = (...seqs: readonly number[]): BlockMessage[] =>
  seqs.map((seq) => ({ kind: 1, seq, recvUs: 5, bytes: Uint8Array.of(seq) }))

describe('Positions', () => {
  it('counts through the units, and skips what has a position already', () => {
    const positions = new Positions(epoch)
    const first = positions.place(unit(0), messages(1, 2, 5), 0)
    assert.deepEqual(
      first.messages.map(({ position, seq }) => [position, seq]),
      [
        [0, 1],
        [1, 2],
        [2, 5],
      ],
    )
    const second = positions.place(unit(0), messages(2, 3, 5, 6), 0)
    assert.deepEqual(
      second.messages.map(({ position, seq }) => [position, seq]),
      [
        [3, 3],
        [4, 6],
      ],
    )
    assert.equal(positions.next, 5)
    assert.equal(positions.highestSeq(0), 6)
    assert.equal(positions.highestSeq(1), -1)
  })

  it('names in the mask which message of the body has a position (H2 of the review)', () => {
    const positions = new Positions(epoch)
    positions.place(unit(0), messages(2, 5), 0)
    const { leaf } = positions.place(unit(0), messages(1, 2, 3, 5, 6), 0)
    assert.ok(leaf)
    assert.deepEqual([...leaf.mask], [0b10101])
    assert.deepEqual(
      [1, 2, 3, 4, 5].map((position) => messageAt(leaf, position)),
      [-1, 0, 2, 4, -1],
    )
    assert.equal(leaf.count, 3)
    assert.equal(leaf.messageCount, 5)
    assert.equal(leafBytes(leaf).length, 17 + 8 + 2 + 4 + 32 + 8 + 2 + 1)
  })

  it('makes no leaf of a unit whose messages are all skipped', () => {
    const positions = new Positions(epoch)
    positions.place(unit(0), messages(1), 0)
    assert.deepEqual(positions.place(unit(0), messages(1), 0), { messages: [], leaf: undefined })
    assert.deepEqual(positions.place(unit(0, true), messages(2), 0), { messages: [], leaf: undefined })
    assert.deepEqual(positions.place(unit(0), messages(2), 0b0001), { messages: [], leaf: undefined })
    assert.equal(positions.place(unit(0), messages(2), 0b1110).messages.length, 1)
  })

  it('remembers an author by its key when a new epoch gives it another index', () => {
    const positions = new Positions(epoch)
    positions.place(unit(0), messages(1, 2), 0)
    const nodes = [...epoch.nodes].reverse()
    positions.enter({ ...epoch, number: 1, nodes })
    assert.equal(positions.highestSeq(3), 2)
    const { messages: placed, leaf } = positions.place(unit(3), messages(2, 3), 0)
    assert.deepEqual(
      placed.map(({ position, author, seq }) => [position, author, seq]),
      [[2, 3, 3]],
    )
    assert.equal(leaf?.epoch, 1)
    positions.enter(epoch)
    assert.equal(positions.highestSeq(0), 3)
  })
})
