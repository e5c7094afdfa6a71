import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Harness } from '../../testing/harness.ts'

const topics = (h: Harness, filter = '#') => h.machine.retainedFor(filter, h.timeUs).map(({ message }) => message.topic)

test('a retained message replaces the one before, and an empty payload clears it [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-7]', () => {
  const h = new Harness()
  h.publish('b', { retain: true })
  h.publish('a', { retain: true })
  assert.deepEqual(topics(h), ['b', 'a'])
  h.publish('b', { retain: true, payload: new Uint8Array(2) })
  assert.deepEqual(topics(h), ['a', 'b'])
  assert.equal(h.machine.retained.get('b', h.timeUs)?.message.payload.length, 2)
  h.publish('a')
  h.publish('b', { payload: new Uint8Array(0) })
  assert.deepEqual(topics(h), ['a', 'b'], 'RETAIN 0 changes nothing [MQTT-3.3.1-8]')
  h.publish('b', { retain: true, payload: new Uint8Array(0) })
  h.publish('none', { retain: true, payload: new Uint8Array(0) })
  assert.deepEqual(topics(h), ['a'])
  assert.deepEqual([h.machine.retained.count, h.machine.retained.bytes], [1, 2])
})

test('a retained message is not shown once it has expired, and goes at its deadline', () => {
  const h = new Harness()
  h.publish('a', { retain: true, expirySeconds: 5 })
  h.timeUs += 4_999_999
  assert.deepEqual(topics(h), ['a'])
  h.timeUs += 1
  assert.deepEqual(topics(h), [])
  assert.equal(h.machine.retained.get('a', h.timeUs), undefined)
  assert.equal(h.machine.nextDeadlineUs, h.timeUs)
  h.pass(0)
  assert.deepEqual([h.machine.retained.count, h.machine.nextDeadlineUs], [0, undefined])
})

test('a replaced retained message takes its deadline along', () => {
  const h = new Harness()
  h.publish('a', { retain: true, expirySeconds: 5 })
  h.publish('a', { retain: true })
  h.pass(9)
  assert.deepEqual(topics(h), ['a'])
})

test('beyond a maximum a publish that would be retained is refused whole, and the older value stays', () => {
  const h = new Harness({ retainedMessagesMax: 2, retainedBytesMax: 20, retainedMessageBytesMax: 15 })
  h.connect('p', { expiry: 9 })
  const refused = { type: 'refused', reasonCode: 0x97 }
  for (const topic of ['a', 'b']) h.publish(topic, { retain: true })
  h.take()
  assert.deepEqual(h.publish('c', { retain: true }), refused)
  assert.deepEqual(h.publish('a', { retain: true, payload: new Uint8Array(15) }), refused)
  assert.deepEqual(h.publish('c', { retain: true, from: 'p', qos: 2, receipt: 3 }), refused)
  assert.deepEqual(h.take(), [])
  assert.deepEqual(topics(h), ['a', 'b'])
  assert.equal(h.machine.counters.retainedFull, 3)

  // What takes the place of another, clears, or is not to be retained, is taken; so is a new topic when there is room again.
  assert.equal(h.publish('a', { retain: true, payload: new Uint8Array(5) }).type, 'published')
  assert.equal(h.publish('c').type, 'published')
  assert.equal(h.publish('a', { retain: true, payload: new Uint8Array(0) }).type, 'published')
  assert.deepEqual(h.publish('c', { retain: true, from: 'p', qos: 2, receipt: 3 }), {
    type: 'published',
    duplicate: false,
    matched: 0,
  })
  assert.deepEqual(topics(h), ['b', 'c'])
})

test('beyond a maximum a retained will is published and not retained, and no stale value stays', () => {
  const h = new Harness({ retainedMessagesMax: 2, retainedBytesMax: 20 })
  h.connect('w', { will: { topic: 'a', retain: true, payload: new Uint8Array(30) } })
  for (const topic of ['a', 'b']) h.publish(topic, { retain: true })
  h.disconnect('w', { will: 'publish' })
  assert.deepEqual(topics(h), ['b'])
  assert.equal(h.machine.counters.retainedFull, 1)
})
