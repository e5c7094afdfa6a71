/** What once went wrong with reports on paper (analysis, bug 6; review, H12), each as the smallest log in which it would show. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Reader } from '../bytes/reader.ts'
import { Writer } from '../bytes/writer.ts'
import { fairEpoch, Reporters } from './fair-order.testkit.ts'
import { FairOrder } from './fair-order.ts'

const epoch = fairEpoch(4)

describe('FairOrder', () => {
  it('does not move a unit by reports that give its digest another author or round (bug 6 of the analysis)', () => {
    const order = new FairOrder(epoch, 0)
    const nodes = new Reporters(epoch)
    const unit = nodes.unit(0, 5, 100)
    const { digest } = unit
    order.evidence(unit, 5)
    // A liar's names: the digest is real, the rest is not. By digest alone the unit would be solid with these two.
    const elsewhere = { author: 1, round: 5, digest }
    const earlier = { author: 0, round: 2, digest }
    order.evidence(
      nodes.block(3, 6, [
        [elsewhere, 101],
        [earlier, 102],
      ]),
      6,
    )
    order.evidence(nodes.block(1, 6, [[unit, 110]]), 6)
    assert.deepEqual(order.step(6).emissions, [])
    assert.equal(order.fate(unit), 'open')
    order.evidence(nodes.block(2, 7, [[unit, 120]]), 7)
    const { emissions, cuts } = order.step(7)
    assert.deepEqual(
      emissions.map(({ author, round }) => [author, round]),
      [[0, 5]],
    )
    // Names that nobody else reports hold nothing up, and never get a place.
    assert.equal(cuts, 0)
    assert.notEqual(order.fate(elsewhere), 'emitted')
    assert.notEqual(order.fate(earlier), 'emitted')
  })

  it('gives no second place to a unit whose last reports come behind a snapshot (H12 of the review)', () => {
    const first = new FairOrder(epoch, 0)
    const nodes = new Reporters(epoch)
    const unit = nodes.unit(0, 1, 100)
    first.evidence(unit, 1)
    first.evidence(nodes.block(1, 2, [[unit, 110]]), 2)
    first.evidence(nodes.block(2, 2, [[unit, 120]]), 2)
    assert.equal(first.step(2).emissions.length, 1)
    const writer = new Writer()
    first.write(writer)
    const second = new FairOrder(epoch, 0)
    second.read(new Reader(writer.take()))
    assert.equal(second.fate(unit), 'emitted')
    const last = nodes.block(3, 3, [[unit, 130]])
    for (const order of [first, second]) {
      order.evidence(last, 3)
      for (let step = 3; step < 6; step++) assert.deepEqual(order.step(step).emissions, [])
    }
  })
})
