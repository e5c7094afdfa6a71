import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Cluster, cryptographyOf, keyOf, type TestNode } from '../testing/cluster.ts'
import { assertOrdered, assertSilent, forbidForks } from '../testing/expectations.ts'
import { FrameType } from './bytes/frames.ts'
import { RecordKind, readDoubtRecord } from './core/records.ts'
import { Engine } from './engine.ts'
import type { WalRecord } from './model/effect.ts'

/** Windows so small that checkpoints come and rounds are collected within a test. */
const small = { keepRounds: 64, voidRounds: 48, reportAgeRounds: 32, checkpointSteps: 32 }

function cluster(seed: number, n = 4): Cluster {
  const made = new Cluster({ n, seed, delayUs: [200, 1500], constants: small })
  forbidForks(made)
  return made
}

function traffic(on: Cluster, count: number, nodes: readonly number[]): void {
  for (let i = 0; i < count; i++) {
    on.submit(nodes[i % nodes.length] as number, `m${i}`)
    on.run(on.random() * 5000)
  }
}

describe('Engine after a restart', () => {
  it('never makes a second block of a round, whatever the disk had not synced', () => {
    for (let seed = 1; seed <= 3; seed++) {
      const nodes = cluster(seed)
      for (let i = 0; i < 25; i++) {
        nodes.submit(0, `m${i}`)
        nodes.run(nodes.random() * 3000)
        nodes.crash(1)
        nodes.run(nodes.random() * 3000)
        nodes.restart(1)
      }
      assertOrdered(nodes, 25)
      assertSilent(nodes)
    }
  })

  it('begins at a checkpoint, and its log shrinks', () => {
    for (const n of [1, 4]) {
      const nodes = cluster(11, n)
      traffic(
        nodes,
        350,
        Array.from({ length: n }, (_, i) => i),
      )
      assertOrdered(nodes, 350)
      assert.ok((nodes.nodes[0]?.wal[0]?.mark as number) > 1, 'old records are still there')
      nodes.crash(0)
      nodes.run(10_000)
      nodes.restart(0)
      nodes.submit(0, 'after')
      assertOrdered(nodes, 351)
      assertSilent(nodes)
    }
  })

  it('emits again what the application has, as far as its log goes back, for whoever keeps the log itself', () => {
    const nodes = cluster(12)
    traffic(nodes, 225, [0, 1, 2, 3])
    assertOrdered(nodes, 225)
    nodes.crash(0)
    const { wal, log } = nodes.nodes[0]!
    const emitted = (emitFrom?: number): number[] => {
      const own = { publicKey: keyOf(0), cryptography: cryptographyOf(0), seed: 1, amnesia: false }
      const options = { genesis: nodes.epoch, ...own, appliedPosition: log.length }
      const engine = Engine.open(emitFrom === undefined ? options : { ...options, emitFrom }, wal)
      const effects = engine.step({ type: 'start', nowUs: nodes.nowUs })
      return effects.flatMap((effect) =>
        effect.type === 'emit' ? effect.batch.messages.map(({ position }) => position) : [],
      )
    }
    assert.deepEqual(emitted(), [])
    const all = emitted(0)
    const first = all[0] as number
    assert.ok(first > 0 && all.length > 5, `its log goes back to ${first}`)
    assert.deepEqual(
      all,
      all.map((_, i) => first + i),
    )
    const some = emitted(first + 4)
    assert.deepEqual(some, all.slice(-some.length))
    assert.ok(some.length < all.length && some.includes(first + 4))
  })

  it('goes on when all nodes restart at once', () => {
    for (let seed = 21; seed <= 22; seed++) {
      const nodes = cluster(seed)
      traffic(nodes, 100, [0, 1, 2, 3])
      assertOrdered(nodes, 100)
      for (let node = 0; node < 4; node++) nodes.crash(node)
      nodes.run(1000)
      for (let node = 0; node < 4; node++) nodes.restart(node)
      nodes.submit(2, 'after')
      assertOrdered(nodes, 101)
      assertSilent(nodes)
    }
  })

  it('is caught up by nodes that had fallen silent', () => {
    const nodes = cluster(31)
    traffic(nodes, 10, [0, 1, 2, 3])
    nodes.crash(3)
    nodes.submit(0, 'missed')
    assertOrdered(nodes, 11, [0, 1, 2])
    nodes.run(1_000_000)
    nodes.restart(3)
    assertOrdered(nodes, 11)
    assertSilent(nodes)
  })

  it('orders what was promised to be kept, though it was in no block', () => {
    const nodes = cluster(41)
    nodes.cut = () => true
    const bytes = new TextEncoder().encode('kept')
    nodes.input(0, { type: 'submit', id: 1, kind: 1, bytes, keep: true, nowUs: nodes.nowUs })
    nodes.run(10_000)
    nodes.crash(0)
    nodes.cut = () => false
    nodes.restart(0)
    assertOrdered(nodes, 1)
    assert.deepEqual(nodes.texts(1), ['kept'])
    assertSilent(nodes)
  })

  it('keeps what it has already when it is asked to, in a block or not, and orders it once', () => {
    const nodes = cluster(43)
    nodes.cut = () => true
    const kept: number[] = []
    nodes.watch = (node, effect) => {
      if (node === 0 && effect.type === 'kept') kept.push(effect.id)
      return false
    }
    const inBlock = nodes.submit(0, 'in a block')
    nodes.run(10_000)
    const queued = nodes.submit(0, 'in none')
    nodes.submit(0, 'not asked for')
    nodes.run(10_000)
    for (const id of [inBlock, queued, queued, 77]) nodes.input(0, { type: 'keep', id, nowUs: nodes.nowUs })
    nodes.run(10_000)
    assert.deepEqual(kept, [inBlock, queued])
    nodes.crash(0)
    nodes.cut = () => false
    nodes.restart(0)
    assertOrdered(nodes, 2)
    assert.deepEqual(nodes.texts(1), ['in a block', 'in none'])
    assertSilent(nodes)
  })

  it('does not say again what it was to keep and has had its place since', () => {
    const nodes = cluster(42)
    for (let i = 0; i < 200; i++) {
      const bytes = new TextEncoder().encode(`m${i}`)
      nodes.input(0, { type: 'submit', id: i, kind: 1, bytes, keep: true, nowUs: nodes.nowUs })
      nodes.run(nodes.random() * 5000)
    }
    assertOrdered(nodes, 200)
    nodes.crash(0)
    nodes.restart(0)
    assert.ok((nodes.nodes[0]?.engine.status.queuedMessages as number) < 40)
    assertOrdered(nodes, 200)
    assertSilent(nodes)
  })

  it('takes a snapshot when its peers no longer have the blocks it lacks', () => {
    for (let seed = 51; seed <= 52; seed++) {
      const nodes = cluster(seed, seed % 2 === 0 ? 4 : 7)
      nodes.crash(1)
      traffic(nodes, 400, [0, 2, 3])
      nodes.restart(1)
      for (let i = 0; i < 40; i++) {
        nodes.submit(i % 4, `n${i}`)
        nodes.run(nodes.random() * 5000)
      }
      assertOrdered(nodes, 440)
      assert.equal(nodes.nodes[1]?.installs, 1)
      assertSilent(nodes)
    }
  })
})

describe('Engine that lost its log', () => {
  it('learns from the others which blocks it made, then makes new ones', () => {
    for (let seed = 61; seed <= 62; seed++) {
      const nodes = cluster(seed, seed % 2 === 0 ? 4 : 7)
      traffic(nodes, 60, [0, 1, 2, 3])
      nodes.crash(1, { loseDisk: true })
      nodes.run(3000)
      nodes.restart(1, { amnesia: true })
      assert.equal(nodes.nodes[1]?.engine.status.mode, 'joining')
      assert.ok(nodes.runUntil(() => nodes.nodes[1]?.engine.status.mode === 'active', 10_000_000))
      nodes.submit(1, 'after')
      assert.ok(nodes.runUntil(() => nodes.nodes.every((_, i) => nodes.texts(i).includes('after')), 10_000_000))
      assertSilent(nodes)
      assertOrdered(nodes, nodes.texts(0).length)
    }
  })

  it('does not take the place of what it said before its disk was lost for that of what it was given since', () => {
    const nodes = cluster(64)
    traffic(nodes, 60, [0, 1, 2, 3])
    assertOrdered(nodes, 60)
    nodes.crash(1, { loseDisk: true })
    nodes.run(3000)
    nodes.restart(1, { amnesia: 'unlessNew' })
    // Before it has heard of anybody, as a broker does.
    const ids = ['one', 'two', 'three'].map((text) => nodes.submit(1, text))
    const risen = nodes.nodes[1] as TestNode
    assert.ok(nodes.runUntil(() => risen.engine.status.mode === 'active', 10_000_000))
    assert.deepEqual(
      ids.map((id) => risen.placed.get(id)),
      [undefined, undefined, undefined],
    )
    assert.deepEqual(risen.refused, ['busy', 'busy', 'busy'])
    nodes.submit(1, 'again')
    assert.ok(nodes.runUntil(() => nodes.nodes.every((_, i) => nodes.texts(i).includes('again')), 10_000_000))
  })

  it('numbers what it submits behind all that it may have said, by the order and not by rounds (H5)', () => {
    const nodes = cluster(63)
    traffic(nodes, 60, [0, 1, 2, 3])
    assertOrdered(nodes, 60)
    const before = Math.max(...(nodes.nodes[0]?.log ?? []).filter(({ author }) => author === 1).map(({ seq }) => seq))
    nodes.crash(1, { loseDisk: true })
    nodes.run(3000)
    nodes.restart(1, { amnesia: true })
    assert.ok(nodes.runUntil(() => nodes.nodes[1]?.engine.status.mode === 'active', 10_000_000))
    for (const text of ['first', 'second']) nodes.submit(1, text)
    assert.ok(nodes.runUntil(() => nodes.nodes.every((_, i) => nodes.texts(i).includes('second')), 10_000_000))
    const { seqWindow } = nodes.epoch.constants
    const after = (nodes.nodes[0]?.log ?? []).filter(({ text }) => text === 'first' || text === 'second')
    assert.deepEqual(
      after.map(({ text, seq }) => [text, seq - before]),
      [
        ['first', 1 + 2 * seqWindow],
        ['second', 2 + 2 * seqWindow],
      ],
    )
  })

  it('does not number anew what it submits if it crashes before it has said anything again', () => {
    const nodes = cluster(67)
    traffic(nodes, 60, [0, 1, 2, 3])
    assertOrdered(nodes, 60)
    nodes.crash(1, { loseDisk: true })
    nodes.run(3000)
    nodes.restart(1, { amnesia: true })
    const isOver = ({ kind, bytes, mark }: WalRecord): boolean =>
      kind === RecordKind.doubt && readDoubtRecord(bytes).round > 0 && mark <= (nodes.nodes[1]?.syncedMark ?? 0)
    assert.ok(nodes.runUntil(() => nodes.nodes[1]?.wal.some(isOver) ?? false, 10_000_000))
    nodes.crash(1)
    assert.ok(nodes.nodes[1]?.wal.every(({ kind }) => kind !== RecordKind.own))
    nodes.restart(1)
    const id = nodes.submit(1, 'after')
    assert.ok(nodes.runUntil(() => nodes.nodes.every((_, i) => nodes.texts(i).includes('after')), 10_000_000))
    assert.equal(nodes.nodes[1]?.placed.get(id), nodes.texts(1).indexOf('after'))
  })

  it('is not heard before it knows, and remembers over another crash that it does not know', () => {
    const nodes = cluster(71)
    traffic(nodes, 20, [0, 1, 2, 3])
    nodes.crash(1, { loseDisk: true })
    nodes.cut = (from, to) => from === 1 || to === 1
    nodes.restart(1, { amnesia: true })
    nodes.submit(1, 'refused')
    nodes.run(100_000)
    assert.deepEqual(nodes.nodes[1]?.refused, ['busy'])
    nodes.crash(1)
    nodes.restart(1)
    assert.equal(nodes.nodes[1]?.engine.status.mode, 'joining')
    nodes.cut = () => false
    assert.ok(nodes.runUntil(() => nodes.nodes[1]?.engine.status.mode === 'active', 10_000_000))
  })

  it('halts where no quorum of others could tell it (n=3)', () => {
    const nodes = new Cluster({ n: 3, seed: 81 })
    nodes.crash(1, { loseDisk: true })
    nodes.restart(1, { amnesia: true })
    assert.equal(nodes.nodes[1]?.engine.status.mode, 'halted')
  })

  it('asks the others when its disk is empty, since that may have been wiped', () => {
    for (let seed = 91; seed <= 94; seed++) {
      const nodes = new Cluster({
        n: seed % 2 === 0 ? 4 : 7,
        seed,
        delayUs: [200, 1500],
        constants: small,
        fresh: true,
      })
      forbidForks(nodes)
      traffic(nodes, 60, [0, 1, 2, 3])
      nodes.crash(1, { loseDisk: true })
      // Its last block is with nobody but one node.
      nodes.run(nodes.random() * 3000)
      nodes.nodes[1]?.log.splice(0)
      nodes.restart(1, { amnesia: 'unlessNew' })
      assert.ok(nodes.runUntil(() => nodes.nodes[1]?.engine.status.mode === 'active', 10_000_000))
      nodes.submit(1, 'after')
      assert.ok(nodes.runUntil(() => nodes.nodes.every((_, i) => nodes.texts(i).includes('after')), 10_000_000))
      assert.ok(nodes.nodes[1]?.alarms.some(({ type }) => type === 'amnesia'))
      assert.ok(nodes.nodes.every(({ alarms }) => alarms.every(({ type }) => type !== 'jailed')))
      assertSilent(nodes)
      assertOrdered(nodes, nodes.texts(0).length)
    }
  })
})

describe('Engine that does not know that it is new', () => {
  it('begins with whoever is there, and nobody asks anybody', () => {
    for (const n of [2, 4, 7]) {
      const nodes = new Cluster({ n, seed: 95 + n, fresh: true })
      forbidForks(nodes)
      if (n > 3) nodes.crash(1)
      const present = nodes.nodes.flatMap(({ up }, i) => (up ? [i] : []))
      for (const node of present) nodes.submit(node, `of ${node}`)
      assertOrdered(nodes, present.length, present)
      for (const { sent, alarms } of nodes.nodes) {
        assert.equal(sent.get(FrameType.ownLastRequest), undefined)
        assert.deepEqual(alarms, [])
      }
      if (n < 4) continue
      // Late, while another one is gone.
      nodes.crash(0)
      nodes.restart(1, { amnesia: 'unlessNew' })
      nodes.submit(1, 'late')
      const later = [...present.filter((node) => node !== 0), 1]
      assertOrdered(nodes, present.length + 1, later)
    }
  })

  it('knows better when it is given a block that it made, and asks then', () => {
    const nodes = new Cluster({ n: 4, seed: 103, fresh: true })
    forbidForks(nodes)
    let made: Uint8Array | undefined
    const { watch } = nodes
    nodes.watch = (node, effect) => {
      if (node === 1 && effect.type === 'send' && effect.frame[0] === FrameType.block) made ??= effect.frame
      return watch(node, effect)
    }
    // Only node 2 has its block, and nobody can ask node 2.
    nodes.cut = (from, to) => from !== 1 || to !== 2
    nodes.submit(1, 'forgotten')
    nodes.run(100_000)
    nodes.crash(1, { loseDisk: true })
    nodes.cut = (from, to) => from === 2 || to === 2
    nodes.restart(1, { amnesia: 'unlessNew' })
    const risen = nodes.nodes[1] as TestNode
    assert.ok(nodes.runUntil(() => risen.engine.status.mode === 'active', 10_000_000))
    assert.deepEqual(risen.alarms, [])
    nodes.deliver(0, 1, made ?? new Uint8Array(0))
    nodes.run(10_000)
    assert.equal(risen.engine.status.mode, 'joining')
    assert.deepEqual(risen.alarms, [{ type: 'amnesia' }])
    nodes.cut = () => false
    assert.ok(nodes.runUntil(() => risen.engine.status.mode === 'active', 10_000_000))
    nodes.submit(1, 'after')
    assert.ok(nodes.runUntil(() => nodes.nodes.every((_, i) => nodes.texts(i).includes('after')), 10_000_000))
    assert.ok(nodes.nodes.every(({ alarms }) => alarms.every(({ type }) => type !== 'jailed')))
    assertOrdered(nodes, nodes.texts(0).length)
  })

  it('begins although all nodes were started more than once before they met', () => {
    const nodes = new Cluster({ n: 4, seed: 99, fresh: true })
    forbidForks(nodes)
    nodes.cut = () => true
    for (let times = 0; times < 2; times++) {
      for (let node = 0; node < 4; node++) {
        nodes.run(1000)
        nodes.crash(node)
        nodes.restart(node, { amnesia: nodes.nodes[node]?.wal.length === 0 ? 'unlessNew' : false })
      }
    }
    nodes.cut = () => false
    for (let node = 0; node < 4; node++) {
      nodes.crash(node)
      nodes.restart(node)
    }
    nodes.submit(2, 'first')
    assertOrdered(nodes, 1)
  })

  it('halts when others know blocks of it and no quorum could tell which (n=3)', () => {
    const nodes = new Cluster({ n: 3, seed: 101, fresh: true })
    forbidForks(nodes)
    nodes.submit(1, 'one')
    assertOrdered(nodes, 1)
    nodes.crash(1, { loseDisk: true })
    nodes.nodes[1]?.log.splice(0)
    nodes.restart(1, { amnesia: 'unlessNew' })
    nodes.submit(1, 'two')
    nodes.run(5_000_000)
    assert.equal(nodes.nodes[1]?.engine.status.mode, 'halted')
  })
})
