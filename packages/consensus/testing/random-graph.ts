/**
 * Random graphs as faulty and correct authors could make them: the first f' authors fork, each version with parents of its own
 * choice; the others make at most one block a round, on top of their last. Every causally closed part is what some node may see.
 */
import type { Block } from '../src/model/block.ts'
import { Drawing } from './drawn-graph.ts'
import { nameOf } from './oracle/commit-rule.ts'
import { Seeded } from './seeded.ts'

export interface GraphShape {
  readonly rounds: number
  readonly forkers: number
  readonly versionsMax: number
  /** How often, of 100 rounds, an author makes no block. */
  readonly silentPercent: number
  /** How often, of 100 blocks, one has only the q parents that it needs. */
  readonly sparsePercent: number
}

/** A graph to be made, with the chance that goes on after it. */
export interface Case {
  readonly seed: number
  readonly random: Seeded
  readonly drawing: Drawing
  readonly shape: GraphShape
}

/** Small windows, so that schedules change and rounds are collected within few rounds. */
function caseOf(seed: number): Case {
  const random = new Seeded(seed)
  const n = random.pick([4, 4, 4, 5, 7])
  const keepRounds = random.pick([8, 12, 100])
  const drawing = new Drawing(n, {
    windowRounds: 4,
    goodRoundsMin: random.pick([1, 2, 3]),
    keepRounds,
    voidRounds: keepRounds - 2,
    reportAgeRounds: 4,
  })
  const shape = {
    rounds: 8 + random.below(n === 7 ? 8 : 18),
    forkers: random.below(drawing.epoch.f + 1),
    versionsMax: 1 + random.below(3),
    silentPercent: random.pick([0, 10, 50]),
    sparsePercent: random.pick([0, 50, 100]),
  }
  return { seed, random, drawing, shape }
}

/** Seeds 1 to `seeds`; a failure says which. */
export function eachCase(seeds: number, body: (tried: Case) => void): void {
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      body(caseOf(seed))
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error })
    }
  }
}

/** Blocks in an order in which each follows its parents. */
export function randomGraph(drawing: Drawing, shape: GraphShape, random: Seeded): Block[] {
  const { n, q } = drawing.epoch
  const all: Block[] = []
  const lastOwn = new Map<number, Block>()
  let before: Block[] = []
  for (let round = 1; round <= shape.rounds; round++) {
    const made: Block[] = []
    const silent = new Set(
      random
        .shuffled(range(n))
        .slice(0, n - q)
        .filter(() => random.chance(shape.silentPercent)),
    )
    for (let author = 0; author < n; author++) {
      if (silent.has(author)) continue
      const versions = author < shape.forkers ? 1 + random.below(shape.versionsMax) : 1
      const names = new Set<string>()
      for (let version = 0; version < versions; version++) {
        const own = author < shape.forkers ? random.pick(recentOwn(all, author)) : lastOwn.get(author)
        let parents = chooseParents(drawing, { round, before, own, all }, shape, random)
        if (directAuthors(parents, round) < q && round > 1) {
          const direct = before.find((block) => block.author === author)
          parents = chooseParents(drawing, { round, before, own: direct, all }, shape, random)
        }
        const block = drawing.block({ author, round, parents, version })
        if (names.has(nameOf(block))) continue
        names.add(nameOf(block))
        made.push(block)
        lastOwn.set(author, block)
      }
    }
    all.push(...made)
    before = made
  }
  return all
}

/** A random part that holds, with each block, its parents. */
export function closedPart(blocks: readonly Block[], random: Seeded): Block[] {
  const byName = new Map(blocks.map((block) => [nameOf(block), block]))
  const last = blocks.at(-1)?.round ?? 0
  const tips = new Set<Block>()
  const top = 1 + random.below(last)
  for (const block of blocks) if (block.round <= top && random.chance(block.round > top - 3 ? 60 : 20)) tips.add(block)
  for (const block of tips) {
    for (const reference of block.references) {
      const parent = byName.get(nameOf(reference))
      if (parent !== undefined) tips.add(parent)
    }
  }
  return blocks.filter((block) => tips.has(block))
}

interface Choice {
  readonly round: number
  readonly before: readonly Block[]
  readonly own: Block | undefined
  readonly all: readonly Block[]
}

function chooseParents(drawing: Drawing, choice: Choice, shape: GraphShape, random: Seeded): Block[] {
  const { q } = drawing.epoch
  const { round, before, own, all } = choice
  const parents = new Map<string, Block>()
  const slot = (block: Block) => `${block.round}/${block.author}`
  const self = own?.author
  if (own !== undefined) parents.set(slot(own), own)
  const sparse = random.chance(shape.sparsePercent)
  for (const block of random.shuffled(before)) {
    if (parents.has(slot(block)) || block.author === self) continue
    if (sparse && directAuthors([...parents.values()], round) >= q) break
    parents.set(slot(block), block)
  }
  if (random.chance(40)) {
    const old = oldBlock(all, random)
    if (old !== undefined && old.round < round - 1 && old.author !== self && !parents.has(slot(old))) {
      parents.set(slot(old), old)
    }
  }
  return [...parents.values()]
}

/** A block of an earlier round; often one that nobody has named yet, as late blocks are. */
function oldBlock(all: readonly Block[], random: Seeded): Block | undefined {
  const named = new Set(all.flatMap((block) => block.references.map(nameOf)))
  const late = all.filter((block) => !named.has(nameOf(block)))
  const from = late.length > 0 && random.chance(70) ? late : all
  return from.length === 0 ? undefined : random.pick(from)
}

function directAuthors(parents: readonly Block[], round: number): number {
  return new Set(parents.filter((parent) => parent.round === round - 1).map(({ author }) => author)).size
}

function recentOwn(all: readonly Block[], author: number): (Block | undefined)[] {
  const own = all.filter((block) => block.author === author).slice(-4)
  return own.length === 0 ? [undefined] : own
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i)
}

/** An order in which blocks may come: roughly by round, now and then long before their parents. */
export function arrival<T extends { readonly round: number }>(blocks: readonly T[], random: Seeded): T[] {
  const late = random.pick([0, 1, 4, 10])
  const keyed = blocks.map((block) => ({ block, at: block.round * 10 + random.below(10 * late + 1) }))
  return keyed.sort((a, b) => a.at - b.at).map(({ block }) => block)
}
