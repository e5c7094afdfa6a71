/**
 * The newest part of the log, kept so that a node can prove positions in it (consensus.md section 10): units with their leaves
 * and the hashes of the tree that came with them, up to a maximum of bytes; the oldest go first. What lies below is known by the
 * roots of the complete subtrees there, which is all that a path ever needs of it.
 *
 *     frontier ┊ unit  unit  unit  …  unit ┊ next
 *              oldest                 newest
 *
 * Absent: the disk. What came before a restart, or is too old for memory, is the host's to keep.
 */
import type { OrderedBatch } from '../model/effect.ts'
import type { Epoch } from '../model/epoch.ts'
import { type Checkpoint, readCertificate } from './checkpoint.ts'
import { type Leaf, messageAt } from './leaf.ts'
import { type LogProof, makeProof } from './proof.ts'
import { inclusionPath, type NodeName, type Sha256 } from './tree.ts'

interface Kept {
  readonly block: OrderedBatch['unit']
  readonly leaf: Leaf
  readonly leafIndex: number
  /** The leaf's own hash, then those of the subtrees that it completed. */
  readonly nodes: readonly Uint8Array[]
  readonly bytes: number
}

export type ProofAnswer =
  | { readonly type: 'proof'; readonly proof: LogProof }
  /** Ordered, but no checkpoint covers it yet: ask for one (a message of kind 7), then again. */
  | { readonly type: 'uncovered' }
  /** Not ordered yet. */
  | { readonly type: 'ahead' }
  /** Not kept any more. */
  | { readonly type: 'forgotten' }

/** What a kept unit costs besides its bytes, about. */
const UNIT_OVERHEAD_BYTES = 600
/** Units are let go in bunches, so that the array is seldom copied. */
const EVICT_EVERY = 256

export class ProofArchive {
  readonly #genesis: Epoch
  readonly #sha256: Sha256
  readonly #bytesMax: number
  #kept: Kept[] = []
  #bytes = 0
  /** Roots of the complete subtrees below the oldest unit, largest first. */
  #frontier: Uint8Array[] = []
  /** The newest, and what it covers. */
  #certificate: { readonly bytes: Uint8Array; readonly checkpoint: Checkpoint } | undefined
  #links: readonly Uint8Array[] = []

  constructor(genesis: Epoch, sha256: Sha256, bytesMax: number) {
    this.#genesis = genesis
    this.#sha256 = sha256
    this.#bytesMax = bytesMax
  }

  /** Bytes of what is kept, about. */
  get bytes(): number {
    return this.#bytes
  }

  /** The first position that is kept; undefined: none is. */
  get firstPosition(): number | undefined {
    return this.#kept[0]?.leaf.firstPosition
  }

  /** The next unit of the log. */
  add(batch: OrderedBatch): void {
    const { unit: block, leaf, leafIndex, nodes } = batch
    const newest = this.#kept.at(-1)
    if (newest === undefined || newest.leafIndex + 1 !== leafIndex) {
      // The first one, or a snapshot took the place of what lies between.
      this.#kept = []
      this.#bytes = 0
      this.#frontier = [...batch.frontier]
    }
    const bytes = block.header.length + block.body.length + UNIT_OVERHEAD_BYTES
    this.#kept.push({ block, leaf, leafIndex, nodes, bytes })
    this.#bytes += bytes
    if (leafIndex % EVICT_EVERY === 0) this.#evict()
  }

  /** A checkpoint has its certificate. */
  certified(certificate: Uint8Array): void {
    const read = readCertificate(certificate)
    if (read !== undefined) this.#certificate = { bytes: certificate, checkpoint: read.checkpoint }
  }

  /** The chain of epochs up to the current one: `epochLinkBytes` of each end, oldest first. */
  entered(links: readonly Uint8Array[]): void {
    this.#links = links
  }

  prove(position: number): ProofAnswer {
    const kept = this.#find(position)
    if (kept === undefined) return { type: this.#isAhead(position) ? 'ahead' : 'forgotten' }
    const certified = this.#certificate
    if (certified === undefined || certified.checkpoint.leafCount <= kept.leafIndex) return { type: 'uncovered' }
    const { bytes: certificate, checkpoint } = certified
    const { epoch, leafCount } = checkpoint
    const { block, leaf, leafIndex } = kept
    const hashOf = (name: NodeName): Uint8Array => this.#hashOf(name)
    const path = inclusionPath(this.#sha256, leafIndex, leafCount, hashOf)
    const epochs = this.#links.slice(0, epoch - this.#genesis.number)
    return {
      type: 'proof',
      proof: makeProof({ genesis: this.#genesis, position, block, leaf, leafIndex, path, certificate, epochs }),
    }
  }

  #isAhead(position: number): boolean {
    const newest = this.#kept.at(-1)
    return newest === undefined || position >= newest.leaf.firstPosition + newest.leaf.count
  }

  /** The unit whose leaf gives this position to a message. */
  #find(position: number): Kept | undefined {
    let low = 0
    let high = this.#kept.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#kept[middle] as Kept).leaf.firstPosition <= position) low = middle + 1
      else high = middle
    }
    const kept = this.#kept[low - 1]
    return kept !== undefined && messageAt(kept.leaf, position) !== -1 ? kept : undefined
  }

  /** Of a complete subtree: with the last of its leaves, or in the frontier if that leaf is not kept. */
  #hashOf({ level, index }: NodeName): Uint8Array {
    const oldest = (this.#kept[0] as Kept).leafIndex
    const last = (index + 1) * 2 ** level - 1
    if (last >= oldest) return (this.#kept[last - oldest] as Kept).nodes[level] as Uint8Array
    // Largest first: as many stand before this one as the oldest index has one bits above the level.
    let before = 0
    for (let rest = Math.floor(oldest / 2 ** (level + 1)); rest > 0; rest = Math.floor(rest / 2)) before += rest % 2
    return this.#frontier[before] as Uint8Array
  }

  #evict(): void {
    let gone = 0
    while (this.#bytes > this.#bytesMax && gone < this.#kept.length - 1) {
      const { nodes, bytes } = this.#kept[gone++] as Kept
      this.#bytes -= bytes
      this.#frontier.length -= nodes.length - 1
      this.#frontier.push(nodes.at(-1) as Uint8Array)
    }
    if (gone > 0) this.#kept = this.#kept.slice(gone)
  }
}
