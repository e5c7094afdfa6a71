import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Drawing } from '../../testing/drawn-graph.ts'
import { Follower } from '../../testing/follower.ts'
import type { Block } from '../model/block.ts'

const all = [0, 1, 2, 3]

function fullRows(drawing: Drawing, rounds: number, authors = all): Block[][] {
  const rows: Block[][] = []
  for (let round = 1; round <= rounds; round++) rows.push(drawing.row(round, authors, rows.at(-1) ?? []))
  return rows
}

test('committer commits every slot of a full round two rounds later', () => {
  const drawing = new Drawing(4)
  const rows = fullRows(drawing, 4)
  const node = new Follower(drawing)
  node.receive(...rows.slice(0, 2).flat())
  assert.equal(node.steps.length, 0)
  node.receive(...(rows[2] as Block[]))
  assert.deepEqual(
    node.steps.map(({ round, committed, linearised }) => [round, committed.length, linearised.length]),
    [[1, 4, 4]],
  )
  node.receive(...(rows[3] as Block[]))
  assert.equal(node.committer.nextStep, 3)
})

test('committer skips the slots of a silent author, and takes them away after one window', () => {
  const drawing = new Drawing(4)
  const node = new Follower(drawing)
  node.receive(...fullRows(drawing, 20, [0, 1, 3]).flat())
  assert.equal(node.steps[0]?.committed.length, 3)
  assert.equal(node.committer.demoted, 0b0100)
  assert.deepEqual([...node.committer.slots(19)].sort(), [0, 1, 3])
})
