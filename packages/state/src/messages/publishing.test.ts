import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Harness } from '../../testing/harness.ts'

test('a QoS 2 message with a receipt is not published twice before its release [MQTT-4.3.3-10]', () => {
  const h = new Harness()
  h.connect('p', { expiry: 9 })
  const send = () => h.publish('x', { from: 'p', qos: 2, receipt: 7 })
  assert.deepEqual(send(), { type: 'published', duplicate: false, matched: 0 })
  assert.deepEqual(send(), { type: 'published', duplicate: true, matched: 1 })
  h.disconnect('p')
  h.connect('p', { expiry: 9 })
  assert.deepEqual(send(), { type: 'published', duplicate: true, matched: 1 })
  h.release('p', 7)
  assert.deepEqual(send(), { type: 'published', duplicate: false, matched: 0 })
  assert.equal(h.take().filter((line) => line.startsWith('published')).length, 2)
})

test('receipts end with the session life they belong to', () => {
  const h = new Harness()
  h.connect('p', { expiry: 9 })
  h.publish('x', { from: 'p', qos: 2, receipt: 7 })
  h.connect('p', { expiry: 9, cleanStart: true })
  assert.deepEqual(h.publish('x', { from: 'p', qos: 2, receipt: 7 }), {
    type: 'published',
    duplicate: false,
    matched: 0,
  })
})

test('a late publish counts at QoS 0 and 1, and is stale at QoS 2', () => {
  const h = new Harness()
  h.connect('s', { expiry: 9 })
  h.subscribe('s', 'x', { qos: 2 })
  h.connect('p')
  h.disconnect('p')
  assert.equal(h.publish('x', { from: 'p', qos: 1 }).type, 'published')
  assert.equal(h.publish('x', { from: 'p', qos: 2, receipt: 1 }).type, 'stale')
  assert.deepEqual(h.queue('s'), ['q0 x qos1 queued'])
})

test('commands of a connection that is not the current one are stale', () => {
  const h = new Harness()
  h.connect('a', { expiry: 9 })
  const old = h.at('a')
  h.connect('a', { expiry: 9 })
  h.subscribe('a', 'x')
  h.publish('x')
  h.connections.set('a', old)
  const types = [
    h.subscribe('a', 'y'),
    h.unsubscribe('a', 'x'),
    h.settle('a', 'acked', 0),
    h.release('a', 1),
    h.disconnect('a'),
  ].map(({ type }) => type)
  assert.deepEqual(types, ['stale', 'stale', 'stale', 'stale', 'stale'])
  assert.deepEqual(h.queue('a'), ['q0 x qos1 queued'])
  assert.equal(h.machine.counters.stale, 5)
})

test('a malformed command is counted and does nothing', () => {
  const h = new Harness()
  h.connect('a', { expiry: 9 })
  h.take()
  const a = { connection: h.at('a'), clientId: 'a' }
  const malformed = [
    h.publish('x/#'),
    h.publish(''),
    h.publish('a\0b'),
    h.publish('\ud800'),
    h.publish('x'.repeat(65_536)),
    h.publish('/'.repeat(200)),
    h.publish('x', { from: 'a', qos: 1, receipt: 4 }),
    h.publish('x', { qos: 2, receipt: 4 }),
    h.publish('x', { from: 'a', qos: 2, receipt: 0 }),
    h.publish('x', { qos: 3 as 2 }),
    h.publish('x', { expirySeconds: -1 }),
    h.connect('', {}),
    h.connect('b', { receiveMaximum: 0 }),
    h.connect('b', { expiry: 2 ** 32 }),
    h.connect('b', { version: 6 as 5 }),
    h.connect('b', { will: { topic: '+' } }),
    h.connect('b', { will: { delay: 0.5 } }),
    h.subscribe('a', 'x', { qos: 3 as 2 }),
    h.subscribe('a', 'x', { subscriptionId: 268_435_456 }),
    h.apply({ type: 'subscribe', ...a, subscriptions: [] }),
    h.unsubscribe('a'),
    h.settle('a', 'acked', 0.5),
    h.settle('a', 'acked'),
    h.release('a', 65_536),
    h.disconnect('a', { sentBelow: Number.NaN }),
    h.apply({ type: 'start', node: -1, incarnation: 0 }),
    h.apply({ type: 'other' } as never),
  ]
  for (const [i, outcome] of malformed.entries()) assert.equal(outcome.type, 'malformed', `case ${i}`)
  assert.equal(h.machine.counters.malformed, malformed.length)
  assert.deepEqual(h.take(), [])
})

test('a topic of U+10000 comes behind U+FFFF: sessions are served in the order of their UTF-8 bytes', () => {
  const h = new Harness()
  for (const clientId of ['\u{10000}', '\uffff', 'a']) {
    h.connect(clientId, { expiry: 9 })
    h.subscribe(clientId, 'x')
  }
  h.take()
  h.publish('x')
  assert.deepEqual(
    h.take().map((line) => line.split(' ')[1]),
    ['x', 'a', '\uffff', '\u{10000}'],
  )
})

test('$direct/<client identifier> reaches that session alone, offline or not', () => {
  const h = new Harness({ directMessages: 'prefix' })
  h.connect('a', { expiry: 9 })
  h.connect('t')
  h.connect('spy', { expiry: 9 })
  h.subscribe('spy', '$direct/#')
  h.disconnect('a')
  h.take()
  const matched = (topic: string, options = {}) => {
    const outcome = h.publish(topic, options)
    return outcome.type === 'published' ? outcome.matched : outcome.type
  }
  assert.equal(matched('$direct/a', { retain: true }), 1)
  assert.equal(matched('$direct/t', { qos: 0 }), 1)
  assert.equal(matched('$direct/t', { qos: 2 }), 1)
  assert.equal(matched('$direct/nobody'), 0)
  assert.deepEqual(h.queue('a'), ['q0 $direct/a qos1 queued'])
  assert.deepEqual(h.queue('t'), ['q0 $direct/t qos2 queued'])
  assert.deepEqual([h.queue('spy'), h.machine.retained.count], [[], 0])
  assert.deepEqual(h.take(), ['queued a - q0', 'deliver t 0.1.2 $direct/t qos0 []', 'queued t 0.1.2 q0'])
  assert.equal(matched('a'), 0, 'the bare name is a topic')
})

test('bare direct messages reach the client named like the topic, unless somebody subscribes to it', () => {
  const h = new Harness({ directMessages: 'bare' })
  h.connect('a', { expiry: 9 })
  h.connect('b', { expiry: 9 })
  h.subscribe('b', '#')
  h.publish('a')
  h.publish('b')
  assert.deepEqual(h.queue('a'), ['q0 a qos1 queued'])
  assert.deepEqual(h.queue('b'), ['q0 a qos1 queued', 'q1 b qos1 queued'], 'once')
  h.subscribe('b', 'a')
  h.publish('a')
  assert.equal(h.queue('a').length, 1)
})

test('$direct is a topic like any other while direct messages are off', () => {
  const h = new Harness()
  h.connect('a', { expiry: 9 })
  h.connect('b', { expiry: 9 })
  h.subscribe('b', '$direct/+')
  h.publish('$direct/a')
  assert.deepEqual([h.queue('a').length, h.queue('b').length], [0, 1])
})

test('a message that all queues together have no room for is refused, and leaves no receipt', () => {
  const h = new Harness({ queuesBytesMax: 20 })
  h.connect('s', { expiry: 9 })
  h.subscribe('s', 'q/#', { qos: 2 })
  h.connect('p', { expiry: 9 })
  const send = (topic: string, qos: 0 | 1 | 2, receipt?: number) =>
    h.publish(topic, { from: 'p', qos, payload: new Uint8Array(10), ...(receipt !== undefined && { receipt }) })
  assert.equal(send('q/1', 1).type, 'published')
  h.take()
  const refused = { type: 'refused', reasonCode: 0x97 }
  assert.deepEqual(send('q/2', 1), refused)
  assert.deepEqual(send('q/2', 2, 5), refused)
  assert.deepEqual(h.take(), [])
  assert.equal(h.machine.counters.queuesFull, 2)
  // What nobody queues goes on.
  assert.equal(send('q/3', 0).type, 'published')
  assert.equal(send('other', 1).type, 'published')
  h.settle('s', 'acked', 0)
  assert.deepEqual(send('q/2', 2, 5), { type: 'published', duplicate: false, matched: 1 })
})
