import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Drawing } from '../../testing/drawn-graph.ts'
import { Graph } from '../graph/graph.ts'
import type { Block } from '../model/block.ts'
import { Committer, type Step } from './committer.ts'

/** Gives blocks to a node and runs it as far as it goes. */
class Node {
  readonly graph: Graph
  readonly committer: Committer
  readonly steps: Step[] = []

  constructor(drawing: Drawing) {
    this.graph = new Graph(drawing.epoch)
    this.committer = new Committer(this.graph, drawing.domain)
  }

  receive(...blocks: readonly Block[]): void {
    for (const block of blocks) {
      const received = this.graph.receive(block)
      if (received.type !== 'accepted') continue
      for (const vertex of received.vertices) this.committer.accept(vertex)
      this.#run()
    }
  }

  #run(): void {
    for (let step = this.committer.next(); step !== undefined; step = this.committer.next()) {
      this.steps.push(step)
      const { collectRound } = this.committer.finish(0)
      for (const vertex of this.graph.collect(collectRound)) this.committer.accept(vertex)
    }
  }
}

const all = [0, 1, 2, 3]

function fullRows(drawing: Drawing, rounds: number, authors = all): Block[][] {
  const rows: Block[][] = []
  for (let round = 1; round <= rounds; round++) rows.push(drawing.row(round, authors, rows.at(-1) ?? []))
  return rows
}

test('committer commits every slot of a full round two rounds later', () => {
  const drawing = new Drawing(4)
  const rows = fullRows(drawing, 4)
  const node = new Node(drawing)
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
  const node = new Node(drawing)
  node.receive(...fullRows(drawing, 20, [0, 1, 3]).flat())
  assert.equal(node.steps[0]?.committed.length, 3)
  assert.equal(node.committer.demoted, 0b0100)
  assert.deepEqual([...node.committer.slots(19)].sort(), [0, 1, 3])
})
