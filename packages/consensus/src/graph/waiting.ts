/**
 * The blocks that wait for parents (consensus.md sections 4 and 6), and the names that they wait for. Per author at most 64
 * blocks and 8 MiB; what is farthest ahead goes first. It is fetched again when it is needed.
 *
 *     entry ─ names ─▶ missing (round, author, digest) ─ waiters ─▶ entries
 */
import { sameBytes } from '../bytes/order.ts'
import type { Block, BlockName } from '../model/block.ts'

export const waitingBlocksMax = 64
export const waitingBytesMax = 8 * 1024 * 1024

/** A parent that is not here. */
export interface MissingName extends BlockName {
  /** Authors of the waiting blocks that name it, or stand on one that does, as a mask: whom to ask. */
  readonly namers: number
}

interface Missing extends BlockName {
  namers: number
  readonly waiters: Entry[]
  /** A block that is needed waits for it, so that it is taken even as one version too many. */
  needed: boolean
}

interface Entry {
  readonly block: Block
  readonly bytes: number
  readonly names: Missing[]
  needed: boolean
}

export class Waiting {
  count = 0
  /** By author, in no order: few. */
  readonly #entries: Entry[][]
  readonly #bytes: number[]
  /** By round, then by author. */
  readonly #missing = new Map<number, (Missing[] | undefined)[]>()

  constructor(n: number) {
    this.#entries = Array.from({ length: n }, () => [])
    this.#bytes = Array.from({ length: n }, () => 0)
  }

  /** The lowest round that waits; undefined: nothing does. */
  get roundMin(): number | undefined {
    let min: number | undefined
    if (this.count === 0) return undefined
    for (const entries of this.#entries) {
      for (const { block } of entries) if (min === undefined || block.round < min) min = block.round
    }
    return min
  }

  has(name: BlockName): boolean {
    return this.#entry(name) !== undefined
  }

  find(name: BlockName): Block | undefined {
    return this.#entry(name)?.block
  }

  /** Another waiting version of the same (author, round). */
  version(name: BlockName): Block | undefined {
    if (this.count === 0) return undefined
    return (this.#entries[name.author] as Entry[]).find((entry) => entry.block.round === name.round)?.block
  }

  /** Whether a needed block waits for this one. */
  isNeeded(name: BlockName): boolean {
    return this.missing(name)?.needed ?? false
  }

  missing(name: BlockName): Missing | undefined {
    if (this.#missing.size === 0) return undefined
    const names = this.#missing.get(name.round)?.[name.author]
    return names?.find((missing) => sameBytes(missing.digest, name.digest))
  }

  /** Whether a name is waited for and not waiting itself. */
  wants(name: BlockName): boolean {
    return this.missing(name) !== undefined && !this.has(name)
  }

  /** All such names, rounds ascending. */
  wanted(): Missing[] {
    const rounds = [...this.#missing.keys()].sort((a, b) => a - b)
    const all = rounds.flatMap((round) => (this.#missing.get(round) ?? []).flatMap((names) => names ?? []))
    return all.filter((name) => !this.has(name))
  }

  /**
   * Lets a block wait for names. Answers what is lacking for it: those of them that do not wait here themselves, and what lacks for
   * those that do; undefined when the block itself is what the maximum pushes out.
   * `needed`: not just one more version by a known forker.
   */
  add(block: Block, names: readonly BlockName[], needed: boolean): readonly Missing[] | undefined {
    const bytes = block.header.length + block.signature.length + block.body.length
    const entry: Entry = { block, bytes, names: [], needed: needed || this.isNeeded(block) }
    const entries = this.#entries[block.author] as Entry[]
    entries.push(entry)
    this.count++
    this.#bytes[block.author] = (this.#bytes[block.author] as number) + bytes
    const namers = (1 << block.author) | (this.missing(block)?.namers ?? 0)
    for (const name of names) this.#wait(entry, name)
    if (!this.#shrink(block.author, entry)) return undefined
    if (entry.needed) for (const missing of entry.names) this.#need(missing)
    return this.#name(entry.names, namers)
  }

  /** A block came into the graph. Answers the blocks that wait for nothing else. */
  resolve(name: BlockName): Block[] {
    const missing = this.missing(name)
    if (missing === undefined) return []
    this.#forget(missing)
    return this.#release([missing])
  }

  /** Rounds after `from` up to `to` are collected: their blocks are dropped, their names no longer waited for. */
  collect(from: number, to: number): Block[] {
    if (this.count === 0) return []
    for (const entries of this.#entries) {
      for (const entry of entries.filter(({ block }) => block.round <= to)) this.#remove(entry)
    }
    const gone: Missing[] = []
    for (let round = from + 1; round <= to && this.#missing.size > 0; round++) {
      for (const names of this.#missing.get(round) ?? []) gone.push(...(names ?? []))
      this.#missing.delete(round)
    }
    return this.#release(gone)
  }

  #entry(name: BlockName): Entry | undefined {
    if (this.count === 0) return undefined
    return (this.#entries[name.author] as Entry[]).find(
      ({ block }) => block.round === name.round && sameBytes(block.digest, name.digest),
    )
  }

  #wait(entry: Entry, name: BlockName): void {
    let missing = this.missing(name)
    if (missing === undefined) {
      // A copy: the name is a view of a block that may be gone before it.
      const digest = name.digest.slice()
      missing = { author: name.author, round: name.round, digest, namers: 0, waiters: [], needed: false }
      const byAuthor = this.#missing.get(name.round) ?? []
      this.#missing.set(name.round, byAuthor)
      const names = byAuthor[name.author]
      if (names === undefined) byAuthor[name.author] = [missing]
      else names.push(missing)
    }
    missing.waiters.push(entry)
    entry.names.push(missing)
  }

  /**
   * These authors made blocks that stand on these names, so a correct one of them has all that is below. Answers what is lacking
   * and new to one of them. Each author is noted once per name, so that a long chain is not walked for every block on top of it.
   */
  #name(names: readonly Missing[], namers: number): Missing[] {
    const lacking: Missing[] = []
    const noted = names.map((missing) => ({ missing, namers }))
    for (let next = noted.pop(); next !== undefined; next = noted.pop()) {
      const { missing } = next
      const news = next.namers & ~missing.namers
      const waiting = this.#entry(missing)
      if (waiting === undefined && (news !== 0 || names.includes(missing))) lacking.push(missing)
      if (news === 0) continue
      missing.namers |= news
      if (waiting !== undefined) noted.push(...waiting.names.map((below) => ({ missing: below, namers: news })))
    }
    return lacking
  }

  /** Marks what a needed block waits for, and what that waits for: it may be waiting itself. */
  #need(missing: Missing): void {
    const marked = [missing]
    for (let next = marked.pop(); next !== undefined; next = marked.pop()) {
      if (next.needed) continue
      next.needed = true
      const waiting = this.#entry(next)
      if (waiting === undefined || waiting.needed) continue
      waiting.needed = true
      marked.push(...waiting.names)
    }
  }

  /** Puts out what is farthest ahead while the author has more than its share. Answers whether `entry` may stay. */
  #shrink(author: number, entry: Entry): boolean {
    const entries = this.#entries[author] as Entry[]
    let stays = true
    while (entries.length > waitingBlocksMax || (this.#bytes[author] as number) > waitingBytesMax) {
      let farthest = entries[0] as Entry
      for (const other of entries) if (other.block.round >= farthest.block.round) farthest = other
      this.#remove(farthest)
      if (farthest === entry) stays = false
    }
    return stays
  }

  #remove(entry: Entry): void {
    this.#takeOut(entry)
    for (const missing of entry.names) {
      missing.waiters.splice(missing.waiters.indexOf(entry), 1)
      if (missing.waiters.length === 0) this.#forget(missing)
    }
  }

  #takeOut(entry: Entry): void {
    const { author } = entry.block
    const entries = this.#entries[author] as Entry[]
    entries.splice(entries.indexOf(entry), 1)
    this.#bytes[author] = (this.#bytes[author] as number) - entry.bytes
    this.count--
  }

  #forget(missing: Missing): void {
    const byAuthor = this.#missing.get(missing.round)
    const names = byAuthor?.[missing.author]
    if (byAuthor === undefined || names === undefined) return
    names.splice(names.indexOf(missing), 1)
    if (names.length === 0) byAuthor[missing.author] = undefined
    if (byAuthor.every((others) => others === undefined)) this.#missing.delete(missing.round)
  }

  #release(gone: readonly Missing[]): Block[] {
    const released: Block[] = []
    for (const missing of gone) {
      for (const entry of missing.waiters) {
        entry.names.splice(entry.names.indexOf(missing), 1)
        if (entry.names.length > 0) continue
        this.#takeOut(entry)
        released.push(entry.block)
      }
    }
    return released
  }
}
