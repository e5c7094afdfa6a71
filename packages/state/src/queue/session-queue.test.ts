import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Harness } from '../../testing/harness.ts'
import type { SessionQueue } from './session-queue.ts'

function offline(settings: ConstructorParameters<typeof Harness>[0] = {}, receiveMaximum = 10): Harness {
  const h = new Harness(settings)
  h.connect('a', { expiry: 1000, receiveMaximum })
  h.subscribe('a', 'x', { qos: 2 })
  return h
}
const queueOf = (h: Harness): SessionQueue => h.machine.session('a')?.queue as SessionQueue

test('SessionQueue numbers what is queued and moves its base past what is settled out of order', () => {
  const h = offline()
  for (let n = 0; n < 200; n++) h.publish('x')
  const queue = queueOf(h)
  h.settle('a', 'acked', 1, 2, 150)
  assert.deepEqual([queue.base, queue.next, queue.messages], [0, 200, 197])
  h.settle('a', 'acked', 0)
  assert.equal(queue.base, 3)
  h.settle('a', 'acked', ...Array.from({ length: 197 }, (_, n) => n + 3))
  assert.deepEqual([queue.base, queue.next, queue.messages, queue.bytes], [200, 200, 0, 0])
  assert.equal(h.machine.queuesBytes, 0)
})

test('acknowledge passes over what does not fit the entry and counts it', () => {
  const h = offline()
  h.publish('x', { qos: 1 })
  h.publish('x', { qos: 2 })
  h.settle('a', 'received', 0)
  h.settle('a', 'completed', 0)
  h.settle('a', 'acked', 1)
  h.settle('a', 'acked', 7)
  assert.deepEqual(h.queue('a'), ['q0 x qos1 queued', 'q1 x qos2 queued'])
  assert.equal(h.machine.counters.idle, 4)
  h.settle('a', 'received', 1)
  h.settle('a', 'received', 1)
  assert.deepEqual(h.queue('a'), ['q0 x qos1 queued', 'q1 x qos2 received'])
  h.settle('a', 'completed', 1)
  h.settle('a', 'completed', 1)
  assert.deepEqual(h.queue('a'), ['q0 x qos1 queued'])
})

test('mayHaveBeenSent() is exact after a graceful disconnect, and the window after a crash [MQTT-3.3.1-1]', () => {
  const h = offline({ settlementLagMax: 1 }, 2)
  for (let n = 0; n < 6; n++) h.publish('x')
  const sent = () => Array.from({ length: 6 }, (_, q) => queueOf(h).mayHaveBeenSent(q)).indexOf(false)
  assert.equal(sent(), 0, 'nothing was sent by an earlier connection')
  h.disconnect('a', { sentBelow: 1 })
  assert.equal(sent(), 1)
  h.connect('a', { expiry: 1000, receiveMaximum: 2 })
  h.settle('a', 'acked', 1)
  h.apply({ type: 'start', node: 0, incarnation: 2 })
  assert.equal(sent(), 4, 'numbers 0, 2 and 3: two of the window and one of the lag')
})

test('a full queue drops the newest message', () => {
  const h = offline({ queueMessagesMax: 2 })
  h.disconnect('a')
  h.take()
  for (let n = 0; n < 3; n++) h.publish('x')
  assert.deepEqual(
    h.take().filter((line) => !line.startsWith('published')),
    ['queued a - q0', 'queued a - q1', 'dropped a q-1 queueFull'],
  )
  assert.equal(h.machine.counters.queueFull, 1)
})

test('a full queue drops the oldest that surely was not sent, if told so', () => {
  const h = offline({ queueMessagesMax: 3, queueFull: 'dropOldest' })
  h.publish('x')
  h.disconnect('a', { sentBelow: 1 })
  h.take()
  for (let n = 0; n < 4; n++) h.publish('x')
  assert.deepEqual(h.queue('a'), ['q0 x qos1 queued', 'q3 x qos1 queued', 'q4 x qos1 queued'])
  assert.equal(
    h
      .take()
      .filter((line) => line.startsWith('dropped'))
      .join(),
    'dropped a q1 queueFull,dropped a q2 queueFull',
  )
})

test('a full queue drops the newest while its client is connected: only the node knows what it has begun to send', () => {
  const h = offline({ queueMessagesMax: 1, queueFull: 'dropOldest' })
  h.publish('x')
  h.publish('x')
  assert.deepEqual(h.queue('a'), ['q0 x qos1 queued'])
})

test('bytes are bounded by session and in total', () => {
  const payload = new Uint8Array(99)
  const h = offline({ queueBytesMax: 250, queuesBytesMax: 300, queueFull: 'dropOldest' })
  h.connect('b', { expiry: 9 })
  h.subscribe('b', 'x')
  h.publish('x', { payload })
  h.publish('x', { payload })
  assert.equal(queueOf(h).bytes, 200)
  assert.equal(h.queue('b').length, 1, 'the total is reached')
  assert.equal(h.machine.queuesBytes, 300)
  h.disconnect('a', { sentBelow: 0 })
  h.publish('x', { payload: new Uint8Array(400) })
  assert.deepEqual(h.queue('a').length, 2, 'what can never fit drives nothing out')
})

test('an offline queue drops messages that expired and surely were not sent', () => {
  const h = offline()
  h.publish('x', { expirySeconds: 5 })
  h.publish('x', { expirySeconds: 5 })
  h.disconnect('a', { sentBelow: 1 })
  h.publish('x', { expirySeconds: 3 })
  h.publish('x')
  h.take()
  assert.deepEqual(h.pass(3), ['dropped a q2 expired'])
  assert.deepEqual(h.pass(2), ['dropped a q1 expired'])
  assert.deepEqual(h.queue('a'), ['q0 x qos1 queued', 'q3 x qos1 queued'])
})

test('while a client is connected its node alone lets messages expire', () => {
  const h = offline()
  h.publish('x', { expirySeconds: 1 })
  h.take()
  assert.deepEqual(h.pass(5), [])
  h.disconnect('a', { sentBelow: 0 })
  assert.deepEqual(h.pass(0), ['dropped a q0 expired'])
})

test('QoS 0 reaches a connected kept session and is never queued', () => {
  const h = offline()
  h.take()
  h.publish('x', { qos: 0 })
  h.disconnect('a')
  h.publish('x', { qos: 0 })
  assert.deepEqual(
    h.take().filter((line) => !line.startsWith('published')),
    ['deliver a 0.1.1 x qos0 []'],
  )
})
