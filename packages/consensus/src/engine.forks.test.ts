import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Cluster, cryptographyOf } from '../testing/cluster.ts'
import { assertOrdered, assertSilent } from '../testing/expectations.ts'
import { blockMessages, decodeBlock, makeBlock } from './bytes/block-codec.ts'
import { Domain, signedBlockBytes } from './bytes/domain.ts'
import { encodeBlockFrame, FrameType } from './bytes/frames.ts'

const FORKER = 3

/** Whenever the forker sends a block that `when` likes, nodes of `mask` get another version of it. */
function fork(cluster: Cluster, options: { readonly mask: number; readonly when: (round: number) => boolean }): void {
  const { epoch } = cluster
  const domain = new Domain(epoch.hash, cryptographyOf(FORKER))
  cluster.watch = (node, effect) => {
    if (node !== FORKER || effect.type !== 'send' || effect.frame[0] !== FrameType.block) return false
    const decoded = decodeBlock(effect.frame.subarray(5), epoch, domain)
    assert.ok(decoded.ok)
    const { author, round, tsUs, references } = decoded.value
    if (!options.when(round)) return false
    const messages = blockMessages(decoded.value)
    const second = makeBlock({ author, round, tsUs: tsUs + 1, references, messages }, epoch, domain, (digest) =>
      cryptographyOf(FORKER).sign(signedBlockBytes(digest)),
    )
    for (let to = 0; to < epoch.n; to++) {
      if (to === FORKER) continue
      cluster.deliver(FORKER, to, ((options.mask >>> to) & 1) === 1 ? encodeBlockFrame(second) : effect.frame)
    }
    return true
  }
}

function jailedAt(cluster: Cluster): (number | undefined)[] {
  return [0, 1, 2].map((node) => cluster.nodes[node]?.engine.status.jailed)
}

describe('Engine with a node that equivocates (n=4)', () => {
  for (const mask of [0b001, 0b011]) {
    it(`orders everything of the others, and jails it, when ${mask === 1 ? 'one' : 'two'} see another block`, () => {
      const cluster = new Cluster({ n: 4, seed: mask, delayUs: [500, 1500] })
      fork(cluster, { mask, when: (round) => round % 3 === 0 })
      for (let i = 0; i < 60; i++) {
        cluster.submit(i % 3, `m${i}`)
        if (i % 10 === 0) cluster.submit(FORKER, `f${i}`)
        cluster.run(2000)
      }
      const all = (): boolean =>
        [0, 1, 2].every((node) => cluster.texts(node).filter((text) => text.startsWith('m')).length === 60)
      assert.ok(cluster.runUntil(all, 5_000_000))
      cluster.run(1_000_000)
      assert.deepEqual(jailedAt(cluster), [8, 8, 8])
      for (const node of [1, 2]) assert.deepEqual(cluster.nodes[node]?.log, cluster.nodes[0]?.log)
      assert.ok(cluster.nodes.every(({ engine }) => engine.status.fairCuts === 0))
    })
  }

  it('convicts it by evidence in the order although nobody names its second block as a parent', () => {
    const cluster = new Cluster({ n: 4, seed: 3, delayUs: [500, 1500] })
    let forked = 0
    fork(cluster, { mask: 0b001, when: (round) => round >= 5 && forked++ === 0 })
    for (let i = 0; i < 20; i++) {
      cluster.submit(i % 3, `m${i}`)
      cluster.run(2000)
    }
    const all = (): boolean =>
      [0, 1, 2].every((node) => cluster.texts(node).filter((text) => text.startsWith('m')).length === 20)
    assert.ok(cluster.runUntil(all, 5_000_000))
    cluster.run(1_000_000)
    assert.equal(forked > 0, true)
    assert.deepEqual(jailedAt(cluster), [8, 8, 8])
    // The evidence has a position, like everything in the log.
    assert.ok(cluster.nodes[0]!.log.length > 20)
  })

  it('goes on after all nodes restart at once with a fork in their logs', () => {
    const cluster = new Cluster({ n: 4, seed: 4, delayUs: [500, 1500] })
    fork(cluster, { mask: 0b011, when: (round) => round % 2 === 0 })
    for (let i = 0; i < 30; i++) {
      cluster.submit(i % 3, `m${i}`)
      cluster.run(1000)
    }
    for (let node = 0; node < 4; node++) cluster.crash(node)
    for (let node = 0; node < 3; node++) cluster.restart(node)
    for (let node = 0; node < 3; node++) cluster.submit(node, `after${node}`)
    const all = (): boolean =>
      [0, 1, 2].every((node) => [0, 1, 2].every((by) => cluster.texts(node).includes(`after${by}`)))
    assert.ok(cluster.runUntil(all, 10_000_000))
    cluster.run(1_000_000)
    for (const node of [1, 2]) assert.deepEqual(cluster.nodes[node]?.log, cluster.nodes[0]?.log)
  })

  it('is silent again although the forker left units that nobody can order', () => {
    const constants = { keepRounds: 64, voidRounds: 48, reportAgeRounds: 32 }
    const cluster = new Cluster({ n: 4, seed: 5, delayUs: [500, 1500], constants })
    fork(cluster, { mask: 0b001, when: (round) => round < 8 })
    for (let i = 0; i < 10; i++) {
      cluster.submit(FORKER, `f${i}`)
      cluster.submit(0, `m${i}`)
      cluster.run(1000)
    }
    cluster.run(1_000_000)
    cluster.crash(FORKER)
    assertSilent(cluster)
  })
})

describe('Engine among nodes that stop', () => {
  it('orders without one of four, and without two of seven', () => {
    for (const [n, gone] of [
      [4, [2]],
      [7, [1, 5]],
    ] as const) {
      const cluster = new Cluster({ n, seed: 6, delayUs: [500, 1500] })
      for (const node of gone) cluster.crash(node)
      const alive = cluster.nodes.map((_, node) => node).filter((node) => !(gone as readonly number[]).includes(node))
      for (let i = 0; i < 40; i++) {
        cluster.submit(alive[i % alive.length] as number, `m${i}`)
        cluster.run(1500)
      }
      assertOrdered(cluster, 40, alive)
      assertSilent(cluster)
    }
  })

  it('says that it is stalled when two of four are gone, and orders what waited when one is back', () => {
    const cluster = new Cluster({ n: 4, seed: 7, delayUs: [500, 1500] })
    cluster.submit(0, 'before')
    assertOrdered(cluster, 1)
    cluster.crash(2)
    cluster.crash(3)
    cluster.submit(0, 'waits')
    cluster.run(3_000_000)
    assert.equal(cluster.nodes[0]?.engine.status.mode, 'stalled')
    assert.equal(cluster.texts(0).length, 1)
    cluster.restart(2)
    assertOrdered(cluster, 2, [0, 1, 2])
    assert.ok(cluster.runUntil(() => cluster.nodes[0]?.engine.status.mode === 'active', 1_000_000))
  })

  it('is not active before it has met a quorum of its peers', () => {
    const cluster = new Cluster({ n: 4, seed: 9, delayUs: [500, 1500] })
    for (const node of [0, 1, 2, 3]) cluster.crash(node)
    const mode = (): unknown => cluster.nodes[0]?.engine.status.mode
    cluster.restart(0)
    cluster.run(1_000_000)
    assert.equal(mode(), 'syncing')
    cluster.run(2_000_000)
    assert.equal(mode(), 'stalled')
    cluster.restart(1)
    cluster.restart(2)
    assert.ok(cluster.runUntil(() => mode() === 'active', 1_000_000))
  })

  it('refuses more than the queue holds, and what fits into no block', () => {
    const cluster = new Cluster({ n: 4, seed: 8, tunables: { queueMessagesMax: 10 } })
    cluster.cut = () => true
    // The first one is in a block at once.
    for (let i = 0; i < 12; i++) cluster.submit(0, `m${i}`)
    assert.deepEqual(cluster.nodes[0]?.refused, ['busy'])
    cluster.submit(1, 'x'.repeat(1024 * 1024))
    assert.deepEqual(cluster.nodes[1]?.refused, ['tooLarge'])
  })
})
