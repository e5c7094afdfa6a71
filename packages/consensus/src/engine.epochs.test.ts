import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Cluster, certificateOf, keyOf, rootOfTests, sha256, signature, type TestNode } from '../testing/cluster.ts'
import { assertOrdered, assertSilent } from '../testing/expectations.ts'
import { blockMessages, decodeBlock, signatureBytes } from './bytes/block-codec.ts'
import { Domain, signedBytes } from './bytes/domain.ts'
import { encodeFrame, FrameType, frameHeadBytes } from './bytes/frames.ts'
import { encodeReconfiguration, reconfigurationContent } from './bytes/reconfiguration.ts'
import { MessageKind } from './model/block.ts'
import { constantsFor } from './model/constants.ts'

const small = { keepRounds: 64, voidRounds: 48, reportAgeRounds: 32, checkpointSteps: 32 }
const OPERATOR = 100

/** Submits a change to a book of these nodes, signed by `operator`. */
function change(cluster: Cluster, at: number, nodes: readonly number[], operator = OPERATOR): void {
  const { epoch } = cluster.nodes[at]!
  const content = {
    number: epoch.number + 1,
    nodes: nodes.map((node) => ({ publicKey: keyOf(node), address: `127.0.0.1:${node + 1}` })),
    constants: epoch.constants,
  }
  const signed = signature(keyOf(operator), signedBytes('reconfig', epoch.hash, reconfigurationContent(content)))
  const bytes = encodeReconfiguration({ ...content, signatures: [{ operator: 0, signature: signed }] })
  cluster.input(at, { type: 'submit', id: 0, kind: MessageKind.reconfiguration, bytes, nowUs: cluster.nowUs })
}

/** Submits a change that adds a node by a certificate of `root`; `signer` signs it. */
function admit(cluster: Cluster, at: number, newcomer: number, { root = rootOfTests, signer = newcomer } = {}): void {
  const { epoch } = cluster.nodes[at]!
  const publicKey = keyOf(newcomer)
  const nodes = [...epoch.nodes, { publicKey, address: `127.0.0.1:${newcomer + 1}` }]
  const content = { number: epoch.number + 1, nodes, constants: constantsFor(nodes.length) }
  const signed = signature(keyOf(signer), signedBytes('reconfig', epoch.hash, reconfigurationContent(content)))
  const admission = { chain: [certificateOf(root, publicKey)], signature: signed }
  const bytes = encodeReconfiguration({ ...content, signatures: [], admission })
  cluster.input(at, { type: 'submit', id: 0, kind: MessageKind.reconfiguration, bytes, nowUs: cluster.nowUs })
}

const otherWays: readonly number[] = [
  FrameType.blocks,
  FrameType.checkpointVote,
  FrameType.certificate,
  FrameType.snapshot,
]

/** Whether a frame is a block with a change of the book in it. */
function carriesChange(cluster: Cluster, frame: Uint8Array): boolean {
  const block = blockIn(cluster, frame)
  return block !== undefined && blockMessages(block).some(({ kind }) => kind === MessageKind.reconfiguration)
}

function withoutBody(cluster: Cluster, frame: Uint8Array): Uint8Array {
  const header = blockIn(cluster, frame)?.header.length ?? 0
  const bytes = frame.subarray(frameHeadBytes, frameHeadBytes + header + signatureBytes)
  return encodeFrame({ type: 'block', bytes })
}

function blockIn({ epoch }: Cluster, frame: Uint8Array) {
  if (frame[0] !== FrameType.block) return undefined
  const decoded = decodeBlock(frame.subarray(frameHeadBytes), epoch, new Domain(epoch.hash, { sha256 }))
  return decoded.ok ? decoded.value : undefined
}

const epochsOf = (cluster: Cluster): number[] => cluster.nodes.map(({ engine }) => engine.status.epoch)

function traffic(cluster: Cluster, count: number, nodes: readonly number[], text: string): void {
  for (let i = 0; i < count; i++) {
    cluster.submit(nodes[i % nodes.length] as number, `${text}${i}`)
    cluster.run(cluster.random() * 3000)
  }
}

describe('Engine when the book changes', () => {
  it('takes a fifth node in, which gets the log so far as a snapshot', () => {
    const cluster = new Cluster({ n: 4, newcomers: 1, seed: 1, delayUs: [200, 1500], constants: small, fresh: true })
    traffic(cluster, 30, [0, 1, 2, 3], 'before')
    change(cluster, 1, [0, 1, 2, 3, 4])
    traffic(cluster, 30, [0, 1, 2, 3], 'during')
    cluster.run(1_000_000)
    assert.deepEqual(
      cluster.nodes.map(({ engine }) => engine.status.epoch),
      [1, 1, 1, 1, 1],
    )
    traffic(cluster, 30, [0, 1, 2, 3, 4], 'after')
    assertOrdered(cluster, 91)
    assertSilent(cluster)
  })

  it('takes a node in that a root certified, which operators have not signed', () => {
    const cluster = new Cluster({ n: 4, newcomers: 1, seed: 11, delayUs: [200, 1500], fresh: true })
    traffic(cluster, 20, [0, 1, 2, 3], 'before')
    admit(cluster, 2, 4)
    cluster.run(2_000_000)
    assert.deepEqual(epochsOf(cluster), [1, 1, 1, 1, 1])
    traffic(cluster, 20, [0, 1, 2, 3, 4], 'after')
    assertOrdered(cluster, 41)
    assertSilent(cluster)
  })

  it('has a newcomer take part in an idle cluster, also when it hears of the epoch later than all others', () => {
    for (let seed = 13; seed < 23; seed++) {
      const moreUs = (from: number, to: number): number => (from === 4 || to === 4 ? 20_000 : 0)
      const cluster = new Cluster({ n: 4, newcomers: 1, seed, delayUs: [200, 1500], moreUs, fresh: true })
      admit(cluster, 0, 4)
      cluster.run(5_000_000)
      assert.deepEqual(epochsOf(cluster), [1, 1, 1, 1, 1])
      assert.equal(cluster.nodes[4]?.engine.status.mode, 'active', `seed ${seed}`)
      assertSilent(cluster)
    }
  })

  it('takes nobody in by a certificate of another root, one that is not his, or one that has expired', () => {
    const cluster = new Cluster({ n: 4, newcomers: 1, seed: 12, delayUs: [200, 1500] })
    admit(cluster, 0, 4, { root: new Uint8Array(32) })
    cluster.run(1_000_000)
    admit(cluster, 0, 4, { signer: 3 })
    cluster.run(60_000_000)
    admit(cluster, 0, 4)
    cluster.run(1_000_000)
    assert.deepEqual(epochsOf(cluster), [0, 0, 0, 0, 0])
    assertOrdered(cluster, 3, [0, 1, 2, 3])
  })

  it('does not let a certificate bring back whom operators took out, also where the log began with a snapshot', () => {
    const cluster = new Cluster({ n: 4, newcomers: 1, seed: 13, delayUs: [200, 1500] })
    admit(cluster, 1, 4)
    cluster.run(2_000_000)
    change(cluster, 0, [0, 1, 2, 4])
    cluster.run(2_000_000)
    assert.deepEqual(epochsOf(cluster), [2, 2, 2, 2, 2])
    for (const node of [0, 4]) {
      admit(cluster, node, 3)
      cluster.run(2_000_000)
    }
    assert.deepEqual(epochsOf(cluster), [2, 2, 2, 2, 2])
    assertSilent(cluster)
  })

  it('goes on without a node that was removed, which is heard no more', () => {
    const cluster = new Cluster({ n: 5, seed: 2, delayUs: [200, 1500], constants: small })
    traffic(cluster, 20, [0, 1, 2, 3, 4], 'before')
    change(cluster, 0, [0, 2, 3, 4])
    cluster.run(1_000_000)
    assert.equal(cluster.nodes[1]?.engine.status.mode, 'joining')
    cluster.submit(1, 'too late')
    assert.deepEqual(cluster.nodes[1]?.refused, ['stopped'])
    traffic(cluster, 20, [0, 2, 3, 4], 'after')
    assertOrdered(cluster, 41, [0, 2, 3, 4])
    assertSilent(cluster)
  })

  it('loses nothing and repeats nothing when only one node sees at first that an epoch is over', () => {
    const cluster = new Cluster({ n: 4, seed: 3, delayUs: [200, 1500], constants: small })
    traffic(cluster, 10, [0, 1, 2, 3], 'before')
    // Votes for the last checkpoint reach the first node only.
    cluster.watch = (node, effect) => {
      if (effect.type !== 'send' || effect.frame[0] !== FrameType.checkpointVote) return false
      if (node !== 0) cluster.deliver(node, 0, effect.frame)
      return true
    }
    change(cluster, 0, [0, 1, 2, 3])
    traffic(cluster, 40, [0, 1, 2, 3], 'during')
    cluster.watch = () => false
    cluster.run(5_000_000)
    assert.deepEqual(
      cluster.nodes.map(({ engine }) => engine.status.epoch),
      [1, 1, 1, 1],
    )
    traffic(cluster, 10, [0, 1, 2, 3], 'after')
    assertOrdered(cluster, 61)
    assert.equal(new Set(cluster.texts(0)).size, 61)
    assertSilent(cluster)
  })

  it('goes on into the next epoch although who sees the end first has only laggards and a silent liar beside it (C8)', () => {
    for (const seed of [31, 32, 33]) {
      // Blocks reach the first node sooner than the others, and votes for the last checkpoint reach it alone.
      const moreUs = (_from: number, to: number): number => (to === 0 ? 0 : 4000)
      const cluster = new Cluster({ n: 4, seed, delayUs: [200, 1500], moreUs, constants: small })
      traffic(cluster, 10, [0, 1, 2, 3], 'before')
      assertOrdered(cluster, 10)
      cluster.watch = (node, effect) => {
        if (effect.type !== 'send' || effect.frame[0] !== FrameType.checkpointVote) return false
        if (node !== 0 && node !== 3) cluster.deliver(node, 0, effect.frame)
        return true
      }
      change(cluster, 0, [0, 1, 2, 3])
      // From the moment that the change is on its way, the liar says nothing.
      cluster.cut = (from) => from === 3
      assert.ok(cluster.runUntil(() => cluster.nodes[0]?.engine.status.epoch === 1, 20_000_000))
      traffic(cluster, 20, [0, 1, 2], 'during')
      cluster.run(5_000_000)
      assert.deepEqual(epochsOf(cluster).slice(0, 3), [1, 1, 1])
      assertOrdered(cluster, 31, [0, 1, 2])
      assert.equal(new Set(cluster.texts(1)).size, 31)
    }
  })

  it('decides nothing behind a block whose bytes are missing: the change in them counts at one step everywhere (H1)', () => {
    const cluster = new Cluster({ n: 4, seed: 34, delayUs: [200, 1500], constants: small })
    traffic(cluster, 10, [0, 1, 2, 3], 'before')
    assertOrdered(cluster, 10)
    let withheld = 0
    cluster.watch = (node, effect) => {
      if (effect.type !== 'send' || node === 3) return false
      const { frame, to } = effect
      // Nothing else may bring it there: no answer with the block, and no snapshot behind the end of the epoch.
      const isAnswer = otherWays.includes(frame[0] as number) && (to === 3 || to === 'all')
      if (!isAnswer && !carriesChange(cluster, frame)) return false
      for (let peer = 0; peer < 3; peer++) {
        if (peer !== node && (to === 'all' || to === peer)) cluster.deliver(node, peer, frame)
      }
      // Header and signature are right; what they are about does not come.
      if (!isAnswer) cluster.deliver(node, 3, withoutBody(cluster, frame))
      withheld++
      return true
    }
    change(cluster, 0, [0, 1, 2, 3])
    traffic(cluster, 30, [0, 1, 2], 'during')
    cluster.run(2_000_000)
    assert.ok(withheld > 0)
    assert.deepEqual(epochsOf(cluster), [1, 1, 1, 0])
    const [first, , , last] = cluster.nodes as [TestNode, TestNode, TestNode, TestNode]
    assert.deepEqual(last.log, first.log.slice(0, last.log.length))
    assert.ok(!cluster.texts(3).includes('during29'))
    cluster.watch = () => false
    cluster.run(5_000_000)
    assert.deepEqual(epochsOf(cluster), [1, 1, 1, 1])
    assertOrdered(cluster, 41)
  })

  it('shows a newcomer the way into an epoch, also when it got there by what another node knew', () => {
    const cluster = new Cluster({ n: 4, newcomers: 1, seed: 8, delayUs: [200, 1500], constants: small, fresh: true })
    traffic(cluster, 10, [0, 1, 2, 3], 'before')
    cluster.watch = (node, effect) => {
      if (effect.type !== 'send' || effect.frame[0] !== FrameType.checkpointVote) return false
      if (node !== 0) cluster.deliver(node, 0, effect.frame)
      return true
    }
    cluster.cut = (from, to) => (from === 4 || to === 4) && from !== 1 && to !== 1
    change(cluster, 0, [0, 1, 2, 3, 4])
    cluster.run(5_000_000)
    assert.deepEqual(epochsOf(cluster), [1, 1, 1, 1, 1])
    cluster.watch = () => false
    cluster.cut = () => false
    traffic(cluster, 10, [0, 1, 2, 3, 4], 'after')
    assertOrdered(cluster, 21)
    assertSilent(cluster)
  })

  it('leaves a snapshot that nobody has any more for the newer one that others vouch for', () => {
    const moreUs = (from: number, to: number): number => (to === 3 && from !== 1 ? 3000 : 0)
    const cluster = new Cluster({ n: 4, seed: 9, delayUs: [200, 1500], moreUs, constants: small })
    const certificates: Uint8Array[] = []
    cluster.watch = (node, effect) => {
      if (node !== 1 || effect.type !== 'send' || effect.frame[0] !== FrameType.certificate) return false
      certificates.push(effect.frame)
      // The first one is said again and again, and before the others say theirs.
      cluster.deliver(1, 3, certificates[0] as Uint8Array)
      return true
    }
    for (let epoch = 1; epoch <= 3; epoch++) {
      cluster.crash(3, { loseDisk: epoch === 3 })
      change(cluster, 0, [0, 1, 2, 3])
      traffic(cluster, 60, [0, 1, 2], `epoch${epoch}-`)
      cluster.run(1_000_000)
      cluster.restart(3, { amnesia: epoch === 3 })
      cluster.run(5_000_000)
    }
    assert.ok(certificates.length > 1)
    assert.deepEqual(epochsOf(cluster), [3, 3, 3, 3])
    assertOrdered(cluster, 183)
  })

  it('follows two changes that happened while it was away', () => {
    const cluster = new Cluster({ n: 4, newcomers: 1, seed: 4, delayUs: [200, 1500], constants: small })
    traffic(cluster, 10, [0, 1, 2, 3], 'before')
    cluster.crash(3)
    change(cluster, 0, [0, 1, 2, 3, 4])
    cluster.run(1_000_000)
    traffic(cluster, 10, [0, 1, 2, 4], 'first')
    change(cluster, 0, [0, 1, 2, 3])
    cluster.run(1_000_000)
    traffic(cluster, 10, [0, 1, 2], 'second')
    cluster.restart(3)
    cluster.run(5_000_000)
    assert.equal(cluster.nodes[3]?.engine.status.epoch, 2)
    traffic(cluster, 10, [0, 1, 2, 3], 'after')
    assertOrdered(cluster, 42, [0, 1, 2, 3])
    assertSilent(cluster)
  })

  it('restarts in a later epoch from its own log', () => {
    const cluster = new Cluster({ n: 4, seed: 5, delayUs: [200, 1500], constants: small })
    change(cluster, 0, [0, 1, 2, 3])
    cluster.run(1_000_000)
    traffic(cluster, 30, [0, 1, 2, 3], 'one')
    cluster.run(1_000_000)
    cluster.crash(2)
    cluster.restart(2)
    assert.equal(cluster.nodes[2]?.engine.status.epoch, 1)
    cluster.submit(2, 'after')
    assertOrdered(cluster, 32)
    assertSilent(cluster)
  })

  it('takes a snapshot when the application lost what it had said to keep', () => {
    const cluster = new Cluster({ n: 4, seed: 7, delayUs: [200, 1500], constants: small })
    change(cluster, 0, [0, 1, 2, 3])
    cluster.run(1_000_000)
    traffic(cluster, 200, [0, 1, 2, 3], 'one')
    cluster.run(1_000_000)
    cluster.crash(2)
    cluster.nodes[2]!.log.length = 3
    cluster.restart(2)
    cluster.run(5_000_000)
    assert.equal(cluster.nodes[2]?.installs, 1)
    cluster.submit(2, 'after')
    assertOrdered(cluster, 202)
    assertSilent(cluster)
  })

  it('ignores a change that no operator signed', () => {
    const cluster = new Cluster({ n: 4, newcomers: 1, seed: 6, delayUs: [200, 1500] })
    change(cluster, 0, [0, 1, 2, 3, 4], 0)
    assertOrdered(cluster, 1, [0, 1, 2, 3])
    assertSilent(cluster)
    assert.equal(cluster.nodes[0]?.engine.status.epoch, 0)
  })
})
