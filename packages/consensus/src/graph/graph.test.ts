import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Drawing } from '../../testing/drawn-graph.ts'
import { Seeded } from '../../testing/seeded.ts'
import type { Block } from '../model/block.ts'
import { Graph, type Received, versionsMax } from './graph.ts'
import { waitingBlocksMax } from './waiting.ts'

const all = [0, 1, 2, 3]

function rowsOf(drawing: Drawing, rounds: number): Block[][] {
  const rows: Block[][] = []
  for (let round = 1; round <= rounds; round++) rows.push(drawing.row(round, all, rows.at(-1) ?? []))
  return rows
}

function accepted(received: Received): string[] {
  assert.equal(received.type, 'accepted')
  return received.type === 'accepted' ? received.vertices.map(({ round, author }) => `${round}/${author}`) : []
}

function missing(received: Received): string[] {
  assert.equal(received.type, 'waiting')
  return received.type === 'waiting'
    ? received.missing.map(({ round, author, namers }) => `${round}/${author} by ${namers.toString(2)}`)
    : []
}

test('graph lets a block wait until its parents are here, and says who named what is missing', () => {
  const drawing = new Drawing(4)
  const graph = new Graph(drawing.epoch)
  const [first, second] = rowsOf(drawing, 2) as [Block[], Block[]]
  for (const block of first.slice(0, 3)) graph.receive(block)
  assert.deepEqual(missing(graph.receive(second[2] as Block)), ['1/3 by 100'])
  assert.deepEqual(missing(graph.receive(second[0] as Block)), ['1/3 by 101'])
  assert.equal(graph.isMissing(first[3] as Block), true)
  assert.equal(graph.waitingRoundMin, 2)
  assert.deepEqual(accepted(graph.receive(first[3] as Block)), ['1/3', '2/2', '2/0'])
  assert.deepEqual(graph.missing(), [])
  assert.equal(graph.waitingCount, 0)
  assert.equal(graph.receive(second[2] as Block).type, 'known')
})

test('a missing parent that waits itself is not fetched again', () => {
  const drawing = new Drawing(4)
  const graph = new Graph(drawing.epoch)
  const [first, second, third] = rowsOf(drawing, 3) as [Block[], Block[], Block[]]
  for (const block of first.slice(1)) graph.receive(block)
  for (const block of second) graph.receive(block)
  assert.deepEqual(missing(graph.receive(third[0] as Block)), [])
  assert.deepEqual(
    graph.missing().map(({ round, author }) => [round, author]),
    [[1, 0]],
  )
  assert.equal(accepted(graph.receive(first[0] as Block)).length, 6)
})

test('graph knows the highest round of a quorum, counting every author once', () => {
  const drawing = new Drawing(4)
  const graph = new Graph(drawing.epoch)
  const versions = [0, 1, 2].map((version) => drawing.block({ author: 0, round: 1, parents: [], version }))
  for (const block of versions) graph.receive(block)
  assert.equal(graph.quorumRound, 0)
  graph.receive(drawing.block({ author: 1, round: 1, parents: [] }))
  assert.equal(graph.quorumRound, 0)
  graph.receive(drawing.block({ author: 2, round: 1, parents: [] }))
  assert.equal(graph.quorumRound, 1)
  assert.equal(graph.authors(1), 0b0111)
  assert.equal(graph.forked(1), 0b0001)
  assert.equal(graph.lastRound(3), 0)
})

test('graph finds a fork between accepted and waiting blocks, and tells of each forker once', () => {
  const drawing = new Drawing(4)
  const graph = new Graph(drawing.epoch)
  const [first, second] = rowsOf(drawing, 2) as [Block[], Block[]]
  graph.receive(second[0] as Block)
  const other = drawing.block({ author: 0, round: 2, parents: first, version: 7 })
  graph.receive(other)
  graph.receive(drawing.block({ author: 0, round: 2, parents: first, version: 8 }))
  assert.deepEqual(graph.takeForks(), [{ author: 0, first: second[0], second: other }])
  assert.equal(graph.forkers, 0b0001)
  graph.receive(first[1] as Block)
  graph.receive(drawing.block({ author: 1, round: 1, parents: [], version: 1 }))
  assert.deepEqual(
    graph.takeForks().map(({ author }) => author),
    [1],
  )
})

test('collecting a round drops it, and what waited for it no longer does', () => {
  const drawing = new Drawing(4)
  const graph = new Graph(drawing.epoch)
  const [first, second, third] = rowsOf(drawing, 3) as [Block[], Block[], Block[]]
  for (const block of [...first.slice(1), ...second]) graph.receive(block)
  const late = drawing.block({ author: 3, round: 3, parents: [...second, first[0] as Block] })
  assert.equal(graph.receive(late).type, 'waiting')
  assert.equal(graph.waitingCount, 5)
  assert.deepEqual(
    graph.collect(1).map(({ round, author }) => `${round}/${author}`),
    ['2/0', '2/1', '2/2', '2/3', '3/3'],
  )
  assert.equal(graph.collectedRound, 1)
  assert.equal(graph.first(1, 1), undefined)
  assert.equal(graph.receive(first[0] as Block).type, 'collected')
  assert.equal(graph.find(second[0] as Block)?.round, 2)
  assert.deepEqual(accepted(graph.receive(third[0] as Block)), ['3/0'])
})

test('a collected vertex lets go of its ancestors', () => {
  const drawing = new Drawing(4)
  const graph = new Graph(drawing.epoch)
  const rows = rowsOf(drawing, 3)
  for (const block of rows.flat()) graph.receive(block)
  const child = graph.first(3, 0)
  const parent = child?.parents[0]
  graph.collect(2)
  assert.equal(parent?.round, 2)
  assert.deepEqual(parent?.parents, [])
})

test('graph above its window grows, and finds every block again', () => {
  const drawing = new Drawing(4)
  const graph = new Graph(drawing.epoch)
  const rows = rowsOf(drawing, 300)
  for (const block of rows.flat()) graph.receive(block)
  assert.equal(graph.quorumRound, 300)
  for (const block of rows.flat()) assert.equal(graph.find(block)?.block, block)
  graph.collect(299)
  assert.equal(graph.find(rows[299]?.[2] as Block)?.round, 300)
  assert.equal(graph.first(299, 2), undefined)
})

test('more than eight versions of a block are taken only when a block that is needed names them', () => {
  const drawing = new Drawing(4)
  const graph = new Graph(drawing.epoch)
  const versions = Array.from({ length: versionsMax + 3 }, (_, version) =>
    drawing.block({ author: 0, round: 1, parents: [], version }),
  )
  const results = versions.map((block) => graph.receive(block).type)
  assert.deepEqual(results, [...Array(versionsMax).fill('accepted'), 'dropped', 'dropped', 'dropped'])
  const others = drawing.row(1, [1, 2], [])
  for (const block of others) graph.receive(block)
  const [ninth, tenth] = versions.slice(versionsMax) as [Block, Block]
  // A forker's own block makes nothing needed.
  assert.equal(graph.receive(drawing.block({ author: 0, round: 2, parents: [...others, tenth] })).type, 'waiting')
  assert.equal(graph.receive(tenth).type, 'dropped')
  const honest = drawing.block({ author: 1, round: 2, parents: [...others, ninth] })
  assert.deepEqual(missing(graph.receive(honest)), ['1/0 by 10'])
  assert.deepEqual(accepted(graph.receive(ninth)), ['1/0', '2/1'])
})

test('what a needed block waits for is needed as well, however deep', () => {
  const drawing = new Drawing(4)
  const graph = new Graph(drawing.epoch)
  for (let version = 0; version < versionsMax; version++) {
    graph.receive(drawing.block({ author: 0, round: 1, parents: [], version }))
  }
  const others = drawing.row(1, [1, 2, 3], [])
  for (const block of others) graph.receive(block)
  const hidden = drawing.block({ author: 0, round: 1, parents: [], version: 99 })
  const fork = drawing.block({ author: 0, round: 2, parents: [...others, hidden] })
  const second = drawing.row(2, [1, 2, 3], others)
  for (const block of second) graph.receive(block)
  assert.equal(graph.receive(fork).type, 'waiting')
  assert.equal(graph.receive(hidden).type, 'dropped')
  assert.equal(graph.receive(drawing.block({ author: 1, round: 3, parents: [...second, fork] })).type, 'waiting')
  assert.deepEqual(accepted(graph.receive(hidden)), ['1/0', '2/0', '3/1'])
})

test('the waiting area keeps the nearest blocks of an author, whatever comes', () => {
  const drawing = new Drawing(4)
  const graph = new Graph(drawing.epoch)
  const rows = rowsOf(drawing, 300)
  const chain = rows.map((row) => row[1] as Block).slice(1)
  for (const block of new Seeded(1).shuffled(chain)) graph.receive(block)
  assert.equal(graph.waitingCount, waitingBlocksMax)
  for (const block of chain) assert.equal(graph.waitingBlock(block) !== undefined, block.round <= waitingBlocksMax + 1)
  const wanted = graph.missing()
  assert.ok(wanted.every(({ round }) => round <= waitingBlocksMax))
  for (const block of rows.flat()) graph.receive(block)
  assert.equal(graph.quorumRound, 300)
  assert.equal(graph.waitingCount, 0)
  assert.deepEqual(graph.missing(), [])
})

test('the waiting area keeps at most 8 MiB of an author', () => {
  const drawing = new Drawing(4)
  const graph = new Graph(drawing.epoch)
  const first = drawing.row(1, all, [])
  const message = { kind: 1, seq: 1, recvUs: 0, bytes: new Uint8Array(1_000_000) } as const
  let below = first
  const big: Block[] = []
  for (let round = 2; round < 14; round++) {
    const own = drawing.block({ author: 0, round, parents: below, messages: [message] })
    big.push(own)
    below = [own, ...drawing.row(round, [1, 2, 3], below)]
  }
  const results = big.map((block) => graph.receive(block).type)
  assert.deepEqual(results, [...Array(8).fill('waiting'), ...Array(4).fill('dropped')])
})

test('names in absurdly far rounds neither collide nor stay', () => {
  const drawing = new Drawing(4)
  const graph = new Graph(drawing.epoch)
  const far = 2 ** 52
  const parents = drawing.row(far, all, [])
  const absurd = drawing.block({ author: 0, round: far + 1, parents })
  assert.equal(missing(graph.receive(absurd)).length, 4)
  for (const block of rowsOf(drawing, 5).flat()) graph.receive(block)
  graph.collect(3)
  assert.equal(graph.waitingCount, 1)
  assert.equal(graph.quorumRound, 5)
})
