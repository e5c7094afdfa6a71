import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Harness } from '../../testing/harness.ts'

const codes = (outcome: ReturnType<Harness['apply']>) => ('reasonCodes' in outcome ? outcome.reasonCodes : outcome.type)

test('subscribe grants what was asked for and refuses an invalid filter with 0x8F', () => {
  const h = new Harness({ topicLevelsMax: 4 })
  h.connect('a', { expiry: 9 })
  assert.deepEqual(codes(h.subscribe('a', 'x', { qos: 0 })), [0])
  assert.deepEqual(codes(h.subscribe('a', 'x/#', { qos: 2 })), [2])
  for (const filter of ['x/#/y', 'x+', '', '$share/g', '$share/+/x', 'a/b/c/d/e']) {
    assert.deepEqual(codes(h.subscribe('a', filter)), [0x8f], filter)
  }
  assert.equal(h.machine.subscriptions.size, 2)
})

test('subscribe answers 0x97 beyond subscriptionsMax, but still replaces', () => {
  const h = new Harness({ subscriptionsMax: 1 })
  h.connect('a', { expiry: 9 })
  assert.deepEqual(codes(h.subscribe('a', 'x')), [1])
  assert.deepEqual(codes(h.subscribe('a', 'y')), [0x97])
  assert.deepEqual(codes(h.subscribe('a', 'x', { qos: 2 })), [2])
})

test('subscribe with the same filter replaces the options [MQTT-3.8.4-3]', () => {
  const h = new Harness()
  h.connect('a', { expiry: 9 })
  h.subscribe('a', 'x', { qos: 0, subscriptionId: 1 })
  h.subscribe('a', 'x', { qos: 1, subscriptionId: 2 })
  h.publish('x', { qos: 2 })
  assert.deepEqual(h.queue('a'), ['q0 x qos1 [2] queued'])
  assert.equal(h.machine.session('a')?.subscriptions.size, 1)
})

test('overlapping subscriptions make one delivery at the highest QoS with all identifiers [MQTT-3.3.4-2] [MQTT-3.3.4-4]', () => {
  const h = new Harness()
  h.connect('a', { expiry: 9 })
  h.subscribe('a', 'x/#', { qos: 2, subscriptionId: 7 })
  h.subscribe('a', 'x/+', { qos: 0, subscriptionId: 3 })
  h.subscribe('a', 'x/y', { qos: 1, subscriptionId: 7 })
  assert.deepEqual(h.publish('x/y', { qos: 2 }), { type: 'published', duplicate: false, matched: 1 })
  assert.deepEqual(h.queue('a'), ['q0 x/y qos2 [3,7] queued'])
})

test('no local keeps a message from its publisher only [MQTT-3.8.3-3]', () => {
  const h = new Harness()
  h.connect('a', { expiry: 9 })
  h.connect('b', { expiry: 9 })
  for (const clientId of ['a', 'b']) h.subscribe(clientId, 'x', { noLocal: true })
  h.publish('x', { from: 'a' })
  assert.deepEqual([h.queue('a'), h.queue('b')], [[], ['q0 x qos1 queued']])
})

test('RETAIN is 0 on delivery unless the subscription asks for it as published [MQTT-3.3.1-12] [MQTT-3.3.1-13]', () => {
  const h = new Harness()
  h.connect('a', { expiry: 9 })
  h.connect('b', { expiry: 9 })
  h.subscribe('a', 'x')
  h.subscribe('b', 'x', { retainAsPublished: true })
  h.publish('x', { retain: true })
  h.publish('x')
  assert.deepEqual(h.queue('a'), ['q0 x qos1 queued', 'q1 x qos1 queued'])
  assert.deepEqual(h.queue('b'), ['q0 x qos1 retain queued', 'q1 x qos1 queued'])
})

test('subscribe queues retained messages of a kept session in the order of their changes, by retain handling', () => {
  const h = new Harness()
  h.publish('x/b', { retain: true, qos: 2 })
  h.publish('x/a', { retain: true })
  h.publish('x/c', { retain: true, qos: 0 })
  h.publish('x/b', { retain: true, qos: 2, payload: Uint8Array.of(9) })
  h.connect('a', { expiry: 9 })
  h.take()
  h.subscribe('a', 'x/#', { qos: 1, subscriptionId: 4 })
  assert.deepEqual(h.queue('a'), ['q0 x/a qos1 retain [4] queued', 'q1 x/b qos1 retain [4] queued'])
  assert.deepEqual(h.take(), ['queued a 0.1.1 q0', 'deliver a 0.1.1 x/c qos0 retain [4]', 'queued a 0.1.1 q1'])
  h.subscribe('a', 'x/#', { retainHandling: 1 })
  h.subscribe('a', 'x/+', { retainHandling: 2 })
  assert.deepEqual(h.take(), [])
  h.subscribe('a', 'x/a', { retainHandling: 1 })
  assert.deepEqual(h.take(), ['queued a 0.1.1 q2'])
  h.subscribe('a', '$share/g/x/a')
  assert.deepEqual(h.take(), [])
})

test('subscribe of a transient session leaves retained messages to the node and says which are due', () => {
  const h = new Harness()
  h.publish('x', { retain: true })
  h.connect('a')
  h.take()
  const due = (outcome: ReturnType<Harness['apply']>) => ('retainedDue' in outcome ? outcome.retainedDue : undefined)
  assert.deepEqual(due(h.subscribe('a', 'x', { retainHandling: 1 })), [true])
  assert.deepEqual(due(h.subscribe('a', 'x', { retainHandling: 1 })), [false])
  assert.deepEqual(due(h.subscribe('a', 'x', { retainHandling: 0 })), [true])
  assert.deepEqual(due(h.subscribe('a', 'x', { retainHandling: 2 })), [false])
  assert.deepEqual(due(h.subscribe('a', '$share/g/x')), [false])
  assert.deepEqual(h.take(), [])
})

test('unsubscribe stops deliveries and answers 0x11 for what was not there [MQTT-3.10.4-1] [MQTT-3.10.4-2]', () => {
  const h = new Harness()
  h.connect('a', { expiry: 9 })
  h.subscribe('a', 'x')
  h.publish('x')
  assert.deepEqual(codes(h.unsubscribe('a', 'x', 'y', 'x')), [0, 0x11, 0x11])
  h.publish('x')
  assert.deepEqual(h.queue('a'), ['q0 x qos1 queued'])
  assert.equal(h.machine.subscriptions.size, 0)
})

test('the subscription tree of a machine tells of every change, for caches', () => {
  const h = new Harness()
  const told: string[] = []
  h.machine.subscriptions.onChange = (filter) => told.push(filter)
  h.connect('a')
  h.subscribe('a', 'x')
  h.subscribe('a', 'x', { qos: 2 })
  h.subscribe('a', 'y')
  h.unsubscribe('a', 'x')
  h.disconnect('a')
  assert.deepEqual(told, ['x', 'x', 'y', 'x', 'y'])
})
