import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
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
})
