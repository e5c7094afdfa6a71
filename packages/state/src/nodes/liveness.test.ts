import assert from 'node:assert/strict'
import { test } from 'node:test'
import { at, ClusterHarness } from '../../testing/cluster-harness.ts'

const will = { topic: 'will', payload: new Uint8Array(1), qos: 0, retain: false, publisher: 'a' } as const

function withClient(): ClusterHarness {
  const h = new ClusterHarness({ nodeTimeoutMs: 10_000 })
  for (const node of [0, 1, 2, 3]) h.start(node)
  h.order(1, h.bundle(1, 1, h.connect(at(1, 1), 'a', { will })))
  return h
}

test('a node that is silent for the time-out falls at one unit: its connections end and their wills are published once', () => {
  const h = withClient()
  for (let second = 0; second < 10; second++) {
    assert.deepEqual(h.unit([1]), [])
    h.timeUs += 1_000_000
  }
  assert.deepEqual(h.unit([1]), [
    'connectionEnded a 1.1.1 0x9c',
    'published will 5.0 by -',
    'sessionEnded a disconnect',
    'nodeFell 1 1',
  ])
  h.timeUs += 100_000_000
  assert.deepEqual(h.unit([1]), [], 'a fallen node does not fall again')
})

test('one unit after a long silence of all ends nobody: an idle cluster has no time', () => {
  const h = withClient()
  h.unit([1])
  h.timeUs += 3_600_000_000
  assert.deepEqual(h.unit([1]), [])
  for (let step = 3; step < 8; step++) assert.deepEqual(h.unit([1]), [])
  assert.equal(h.unit([1]).at(-1), 'nodeFell 1 1')
})

test('several units of one step count as one', () => {
  const h = withClient()
  h.unit([1])
  h.timeUs += 20_000_000
  for (let i = 0; i < 20; i++) {
    h.step--
    assert.deepEqual(h.unit([1]), [])
  }
})

test('a node that is heard of once more has the whole time-out again', () => {
  const h = withClient()
  for (let second = 0; second < 9; second++) {
    h.unit([1])
    h.timeUs += 1_000_000
  }
  h.unit([])
  for (let second = 0; second < 10; second++) {
    assert.deepEqual(h.unit([1]), [])
    h.timeUs += 1_000_000
  }
  assert.equal(h.unit([1]).at(-1), 'nodeFell 1 1')
})

test('a jailed node falls at once', () => {
  const h = withClient()
  assert.equal(h.unit([], [1]).at(-1), 'nodeFell 1 1')
})

test('a fallen node submits in vain, late publishes apart, until it starts anew', () => {
  const h = withClient()
  h.unit([], [1])
  assert.deepEqual(h.order(1, h.bundle(1, 2, h.connect(at(1, 2), 'b'))), [])
  assert.deepEqual(h.order(1, h.bundle(1, 3, h.publish('t', { connection: at(1, 1), publisher: 'a', qos: 1 }))), [
    'published t 6.0 by 1.1.1',
  ])
  h.start(1, 2)
  h.order(1, h.bundle(2, 1, h.connect(at(1, 1, 2), 'b')))
  assert.deepEqual(h.machine.session('b')?.connection, at(1, 1, 2))
})

test('what is known of nodes is in the snapshot: a restored machine lets a node fall at the same unit', () => {
  const h = withClient()
  h.order(2, h.bundle(1, 3, h.publish('held')))
  for (let second = 0; second < 5; second++) {
    h.unit([1])
    h.timeUs += 1_000_000
  }
  const { machine } = h
  const restored = (machine.constructor as typeof import('../machine.ts').Machine).restore(
    machine.snapshot(),
    h.settings,
  )
  assert.ok(!('malformed' in restored))
  assert.deepEqual(restored.hash(), machine.hash())
  h.machine = restored
  for (let second = 0; second < 5; second++) {
    assert.deepEqual(h.unit([1]), [])
    h.timeUs += 1_000_000
  }
  assert.equal(h.unit([1]).at(-1), 'nodeFell 1 1')
  assert.deepEqual(h.order(2, h.bundle(1, 1, h.publish('first'))), ['published first 6.1 by -'])
  assert.deepEqual(h.order(2, h.bundle(1, 2, h.publish('second'))), [
    'published second 7.0 by -',
    'published held 7.1 by -',
  ])
})
