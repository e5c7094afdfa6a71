import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { cryptographyOf, genesisOf } from '../../testing/cluster.ts'
import { Domain } from '../bytes/domain.ts'
import { decodeFrame } from '../bytes/frames.ts'
import type { BlockName } from '../model/block.ts'
import { constantsFor } from '../model/constants.ts'
import { Clock } from './clock.ts'
import type { EpochContext } from './context.ts'
import { Fetcher } from './fetcher.ts'
import { Outbox } from './outbox.ts'
import { Pacer } from './pacer.ts'
import { Peers } from './peers.ts'
import { Random } from './random.ts'
import { Submissions } from './submissions.ts'
import { defaultTunables } from './tunables.ts'

const MS = 1000
const name: BlockName = { author: 2, round: 5, digest: new Uint8Array(32).fill(7) }

function started(n: number, up: readonly number[]): { fetcher: Fetcher; context: EpochContext; asked: () => number[] } {
  const epoch = genesisOf(n)
  const outbox = new Outbox()
  const context: EpochContext = {
    epoch,
    self: 0,
    domain: new Domain(epoch.hash, cryptographyOf(0)),
    clock: new Clock(),
    outbox,
    peers: new Peers(0, n, outbox),
    pacer: new Pacer(defaultTunables, 1024),
    random: new Random(1),
    submissions: new Submissions(defaultTunables, constantsFor(n)),
    tunables: defaultTunables,
    cryptography: cryptographyOf(0),
    everNodes: [],
  }
  context.clock.observe(1_000_000 * MS)
  for (const peer of up) context.peers.link(peer, true)
  const fetcher = new Fetcher(context, () => true)
  const asked = (): number[] => {
    fetcher.flush()
    return outbox.take().flatMap((effect) => {
      if (effect.type !== 'send' || effect.to === 'all') return []
      const frame = decodeFrame(effect.frame, epoch.constants.blockBytesMax)
      assert.ok(frame.ok && frame.value.type === 'fetch')
      return [effect.to]
    })
  }
  return { fetcher, context, asked }
}

function pass(context: EpochContext, ms: number): void {
  context.clock.observe(context.clock.wallUs + ms * MS)
}

describe('Fetcher', () => {
  it('asks who named a block at once, each further one too, up to w at a time (n=4)', () => {
    const { fetcher, asked } = started(4, [1, 2, 3])
    fetcher.want(name, 0b0010)
    assert.deepEqual(asked(), [1])
    fetcher.want(name, 0b0010)
    assert.deepEqual(asked(), [])
    fetcher.want(name, 0b0100)
    assert.deepEqual(asked(), [2])
    fetcher.want(name, 0b1000)
    assert.deepEqual(asked(), [])
  })

  it('never asks this node itself, however often it draws', () => {
    const { fetcher, context, asked } = started(4, [1, 2, 3])
    fetcher.want(name, 0b0001)
    const peers = new Set(asked())
    for (let i = 0; i < 200; i++) {
      pass(context, 1000)
      fetcher.tick()
      for (const peer of asked()) peers.add(peer)
    }
    assert.deepEqual(
      [...peers].sort((a, b) => a - b),
      [1, 2, 3],
    )
  })

  it('asks ever more seldom for what few stand for, and stops when it has come', () => {
    const { fetcher, context, asked } = started(4, [1, 2, 3])
    fetcher.want(name, 0b0010)
    asked()
    let questions = 0
    for (let i = 0; i < 300; i++) {
      pass(context, 1000)
      fetcher.tick()
      questions += asked().length
    }
    assert.ok(questions > 5 && questions < 30, `${questions} questions in five minutes`)
    fetcher.got(name)
    pass(context, 100_000)
    fetcher.tick()
    assert.deepEqual(asked(), [])
    assert.equal(fetcher.count, 0)
  })

  it('knows when a witness set has a block no more', () => {
    const { fetcher } = started(4, [1, 2, 3])
    fetcher.want(name, 0b1110)
    fetcher.collected(name, 1)
    assert.equal(fetcher.isCollected, false)
    fetcher.collected(name, 1)
    assert.equal(fetcher.isCollected, false)
    fetcher.collected(name, 2)
    assert.equal(fetcher.isCollected, true)
    fetcher.got(name)
    assert.equal(fetcher.isCollected, false)
  })
})
