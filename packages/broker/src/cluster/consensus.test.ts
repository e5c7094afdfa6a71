import assert from 'node:assert/strict'
import { createHash, createPublicKey, type KeyObject } from 'node:crypto'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { verifyProof } from '@concordmq/consensus'
import type { Placement } from '../model/ordered-log.ts'
import { freeAddresses, type LogLine, makeKeys, makeTestEpoch, recordingLogger } from './cluster.testkit.ts'
import { type ClusterNode, Recorder, submit, TestCluster } from './consensus.testkit.ts'
import { Verifier } from './host/cryptography.ts'
import { pointOf } from './identity/node-keys.ts'
import { splitAddress } from './links/transport.ts'
import { signReconfiguration } from './reconfiguration.ts'

test('a node alone orders what it is given, and again after a restart', async () => {
  const cluster = await TestCluster.start(1, 'tls')
  try {
    const [node] = cluster.nodes
    assert.ok(node)
    const placements = await Promise.all([1, 2, 3].map((i) => submit(node.consensus, Buffer.from([i]))))
    assert.deepEqual(
      placements.map((placement) => placement.type === 'placed' && placement.position),
      [0, 1, 2],
    )
    await cluster.restart(0)
    const again = cluster.nodes[0]
    assert.ok(again)
    await again.recorder.until(3, 'the log is repeated')
    assert.equal(again.recorder.hash, node.recorder.hash)
    const placement = await submit(again.consensus, Buffer.from([4]))
    assert.equal(placement.type === 'placed' && placement.position, 3)
  } finally {
    await cluster.stop()
  }
})

for (const choice of ['tls', 'quic'] as const) {
  test(`four nodes agree on one order over ${choice}`, async () => {
    const cluster = await TestCluster.start(4, choice)
    try {
      const each = 50
      const placements = await Promise.all(
        cluster.nodes.flatMap(({ consensus }, node) =>
          Array.from({ length: each }, (_, i) => submit(consensus, Buffer.from(`${node}:${i}`))),
        ),
      )
      assert.ok(placements.every(({ type }) => type === 'placed'))
      for (const { recorder } of cluster.nodes) await recorder.until(4 * each, 'all messages')
      const [first] = cluster.nodes
      for (const { recorder } of cluster.nodes) assert.equal(recorder.hash, first?.recorder.hash)
    } finally {
      await cluster.stop()
    }
  })
}

test('every node proves the positions of the log, with the keys of the book alone', async () => {
  const cluster = await TestCluster.start(4, 'tls')
  try {
    const [first] = cluster.nodes as [ClusterNode]
    const placement = await submit(first.consensus, Buffer.from('bid 17'))
    assert.equal(placement.type, 'placed')
    const { position } = placement
    await Promise.all(cluster.nodes.map(({ recorder }) => recorder.until(position + 1, 'the message on every node')))
    const proofs = await Promise.all(cluster.nodes.map(({ consensus }) => consensus.proof(position)))
    for (const proof of proofs) {
      const verified = verifyProof(cluster.genesis, proof, (bytes) => createHash('sha256').update(bytes).digest())
      assert.ok(verified.ok, verified.ok ? '' : verified.problem)
      const { message, signatures } = verified.value
      assert.equal(Buffer.from(message.bytes).toString(), 'bid 17')
      assert.equal(message.position, position)
      const verifier = new Verifier()
      assert.ok(signatures.length >= 4 && signatures.every((signature) => verifier.verify(signature)))
    }
    await assert.rejects(first.consensus.proof(1_000_000), { code: 'CMQ_PROOF_LATER', retryable: true })
  } finally {
    await cluster.stop()
  }
})

test('a node that was stopped has what it missed when it is back, and takes part again', async () => {
  const cluster = await TestCluster.start(4, 'tls')
  try {
    const [first, second] = cluster.nodes
    assert.ok(first && second)
    await submit(first.consensus, Buffer.from('before'))
    await cluster.nodes[3]?.consensus.stop()
    for (let i = 0; i < 20; i++) await submit(second.consensus, Buffer.from(`while away ${i}`))
    await cluster.restart(3)
    const returned = cluster.nodes[3]
    assert.ok(returned)
    await returned.recorder.until(21, 'what it missed')
    const placement = await submit(returned.consensus, Buffer.from('after'))
    assert.equal(placement.type, 'placed')
    for (const { recorder } of cluster.nodes) await recorder.until(22, 'its own message')
    for (const { recorder } of cluster.nodes) assert.equal(recorder.hash, returned.recorder.hash)
  } finally {
    await cluster.stop()
  }
})

test('a node whose directory was wiped comes back without contradicting itself, and takes part again', async () => {
  const cluster = await TestCluster.start(4, 'tls')
  try {
    const [first] = cluster.nodes as [ClusterNode]
    await Promise.all(cluster.nodes.map(({ consensus }, node) => submit(consensus, Buffer.from(`before ${node}`))))
    await cluster.nodes[3]?.consensus.stop()
    rmSync(join(cluster.directory, '3'), { recursive: true })
    await cluster.restart(3)
    const returned = cluster.nodes[3] as ClusterNode
    await returned.recorder.untilMode('active')
    assert.equal((await submit(returned.consensus, Buffer.from('after'))).type, 'placed')
    for (const { recorder } of cluster.nodes) await recorder.until(5, 'what the returned node submitted')
    for (const { recorder, consensus } of cluster.nodes) {
      assert.equal(recorder.hash, first.recorder.hash)
      assert.equal(consensus.status.jailed, 0)
    }
    assert.ok(returned.lines.some(({ fields }) => fields['event'] === 'cluster.amnesia'))
  } finally {
    await cluster.stop()
  }
})

test('two of four nodes order nothing and say so, and go on by themselves when a third is back', async () => {
  const cluster = await TestCluster.start(4, 'tls')
  try {
    const [first] = cluster.nodes
    assert.ok(first)
    await submit(first.consensus, Buffer.from('before'))
    for (const i of [2, 3]) await cluster.nodes[i]?.consensus.stop()
    let placed: Placement | undefined
    first.consensus.submit(Buffer.from('held'), (placement) => {
      placed = placement
    })
    await first.recorder.untilMode('stalled')
    assert.equal(placed, undefined)
    await cluster.restart(3)
    await first.recorder.until(2, 'the message that was held')
    await first.recorder.untilMode('active')
    assert.equal(placed === undefined ? '' : (placed as Placement).type, 'placed')
  } finally {
    await cluster.stop()
  }
})

test('a directory of another node or another network is refused before anything runs', async () => {
  const cluster = await TestCluster.start(1, 'tls')
  try {
    await cluster.nodes[0]?.consensus.stop()
    const [other] = makeKeys(1)
    assert.ok(other)
    await assert.rejects(cluster.openAs(0, { privateKey: other, genesis: makeTestEpoch({ keys: [other] }) }), {
      code: 'CMQ_CLUSTER_DIRECTORY',
      message: /belongs to the node with the key [0-9a-f]{16}, this one has [0-9a-f]{16}/,
    })
    await assert.rejects(cluster.openAs(0, { genesis: makeTestEpoch({ keys: cluster.keys, network: 'elsewhere' }) }), {
      code: 'CMQ_CLUSTER_DIRECTORY',
      message: /belongs to the network "test" with the book [0-9a-f]{16}, this node to "elsewhere"/,
    })
    await assert.rejects(
      cluster.openAs(0, { privateKey: other }),
      { code: 'CMQ_CLUSTER' },
      'its key is not in the book',
    )
  } finally {
    await cluster.stop()
  }
})

test('operators take a node out of the cluster: the others go on in the next epoch, and an unsigned change has no effect', async () => {
  const [operator, stranger] = makeKeys(2) as [KeyObject, KeyObject]
  const cluster = await TestCluster.start(4, 'tls', [operator])
  try {
    const [first] = cluster.nodes
    assert.ok(first)
    await submit(first.consensus, Buffer.from('before'))
    const { epoch } = first.consensus
    const left = epoch.nodes.slice(0, 3)
    await assert.rejects(
      first.consensus.reconfigure(signReconfiguration(epoch, left, [{ operator: 0, privateKey: stranger }])),
      { code: 'CMQ_CLUSTER_CHANGE', message: /0 operators signed it .*, 1 must/ },
    )
    await submit(first.consensus, Buffer.from('between'))
    assert.equal(first.consensus.epoch.number, 0)
    await first.consensus.reconfigure(signReconfiguration(epoch, left, [{ operator: 0, privateKey: operator }]))
    await submit(first.consensus, Buffer.from('after'))
    assert.equal(first.consensus.epoch.number, 1)
    assert.equal(first.consensus.nodes.length, 3)
    for (const { recorder } of cluster.nodes.slice(0, 3)) await recorder.until(4, 'the message of the new epoch')
    for (const { recorder } of cluster.nodes.slice(0, 3)) assert.equal(recorder.hash, first.recorder.hash)
    assert.equal(first.consensus.figures.links.length, 2)
  } finally {
    await cluster.stop()
  }
})

test('operators take a node into the cluster: it begins with a snapshot of the state, and has a part in the order', async () => {
  const [operator, joiner] = makeKeys(2) as [KeyObject, KeyObject]
  const cluster = await TestCluster.start(4, 'tls', [operator])
  const [address] = await freeAddresses(1)
  const recorder = new Recorder()
  const lines: LogLine[] = []
  const newcomer = await cluster.openAs(0, {
    privateKey: joiner,
    joining: true,
    directory: join(cluster.directory, 'newcomer'),
    ...splitAddress(address ?? ''),
    logger: recordingLogger(lines),
  })
  try {
    const [first] = cluster.nodes
    assert.ok(first)
    for (let i = 0; i < 5; i++) await submit(first.consensus, Buffer.from(`before ${i}`))
    await newcomer.start(recorder)
    const { epoch } = first.consensus
    const nodes = [...epoch.nodes, { publicKey: pointOf(createPublicKey(joiner)), address: address ?? '' }]
    await first.consensus.reconfigure(signReconfiguration(epoch, nodes, [{ operator: 0, privateKey: operator }]))
    await submit(first.consensus, Buffer.from('after'))
    await recorder.until(7, 'all that was ordered')
    assert.equal(newcomer.node, 4)
    const placement = await submit(newcomer, Buffer.from('of the newcomer'))
    assert.equal(placement.type, 'placed')
    for (const node of cluster.nodes) await node.recorder.until(8, 'the message of the newcomer')
    for (const node of cluster.nodes) assert.equal(node.recorder.hash, recorder.hash)
  } finally {
    await newcomer.stop()
    await cluster.stop()
  }
})
