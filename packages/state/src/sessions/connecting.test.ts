import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Harness } from '../../testing/harness.ts'

const present = (h: Harness, clientId: string, options: Parameters<Harness['connect']>[1]) => {
  const outcome = h.connect(clientId, options)
  return outcome.type === 'connected' ? outcome.sessionPresent : outcome
}

test('connect makes a session kept exactly when its expiry is above 0', () => {
  const h = new Harness()
  assert.deepEqual(h.connect('a', { expiry: 5 }), { type: 'connected', sessionPresent: false, kept: true })
  assert.deepEqual(h.connect('b'), { type: 'connected', sessionPresent: false, kept: false })
})

test('connect resumes a kept session with subscriptions and queue, and clean start ends it [MQTT-3.1.2-4] [MQTT-3.1.2-5]', () => {
  const h = new Harness()
  h.connect('a', { expiry: 100 })
  h.subscribe('a', 'x')
  h.disconnect('a')
  h.publish('x')
  assert.equal(present(h, 'a', { expiry: 100 }), true)
  assert.deepEqual(h.queue('a'), ['q0 x qos1 queued'])
  h.take()
  assert.equal(present(h, 'a', { expiry: 100, cleanStart: true }), false)
  assert.deepEqual(h.take(), ['connectionEnded a 0.1.2 0x8e', 'dropped a q0 sessionEnded', 'sessionEnded a cleanStart'])
  h.publish('x')
  assert.deepEqual(h.queue('a'), [])
})

test('connect takes a connection over and tells the old one 0x8E [MQTT-3.1.4-3]', () => {
  const h = new Harness()
  h.connect('a', { expiry: 100 })
  assert.equal(present(h, 'a', { expiry: 100 }), true)
  assert.deepEqual(h.take(), ['connectionEnded a 0.1.1 0x8e'])
})

test('connect does not resume a session of expiry 0: it ended with its connection', () => {
  const h = new Harness()
  h.connect('a')
  assert.equal(present(h, 'a', { expiry: 100 }), false)
  assert.deepEqual(h.take(), ['connectionEnded a 0.1.1 0x8e', 'sessionEnded a disconnect'])
  // A kept session resumed with expiry 0 stays until that connection ends.
  assert.equal(present(h, 'a', { expiry: 0 }), true)
  assert.equal(h.machine.session('a')?.kept, true)
  h.disconnect('a')
  assert.equal(h.machine.session('a'), undefined)
})

test('connect is stale for a node that did not start, or started again since', () => {
  const h = new Harness()
  const connect = (node: number, incarnation: number) =>
    h.apply({
      type: 'connect',
      connection: { node, incarnation, counter: 1 },
      clientId: 'a',
      principal: '',
      version: 5,
      cleanStart: true,
      sessionExpirySeconds: 0,
      receiveMaximum: 1,
    }).type
  assert.equal(connect(0, 1), 'connected')
  assert.equal(connect(0, 1), 'stale', 'the same connection cannot connect twice')
  assert.equal(connect(0, 0), 'stale')
  assert.equal(connect(1, 1), 'stale')
  assert.equal(h.machine.counters.stale, 3)
})

test('connect is refused with 0x97 beyond sessionsMax, unless the session is there', () => {
  const h = new Harness({ sessionsMax: 1 })
  h.connect('a', { expiry: 9 })
  assert.deepEqual(h.connect('b'), { type: 'refused', reasonCode: 0x97 })
  assert.equal(h.connect('a', { expiry: 9 }).type, 'connected')
})

test('a session expires after its interval, and never with 2^32-1 [MQTT-3.1.2-23]', () => {
  const h = new Harness()
  h.connect('a', { expiry: 10 })
  h.connect('b', { expiry: 0xffff_ffff })
  h.disconnect('a')
  h.disconnect('b')
  assert.equal(h.machine.nextDeadlineUs, h.timeUs + 10_000_000)
  assert.deepEqual(h.pass(9), [])
  assert.deepEqual(h.pass(1), ['sessionEnded a expired'])
  assert.equal(h.machine.nextDeadlineUs, undefined)
  assert.deepEqual(h.pass(4_000_000_000), [])
  assert.equal(present(h, 'b', { expiry: 1 }), true)
})

test('a longer session expiry is lowered to sessionExpirySecondsMax', () => {
  const h = new Harness({ sessionExpirySecondsMax: 3 })
  h.connect('a', { expiry: 0xffff_ffff })
  h.disconnect('a')
  assert.deepEqual(h.pass(3), ['sessionEnded a expired'])
})

test('disconnect may change the expiry, but not from 0 [MQTT-3.14.2-2]', () => {
  const h = new Harness()
  h.connect('a', { expiry: 10 })
  h.disconnect('a', { sessionExpirySeconds: 0 })
  assert.deepEqual(h.take(), ['sessionEnded a disconnect'])
  h.connect('a')
  h.disconnect('a', { sessionExpirySeconds: 10 })
  assert.deepEqual(h.take(), ['sessionEnded a disconnect'])
})

test('start ends the connections of earlier incarnations as lost, in the order of client identifiers', () => {
  const h = new Harness()
  h.connect('b', { will: { topic: 'w/b' } })
  h.connect('a', { expiry: 5, will: { topic: 'w/a' } })
  h.take()
  assert.equal(h.apply({ type: 'start', node: 0, incarnation: 2 }).type, 'done')
  assert.deepEqual(h.take(), [
    'connectionEnded a 0.1.2 0x9c',
    'published w/a 4.0 by -',
    'connectionEnded b 0.1.1 0x9c',
    'published w/b 4.1 by -',
    'sessionEnded b disconnect',
  ])
  assert.equal(h.apply({ type: 'start', node: 0, incarnation: 2 }).type, 'stale')
})
