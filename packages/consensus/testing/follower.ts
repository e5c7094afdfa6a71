/**
 * A node that only listens: blocks in, steps out. What the engine does between steps (evidence, order, emission) does not touch
 * the graph or the commit rule, so it is left out; evidence messages are not, where a test asks for them.
 */
import type { Reader } from '../src/bytes/reader.ts'
import { Committer, type Step } from '../src/commit/committer.ts'
import { Graph } from '../src/graph/graph.ts'
import type { Block } from '../src/model/block.ts'
import type { Drawing } from './drawn-graph.ts'
import { nameOf, type OracleStep } from './oracle/commit-rule.ts'

export class Follower {
  graph: Graph
  committer: Committer
  readonly steps: Step[] = []
  readonly told: OracleStep[] = []

  /** Told after each step, when the graph is collected. */
  readonly #stepped: (follower: Follower) => void

  constructor(drawing: Drawing, stepped: (follower: Follower) => void = () => undefined) {
    this.#stepped = stepped
    this.graph = new Graph(drawing.epoch)
    this.committer = new Committer(this.graph, drawing.domain)
  }

  /** A node that begins with another's snapshot. */
  static restored(drawing: Drawing, reader: Reader, stepped?: (follower: Follower) => void): Follower {
    const follower = new Follower(drawing, stepped)
    const { graph, committer } = Committer.read(reader, drawing.epoch, drawing.domain)
    follower.graph = graph
    follower.committer = committer
    return follower
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
      const active = members(this.committer.active)
      const { collectRound } = this.committer.finish(0)
      this.steps.push(step)
      this.told.push({
        round: step.round,
        committed: step.committed.map(({ block }) => nameOf(block)),
        linearised: step.linearised.map(({ vertex }) => nameOf(vertex.block)),
        active,
        jailed: members(this.committer.jailed),
      })
      for (const vertex of this.graph.collect(collectRound)) this.committer.accept(vertex)
      this.#stepped(this)
    }
  }
}

function members(mask: number): number[] {
  return Array.from({ length: 31 }, (_, author) => author).filter((author) => ((mask >>> author) & 1) === 1)
}
