import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { inclusionPath, LogTree, leafHash, type NodeName, nodePlace, rootFromPath } from './tree.ts'

// Not a Buffer, whose slice() is a view.
const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(bytes).digest())

const leaf = (i: number): Uint8Array => Uint8Array.of(i >>> 8, i, 7)

/** MTH of RFC 6962, 2.1, word for word. */
function merkleTreeHash(leaves: readonly Uint8Array[]): Uint8Array {
  const [first] = leaves
  if (first === undefined) return sha256(new Uint8Array(0))
  if (leaves.length === 1) return sha256(Uint8Array.of(0, ...first))
  let k = 1
  while (k * 2 < leaves.length) k *= 2
  return sha256(Uint8Array.of(1, ...merkleTreeHash(leaves.slice(0, k)), ...merkleTreeHash(leaves.slice(k))))
}

/** A tree, and all hashes that its appends returned. */
function grown(count: number): { tree: LogTree; kept: Uint8Array[] } {
  const tree = new LogTree(sha256)
  const kept: Uint8Array[] = []
  for (let i = 0; i < count; i++) kept.push(...tree.append(leaf(i)))
  return { tree, kept }
}

describe('LogTree', () => {
  it('has the root of RFC 6962 at every size', () => {
    const leaves: Uint8Array[] = []
    const tree = new LogTree(sha256)
    for (let size = 0; size <= 70; size++) {
      assert.deepEqual(tree.root(), merkleTreeHash(leaves), `size ${size}`)
      assert.equal(tree.leafCount, size)
      leaves.push(leaf(size))
      tree.append(leaf(size))
    }
  })

  it('has a path from every leaf to the root at every size, made of kept hashes', () => {
    for (let size = 1; size <= 40; size++) {
      const { tree, kept } = grown(size)
      const hashOf = (name: NodeName): Uint8Array => kept[nodePlace(name)] as Uint8Array
      for (let index = 0; index < size; index++) {
        const path = inclusionPath(sha256, index, size, hashOf)
        assert.deepEqual(rootFromPath(sha256, leafHash(sha256, leaf(index)), index, size, path), tree.root())
      }
    }
  })

  it('lets no other index, size or path reach the root', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 80 }), fc.nat(), fc.nat(), fc.nat(), (size, at, other, where) => {
        const { tree, kept } = grown(size)
        const index = at % size
        const path = inclusionPath(sha256, index, size, (name) => kept[nodePlace(name)] as Uint8Array)
        const hash = leafHash(sha256, leaf(index))
        const wrongIndex = other % (size + 3)
        if (wrongIndex !== index) assert.notDeepEqual(rootFromPath(sha256, hash, wrongIndex, size, path), tree.root())
        assert.equal(rootFromPath(sha256, hash, index, size, [...path, hash]), undefined)
        if (path.length === 0) return
        assert.equal(rootFromPath(sha256, hash, index, size, path.slice(1)), undefined)
        const changed = path.map((step) => step.slice())
        const step = changed[where % path.length] as Uint8Array
        step[other % 32] = (step[other % 32] as number) ^ (1 + (where % 255))
        assert.notDeepEqual(rootFromPath(sha256, hash, index, size, changed), tree.root())
      }),
    )
  })
})
