import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Harness } from '../../testing/harness.ts'
import type { MachineSettings } from '../settings.ts'

function group(
  settings: Partial<MachineSettings>,
  options: { expiry?: number; receiveMaximum?: number } = {},
): Harness {
  const h = new Harness(settings)
  for (const clientId of ['a', 'b', 'c']) {
    h.connect(clientId, options)
    h.subscribe(clientId, '$share/g/x/#', { qos: 2 })
  }
  h.take()
  return h
}

/** Who got each message. */
function receivers(h: Harness, count: number, options: Parameters<Harness['publish']>[1] = {}): string {
  let names = ''
  for (let n = 0; n < count; n++) {
    h.publish('x/y', options)
    names += h
      .take()
      .filter((line) => /^(queued|deliver)/.test(line))
      .map((line) => line.split(' ')[1])
      .join('+')
  }
  return names
}

test('a shared group gives each message to one member, in turn [MQTT-4.8.2-3]', () => {
  const h = group({})
  assert.equal(receivers(h, 7), 'abcabca')
  h.unsubscribe('b', '$share/g/x/#')
  h.take()
  assert.equal(receivers(h, 4), 'caca')
  assert.equal(receivers(h, 2, { qos: 0 }), 'ca')
})

test('two groups and an ordinary subscription each have the message', () => {
  const h = group({})
  h.connect('d', { expiry: 9 })
  h.subscribe('d', 'x/#')
  h.subscribe('d', '$share/g2/+/y')
  assert.deepEqual(h.publish('x/y'), { type: 'published', duplicate: false, matched: 3 })
  assert.deepEqual(h.queue('d'), ['q0 x/y qos1 queued', 'q1 x/y qos1 queued'])
})

test('leastInflight chooses the member with the fewest unsettled messages', () => {
  const h = group({ shareStrategy: 'leastInflight' })
  assert.equal(receivers(h, 6), 'abcabc')
  h.settle('b', 'acked', 0, 1)
  assert.equal(receivers(h, 2), 'bb')
})

test('stickyByPublisher keeps a publisher at its member, and moves only those of a member that leaves', () => {
  const h = group({ shareStrategy: 'stickyByPublisher' })
  const members = () =>
    Array.from({ length: 30 }, (_, n) => {
      const clientId = `publisher ${n}`
      h.connect(clientId)
      return receivers(h, 1, { from: clientId })
    })
  const before = members()
  assert.deepEqual(members(), before)
  assert.equal(new Set(before).size, 3)
  h.disconnect('b')
  h.take()
  members().forEach((member, n) => {
    if (before[n] !== 'b') assert.equal(member, before[n])
    else assert.notEqual(member, 'b')
  })
})

test('random follows the seed alone', () => {
  const draw = (seed: number) => receivers(group({ shareStrategy: 'random', seed }), 40)
  assert.equal(draw(1), draw(1))
  assert.notEqual(draw(1), draw(2))
  assert.deepEqual([...new Set(draw(3))].sort(), ['a', 'b', 'c'])
})

test('a shared group prefers connected members; without any, a kept one has it queued, and QoS 0 is lost', () => {
  const h = group({}, { expiry: 100 })
  h.disconnect('a', { sentBelow: 0 })
  h.disconnect('b', { sentBelow: 0 })
  assert.equal(receivers(h, 3), 'ccc')
  h.disconnect('c')
  assert.equal(receivers(h, 3), 'abc')
  assert.equal(receivers(h, 3, { qos: 0 }), '')
})

test('what a leaving member had not acknowledged passes on: QoS 1, and QoS 2 surely not sent [MQTT-4.8.2-4] [MQTT-4.8.2-5]', () => {
  const h = new Harness()
  for (const clientId of ['a', 'b']) h.connect(clientId)
  h.subscribe('a', '$share/g/x', { qos: 2 })
  h.publish('x', { qos: 1 })
  h.publish('x', { qos: 2 })
  h.publish('x', { qos: 2 })
  h.publish('x', { qos: 2 })
  h.subscribe('b', '$share/g/x', { qos: 2 })
  h.settle('a', 'received', 1)
  h.take()
  h.disconnect('a', { will: 'publish', sentBelow: 3 })
  assert.deepEqual(h.take(), [
    'queued b 0.1.2 q0',
    'dropped a q0 passedOn',
    'dropped a q1 sessionEnded',
    'dropped a q2 sessionEnded',
    'queued b 0.1.2 q1',
    'dropped a q3 passedOn',
    'sessionEnded a disconnect',
  ])
  assert.deepEqual(h.queue('b'), ['q0 x qos1 queued', 'q1 x qos2 queued'])
})

test('after a crash everything in the window and the settlement lag may have been sent', () => {
  const h = new Harness({ settlementLagMax: 1 })
  h.connect('a', { receiveMaximum: 2 })
  h.subscribe('a', '$share/g/x', { qos: 2 })
  for (let n = 0; n < 5; n++) h.publish('x', { qos: 2 })
  h.apply({ type: 'start', node: 1, incarnation: 1 })
  h.apply({
    type: 'connect',
    connection: { node: 1, incarnation: 1, counter: 1 },
    clientId: 'b',
    principal: '',
    version: 5,
    cleanStart: true,
    sessionExpirySeconds: 0,
    receiveMaximum: 9,
  })
  h.connections.set('b', { node: 1, incarnation: 1, counter: 1 })
  h.subscribe('b', '$share/g/x', { qos: 2 })
  h.take()
  h.apply({ type: 'start', node: 0, incarnation: 2 })
  assert.deepEqual(h.queue('b'), ['q0 x qos2 queued', 'q1 x qos2 queued'])
})

test('a member that unsubscribes settles what it may have been sent itself [MQTT-3.10.4-3]; the rest passes on', () => {
  const h = new Harness()
  for (const clientId of ['a', 'b']) h.connect(clientId, { receiveMaximum: 2 })
  h.subscribe('a', '$share/g/x')
  for (let n = 0; n < 4; n++) h.publish('x')
  h.subscribe('b', '$share/g/x')
  h.take()
  h.unsubscribe('a', '$share/g/x')
  assert.deepEqual(h.queue('a'), ['q0 x qos1 queued', 'q1 x qos1 queued'])
  assert.deepEqual(h.queue('b'), ['q0 x qos1 queued', 'q1 x qos1 queued'])
})

test('a message that a member gave up goes to nobody else [MQTT-4.8.2-6]', () => {
  const h = group({})
  h.publish('x/y')
  h.take()
  h.settle('a', 'givenUp', 0)
  assert.deepEqual([h.take(), h.queue('a')], [[], []])
})
