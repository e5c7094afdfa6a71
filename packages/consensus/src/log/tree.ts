/**
 * The log tree: a Merkle tree over the leaves of the log, in the manner of RFC 6962 section 2.1 (prefix 00 before a leaf, 01
 * before two children; the left subtree is the largest complete one). Only the roots of the complete subtrees are kept, the
 * frontier, one per one bit of the number of leaves: at most 53 hashes for any log.
 *
 *     7 leaves:      ┌──────┴──────┐
 *                ┌───┴───┐      ┌──┴──┐
 *              ┌─┴─┐   ┌─┴─┐  ┌─┴─┐   │
 *              0   1   2   3  4   5   6     frontier: [0..3] [4 5] [6]
 *
 * Each append completes a leaf and perhaps nodes above it. A host that wants to give proofs later keeps these hashes in the
 * order they come: `nodePlace` says where each one lies, and `inclusionPath` names the ones it needs.
 */
import type { Reader } from '../bytes/reader.ts'
import { Writer } from '../bytes/writer.ts'
import type { Cryptography } from '../model/cryptography.ts'

export type Sha256 = Cryptography['sha256']

export class LogTree {
  readonly #sha256: Sha256
  #leafCount = 0
  /** Roots of complete subtrees, largest first. */
  readonly #frontier: Uint8Array[] = []

  constructor(sha256: Sha256) {
    this.#sha256 = sha256
  }

  get leafCount(): number {
    return this.#leafCount
  }

  /** Roots of the complete subtrees, largest first. */
  frontier(): readonly Uint8Array[] {
    return this.#frontier.slice()
  }

  /** Add a leaf; returns the hashes that are complete now: the leaf's own, then nodes above it, lowest first. */
  append(leaf: Uint8Array): readonly Uint8Array[] {
    let hash = leafHash(this.#sha256, leaf)
    const complete = [hash]
    for (let rest = this.#leafCount; rest % 2 === 1; rest = (rest - 1) / 2) {
      hash = nodeHash(this.#sha256, this.#frontier.pop() as Uint8Array, hash)
      complete.push(hash)
    }
    this.#frontier.push(hash)
    this.#leafCount++
    return complete
  }

  write(writer: Writer): void {
    writer.u64(this.#leafCount)
    for (const hash of this.#frontier) writer.raw(hash)
  }

  read(reader: Reader): void {
    this.#leafCount = reader.u64()
    this.#frontier.length = 0
    for (let left = ones(this.#leafCount); left > 0; left--) this.#frontier.push(new Uint8Array(reader.raw(32)))
  }

  /** Root over all leaves; of none, the hash of nothing. */
  root(): Uint8Array {
    let root = this.#frontier.at(-1)
    if (root === undefined) return this.#sha256(new Uint8Array(0))
    for (let i = this.#frontier.length - 2; i >= 0; i--) {
      root = nodeHash(this.#sha256, this.#frontier[i] as Uint8Array, root)
    }
    return root
  }
}

/** What is hashed, at hand: an array of its own for every hash costs more than the hash. */
const hashed = new Writer(256)

export function leafHash(sha256: Sha256, leaf: Uint8Array): Uint8Array {
  hashed.cut()
  hashed.u8(0)
  hashed.raw(leaf)
  return sha256(hashed.view())
}

export function nodeHash(sha256: Sha256, left: Uint8Array, right: Uint8Array): Uint8Array {
  hashed.cut()
  hashed.u8(1)
  hashed.raw(left)
  hashed.raw(right)
  return sha256(hashed.view())
}

/** A complete subtree of 2^level leaves that begins with leaf `index` · 2^level. */
export interface NodeName {
  readonly level: number
  readonly index: number
}

/**
 * Where the hash of a complete subtree stands among all hashes that `append` ever returned, counted from 0: each leaf is
 * followed by the nodes that it completes.
 */
export function nodePlace({ level, index }: NodeName): number {
  const leaves = (index + 1) * 2 ** level
  // After that many leaves, 2·leaves - ones(leaves) hashes are out; the last ones are the nodes above this one.
  const completed = trailingZeros(leaves)
  return 2 * leaves - ones(leaves) - 1 - (completed - level)
}

/**
 * The path from leaf `index` to the root over `leafCount` leaves (RFC 6962, 2.1.1): sibling hashes, lowest first.
 * `hashOf` gives the hash of a complete subtree; a sibling at the right edge that is not complete is made of several.
 */
export function inclusionPath(
  sha256: Sha256,
  index: number,
  leafCount: number,
  hashOf: (name: NodeName) => Uint8Array,
): Uint8Array[] {
  const path: Uint8Array[] = []
  let first = 0
  let size = leafCount
  const siblings: { readonly first: number; readonly size: number }[] = []
  while (size > 1) {
    const left = largestPowerBelow(size)
    if (index < first + left) {
      siblings.push({ first: first + left, size: size - left })
      size = left
    } else {
      siblings.push({ first, size: left })
      first += left
      size -= left
    }
  }
  for (const { first: start, size: count } of siblings.reverse()) path.push(rangeHash(sha256, start, count, hashOf))
  return path
}

/** The root that follows from a leaf's hash, its index and its path; undefined if the path does not fit the tree's size. */
export function rootFromPath(
  sha256: Sha256,
  leaf: Uint8Array,
  index: number,
  leafCount: number,
  path: readonly Uint8Array[],
): Uint8Array | undefined {
  if (index >= leafCount) return undefined
  let hash = leaf
  let node = index
  let last = leafCount - 1
  for (const sibling of path) {
    if (last === 0) return undefined
    if (node % 2 === 1 || node === last) {
      hash = nodeHash(sha256, sibling, hash)
      // A node at the right edge that has no sibling is carried up.
      while (node % 2 === 0 && node !== 0) {
        node /= 2
        last = Math.floor(last / 2)
      }
    } else {
      hash = nodeHash(sha256, hash, sibling)
    }
    node = Math.floor(node / 2)
    last = Math.floor(last / 2)
  }
  return last === 0 ? hash : undefined
}

function rangeHash(sha256: Sha256, first: number, size: number, hashOf: (name: NodeName) => Uint8Array): Uint8Array {
  const left = largestPowerBelow(size)
  // A power of two is a complete subtree.
  if (left * 2 === size || size === 1) return hashOf({ level: Math.log2(size), index: first / size })
  const right = rangeHash(sha256, first + left, size - left, hashOf)
  return nodeHash(sha256, hashOf({ level: Math.log2(left), index: first / left }), right)
}

/** The largest power of two below `size`, for size > 1; 1 for 1. */
function largestPowerBelow(size: number): number {
  let power = 1
  while (power * 2 < size) power *= 2
  return power
}

function trailingZeros(value: number): number {
  let count = 0
  for (let rest = value; rest % 2 === 0; rest /= 2) count++
  return count
}

function ones(value: number): number {
  let count = 0
  for (let rest = value; rest > 0; rest = Math.floor(rest / 2)) count += rest % 2
  return count
}
