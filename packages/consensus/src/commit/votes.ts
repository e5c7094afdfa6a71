/**
 * Virtual votes (consensus.md section 7): a block votes, in each slot of the round before, for its one parent there, or for none.
 */
import type { Graph } from '../graph/graph.ts'
import { authorCount, type Vertex } from '../graph/vertex.ts'

/** Authors with a block of the next round that does not vote for `block`. A forker may be a voter as well. */
export function nonVoters(graph: Graph, block: Vertex): number {
  const next = block.round + 1
  let mask = graph.authors(next) & ~block.voters
  const forked = graph.forked(next) & block.voters
  for (let author = 0; forked >>> author !== 0; author++) {
    if ((forked & (1 << author)) === 0) continue
    for (let voter = graph.first(next, author); voter !== undefined; voter = voter.other) {
      if (!voter.votes.includes(block)) mask |= 1 << author
    }
  }
  return mask
}

/** What votes alone say of a slot: a block is committed, none can be (`skip`), or neither yet. */
export function decideDirectly(graph: Graph, round: number, author: number): Vertex | 'skip' | undefined {
  const { n, q } = graph.epoch
  const first = graph.first(round, author)
  // n = 1 (section 9): a block of the only node needs no votes.
  if (n === 1) return first
  if (authorCount(graph.authors(round + 1)) < q) return undefined
  let skip = true
  for (let block = first; block !== undefined && skip; block = block.other) {
    skip = authorCount(nonVoters(graph, block)) >= q
  }
  if (skip) return 'skip'
  for (let block = first; block !== undefined; block = block.other) {
    if (authorCount(block.certifiers) >= q) return block
  }
  return undefined
}
