/**
 * Every graph of four authors, one of whom makes two versions of each of its blocks, as far as one slot of round 1 can tell them
 * apart (consensus.md section 18). Author 0 forks; the others make one block a round, on their last.
 *
 * Whole graphs are too many (some 10^17 for five rounds). But what a block says of the slot is a label, which follows from the
 * labels of its parents:
 *
 *     round 2     which version it votes for                                    none, 1 or 2
 *     round 3     which version it certifies: a quorum of its parents votes so  none, 1 or 2
 *     round 4, …  which versions are certified in its history                   a set
 *
 * So rows with equal labels have the same future, and one graph stands for all of them: the search goes over rows of labels, up to
 * renaming correct authors and versions, and makes the blocks of one representative with every row. The choices of the blocks of
 * a row do not depend on each other, so that the rows that can follow are the product of the labels that each block can get.
 */
import type { Block } from '../src/model/block.ts'
import { Drawing } from './drawn-graph.ts'

/** Correct authors 1, 2, 3, then the two versions of author 0. */
const authorsOfRow = [1, 2, 3, 0, 0] as const
const q = 3

/** Labels of one row: version as a bit, or a set of such bits; 0: none. */
export type Labels = readonly number[]

export interface Scope {
  readonly drawing: Drawing
  /** Row 0 is round 1. */
  readonly rows: readonly (readonly Block[])[]
  readonly labels: readonly Labels[]
}

/** Blocks of a row by which a new block could be made, with the label it would get. */
interface Choice {
  readonly label: number
  readonly parents: readonly Block[]
}

/** The one graph of round 1. The slot is author 0's, or that of the correct author 1. */
export function firstRow(slotAuthor: 0 | 1): Scope {
  const drawing = new Drawing(4)
  const row = authorsOfRow.map((author, i) => drawing.block({ author, round: 1, parents: [], version: i }))
  const labels = authorsOfRow.map((author, i) => (author !== slotAuthor ? 0 : i === 4 ? 2 : 1))
  return { drawing, rows: [row], labels: [labels] }
}

/** All graphs with one more row, one for each that labels and symmetry tell apart. */
export function nextRows(scopes: readonly Scope[], slotAuthor: 0 | 1): Scope[] {
  const found = new Map<string, Scope>()
  for (const scope of scopes) {
    const choices = authorsOfRow.map((_, position) => choicesOf(scope, position))
    for (const row of product(choices)) {
      const labels = [...scope.labels, row.map(({ label }) => label)]
      const key = canonical(labels.slice(1), slotAuthor)
      if (found.has(key)) continue
      const round = scope.rows.length + 1
      const blocks = row.map(({ parents }, i) =>
        scope.drawing.block({ author: authorsOfRow[i] as number, round, parents, version: i }),
      )
      found.set(key, { drawing: scope.drawing, rows: [...scope.rows, blocks], labels })
    }
  }
  return [...found.values()]
}

/** A row by the correct authors, each naming all of the last row that it may: what a good network brings. */
export function goodRow(scope: Scope): Scope {
  const last = scope.rows.at(-1) as readonly Block[]
  const parents = last.filter((_, i) => i < 4 && i < last.length)
  const round = scope.rows.length + 1
  const row = [1, 2, 3].map((author) => scope.drawing.block({ author, round, parents }))
  return { ...scope, rows: [...scope.rows, row] }
}

/** One choice for each label that the block at a position of the next row can have. */
function choicesOf(scope: Scope, position: number): Choice[] {
  const row = scope.rows.at(-1) as readonly Block[]
  const labels = scope.labels.at(-1) as Labels
  const round = scope.rows.length + 1
  const byLabel = new Map<number, Choice>()
  for (const chosen of parentSets(position)) {
    const said = chosen.map((i) => labels[i] as number)
    for (const [label, old] of labelsOf(scope, said, round, position)) {
      const parents = [...chosen.map((i) => row[i] as Block), ...old]
      if (!byLabel.has(label)) byLabel.set(label, { label, parents })
    }
  }
  return [...byLabel.values()]
}

/** Positions in the last row that a block may name: a quorum of authors, its own last among them if it is correct. */
function* parentSets(position: number): Generator<number[]> {
  for (let mask = 1; mask < 1 << authorsOfRow.length; mask++) {
    const chosen = authorsOfRow.map((_, i) => i).filter((i) => ((mask >>> i) & 1) === 1)
    const authors = new Set(chosen.map((i) => authorsOfRow[i]))
    if (authors.size < q || authors.size < chosen.length) continue
    if (position < 3 && !chosen.includes(position)) continue
    yield chosen
  }
}

/** The label that follows from the parents', and those that one older parent can add to it. */
function labelsOf(scope: Scope, said: readonly number[], round: number, position: number): [number, Block[]][] {
  if (round === 2) return [[said.reduce((all, label) => all | label, 0), []]]
  if (round === 3) return [[[1, 2].find((version) => said.filter((vote) => vote === version).length >= q) ?? 0, []]]
  const label = said.reduce((all, seen) => all | seen, 0)
  const found: [number, Block[]][] = [[label, []]]
  if (round < 5) return found
  for (const [i, certified] of (scope.labels[2] as Labels).entries()) {
    if (authorsOfRow[i] === authorsOfRow[position] || (label | certified) === label) continue
    found.push([label | certified, [scope.rows[2]?.[i] as Block]])
  }
  return found
}

/** The least of the forms that renaming gives: correct authors, the versions of a row, the versions of the slot. */
function canonical(rows: readonly Labels[], slotAuthor: 0 | 1): string {
  const authors =
    slotAuthor === 0
      ? [
          [0, 1, 2],
          [0, 2, 1],
          [1, 0, 2],
          [1, 2, 0],
          [2, 0, 1],
          [2, 1, 0],
        ]
      : [
          [0, 1, 2],
          [0, 2, 1],
        ]
  const versions =
    slotAuthor === 0
      ? [
          [0, 1, 2, 3],
          [0, 2, 1, 3],
        ]
      : [[0, 1, 2, 3]]
  let least: string | undefined
  for (const order of authors) {
    for (const names of versions) {
      const form = rows.map((row) => {
        const renamed = row.map((label) => names[label] as number)
        const forks = renamed.slice(3).sort((a, b) => a - b)
        return [...order.map((i) => renamed[i]), ...forks].join('')
      })
      const text = form.join(' ')
      if (least === undefined || text < least) least = text
    }
  }
  return least ?? ''
}

function* product<T>(choices: readonly (readonly T[])[]): Generator<T[]> {
  const [first, ...rest] = choices
  if (first === undefined) {
    yield []
    return
  }
  for (const choice of first) for (const others of product(rest)) yield [choice, ...others]
}
