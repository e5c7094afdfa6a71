/**
 * What must hold when an own block of a correct node leaves: it is on disk, with every block that it names, and no other block of
 * its round ever left, before a crash or behind it. A block that leaves before is equivocation after the next crash, or a promise
 * to serve units that the node has forgotten.
 *
 * A node that lost its disk, and is not told so, is free of what at most f others had then, who may pass it on before it speaks: it
 * cannot know of it, and counts as new (docs/internals/consensus.md). It may be jailed for that: then it is one of the faulty, and
 * the run is over.
 */
import { RecordKind } from '../../../../packages/consensus/src/core/records.ts'
import type { Block } from '../../../../packages/consensus/src/model/block.ts'
import type { WalRecord } from '../../../../packages/consensus/src/model/effect.ts'
import { digestKey, roundKey } from './keys.ts'
import { sameBytes, violated } from './violation.ts'

export class OwnBlocks {
  readonly #blockOfRecord: (record: WalRecord) => Block | undefined
  /** By node: what left, by epoch and round. */
  readonly #left: Map<number, Block>[]
  /** By node: blocks on its disk for sure. */
  readonly #durable: Set<number>[]

  /** By node, when its disk was lost: how many others had each of its blocks, by digest; undefined: it was not lost. */
  readonly #heldAtLoss: (Map<number, number> | undefined)[]
  readonly #f: number
  readonly #untold: boolean
  /** Nodes that made a second block of which they were free. */
  readonly excused = new Set<number>()

  constructor(
    n: number,
    {
      untold,
      blockOfRecord,
    }: { readonly untold: boolean; readonly blockOfRecord: (record: WalRecord) => Block | undefined },
  ) {
    this.#blockOfRecord = blockOfRecord
    this.#untold = untold
    this.#f = Math.floor((n - 1) / 3)
    this.#heldAtLoss = Array.from({ length: n }, () => undefined)
    this.#left = Array.from({ length: n }, () => new Map())
    this.#durable = Array.from({ length: n }, () => new Set())
  }

  durable(node: number, records: readonly WalRecord[]): void {
    for (const record of records) {
      if (record.kind !== RecordKind.block && record.kind !== RecordKind.own) continue
      const block = this.#blockOfRecord(record)
      if (block !== undefined) this.#durable[node]?.add(digestKey(block.digest))
    }
  }

  /** A disk was lost, and the promises with it; what left before stays known. */
  lost(node: number): void {
    this.#durable[node]?.clear()
    const left = [...(this.#left[node]?.values() ?? [])]
    this.#heldAtLoss[node] = new Map(left.map((block) => [digestKey(block.digest), this.#holders(block)]))
  }

  /** An own block leaves the node; `floor`: rounds at or below are presumed, not held. */
  leaves(node: number, block: Block, floor: number): void {
    const key = roundKey(block.epoch, block.round)
    const before = this.#left[node]?.get(key)
    if (before !== undefined) {
      if (sameBytes(before.digest, block.digest)) return
      // One of them from before the loss, which it is given later and passes on.
      const isPassedOn = this.#isFree(node, block)
      if (!isPassedOn && !this.#isFree(node, before)) violated(`Two blocks of round ${block.round} left node ${node}`)
      this.excused.add(node)
      if (isPassedOn) return
    }
    this.#left[node]?.set(key, block)
    const durable = this.#durable[node] as Set<number>
    if (!durable.has(digestKey(block.digest))) violated(`Block ${block.round} left node ${node} before it was durable`)
    for (const { author, round, digest } of block.references) {
      if (round > floor && !durable.has(digestKey(digest))) {
        violated(`Block ${block.round} left node ${node} before ${author}/${round}, which it names, was durable`)
      }
    }
  }

  /** Whether a node that lost its disk is free of a block of before. */
  #isFree(node: number, { digest }: Block): boolean {
    const holders = this.#heldAtLoss[node]?.get(digestKey(digest))
    return this.#untold && holders !== undefined && holders <= this.#f
  }

  /** How many nodes have a block on disk. */
  #holders({ digest }: Block): number {
    const key = digestKey(digest)
    return this.#durable.filter((durable) => durable.has(key)).length
  }
}
