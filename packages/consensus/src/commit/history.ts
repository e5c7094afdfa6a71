/**
 * What lies below a block (consensus.md section 7). Anchors of neighbouring rounds are often the same, so one walk is kept and
 * goes on from the round where it stopped.
 */
import { compareBytes, sortFew } from '../bytes/order.ts'
import type { Graph } from '../graph/graph.ts'
import type { Vertex } from '../graph/vertex.ts'

export class History {
  readonly #graph: Graph
  #walk = 0
  #of: Vertex | undefined = undefined
  /** Down to this round everything in the history is marked. */
  #marked = 0

  constructor(graph: Graph) {
    this.#graph = graph
  }

  /** Whether `votes` two rounds below it certify a block of (round, author) in the history of `anchor`; and which. */
  certified(anchor: Vertex, round: number, author: number): Vertex | undefined {
    this.#markDownTo(anchor, round + 2)
    const bit = 1 << author
    for (let certifier = 0; certifier < this.#graph.epoch.n; certifier++) {
      for (let c = this.#graph.first(round + 2, certifier); c !== undefined; c = c.other) {
        if (c.seen !== this.#walk || (c.certifies & bit) === 0) continue
        return c.certified.find((block) => block.author === author)
      }
    }
    return undefined
  }

  /** A block and its ancestors above `cut` that are not linearised; sorted by (round, author, digest). */
  unlinearised(block: Vertex, cut: number): Vertex[] {
    const walk = ++this.#walk
    this.#of = undefined
    block.seen = walk
    const found = [block]
    for (let i = 0; i < found.length; i++) {
      for (const parent of (found[i] as Vertex).parents) {
        if (parent.seen === walk || parent.linearised || parent.round <= cut) continue
        parent.seen = walk
        found.push(parent)
      }
    }
    return sortFew(found, compareVertices)
  }

  #markDownTo(anchor: Vertex, round: number): void {
    if (this.#of !== anchor) {
      this.#of = anchor
      this.#marked = anchor.round
      anchor.seen = ++this.#walk
    }
    for (; this.#marked > round; this.#marked--) {
      for (let author = 0; author < this.#graph.epoch.n; author++) {
        for (let vertex = this.#graph.first(this.#marked, author); vertex !== undefined; vertex = vertex.other) {
          if (vertex.seen !== this.#walk) continue
          for (const parent of vertex.parents) parent.seen = this.#walk
        }
      }
    }
  }
}

/** By round, author, digest: the order in which blocks of one step count. */
export function compareVertices(a: Vertex, b: Vertex): number {
  return a.round - b.round || a.author - b.author || compareBytes(a.block.digest, b.block.digest)
}
