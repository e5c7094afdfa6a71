/**
 * A block in the graph: its parents resolved, with what the commit rule knows about it in bitmasks of authors (bit i: author i).
 * A digest is compared once, when a name is resolved; from then on the engine follows references.
 */
import { sameBytes } from '../bytes/order.ts'
import type { Block, BlockName } from '../model/block.ts'

export interface Vertex {
  readonly block: Block
  readonly author: number
  readonly round: number
  /** 0, 1, 2, …: in which order this node accepted; differs between nodes. */
  readonly index: number
  /** Parents above the round up to which the graph was collected when the block came, in the table's order. */
  parents: readonly Vertex[]
  /** Of those, the ones of the round before: what the block votes for. */
  votes: readonly Vertex[]
  /** Another version of the same (author, round): its author equivocated. */
  other: Vertex | undefined
  /** Authors with an accepted block of the next round that votes for this. */
  voters: number
  /** Authors with an accepted block two rounds on that certifies this: a quorum of its parents votes for it. */
  certifiers: number
  /** Authors of two rounds before of whom this certifies a block. */
  certifies: number
  /** The blocks of two rounds before that this certifies. */
  certified: readonly Vertex[]
  /** Included by a step. */
  linearised: boolean
  /** Authors with a linearised block of the next round that votes for this. */
  tallied: number
  /** In the history of this node's newest own block; kept by whoever makes blocks. */
  inOwnHistory: boolean
  /** Scratch of the walks over the graph: number of the walk that was here last. */
  seen: number
  /** Scratch while certificates are counted. */
  count: number
}

/** Versions of one (author, round), beginning with one of them. */
export function versionNamed(first: Vertex | undefined, name: BlockName): Vertex | undefined {
  for (let vertex = first; vertex !== undefined; vertex = vertex.other) {
    if (sameBytes(vertex.block.digest, name.digest)) return vertex
  }
  return undefined
}

/** How many authors are in a mask. */
export function authorCount(mask: number): number {
  mask -= (mask >>> 1) & 0x5555_5555
  mask = (mask & 0x3333_3333) + ((mask >>> 2) & 0x3333_3333)
  return Math.imul((mask + (mask >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24
}
