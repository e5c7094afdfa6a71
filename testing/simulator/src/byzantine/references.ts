/** The reference tables of lying blocks: any parents and reports at all, in the one form that is well-formed (section 3). */
import type { Block, BlockName, Reference } from '../../../../packages/consensus/src/model/block.ts'
import type { Draws } from '../world/draws.ts'

interface ParentsRequest {
  readonly round: number
  readonly author: number
  /** By round, by author: versions. */
  readonly blocks: ReadonlyMap<number, readonly (readonly Block[])[]>
  readonly draws: Draws
  readonly q: number
}

/** How far below its round a block may name an own block or an old one of others. */
const oldRounds = 6

/** A quorum of the round before, any version of each author; of the author itself at most one, of that round or an older one. */
export function parentsOf({ round, author, blocks, draws, q }: ParentsRequest): BlockName[] {
  const before = blocks.get(round - 1) ?? []
  const authors = draws.shuffled(before.flatMap((versions, other) => (versions.length > 0 ? [other] : [])))
  // All that are there, or only as many as there must be.
  const taken = draws.chance(0.3) ? authors.slice(0, q) : authors
  const parents: BlockName[] = taken.map((other) => draws.pick(before[other] as readonly Block[]))
  const isIn = (of: number, inRound: number): boolean => parents.some((p) => p.author === of && p.round === inRound)
  for (let old = round - 2; old >= Math.max(1, round - oldRounds); old--) {
    const row = blocks.get(old) ?? []
    for (const [other, versions] of row.entries()) {
      if (versions.length === 0 || isIn(other, old)) continue
      const isOwn = other === author
      if (isOwn ? parents.some((p) => p.author === author) : !draws.chance(0.1)) continue
      parents.push(draws.pick(versions))
    }
  }
  return parents
}

/** A name that belongs to no block. */
export function junkName(draws: Draws, n: number, author: number, round: number): BlockName {
  const digest = Uint8Array.from({ length: 32 }, () => draws.below(256))
  return { author: (author + draws.between(1, n - 1)) % n, round, digest }
}

/** Reports first, then parents by (round descending, author ascending); what is both is one entry; one parent per (author, round). */
export function tableOf(
  parents: readonly BlockName[],
  reports: readonly Reference[],
  { refsMax }: { readonly refsMax: number },
): Reference[] {
  const slots = new Map<string, BlockName>()
  for (const parent of parents) {
    const slot = `${parent.round}/${parent.author}`
    if (!slots.has(slot)) slots.set(slot, parent)
  }
  const first = reports.slice(0, Math.max(0, refsMax - slots.size)).map((report) => {
    const slot = `${report.round}/${report.author}`
    const parent = slots.get(slot)
    if (parent === undefined || Buffer.compare(parent.digest, report.digest) !== 0) return report
    slots.delete(slot)
    return { ...report, parent: true }
  })
  const others = [...slots.values()]
    .sort((a, b) => b.round - a.round || a.author - b.author)
    .map(({ author, round, digest }) => ({ author, round, digest, parent: true, report: false, recvUs: 0 }))
  return [...first, ...others]
}
