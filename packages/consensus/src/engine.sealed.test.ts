import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Cluster, keyOf, masked, sealedContent, sha256 } from '../testing/cluster.ts'
import { assertSilent } from '../testing/expectations.ts'
import { MessageKind } from './model/block.ts'
import { envelopeBytes, shareHash } from './sealed/envelope.ts'
import { splitKey } from './sealed/shamir.ts'

const small = { keepRounds: 64, voidRounds: 48, reportAgeRounds: 32, checkpointSteps: 32 }

/** Seals a text for all nodes; nodes of `spoiled` get something else for a share, whose hash is that of the true one. */
function seal(cluster: Cluster, text: string, spoiled: readonly number[] = []): Uint8Array {
  const { n, w } = cluster.epoch
  const key = sha256(new TextEncoder().encode(text))
  const nonce = new Uint8Array(12).fill(3)
  const random = new Uint8Array((w - 1) * 32).map((_, i) => i * 7 + 1)
  const shares = splitKey(key, random, { n, threshold: w }).map((share, node) => ({
    hash: shareHash(sha256, node, share),
    encrypted: spoiled.includes(node) ? new Uint8Array(32) : masked(keyOf(node), share),
  }))
  return envelopeBytes({ shares, nonce, ciphertext: sealedContent(key, nonce, new TextEncoder().encode(text)) })
}

function submitSealed(cluster: Cluster, node: number, bytes: Uint8Array): void {
  cluster.input(node, { type: 'submit', id: 0, kind: MessageKind.sealed, bytes, nowUs: cluster.nowUs })
}

describe('Engine with sealed messages', () => {
  it('opens one on all nodes once a witness set gave its shares, behind its place in the order', () => {
    const cluster = new Cluster({ n: 4, seed: 1, delayUs: [500, 1500] })
    submitSealed(cluster, 1, seal(cluster, 'secret'))
    cluster.submit(2, 'behind it')
    assert.ok(cluster.runUntil(() => cluster.nodes.every(({ opened }) => opened.size === 1), 1_000_000))
    for (const { opened } of cluster.nodes) assert.deepEqual([...opened.values()], ['secret'])
    assertSilent(cluster)
  })

  it('opens it for all although the sealer gave half of them junk', () => {
    const cluster = new Cluster({ n: 4, seed: 2, delayUs: [500, 1500] })
    submitSealed(cluster, 1, seal(cluster, 'secret', [0, 3]))
    assert.ok(cluster.runUntil(() => cluster.nodes.every(({ opened }) => opened.size === 1), 1_000_000))
    for (const { opened } of cluster.nodes) assert.deepEqual([...opened.values()], ['secret'])
    assertSilent(cluster)
  })

  it('makes it void on all nodes when too few shares can come, and is silent again', () => {
    const cluster = new Cluster({ n: 4, seed: 3, delayUs: [500, 1500], constants: small })
    submitSealed(cluster, 1, seal(cluster, 'secret', [0, 1, 3]))
    assert.ok(cluster.runUntil(() => cluster.nodes.every(({ opened }) => opened.size === 1), 5_000_000))
    for (const { opened } of cluster.nodes) assert.deepEqual([...opened.values()], [undefined])
    assertSilent(cluster)
  })

  it('gives its share after a restart if it could not before', () => {
    const cluster = new Cluster({ n: 4, seed: 4, delayUs: [500, 1500] })
    // Only two nodes have true shares, and one of them stops as soon as the message has its place.
    submitSealed(cluster, 1, seal(cluster, 'secret', [0, 3]))
    assert.ok(cluster.runUntil(() => cluster.nodes.every(({ log }) => log.length > 0), 1_000_000))
    cluster.crash(2)
    cluster.run(50_000)
    assert.equal(cluster.nodes[0]?.opened.size, 0)
    cluster.restart(2)
    assert.ok(cluster.runUntil(() => cluster.nodes.every(({ opened }) => opened.size === 1), 5_000_000))
    for (const { opened } of cluster.nodes) assert.deepEqual([...opened.values()], ['secret'])
  })
})
