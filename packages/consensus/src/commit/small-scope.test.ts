/**
 * The real commit rule on every graph of four authors with one forker, as far as a slot of round 1 can tell them apart; how the
 * graphs are found, and why that is all of them, says `testing/small-scope.ts`. Slots of other rounds are the same, shifted.
 *
 * Agreement of any two closed parts follows when a part never contradicts the whole, for the union of two parts is a part.
 * Which parts can decide directly: a skip depends on votes only, a commit only on certificates, so that all sets of voters, and
 * all sets of certifiers with the parents they need, are all that there is to try.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Follower } from '../../testing/follower.ts'
import { nameOf } from '../../testing/oracle/commit-rule.ts'
import { firstRow, goodRow, nextRows, type Scope } from '../../testing/small-scope.ts'
import { Graph } from '../graph/graph.ts'
import type { Block } from '../model/block.ts'
import { History } from './history.ts'
import { decideDirectly } from './votes.ts'

const rounds = 5

for (const slotAuthor of [0, 1] as const) {
  const whose = slotAuthor === 0 ? 'a forker' : 'a correct author'

  test(`any two parts of any small graph agree on a slot of ${whose}, and some extension decides it`, () => {
    let scopes: Scope[] = [firstRow(slotAuthor)]
    const sizes: number[] = []
    const outcomes = new Set<string>()
    for (let round = 2; round <= rounds; round++) {
      scopes = nextRows(scopes, slotAuthor)
      sizes.push(scopes.length)
      for (const scope of scopes) {
        assertLabels(scope, slotAuthor)
        const direct = directDecisions(scope, slotAuthor)
        assert.ok(direct.size <= 1, `parts decide ${[...direct].join(' and ')}`)
        for (const outcome of direct) outcomes.add(kind(outcome))
        for (const anchored of anchoredDecisions(scope, slotAuthor)) {
          outcomes.add(`anchored ${kind(anchored)}`)
          for (const outcome of direct) assert.equal(anchored, outcome)
        }
      }
    }
    for (const scope of scopes) assertDecided(scope, slotAuthor)
    assert.ok(
      sizes.every((size, i) => size > (sizes[i - 1] ?? 1)),
      `rows ${sizes.join(', ')}`,
    )
    assert.deepEqual([...outcomes].sort(compareText), ['anchored commit', 'anchored skip', 'commit', 'skip'])
  })
}

/** The labels by which graphs are told apart are what the graph says of the blocks. */
function assertLabels(scope: Scope, author: number): void {
  if (scope.rows.length !== 3) return
  const graph = graphOf(scope, scope.rows.flat())
  for (const [i, block] of (scope.rows[2] ?? []).entries()) {
    const certified = graph.find(block)?.certified.find((vertex) => vertex.author === author)
    const expected = [undefined, scope.rows[0]?.[author === 0 ? 3 : 0], scope.rows[0]?.[4]][scope.labels[2]?.[i] ?? 0]
    assert.equal(certified?.block, expected)
  }
}

/** What any closed part decides by votes alone: the first three rows say it, which graphs share. */
function directDecisions(scope: Scope, author: number): ReadonlySet<string> {
  const rows = scope.rows[2] ?? scope.rows[1] ?? []
  const known = decided.get(rows) ?? decideDirectlyInParts(scope, author)
  decided.set(rows, known)
  return known
}

const decided = new WeakMap<readonly Block[], ReadonlySet<string>>()

function decideDirectlyInParts(scope: Scope, author: number): Set<string> {
  const [first, second, third] = scope.rows as [Block[], Block[], Block[] | undefined]
  const outcomes = new Set<string>()
  const note = (blocks: readonly Block[]) => {
    const decided = decideDirectly(graphOf(scope, blocks), 1, author)
    if (decided !== undefined) outcomes.add(decided === 'skip' ? 'skip' : nameOf(decided.block))
  }
  for (const voters of subsets(second)) {
    note(closure(scope, voters))
    note([...first, ...voters])
  }
  for (const certifiers of subsets(third ?? [])) note([...closure(scope, certifiers)])
  return outcomes
}

/** What the slot is if one of the blocks three rounds on is its anchor. */
function anchoredDecisions(scope: Scope, author: number): string[] {
  const graph = graphOf(scope, scope.rows.flat())
  const history = new History(graph)
  return scope.rows
    .slice(3)
    .flat()
    .map((anchor) => {
      const vertex = graph.find(anchor)
      assert.ok(vertex !== undefined)
      const certified = history.certified(vertex, 1, author)
      return certified === undefined ? 'skip' : nameOf(certified.block)
    })
}

/**
 * Good rows on top decide the slot, as its parts did, if any did. Five, since the last slot that can be left open is of the last
 * round: its anchor stands three rounds above, and is committed by two more.
 */
function assertDecided(scope: Scope, author: number): void {
  const direct = [...directDecisions(scope, author)][0]
  let extended = scope
  for (let i = 0; i < 5; i++) extended = goodRow(extended)
  const follower = new Follower(scope.drawing)
  follower.receive(...extended.rows.flat())
  const [step] = follower.told
  assert.ok(step !== undefined, 'nothing is decided')
  const committed = step.committed.find((name) => name.startsWith(`1/${author}/`)) ?? 'skip'
  if (direct !== undefined) assert.equal(committed, direct)
}

function graphOf(scope: Scope, blocks: readonly Block[]): Graph {
  const graph = new Graph(scope.drawing.epoch)
  for (const block of blocks) assert.notEqual(graph.receive(block).type, 'waiting')
  return graph
}

/** Blocks with all their ancestors, by round. */
function closure(scope: Scope, blocks: readonly Block[]): Block[] {
  const byName = new Map(scope.rows.flat().map((block) => [nameOf(block), block]))
  const found = new Set(blocks)
  for (const block of found) for (const parent of block.references) found.add(byName.get(nameOf(parent)) as Block)
  return [...found].sort((a, b) => a.round - b.round)
}

function* subsets<T>(all: readonly T[]): Generator<T[]> {
  for (let mask = 0; mask < 1 << all.length; mask++) yield all.filter((_, i) => ((mask >>> i) & 1) === 1)
}

function kind(outcome: string): string {
  return outcome === 'skip' ? 'skip' : 'commit'
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : 1
}
