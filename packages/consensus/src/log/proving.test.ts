/** Proofs from logs that engines made, among them a quiet one in which nobody would take a checkpoint soon. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cluster, sha256, signature } from '../../testing/cluster.ts'
import { MessageKind } from '../model/block.ts'
import { proofText, readProofText } from './proof.ts'
import { ProofArchive } from './proof-archive.ts'
import { verifyProof } from './verify-proof.ts'

interface Proving {
  readonly cluster: Cluster
  readonly archives: readonly ProofArchive[]
}

/** A cluster whose nodes keep what proofs are made of. */
function provingCluster(seed: number): Proving {
  const archives: ProofArchive[] = []
  const cluster = new Cluster({ n: 4, seed, delayUs: [500, 2000] })
  for (let node = 0; node < 4; node++) archives.push(new ProofArchive(cluster.epoch, sha256, 1_000_000))
  cluster.watch = (node, effect) => {
    if (effect.type === 'emit') archives[node]?.add(effect.batch)
    if (effect.type === 'certified') archives[node]?.certified(effect.certificate)
    if (effect.type === 'epoch') archives[node]?.entered(effect.links)
    return false
  }
  return { cluster, archives }
}

let requests = 1_000_000
function requestCheckpoint({ cluster }: Proving, node: number): void {
  const bytes = new Uint8Array(0)
  const kind = MessageKind.checkpointRequest
  cluster.input(node, { type: 'submit', id: requests++, kind, bytes, nowUs: cluster.nowUs })
}

/** The text of what is proven at a position, by the archive of a node. */
function provenText({ cluster, archives }: Proving, node: number, position: number): string {
  const answer = archives[node]?.prove(position)
  assert.equal(answer?.type, 'proof', `node ${node}, position ${position}`)
  const proof = readProofText(proofText(answer.proof))
  assert.ok(proof.ok)
  const verified = verifyProof(cluster.epoch, proof.value, sha256)
  assert.ok(verified.ok, verified.ok ? '' : verified.problem)
  for (const check of verified.value.signatures) {
    assert.deepEqual(new Uint8Array(check.signature), signature(check.publicKey, check.bytes), check.name)
  }
  return new TextDecoder().decode(verified.value.message.bytes)
}

test('a quiet log is proven on every node after one request, and the cluster falls silent again (H13 of the review)', () => {
  const proving = provingCluster(7)
  const { cluster, archives } = proving
  for (let i = 0; i < 5; i++) cluster.submit(i % 4, `message ${i}`)
  cluster.run(200_000)
  assert.deepEqual(archives[0]?.prove(0), { type: 'uncovered' })
  requestCheckpoint(proving, 2)
  cluster.run(500_000)
  for (let node = 0; node < 4; node++) {
    const texts = Array.from({ length: 5 }, (_, position) => provenText(proving, node, position))
    assert.deepEqual(texts, cluster.texts(node).slice(0, 5))
  }
  assert.deepEqual(archives[0]?.prove(6), { type: 'ahead' })
  let sent = 0
  cluster.watch = (_, effect) => {
    if (effect.type === 'send') sent++
    return false
  }
  cluster.run(1_000_000)
  assert.equal(sent, 0)
})

test('a request soon after a checkpoint is answered once that is 16 steps old', () => {
  const proving = provingCluster(8)
  const { cluster, archives } = proving
  cluster.submit(0, 'first')
  requestCheckpoint(proving, 1)
  cluster.run(300_000)
  assert.equal(archives[1]?.prove(0).type, 'proof')
  cluster.submit(3, 'second')
  requestCheckpoint(proving, 3)
  cluster.run(300_000)
  const position = cluster.texts(3).indexOf('second')
  for (let node = 0; node < 4; node++) assert.equal(provenText(proving, node, position), 'second')
})
