/**
 * What a new own block names (consensus.md section 5, content): as parents the own last block, a block of every author of the
 * round below, and whatever was accepted and is not in the own history yet; as reports the units received since.
 *
 * The own history is marked vertex by vertex, so that each is walked over once in its life.
 */

import { sortFew } from '../bytes/order.ts'
import type { Graph } from '../graph/graph.ts'
import type { Vertex } from '../graph/vertex.ts'
import { authorCount } from '../graph/vertex.ts'
import type { Reference } from '../model/block.ts'
import type { QueuedReport } from './reports.ts'

export class OwnHistory {
  readonly #graph: Graph
  readonly #self: number
  /** Accepted, and when last looked at not in the own history; in the order of acceptance. */
  #outside: Vertex[] = []

  constructor(graph: Graph, self: number) {
    this.#graph = graph
    this.#self = self
  }

  /** A block was accepted. An own one brings its history with it. */
  accepted(vertex: Vertex): void {
    if (vertex.author === this.#self) this.#include(vertex)
    else if (!vertex.inOwnHistory) this.#outside.push(vertex)
  }

  /** Parents for a block of round base + 1, whose own block before it is of round `last`; undefined: too few. */
  parents(base: number, last: number): Vertex[] | undefined {
    const parents: Vertex[] = []
    const own = this.#graph.first(last, this.#self)
    if (own !== undefined) this.#name(own, parents)
    // Of the life whose log was lost.
    const older = base > last ? this.#graph.first(base, this.#self) : undefined
    if (older !== undefined) this.#name(older, parents)
    this.#nameRound(base, parents)
    const direct = parents.reduce((mask, parent) => (parent.round === base ? mask | (1 << parent.author) : mask), 0)
    if (base > 0 && authorCount(direct) < this.#graph.epoch.q) return undefined
    this.#nameOutside(parents, base)
    return parents
  }

  /** The first accepted blocks of the round below; of known forkers only as many as a quorum needs. */
  #nameRound(base: number, parents: Vertex[]): void {
    const { n, q } = this.#graph.epoch
    let count = parents.some((parent) => parent.round === base) ? 1 : 0
    for (const forkers of [false, true]) {
      for (let author = 0; author < n; author++) {
        if (author === this.#self || this.#isForker(author) !== forkers || (forkers && count >= q)) continue
        const vertex = this.#graph.first(base, author)
        if (vertex === undefined) continue
        this.#name(vertex, parents)
        count++
      }
    }
  }

  /** What nothing above names yet, oldest first, one of an (author, round). */
  #nameOutside(parents: Vertex[], base: number): void {
    const { collectedRound, epoch } = this.#graph
    this.#outside = this.#outside.filter((vertex) => !vertex.inOwnHistory && vertex.round > collectedRound)
    if (this.#outside.length === 0) return
    const candidates = this.#outside
      .filter((vertex) => vertex.round <= base && !this.#isForker(vertex.author))
      .sort((a, b) => a.round - b.round || a.author - b.author)
    let room = 2 * epoch.n
    for (const vertex of candidates) {
      if (room === 0) break
      if (vertex.inOwnHistory) continue
      if (parents.some((parent) => parent.author === vertex.author && parent.round === vertex.round)) continue
      this.#name(vertex, parents)
      room--
    }
  }

  #name(vertex: Vertex, parents: Vertex[]): void {
    parents.push(vertex)
    this.#include(vertex)
  }

  #include(vertex: Vertex): void {
    if (vertex.inOwnHistory) return
    const stack = [vertex]
    vertex.inOwnHistory = true
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      for (const parent of next.parents) {
        if (parent.inOwnHistory) continue
        parent.inOwnHistory = true
        stack.push(parent)
      }
    }
  }

  #isForker(author: number): boolean {
    return ((this.#graph.forkers >>> author) & 1) === 1
  }
}

/** The table of references: first the reports in their order, then the other parents by (round descending, author). */
export function referenceTable(parents: readonly Vertex[], reports: readonly QueuedReport[]): Reference[] {
  const rest = new Set(parents)
  const table: Reference[] = []
  for (const { known, recvUs } of reports) {
    const { author, round, digest } = known
    const parent = parents.find((vertex) => vertex.block.digest === digest || isNamed(vertex, author, round, digest))
    if (parent !== undefined) rest.delete(parent)
    table.push({ parent: parent !== undefined, report: true, author, round, digest, recvUs })
  }
  const others = sortFew([...rest], (a, b) => b.round - a.round || a.author - b.author)
  for (const { author, round, block } of others) {
    table.push({ parent: true, report: false, author, round, digest: block.digest, recvUs: 0 })
  }
  return table
}

function isNamed(vertex: Vertex, author: number, round: number, digest: Uint8Array): boolean {
  if (vertex.author !== author || vertex.round !== round) return false
  return digest.every((byte, i) => byte === vertex.block.digest[i])
}
