import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { SETTLEMENTS_MAX } from './kept-feed.ts'
import { TestNode } from './session.testkit.ts'

test('a resumed session gets what may have been sent with DUP, PUBREL for what it has received, and the rest as new', () => {
  const node = new TestNode()
  const first = node.connect('c', { expiry: 100, receiveMaximum: 3 })
  first.subscribe('t')
  for (const [payload, qos] of [
    ['a', 1],
    ['b', 2],
    ['c', 2],
    ['d', 1],
  ] as const)
    node.publish('t', payload, qos)
  assert.deepEqual(first.arrived(), ['a 1#1', 'b 2#2', 'c 2#3'])
  assert.equal(
    first.feed?.pubrec(2, 0, () => {}),
    'settled',
  )
  first.leave()
  node.publish('t', 'e', 1)
  const second = node.connect('c', { expiry: 100 })
  assert.deepEqual(second.entered, { type: 'connected', sessionPresent: true, kept: true })
  assert.deepEqual(second.arrived(), ['a 1d#1', 'PUBREL #2', 'c 2d#3', 'd 1#4', 'e 1#5'])
  assert.equal(second.feed?.pubcomp(2, 0), 'settled')
  assert.equal(second.feed?.puback(1, 0), 'settled')
  second.leave()
  assert.deepEqual(node.connect('c', { expiry: 100 }).arrived(), ['c 2d#3', 'd 1d#4', 'e 1d#5'])
})

test('QoS 0 keeps its place behind QoS 1 that the window holds back', () => {
  const node = new TestNode()
  const client = node.connect('c', { expiry: 100, receiveMaximum: 1 })
  client.subscribe('t')
  for (const [payload, qos] of [
    ['a', 1],
    ['b', 0],
    ['c', 1],
    ['d', 0],
    ['e', 0],
    ['f', 1],
  ] as const) {
    node.publish('t', payload, qos)
  }
  assert.deepEqual(client.arrived(), ['a 1#1', 'b 0'])
  client.feed?.puback(1, 0)
  client.feed?.pump()
  assert.deepEqual(client.arrived(), ['c 1#2', 'd 0', 'e 0'])
  client.feed?.puback(2, 0)
  client.feed?.pump()
  assert.deepEqual(client.arrived(), ['f 1#3'])
})

test('a congested socket holds everything back in order, and nothing is lost or sent twice', () => {
  const node = new TestNode()
  const client = node.connect('c', { expiry: 100 })
  client.subscribe('t')
  client.stuck = true
  for (const [payload, qos] of [
    ['a', 0],
    ['b', 1],
    ['c', 0],
    ['d', 2],
  ] as const)
    node.publish('t', payload, qos)
  assert.equal(client.outbox.waiting, 0, 'nobody takes a kept session’s messages from the outbox')
  client.ease()
  assert.deepEqual(client.arrived(), ['a 0', 'b 1#1', 'c 0', 'd 2#2'])
})

test('QoS 0 that waits is bounded in number and bytes, and what finds no room is counted', () => {
  for (const limits of [{ queueMessagesMax: 2 }, { queueBytesMax: 20 }]) {
    const node = new TestNode({}, limits)
    const client = node.connect('c', { expiry: 100 })
    client.subscribe('t')
    client.stuck = true
    for (const payload of ['a', 'b', 'c', 'd']) node.publish('t', payload, 0)
    client.ease()
    assert.deepEqual([client.arrived(), node.counters.publishDropped], [['a 0', 'b 0'], 2])
  }
})

test('settlements go to the order together: one command for a read, or for SETTLEMENTS_MAX of them', () => {
  const node = new TestNode()
  const client = node.connect('c', { expiry: 100 })
  client.subscribe('t')
  const count = SETTLEMENTS_MAX + 10
  for (let n = 0; n < count; n++) node.publish('t', `${n}`, 1)
  client.arrived()
  for (let id = 1; id <= count; id++) client.feed?.puback(id, 0)
  assert.equal(node.count('acknowledge'), 1)
  client.feed?.pump()
  assert.equal(node.count('acknowledge'), 2)
  assert.equal(node.ordered.session('c')?.queue.messages, 0)
  client.feed?.pump()
  assert.equal(node.count('acknowledge'), 2)
})

test('received is in the order before PUBREL may leave, together with what was settled before it', () => {
  const node = new TestNode()
  const client = node.connect('c', { expiry: 100 })
  client.subscribe('t')
  node.publish('t', 'a', 1)
  node.publish('t', 'b', 2)
  client.arrived()
  client.feed?.puback(1, 0)
  assert.equal(node.count('acknowledge'), 0)
  client.feed?.pubrec(2, 0, () => {})
  assert.equal(node.count('acknowledge'), 1)
  assert.equal(node.ordered.session('c')?.queue.entry(1)?.state, 'received')
  assert.equal(node.ordered.session('c')?.queue.entry(0), undefined)
  client.feed?.pubrec(2, 0, () => {})
  assert.equal(node.count('acknowledge'), 1, 'a repeated PUBREC changes nothing')
})

test('acknowledgements: unknown ones, those of the other QoS, and a PUBREC that refuses', () => {
  const node = new TestNode()
  const client = node.connect('c', { expiry: 100 })
  client.subscribe('t')
  node.publish('t', 'a', 1)
  node.publish('t', 'b', 2)
  const { feed } = client
  assert.deepEqual(
    [feed?.puback(9, 0), feed?.pubrec(9, 0, () => {}), feed?.pubcomp(9, 0)],
    ['unknown', 'unknown', 'unknown'],
  )
  assert.deepEqual(
    [feed?.pubrec(1, 0, () => {}), feed?.pubcomp(1, 0), feed?.puback(2, 0)],
    ['mismatch', 'mismatch', 'mismatch'],
  )
  assert.equal(
    feed?.pubrec(2, 0x97, () => {}),
    'settled',
  )
  assert.equal(feed?.pubcomp(2, 0), 'unknown')
  feed?.pump()
  assert.equal(node.ordered.session('c')?.queue.entry(1), undefined)
})

test('what is too large for the client is given up and its number stays unused [MQTT-3.1.2-25]', () => {
  const node = new TestNode()
  const client = node.connect('c', { expiry: 100, packetBytesMax: 100 })
  client.subscribe('t')
  node.publish('t', 'large', 1, { bytes: 200 })
  node.publish('t', 'large', 0, { bytes: 200 })
  node.publish('t', 'small', 1)
  assert.deepEqual(client.arrived(), ['small 1#2'])
  assert.equal(node.counters.publishDropped, 2)
  client.feed?.flush()
  assert.equal(node.ordered.session('c')?.queue.messages, 1)
})

test('what expires before it could be sent is not sent, at any QoS; what was sent is resent all the same', () => {
  mock.timers.enable({ apis: ['Date', 'setTimeout'], now: 1_000_000 })
  try {
    const node = new TestNode()
    const client = node.connect('c', { expiry: 1_000, receiveMaximum: 1 })
    client.subscribe('t')
    node.publish('t', 'sent', 1, { expirySeconds: 5 })
    node.publish('t', 'queued', 1, { expirySeconds: 5 })
    node.publish('t', 'zero', 0, { expirySeconds: 5 })
    node.publish('t', 'stays', 0, { expirySeconds: 50 })
    mock.timers.setTime(1_010_000)
    node.nowMs = 10_000
    assert.deepEqual(client.arrived(), ['sent 1#1'])
    client.feed?.puback(1, 0)
    client.feed?.pump()
    assert.deepEqual([client.arrived(), node.counters.publishDropped], [['stays 0'], 2])
    node.publish('t', 'again', 1, { expirySeconds: 5 })
    assert.deepEqual(client.arrived(), ['again 1#3'])
    client.leave()
    mock.timers.setTime(1_100_000)
    assert.deepEqual(node.connect('c', { expiry: 100 }).arrived(), ['again 1d#3'])
  } finally {
    mock.timers.reset()
  }
})

test('retained messages of a new subscription come after its SUBACK, in order', () => {
  const node = new TestNode()
  node.publish('r/1', 'one', 1, { retain: true })
  node.publish('r/2', 'two', 0, { retain: true })
  const client = node.connect('c', { expiry: 100 })
  const order = {
    filter: 'r/#',
    qos: 1,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0,
    subscriptionId: 0,
  } as const
  let before: string[] | undefined
  node.driver.subscribe(client, [order], (codes) => {
    assert.deepEqual(codes, [1])
    before = client.arrived()
  })
  assert.deepEqual(before, [])
  assert.deepEqual(client.arrived(), ['one 1r#1', 'two 0r'])
})

test('a connection that is over sends nothing more, although its session goes on elsewhere', () => {
  const node = new TestNode()
  const first = node.connect('c', { expiry: 100 })
  first.subscribe('t')
  const second = node.connect('c', { expiry: 100 })
  node.publish('t', 'a', 1)
  first.feed?.pump()
  first.ease()
  assert.deepEqual([first.arrived(), second.arrived()], [[], ['a 1#1']])
})

test('pump() of a connection that is over ends, whatever waits', () => {
  const node = new TestNode()
  const client = node.connect('c', { expiry: 100 })
  client.subscribe('t')
  client.stuck = true
  node.publish('t', 'a', 1)
  client.outbox.close()
  client.ease()
  client.feed?.pump()
  assert.deepEqual(client.arrived(), [])
})
