import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type TestClient, TestNode } from './session.testkit.ts'
import { messageOf, orderOf, willMessage } from './session-driver.ts'

const will = (topic: string, delaySeconds = 0) => ({
  message: { topic, payload: Buffer.from('gone'), qos: 0, retain: false, publisher: 'c' } as const,
  delaySeconds,
})

function topics(node: TestNode): string[] {
  return node.routed.splice(0).map(({ message }) => message.topic)
}

describe('SessionDriver', () => {
  test('enter() says whether the session is kept and was there, and finds the connection by id and client', () => {
    const node = new TestNode()
    const transient = node.connect('t')
    assert.deepEqual(transient.entered, { type: 'connected', sessionPresent: false, kept: false })
    const kept = node.connect('k', { expiry: 10 })
    assert.deepEqual(kept.entered, { type: 'connected', sessionPresent: false, kept: true })
    assert.deepEqual([node.driver.byClient('k'), node.driver.byId(kept.id), node.driver.connected], [kept, kept, 2])
    kept.leave()
    assert.deepEqual(
      [node.driver.byClient('k'), node.driver.byId(kept.id), node.driver.connected],
      [undefined, undefined, 1],
    )
    assert.deepEqual(node.connect('k', { expiry: 10 }).entered, { type: 'connected', sessionPresent: true, kept: true })
  })

  test('enter() passes on that the machine takes nobody more', () => {
    const node = new TestNode({ sessionsMax: 1 })
    node.connect('a')
    const b = node.connect('b')
    assert.deepEqual([b.entered, node.driver.byClient('b')], [{ type: 'refused', reasonCode: 0x97 }, undefined])
  })

  test('a takeover expels the old connection with 0x8E, and its late leave() changes nothing', () => {
    const node = new TestNode()
    const first = node.connect('c', { will: will('w') })
    const second = node.connect('c')
    assert.deepEqual([first.expelled, second.expelled, topics(node)], [[0x8e], [], ['w']])
    first.leave()
    assert.deepEqual([node.driver.byClient('c'), topics(node)], [second, []])
    assert.notEqual(node.ordered.session('c'), undefined)
  })

  test('a will is dropped by a normal DISCONNECT [MQTT-3.14.4-3], published by 0x04, another reason or loss', () => {
    const node = new TestNode()
    const ends: readonly [string, (client: TestClient) => void][] = [
      ['normal', (client) => client.leave({ reasonCode: 0 })],
      ['with will', (client) => client.leave({ reasonCode: 4 })],
      ['error', (client) => client.leave({ reasonCode: 0x80 })],
      ['lost', (client) => client.leave()],
    ]
    for (const [topic, end] of ends) end(node.connect('c', { will: will(topic) }))
    assert.deepEqual(topics(node), ['with will', 'error', 'lost'])
  })

  test('DISCONNECT may change the session expiry: a session is dropped at once by 0', () => {
    const node = new TestNode()
    node.connect('c', { expiry: 100 }).leave({ properties: { sessionExpiryInterval: 0 } })
    assert.equal(node.ordered.session('c'), undefined)
  })

  test('leave() settles what was acknowledged and says how far the queue was sent', () => {
    const node = new TestNode()
    const client = node.connect('c', { expiry: 100, receiveMaximum: 2 })
    client.subscribe('t')
    for (const payload of ['a', 'b', 'c']) node.publish('t', payload, 1)
    client.arrived()
    client.feed?.puback(1, 0)
    client.leave()
    assert.equal(node.ordered.session('c')?.queue.messages, 2)
    const disconnect = node.commands.at(-1)
    assert.ok(disconnect?.type === 'disconnect')
    assert.equal(disconnect.sentBelow, 2)
  })

  test('a transient session lives in the local machine, is made when first needed, and ends with its connection', () => {
    const node = new TestNode()
    const { local } = node.driver
    const client = node.connect('c')
    assert.equal(local.session('c'), undefined)
    assert.equal(client.subscribe('a/#', 1), 1)
    assert.equal(local.subscriptions.size, 1)
    assert.equal(node.count('subscribe'), 0, 'nothing of it is ordered')
    client.leave()
    assert.deepEqual([local.session('c'), local.subscriptions.size], [undefined, 0])
  })

  test('codes come in the order asked for, whichever machine gave them', () => {
    const node = new TestNode()
    for (const expiry of [0, 100]) {
      const client = node.connect('c', { expiry, cleanStart: true })
      const filters = ['a', '$share/g/b', 'c', '$share/g/d']
      const orders = filters.map((filter, i) =>
        orderOf(
          { filter, qos: (i % 3) as 0 | 1 | 2, noLocal: false, retainAsPublished: false, retainHandling: 0 },
          2,
          0,
        ),
      )
      let codes: readonly number[] = []
      node.driver.subscribe(client, orders, (given) => (codes = given))
      assert.deepEqual(codes, [0, 1, 2, 0])
      node.driver.unsubscribe(client, ['$share/g/b', 'nothing', 'a', '$share/x/y'], (given) => (codes = given))
      assert.deepEqual(codes, [0, 0x11, 0, 0x11])
    }
  })

  test('a transient subscriber gets retained messages after the answer, as far as retain handling goes', () => {
    const node = new TestNode()
    node.publish('r', 'old', 1, { retain: true })
    const client = node.connect('c')
    const subscribe = (retainHandling: 0 | 1 | 2): string[] => {
      const order = {
        filter: 'r',
        qos: 2,
        noLocal: false,
        retainAsPublished: false,
        retainHandling,
        subscriptionId: 7,
      } as const
      node.driver.subscribe(client, [order], () => assert.deepEqual(client.arrived(), []))
      return client.arrived()
    }
    assert.deepEqual([subscribe(2), subscribe(0), subscribe(1)], [[], ['old 1r#1'], []])
  })

  test('what a shared group gives a transient member is settled in the order under its own number', () => {
    const node = new TestNode()
    const client = node.connect('c')
    client.subscribe('$share/g/t')
    for (const [payload, qos] of [
      ['a', 1],
      ['b', 0],
      ['c', 2],
    ] as const)
      node.publish('t', payload, qos)
    assert.deepEqual(client.arrived(), ['a 1#1', 'b 0', 'c 2#2'])
    client.outbox.puback(1, 0)
    client.outbox.pubrec(2, 0)
    assert.equal(node.ordered.session('c')?.queue.messages, 1)
    client.outbox.pubcomp(2, 0)
    assert.equal(node.ordered.session('c')?.queue.messages, 0)
  })

  test('only the message whose run goes to transient sessions is kept from them', () => {
    const node = new TestNode()
    const message = { topic: 'run', payload: Buffer.from('x'), qos: 1, retain: false, publisher: '' } as const
    node.driver.runPayloads = [message.payload]
    node.driver.sequencer.submit({ type: 'publish', message })
    node.publish('other', 'x')
    assert.deepEqual(topics(node), ['other'])
  })

  test('release() ends a receipt and says whether there was one', () => {
    const node = new TestNode()
    const client = node.connect('c', { expiry: 100 })
    const message = { topic: 't', payload: Buffer.from('x'), qos: 2, retain: false, publisher: 'c' } as const
    node.driver.sequencer.submit({ type: 'publish', message, connection: client.id, receipt: 5 })
    const answers: boolean[] = []
    for (let i = 0; i < 2; i++) node.driver.release(client, 5, (known) => answers.push(known))
    assert.deepEqual(answers, [true, false])
  })
})

test('messageOf() leaves out what is not carried with a message', () => {
  const base = { topic: 't', payload: Buffer.from('x'), qos: 1, retain: true } as const
  assert.deepEqual(messageOf(base, undefined, 'p'), { ...base, publisher: 'p' })
  assert.deepEqual(messageOf(base, { topicAlias: 3, subscriptionIdentifiers: [1], messageExpiryInterval: 9 }, 'p'), {
    ...base,
    publisher: 'p',
    expirySeconds: 9,
  })
  assert.deepEqual(willMessage({ ...base, properties: { willDelayInterval: 5, contentType: 'c' } }, 'p'), {
    ...base,
    publisher: 'p',
    properties: { contentType: 'c' },
  })
})

test('orderOf() grants at most the QoS that the broker offers', () => {
  const request = { filter: 'f', qos: 2, noLocal: true, retainAsPublished: true, retainHandling: 1 } as const
  assert.deepEqual(orderOf(request, 1, 12), { ...request, qos: 1, subscriptionId: 12 })
})
