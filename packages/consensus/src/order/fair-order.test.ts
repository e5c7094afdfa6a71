import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Block } from '../model/block.ts'
import type { Epoch } from '../model/epoch.ts'
import { fairEpoch, Reporters } from './fair-order.testkit.ts'
import { FairOrder } from './fair-order.ts'

const epoch: Epoch = fairEpoch(4)

describe('FairOrder', () => {
  it('emits a unit in the step in which a quorum has reported it', () => {
    const order = new FairOrder(epoch, 0)
    const nodes = new Reporters(epoch)
    const a = nodes.unit(0, 1, 100)
    order.evidence(a, 1)
    assert.deepEqual(order.step(1).emissions, [])
    assert.equal(order.fate(a), 'open')
    order.evidence(nodes.block(1, 2, [[a, 110]]), 2)
    order.evidence(nodes.block(2, 2, [[a, 130]]), 2)
    const { emissions, cuts } = order.step(2)
    assert.deepEqual(emissions, [{ author: 0, round: 1, digest: a.digest, consensusUs: 110, superseded: false }])
    assert.equal(cuts, 0)
    assert.equal(order.fate(a), 'emitted')
  })

  it('puts what all correct nodes had first in front, where medians alone would not', () => {
    const order = new FairOrder(epoch, 0)
    const nodes = new Reporters(epoch)
    const a = nodes.unit(0, 1, 1)
    const b = nodes.unit(1, 1, 2)
    // Node 3 lies: it claims to have received b at 0 and a at 100. Lower medians: a 5, b 2.
    order.evidence(
      nodes.block(0, 2, [
        [a, 1],
        [b, 2],
      ]),
      2,
    )
    order.evidence(
      nodes.block(1, 2, [
        [a, 5],
        [b, 6],
      ]),
      2,
    )
    order.evidence(
      nodes.block(2, 2, [
        [a, 9],
        [b, 10],
      ]),
      2,
    )
    order.evidence(
      nodes.block(3, 2, [
        [b, 0],
        [a, 100],
      ]),
      2,
    )
    const { emissions } = order.step(2)
    assert.deepEqual(
      emissions.map((unit) => unit.digest),
      [a.digest, b.digest],
    )
    assert.deepEqual(
      emissions.map((unit) => unit.consensusUs),
      [5, 5],
    )
  })

  it('emits a Condorcet cycle as one component, in the order of time', () => {
    // n = 4, all reports: a cycle needs four members, each before the next in three lists of four.
    const order = new FairOrder(epoch, 0)
    const nodes = new Reporters(epoch)
    const units = [0, 1, 2, 3].map((author) => nodes.unit(author, 1, 0))
    for (let node = 0; node < 4; node++) {
      const rotated = [...units.slice(node), ...units.slice(0, node)]
      order.evidence(
        nodes.block(
          node,
          2,
          rotated.map((unit, place) => [unit, 100 * (4 - units.indexOf(unit)) + place]),
        ),
        2,
      )
    }
    const { emissions, cuts } = order.step(2)
    // Lists never go back in time, so the keys are what the reporters made of it.
    assert.equal(emissions.length, 4)
    assert.equal(cuts, 0)
    assert.deepEqual(new Set(emissions.map(({ author }) => author)), new Set([0, 1, 2, 3]))
    const times = emissions.map(({ consensusUs }) => consensusUs)
    assert.deepEqual(
      times,
      [...times].sort((x, y) => x - y),
    )
  })

  it('waits for what must come first, and cuts after K steps', () => {
    const { patienceSteps } = epoch.constants
    const order = new FairOrder(epoch, 0)
    const nodes = new Reporters(epoch)
    const a = nodes.unit(3, 1, 1)
    const b = nodes.unit(0, 1, 2)
    // Two correct nodes and a liar have a before b; the fourth never says anything of a.
    order.evidence(
      nodes.block(1, 2, [
        [a, 1],
        [b, 3],
      ]),
      2,
    )
    order.evidence(
      nodes.block(2, 2, [
        [a, 1],
        [b, 3],
      ]),
      2,
    )
    order.evidence(b, 2)
    for (let step = 2; step < 2 + patienceSteps; step++)
      assert.deepEqual(order.step(step).emissions, [], `step ${step}`)
    const { emissions, cuts } = order.step(2 + patienceSteps)
    assert.deepEqual(
      emissions.map(({ digest }) => digest),
      [b.digest],
    )
    assert.equal(cuts, 1)
  })

  it('waits no longer than 4·K for a chain whose newest link is always fresh (H11 of the review)', () => {
    const { patienceSteps } = epoch.constants
    const order = new FairOrder(epoch, 0)
    const nodes = new Reporters(epoch)
    const first = nodes.unit(0, 1, 2)
    const chain = [first, ...Array.from({ length: 6 * patienceSteps }, (_, i) => nodes.unit(3, 1 + i, 1))]
    const begin = chain.length
    // The liar has the whole chain, last link first; of the others, in turn, each reports a link behind the next one.
    const report = (node: number, ...units: readonly (Block | undefined)[]): void =>
      order.evidence(
        nodes.block(
          node,
          begin,
          units.map((unit) => [unit as Block, 5]),
        ),
        begin,
      )
    report(1, ...[...chain].reverse())
    report(2, chain[1], first)
    report(0, first)
    let emittedAt = 0
    for (let link = 1; link < chain.length - 1 && emittedAt === 0; link++) {
      const step = begin + link - 1
      if (order.step(step).emissions.some(({ digest }) => same(digest, first.digest))) emittedAt = step
      report(link % 2 === 1 ? 0 : 2, chain[link + 1], chain[link])
    }
    assert.equal(emittedAt, begin + 4 * patienceSteps)
  })

  it('gives the second version of one (author, round) no positions', () => {
    const order = new FairOrder(epoch, 0)
    const nodes = new Reporters(epoch)
    const versions = [nodes.unit(3, 1, 1), nodes.unit(3, 1, 1)] as const
    for (const node of [0, 1, 2]) {
      order.evidence(
        nodes.block(
          node,
          2,
          versions.map((unit, i) => [unit, 10 + i]),
        ),
        2,
      )
    }
    assert.deepEqual(
      order.step(2).emissions.map(({ superseded }) => superseded),
      [false, true],
    )
  })

  it('lets a jailed author report no more, and its units die unless they are solid', () => {
    const order = new FairOrder(epoch, 0)
    const nodes = new Reporters(epoch)
    const solid = nodes.unit(3, 1, 1)
    const open = nodes.unit(3, 2, 2)
    for (const node of [0, 1, 2]) order.evidence(nodes.block(node, 2, [[solid, 10]]), 2)
    order.evidence(nodes.block(0, 3, [[open, 20]]), 2)
    order.jail(3)
    assert.deepEqual(
      order.step(2).emissions.map(({ digest }) => digest),
      [solid.digest],
    )
    assert.equal(order.fate(open), 'gone')
    const own = nodes.unit(0, 3, 30)
    order.evidence(own, 3)
    order.evidence(nodes.block(1, 3, [[own, 31]]), 3)
    order.evidence(
      nodes.block(3, 3, [
        [own, 31],
        [open, 31],
      ]),
      3,
    )
    assert.deepEqual(order.step(3).emissions, [])
    order.evidence(
      nodes.block(2, 4, [
        [own, 31],
        [open, 31],
      ]),
      4,
    )
    assert.equal(order.step(4).emissions.length, 1)
    assert.equal(order.fate(open), 'gone')
  })

  it('forgets a unit that nobody but liars reports, H rounds after its own', () => {
    const { voidRounds } = epoch.constants
    const order = new FairOrder(epoch, 0)
    const nodes = new Reporters(epoch)
    const junk = nodes.unit(2, 1, 0)
    order.evidence(nodes.block(3, 2, [[junk, 5]]), 2)
    order.step(voidRounds)
    assert.equal(order.fate(junk), 'open')
    order.step(voidRounds + 1)
    assert.equal(order.fate(junk), 'gone')
    for (const node of [0, 1, 2]) order.evidence(nodes.block(node, voidRounds, [[junk, 5]]), voidRounds + 2)
    assert.deepEqual(order.step(voidRounds + 2).emissions, [])
  })

  it('counts a reporter for n versions of one (author, round) at most', () => {
    const order = new FairOrder(epoch, 0)
    const nodes = new Reporters(epoch)
    const versions = Array.from({ length: 6 }, () => nodes.unit(2, 1, 0))
    order.evidence(
      nodes.block(
        3,
        2,
        versions.map((unit) => [unit, 5]),
      ),
      2,
    )
    order.evidence(
      nodes.block(
        0,
        2,
        versions.slice(4).map((unit) => [unit, 5]),
      ),
      2,
    )
    order.evidence(
      nodes.block(
        1,
        2,
        versions.slice(3).map((unit) => [unit, 5]),
      ),
      2,
    )
    // The liar's reports of the last two versions count for nothing.
    assert.deepEqual(order.step(2).emissions, [])
    order.evidence(nodes.block(0, 3, [[versions[3] as Block, 6]]), 3)
    assert.deepEqual(
      order.step(3).emissions.map(({ digest }) => digest),
      [versions[3]?.digest],
    )
  })

  it('orders two thousand units that become solid at once', () => {
    const order = new FairOrder(epoch, 0)
    const nodes = new Reporters(epoch)
    const units = Array.from({ length: 2000 }, (_, i) => nodes.unit(i % 4, 1 + (i >> 2), i))
    for (const node of [0, 1, 2]) {
      // Each in an order of its own, as after a partition.
      const reports = units.map((unit, i) => [unit, 1000 + ((i * (node + 7)) % 5)] as const)
      order.evidence(
        nodes.block(
          node,
          600,
          [...reports].sort((x, y) => x[1] - y[1]),
        ),
        600,
      )
    }
    assert.equal(order.step(600).emissions.length, 2000)
  })
})

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, i) => byte === b[i])
}
