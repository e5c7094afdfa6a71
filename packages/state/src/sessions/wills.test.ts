import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Harness } from '../../testing/harness.ts'

const wills = (lines: string[]) =>
  lines.filter((line) => line.startsWith('published')).map((line) => line.split(' ')[1])

test('a will is published when the connection is lost, and dropped by a normal DISCONNECT [MQTT-3.1.2-8] [MQTT-3.1.2-10]', () => {
  const h = new Harness()
  h.connect('a', { will: {} })
  h.disconnect('a', { will: 'publish' })
  assert.deepEqual(wills(h.take()), ['will'])
  h.connect('a', { will: {} })
  h.disconnect('a', { will: 'drop' })
  assert.deepEqual(wills(h.take()), [])
})

test('a delayed will waits, and a new connection before the delay cancels it [MQTT-3.1.3-9]', () => {
  const h = new Harness()
  h.connect('a', { expiry: 100, will: { delay: 10 } })
  h.disconnect('a', { will: 'publish' })
  assert.deepEqual(wills(h.pass(9)), [])
  h.connect('a', { expiry: 100 })
  assert.deepEqual(wills(h.pass(200)), [])
  h.connect('a', { expiry: 100, will: { delay: 10 } })
  h.disconnect('a', { will: 'publish' })
  h.take()
  assert.deepEqual(wills(h.pass(10)), ['will'])
})

test('a delayed will is published when the session ends first [MQTT-3.1.2-8]', () => {
  const h = new Harness()
  h.connect('a', { expiry: 5, will: { delay: 10 } })
  h.disconnect('a', { will: 'publish' })
  h.take()
  assert.deepEqual(h.pass(5), ['sessionEnded a expired', 'published will 4.0 by -'])
  h.connect('a', { will: { delay: 10 } })
  h.disconnect('a', { will: 'publish' })
  assert.deepEqual(wills(h.take()), ['will'], 'a transient session ends at once')
  h.connect('a', { expiry: 100, will: { delay: 10 } })
  h.disconnect('a', { will: 'publish' })
  h.take()
  h.connect('a', { cleanStart: true })
  assert.deepEqual(h.take(), ['sessionEnded a cleanStart', 'published will 9.0 by -'])
})

test('takeover publishes the will, unless it is delayed and the session goes on', () => {
  const h = new Harness()
  h.connect('a', { expiry: 100, will: {} })
  h.connect('a', { expiry: 100, will: { delay: 3 } })
  assert.deepEqual(wills(h.take()), ['will'])
  h.connect('a', { expiry: 100, will: { delay: 3 } })
  assert.deepEqual(wills(h.take()), [])
  h.connect('a', { expiry: 100, cleanStart: true })
  assert.deepEqual(wills(h.take()), ['will'])
})

test('a will is retained and queued like any message', () => {
  const h = new Harness()
  h.connect('b', { expiry: 9 })
  h.subscribe('b', 'will', { qos: 2 })
  h.connect('a', { will: { retain: true, qos: 2 } })
  h.disconnect('a', { will: 'publish' })
  assert.deepEqual(h.queue('b'), ['q0 will qos2 queued'])
  assert.deepEqual(
    h.machine.retainedFor('#', h.timeUs).map(({ message }) => message.topic),
    ['will'],
  )
})

test('a delayed will is withdrawn while it waits, and neither before nor instead of a later one', () => {
  const h = new Harness()
  const withdraw = (dueUs: number) => h.apply({ type: 'withdrawWill', clientId: 'a', dueUs }).type
  const dueUs = () => h.machine.session('a')?.willDueUs ?? 0
  h.connect('a', { expiry: 100, will: { delay: 10 } })
  assert.equal(withdraw(dueUs()), 'stale', 'its client is there')
  h.disconnect('a', { will: 'publish' })
  const first = dueUs()
  assert.equal(withdraw(first + 1), 'stale')
  h.connect('a', { expiry: 100, will: { delay: 20 } })
  h.pass(1)
  h.disconnect('a', { will: 'publish' })
  assert.equal(withdraw(first), 'stale', 'that was the will before')
  assert.equal(withdraw(dueUs()), 'done')
  assert.equal(withdraw(dueUs()), 'stale', 'there is none any more')
  h.take()
  assert.deepEqual(h.pass(99), [])
  assert.deepEqual(h.pass(1), ['sessionEnded a expired'])
})
