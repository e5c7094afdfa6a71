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
  assert.deepEqual(
    [...node.committer.slots(19)].sort((a, b) => a - b),
    [0, 1, 3],
  )
})

/** Rows by all, with two versions of author 0's block of round 3, which author 1 and author 2 name one each. */
function forkedRows(drawing: Drawing, rounds: number): Block[][] {
  const rows = fullRows(drawing, 2)
  const fork = [0, 1].map((version) => drawing.block({ author: 0, round: 3, parents: rows[1] as Block[], version }))
  const others = drawing.row(3, [1, 2, 3], rows[1] as Block[])
  rows.push([...fork, ...others])
  rows.push(
    all.map((author) => {
      const seen = fork[author === 2 ? 1 : 0] as Block
      return drawing.block({ author, round: 4, parents: [seen, ...others] })
    }),
  )
  while (rows.length < rounds) rows.push(drawing.row(rows.length + 1, all, rows.at(-1) as Block[]))
  return rows
}

test('two linearised blocks of one author and round jail it at that step, on every node', () => {
  const drawing = new Drawing(4)
  const node = new Follower(drawing)
  node.receive(...forkedRows(drawing, 10).flat())
  const convictions = node.steps.flatMap(({ round, linearised }) =>
    linearised.filter(({ convicts }) => convicts).map(({ vertex }) => [round, vertex.round, vertex.author]),
  )
  assert.equal(convictions.length, 1)
  assert.deepEqual(convictions[0]?.slice(1), [3, 0])
  assert.equal(node.committer.jailed, 0b0001)
  assert.deepEqual(
    [...node.committer.slots(node.committer.nextStep)].sort((a, b) => a - b),
    [1, 2, 3],
  )
  assert.equal(node.committer.broken, false)
})

test('junk names of a correct author, at or below the collected rounds, jail nobody (review C2)', () => {
  const drawing = new Drawing(4, {
    keepRounds: 8,
    voidRounds: 6,
    windowRounds: 4,
    goodRoundsMin: 3,
    reportAgeRounds: 4,
  })
  const node = new Follower(drawing)
  const rows = fullRows(drawing, 14)
  node.receive(...rows.flat())
  const { collectedRound } = node.graph
  assert.ok(collectedRound >= 2)
  const junk = drawing.block({ author: 1, round: collectedRound, parents: rows[collectedRound - 2] ?? [], version: 77 })
  const framing = drawing.block({ author: 0, round: 15, parents: [...(rows[13] as Block[]), junk] })
  const row = [framing, ...drawing.row(15, [1, 2, 3], rows[13] as Block[])]
  node.receive(...row)
  const next = drawing.row(16, all, row)
  node.receive(...next, ...drawing.row(17, all, next))
  assert.ok(node.steps.some(({ linearised }) => linearised.some(({ vertex }) => vertex.block === framing)))
  assert.equal(node.committer.jailed, 0)
})

test('evidence emitted in a step jails its author; more than f jailed are the end of all steps', () => {
  const drawing = new Drawing(4)
  const node = new Follower(drawing)
  const rows = fullRows(drawing, 8)
  const step = (convicted: number) => {
    assert.ok(node.committer.next() !== undefined)
    return node.committer.finish(convicted)
  }
  for (const block of rows.flat()) {
    const received = node.graph.receive(block)
    if (received.type === 'accepted') for (const vertex of received.vertices) node.committer.accept(vertex)
  }
  assert.equal(step(0).activeChanged, false)
  assert.equal(step(0b0010).activeChanged, true)
  assert.equal(node.committer.active, 0b1101)
  assert.equal(step(0b0010).activeChanged, false)
  assert.equal(node.committer.broken, false)
  step(0b1000)
  assert.equal(node.committer.broken, true)
  assert.equal(node.committer.next(), undefined)
})

test('a step is given once, and the next one only when it is finished', () => {
  const drawing = new Drawing(4)
  const node = new Follower(drawing)
  for (const block of fullRows(drawing, 5).flat()) {
    const received = node.graph.receive(block)
    if (received.type === 'accepted') for (const vertex of received.vertices) node.committer.accept(vertex)
  }
  assert.equal(node.committer.next()?.round, 1)
  assert.equal(node.committer.next(), undefined)
  node.committer.finish(0)
  assert.equal(node.committer.next()?.round, 2)
})

test('a lone node commits each of its blocks at once (section 9)', () => {
  const drawing = new Drawing(1)
  const node = new Follower(drawing)
  const rows = fullRows(drawing, 5, [0])
  for (const [i, row] of rows.entries()) {
    node.receive(...row)
    assert.equal(node.steps.length, i + 1)
  }
})

test('W2: a slot is voted on once a quorum votes for one of its blocks, or a quorum for none', () => {
  const drawing = new Drawing(4)
  const node = new Follower(drawing)
  const [first] = fullRows(drawing, 1) as [Block[]]
  node.receive(...first)
  const with0 = drawing.row(2, [0, 1, 2], first)
  const without0 = drawing.row(2, [3], first.slice(1))
  node.receive(...with0.slice(0, 2), ...without0)
  assert.equal(node.committer.voted(1, 0), false)
  assert.equal(node.committer.voted(1, 1), true)
  node.receive(with0[2] as Block)
  assert.equal(node.committer.voted(1, 0), true)
})
