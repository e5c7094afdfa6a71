import assert from 'node:assert/strict'
import { test } from 'node:test'
import { at, ClusterHarness } from '../../testing/cluster-harness.ts'
import { Disk } from '../../testing/disk.ts'
import { Machine } from '../machine.ts'
import type { PlacedMessage } from '../messages/message.ts'
import { SEALED_MAX } from './node-life.ts'

/** A sealed message of a node at the next position. */
function sealed(h: ClusterHarness, node: number): number {
  const position = h.position++
  h.machine.seal({ position, timeUs: h.timeUs, node }, h.effects)
  return position
}

function open(h: ClusterHarness, position: number, content: Uint8Array | undefined): string[] {
  h.machine.open(position, content, h.effects)
  return h.take()
}

test('what was sealed is published at the place of its verdict, with its rank as a property', () => {
  const h = new ClusterHarness()
  h.start(0)
  const seen: PlacedMessage[] = []
  const position = sealed(h, 0)
  assert.deepEqual(h.take(), [])
  h.order(0, h.bundle(1, 1, h.publish('later')))
  const content = h.bundle(1, 0, h.publish('bid'), h.publish('bid'))
  h.machine.open(position, content, { ...h.effects, published: (placed) => seen.push(placed) })
  assert.deepEqual(
    seen.map(({ message, position: place, index }) => [
      message.topic,
      place,
      index,
      message.properties?.userProperties,
    ]),
    [
      ['bid', 2, 1, [['concord-sealed-position', '1.0']]],
      ['bid', 2, 2, [['concord-sealed-position', '1.1']]],
    ],
  )
})

test('a verdict counts once, one about nothing not at all, and a void message publishes nothing', () => {
  const h = new ClusterHarness()
  h.start(0)
  const [first, second] = [sealed(h, 0), sealed(h, 0)]
  const content = h.bundle(1, 0, h.publish('bid'))
  assert.equal(open(h, first, content).length, 1)
  assert.deepEqual(open(h, first, content), [])
  assert.deepEqual(open(h, 77, content), [])
  assert.deepEqual(open(h, second, undefined), [])
  assert.deepEqual(open(h, second, content), [])
})

test('nothing but messages of clients of the node that sealed them is taken', () => {
  const h = new ClusterHarness()
  h.start(0)
  h.start(1)
  h.order(0, h.bundle(1, 1, h.connect(at(0, 1), 'a', { expiry: 100 })))
  const other = h.publish('t', { connection: at(0, 1), publisher: 'a' })
  for (const content of [
    h.bundle(1, 0, h.connect(at(1, 1), 'b')),
    h.bundle(1, 0, { type: 'start', node: 1, incarnation: 9 }),
    h.bundle(1, 0, other),
    Uint8Array.of(1, 2, 3),
    h.bundle(1, 0, h.publish('t')).subarray(0, 30),
    new Uint8Array(0),
  ]) {
    assert.deepEqual(open(h, sealed(h, 1), content), [])
  }
  assert.equal(h.machine.incarnationOf(1), 1)
  assert.ok(h.machine.counters.fenced + h.machine.counters.malformed >= 5)
})

test('of a life that is over QoS 0 and 1 still count; QoS 2 does not, since its client sends it again', () => {
  const h = new ClusterHarness()
  h.start(0)
  h.order(0, h.bundle(1, 1, h.connect(at(0, 1), 'a', { expiry: 100 })))
  const positions = [sealed(h, 0), sealed(h, 0)]
  const one = h.publish('one', { connection: at(0, 1), publisher: 'a', qos: 1 })
  const two = h.publish('two', { connection: at(0, 1), publisher: 'a', qos: 2, receipt: 7 })
  h.start(0, 2)
  assert.deepEqual(open(h, positions[0] as number, h.bundle(1, 0, one)), ['published one 4.0 by 0.1.1'])
  assert.deepEqual(open(h, positions[1] as number, h.bundle(1, 1, two)), [])
})

test('QoS 2 leaves its receipt at the verdict, and is published once', () => {
  const h = new ClusterHarness()
  h.start(0)
  h.order(0, h.bundle(1, 1, h.connect(at(0, 1), 'a', { expiry: 100 })))
  const positions = [sealed(h, 0), sealed(h, 0)]
  const two = h.publish('two', { connection: at(0, 1), publisher: 'a', qos: 2, receipt: 7 })
  assert.equal(open(h, positions[0] as number, h.bundle(1, 0, two)).length, 1)
  assert.deepEqual(open(h, positions[1] as number, h.bundle(1, 1, two)), [])
})

test('what waits for its verdict is in the hash, in a snapshot and on the disk, and nothing of it when nothing waits', () => {
  const h = new ClusterHarness({ durable: true })
  h.start(0)
  const idle = h.machine.hash()
  const disk = new Disk()
  const position = sealed(h, 0)
  disk.log(h.machine.takeDelta())
  const waiting = h.machine.hash()
  assert.notDeepEqual(waiting, idle)
  const recovered = disk.recover(h.settings)
  const restored = Machine.restore([...h.machine.snapshot()], h.settings)
  for (const copy of [recovered, restored]) {
    if (!(copy instanceof Machine)) assert.fail(copy.malformed)
    assert.deepEqual(copy.hash(), waiting)
    assert.equal(copy.open(position, h.bundle(1, 0, h.publish('bid')), h.effects), true)
    assert.equal(h.take().length, 1)
    assert.equal(copy.open(position, undefined, h.effects), false)
  }
  h.machine.open(position, undefined, h.effects)
  const life = Machine.restore([...h.machine.snapshot()], h.settings)
  if (!(life instanceof Machine)) assert.fail(life.malformed)
  assert.deepEqual(life.hash(), h.machine.hash())
})

test('a node can have so many under way; what is in further ones is void everywhere', () => {
  const h = new ClusterHarness()
  h.start(0)
  let last = 0
  for (let i = 0; i <= SEALED_MAX; i++) last = sealed(h, 0)
  assert.equal(h.machine.counters.heldFull, 1)
  assert.deepEqual(open(h, last, h.bundle(1, 0, h.publish('bid'))), [])
  assert.equal(h.machine.open(last - 1, undefined, h.effects), true)
})

test('of a node that never started nothing is taken', () => {
  const h = new ClusterHarness()
  const position = sealed(h, 3)
  assert.deepEqual(open(h, position, h.bundle(1, 0, h.publish('bid'))), [])
})
