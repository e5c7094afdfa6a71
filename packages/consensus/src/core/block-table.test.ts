import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Block } from '../model/block.ts'
import { BlockTable } from './block-table.ts'

function ownBlock(round: number, messageCount: number): Block {
  return {
    epoch: 0,
    author: 0,
    round,
    tsUs: round,
    digest: new Uint8Array(32).fill(round),
    references: [],
    messageCount,
    header: new Uint8Array(70),
    signature: new Uint8Array(64),
    body: new Uint8Array(messageCount),
  }
}

test('BlockTable counts an own unit as open until it is settled, and never an own block without messages', () => {
  const table = new BlockTable(4)
  for (const round of [1, 2]) {
    const known = table.hold(ownBlock(round, round - 1), round)
    known.mine = true
    if (known.isUnit) table.opened(known)
  }
  assert.equal(table.openUnits, 1)
  table.forget(2)
  assert.equal(table.openUnits, 1)
  table.forget(3)
  assert.equal(table.openUnits, 0)
})
