import assert from 'node:assert/strict'
import { test } from 'node:test'
import { at, ClusterHarness, runOf } from '../../testing/cluster-harness.ts'
import { HELD_BUNDLES_MAX } from './node-life.ts'

const author = (counter: number, publisher: string) => ({ counter, publisher, receipts: false })

test('a bundle waits for its predecessor: the order may bring what one node submitted in another order', () => {
  const h = new ClusterHarness()
  h.start(0)
  // Without numbers the disconnect of a client would take effect before its last message, or its subscription.
  assert.deepEqual(h.order(0, h.bundle(1, 3, h.publish('c'))), [])
  assert.deepEqual(h.order(0, h.bundle(1, 2, h.publish('b'))), [])
  assert.deepEqual(h.order(0, h.bundle(1, 1, h.publish('a'))), [
    'published a 3.0 by -',
    'published b 3.1 by -',
    'published c 3.2 by -',
  ])
  assert.deepEqual(h.order(0, h.bundle(1, 2, h.publish('b'))), [], 'none is applied twice')
})

test('bundles of several nodes do not wait for each other', () => {
  const h = new ClusterHarness()
  h.start(0)
  h.start(1)
  h.order(0, h.bundle(1, 2, h.publish('late')))
  assert.deepEqual(h.order(1, h.bundle(1, 1, h.publish('a'))), ['published a 3.0 by -'])
})

test('a node that submits far beyond a gap is held to a bound, and the rest is dropped', () => {
  const h = new ClusterHarness()
  h.start(0)
  for (let i = 0; i < HELD_BUNDLES_MAX + 10; i++) h.order(0, h.bundle(1, 2 + i, h.publish('t')))
  assert.equal(h.machine.counters.heldFull, 10)
  assert.equal(h.order(0, h.bundle(1, 1, h.publish('t'))).length, HELD_BUNDLES_MAX + 1)
})

test('a command for a client of another node is a counted no-op', () => {
  const h = new ClusterHarness()
  h.start(0)
  h.start(1)
  h.order(0, h.bundle(1, 1, h.connect(at(0, 1), 'a', { expiry: 100 }), h.subscribe(at(0, 1), 'a', 't')))
  const theft = [
    { type: 'disconnect', connection: at(0, 1), clientId: 'a', reasonCode: 0, will: 'drop' } as const,
    h.subscribe(at(0, 1), 'a', 'other'),
    h.publish('t', { connection: at(0, 1), publisher: 'a' }),
    h.connect(at(0, 9), 'a'),
    { type: 'start', node: 0, incarnation: 9 } as const,
  ]
  for (const [i, command] of theft.entries()) assert.deepEqual(h.order(1, h.bundle(1, 1 + i, command)), [])
  assert.equal(h.machine.counters.fenced, theft.length)
  assert.deepEqual(h.machine.session('a')?.connection, at(0, 1))
  assert.deepEqual([...(h.machine.session('a')?.subscriptions.keys() ?? [])], ['t'])
  assert.equal(h.machine.incarnationOf(0), 1)
})

test('a connection that was taken over on another node changes nothing any more; its QoS 0 and 1 messages still count', () => {
  const h = new ClusterHarness()
  h.start(0)
  h.start(1)
  h.order(0, h.bundle(1, 1, h.connect(at(0, 1), 'a', { expiry: 100 })))
  assert.deepEqual(h.order(1, h.bundle(1, 1, h.connect(at(1, 1), 'a', { expiry: 100 }))), [
    'connectionEnded a 0.1.1 0x8e',
  ])
  assert.deepEqual(h.order(0, h.bundle(1, 2, h.subscribe(at(0, 1), 'a', 't'))), [])
  assert.deepEqual(h.order(0, h.bundle(1, 3, h.publish('t', { connection: at(0, 1), publisher: 'a', qos: 1 }))), [
    'published t 5.0 by 0.1.1',
  ])
  // The client sends the QoS 2 message again on node 1: here it would be a second one.
  assert.deepEqual(
    h.order(0, h.bundle(1, 4, h.publish('t', { connection: at(0, 1), publisher: 'a', qos: 2, receipt: 7 }))),
    [],
  )
  assert.deepEqual(
    h.order(1, h.bundle(1, 2, h.publish('t', { connection: at(1, 1), publisher: 'a', qos: 2, receipt: 7 }))),
    ['published t 7.0 by 1.1.1'],
  )
  assert.deepEqual(
    h.order(1, h.bundle(1, 3, h.publish('t', { connection: at(1, 1), publisher: 'a', qos: 2, receipt: 7 }))),
    [],
    'the receipt knows it',
  )
})

test('a QoS 2 message of a transient session counts only while its connection is the current one', () => {
  const h = new ClusterHarness()
  h.start(0)
  h.order(0, h.bundle(1, 1, h.connect(at(0, 1), 'a')))
  const late = h.publish('t', { connection: at(0, 1), publisher: 'a', qos: 2 })
  assert.deepEqual(h.order(0, h.bundle(1, 2, late)), ['published t 2.0 by 0.1.1'])
  h.order(0, h.bundle(1, 3, h.connect(at(0, 2), 'a')))
  h.take()
  assert.deepEqual(h.order(0, h.bundle(1, 4, late)), [])
  const run = runOf('t', ['x'], 2, [5])
  assert.deepEqual(h.order(0, h.run(1, 5, run, author(1, 'a'))), [])
  assert.deepEqual(h.order(0, h.run(1, 6, run, author(2, 'a'))), ['run t x 6.0 by a'])
})

test('a new life of a node ends the connections of the one before, and its numbers begin anew', () => {
  const h = new ClusterHarness()
  h.start(0)
  const will = { topic: 'will', payload: new Uint8Array(1), qos: 0, retain: false, publisher: 'a' } as const
  h.order(0, h.bundle(1, 1, h.connect(at(0, 1), 'a', { will })))
  h.order(0, h.bundle(1, 5, h.publish('held')))
  assert.deepEqual(h.start(0, 2), [
    'connectionEnded a 0.1.1 0x9c',
    'published will 3.0 by -',
    'sessionEnded a disconnect',
  ])
  assert.deepEqual(h.order(0, h.bundle(2, 1, h.publish('new'))), ['published new 4.0 by -'])
  assert.deepEqual(h.order(0, h.bundle(1, 2, h.publish('old'))), ['published old 5.0 by -'], 'a late publish counts')
  assert.deepEqual(h.order(0, h.bundle(1, 3, h.connect(at(0, 2), 'b'))), [], 'nothing else of the old life does')
  assert.deepEqual(h.start(0, 2), [], 'an old start changes nothing')
  assert.deepEqual(h.order(0, h.bundle(3, 1, h.publish('early'))), [], 'a life begins with its start')
})

test('a run that nobody keeps passes whole, and takes a place for each message', () => {
  const h = new ClusterHarness()
  h.start(0)
  assert.deepEqual(h.order(0, h.run(1, 1, runOf('t/1', ['a', 'b', 'c'], 1), author(1, 'p'))), [
    'run t/1 a,b,c 1.0 by p',
  ])
  h.writer.begin(1, 2)
  h.writer.run(runOf('t/1', ['d', 'e'], 0), author(1, 'p'))
  h.writer.run(runOf('t/2', ['f'], 0), author(2, 'r'))
  assert.deepEqual(h.order(0, h.writer.take()), ['run t/1 d,e 2.0 by p', 'run t/2 f 2.2 by r'])
})

test('a run that a session wants is published and queued, each message at a place of its own', () => {
  const h = new ClusterHarness()
  h.start(0)
  h.order(0, h.bundle(1, 1, h.connect(at(0, 1), 'a', { expiry: 100 }), h.subscribe(at(0, 1), 'a', 't/#')))
  assert.deepEqual(h.order(0, h.run(1, 2, runOf('t/1', ['a', 'b'], 1), author(1, 'p'))), [
    'published t/1 2.0 by 0.1.1',
    'published t/1 2.1 by 0.1.1',
    'queued a 0.1.1 q0',
    'queued a 0.1.1 q1',
  ])
})

test('a run at QoS 2 leaves a receipt for each message, and what has one is not published again', () => {
  const h = new ClusterHarness()
  h.start(0)
  h.order(0, h.bundle(1, 1, h.connect(at(0, 1), 'p', { expiry: 100 })))
  const kept = { counter: 1, publisher: 'p', receipts: true }
  assert.deepEqual(h.order(0, h.run(1, 2, runOf('t', ['a', 'b'], 2, [1, 2]), kept)), ['run t a,b 2.0 by p'])
  assert.deepEqual(h.order(0, h.run(1, 3, runOf('t', ['b', 'c'], 2, [2, 3]), kept)), ['published t 3.0 by 0.1.1'])
  assert.deepEqual(h.machine.session('p')?.receipts.list(), [1, 2, 3])
})

test('what is no bundle, or holds what is no command, is counted and changes nothing', () => {
  const h = new ClusterHarness()
  h.start(0)
  const before = h.machine.counters.malformed
  for (const bytes of [new Uint8Array(0), Uint8Array.of(9), new Uint8Array(17), h.bundle(1, 1).fill(255, 0, 1)]) {
    assert.deepEqual(h.order(0, bytes), [])
  }
  const good = h.bundle(1, 1, h.publish('t'))
  const cut = good.slice(0, good.length - 1)
  assert.deepEqual(h.order(0, cut), [])
  const bad = h.bundle(1, 2, h.publish('t'), h.publish('u'))
  bad[17 + 5] = 200
  assert.deepEqual(h.order(0, bad), ['published u 6.0 by -'], 'the other items hold')
  assert.ok(h.machine.counters.malformed >= before + 5)
})

test('every cut and every changed byte of a run is either another good run or nothing', () => {
  const h = new ClusterHarness()
  h.start(0)
  const good = h.run(1, 1, runOf('topic/é', ['one', 'two'], 2, [1, 2]), { counter: 1, publisher: 'p', receipts: true })
  let number = 1
  const withNumber = (bytes: Uint8Array): Uint8Array => {
    new DataView(bytes.buffer, bytes.byteOffset).setUint32(13, number++)
    return bytes
  }
  for (let i = 17; i < good.length; i++) {
    h.order(0, withNumber(good.slice(0, i)))
    for (const value of [0, 1, 127, 128, 255]) {
      const changed = good.slice()
      changed[i] = value
      h.order(0, withNumber(changed))
    }
  }
  assert.equal(h.machine.node(0)?.next, number)
})
