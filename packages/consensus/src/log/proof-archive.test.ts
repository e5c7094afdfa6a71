import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { sha256, smallLog } from '../../../../testing/testkit/src/proven-log.ts'
import type { OrderedBatch } from '../model/effect.ts'
import { checkpointBytes, readCertificate } from './checkpoint.ts'
import { type Leaf, leafBytes } from './leaf.ts'
import { ProofArchive } from './proof-archive.ts'
import { LogTree, leafHash, rootFromPath } from './tree.ts'

const log = smallLog()
const ROOM = 64 * 1024 * 1024

function archiveOf(batches: readonly OrderedBatch[], bytesMax = ROOM): ProofArchive {
  const archive = new ProofArchive(log.genesis, sha256, bytesMax)
  for (const batch of batches) archive.add(batch)
  return archive
}

describe('ProofArchive', () => {
  it('proves every position that a certificate covers, over two epochs', () => {
    const archive = archiveOf(log.batches)
    assert.deepEqual(archive.prove(0), { type: 'uncovered' })
    archive.entered(log.links)
    archive.certified(log.certificate)
    for (let position = 0; position < log.size; position++) {
      assert.deepEqual(archive.prove(position), { type: 'proof', proof: log.prove(position) })
    }
    assert.deepEqual(archive.prove(log.size), { type: 'ahead' })
  })

  it('proves what came since its start, wherever in the log that was', () => {
    for (let start = 0; start < log.batches.length; start++) {
      const archive = archiveOf(log.batches.slice(start))
      archive.entered(log.links)
      archive.certified(log.certificate)
      const first = log.batches[start]?.leaf.firstPosition as number
      for (let position = 0; position < log.size; position++) {
        const expected = position < first ? { type: 'forgotten' } : { type: 'proof', proof: log.prove(position) }
        assert.deepEqual(archive.prove(position), expected, `start ${start}, position ${position}`)
      }
    }
  })

  it('begins anew behind a gap', () => {
    const archive = archiveOf([...log.batches.slice(0, 3), ...log.batches.slice(6)])
    archive.entered(log.links)
    archive.certified(log.certificate)
    assert.deepEqual(archive.prove(0), { type: 'forgotten' })
    assert.equal(archive.prove(log.size - 1).type, 'proof')
  })

  it('keeps no more than its maximum, and still proves the rest', () => {
    const [sample] = log.batches
    assert.ok(sample)
    const tree = new LogTree(sha256)
    const archive = new ProofArchive(log.genesis, sha256, 400_000)
    const count = 3000
    for (let leafIndex = 0; leafIndex < count; leafIndex++) {
      const leaf: Leaf = { ...sample.leaf, firstPosition: leafIndex * 3 }
      const frontier = tree.frontier()
      archive.add({ ...sample, leaf, leafIndex, frontier, nodes: tree.append(leafBytes(leaf)) })
    }
    assert.ok(archive.bytes < 400_000 + 256 * 2000, `${archive.bytes} bytes`)
    const { checkpoint, signatures } = readCertificate(log.certificate) ?? assert.fail()
    const content = checkpointBytes({ ...checkpoint, leafCount: count, logRoot: tree.root() })
    const bytes = Uint8Array.of(...content, signatures.length)
    archive.certified(Uint8Array.of(...bytes, ...signatures.flatMap(({ author, signature }) => [author, ...signature])))
    let proven = 0
    for (let position = 0; position < count * 3; position += 3) {
      const answer = archive.prove(position)
      if (answer.type !== 'proof') continue
      const { leaf, leafIndex, path } = answer.proof
      assert.deepEqual(rootFromPath(sha256, leafHash(sha256, leaf), leafIndex, count, path), tree.root())
      proven++
    }
    assert.ok(proven > 100 && proven < 1000, `${proven} of ${count} are kept`)
    assert.deepEqual(archive.prove(0), { type: 'forgotten' })
  })
})
