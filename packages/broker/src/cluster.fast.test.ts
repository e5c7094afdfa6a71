/** Topics that skip the order of a cluster (architecture section 3.6). */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { connect, type RawClient, type Target } from '../../../testing/testkit/src/raw-client.ts'
import * as wire from '../../../testing/testkit/src/wire.ts'
import type { Broker } from './api.ts'
import { type Cluster, type ClusterTerms, closeAll, kept, openCluster, until } from './cluster-brokers.testkit.ts'

const brokers: Broker[] = []
after(() => closeAll(brokers))

async function fastCluster(nodes = 4, terms: ClusterTerms = {}): Promise<Cluster> {
  const cluster = await openCluster(nodes, { ...terms, options: { ordering: { fast: ['fast/#'] }, ...terms.options } })
  brokers.push(...cluster.brokers)
  return cluster
}

const MARK = ['concord-ordered', 'false']

function isMarked(message: wire.Received): boolean {
  const properties = message.properties?.filter(([name]) => name === 'userProperty') ?? []
  return properties.some(([, value]) => JSON.stringify(value) === JSON.stringify(MARK))
}

function dispose(...clients: RawClient[]): void {
  for (const client of clients) client[Symbol.dispose]()
}

for (const qos of [0, 1] as const) {
  test(`a fast message reaches subscribers at all nodes, marked, and takes no place in the order, at QoS ${qos}`, async () => {
    const { targets, log } = await fastCluster()
    const subscribers = await Promise.all(targets.map((target, i) => connect(target, i === 3 ? 4 : 5)))
    for (const subscriber of subscribers) await subscriber.subscribe('fast/+', 1)
    using publisher = await connect(targets[1] as Target, 5)
    const before = log.entries.length
    for (let i = 0; i < 20; i++) await publisher.publish('fast/t', `${i}`, { qos })
    for (const subscriber of subscribers) {
      for (let i = 0; i < 20; i++) {
        const message = await subscriber.receive({ topic: 'fast/t', payload: `${i}`, qos })
        assert.equal(isMarked(message), subscriber.version === 5)
      }
    }
    assert.equal(log.entries.length, before)
    dispose(...subscribers)
  })
}

test('it is given while nothing is ordered: nothing of it waits for the order', async () => {
  const { targets, log } = await fastCluster()
  using there = await connect(targets[2] as Target, 5)
  await there.subscribe('#', 1)
  using publisher = await connect(targets[0] as Target, 5)
  log.stall()
  await publisher.publish('fast/t', 'now', { qos: 1 })
  await there.receive({ payload: 'now' })
  await publisher.publish('slow/t', 'later', { qos: 0 })
  await there.expectNothing()
  log.heal()
  await there.receive({ payload: 'later' })
})

test('QoS 2 and retained messages on such a topic are ordered like any other', async () => {
  const { targets, log } = await fastCluster()
  using there = await connect(targets[2] as Target, 5)
  await there.subscribe('fast/#', 2)
  using publisher = await connect(targets[0] as Target, 5)
  const before = log.entries.length
  await publisher.publish('fast/t', 'two', { qos: 2 })
  await publisher.publish('fast/t', 'kept', { qos: 1, retain: true })
  for (const payload of ['two', 'kept']) assert.equal(isMarked(await there.receive({ payload })), false)
  assert.ok(log.entries.length > before)
  using late = await connect(targets[1] as Target, 5)
  await late.subscribe('fast/t', 1)
  await late.receive({ payload: 'kept', retain: true })
})

test('QoS 1 is acknowledged when a quorum has it, and not before', async () => {
  const { targets, log } = await fastCluster()
  const [, second, third] = log.nodes
  using here = await connect(targets[0] as Target, 5)
  await here.subscribe('fast/#', 1)
  using there = await connect(targets[2] as Target, 5)
  await there.subscribe('fast/#', 1)
  using publisher = await connect(targets[0] as Target, 5)
  for (const node of [second, third]) if (node !== undefined) node.deaf = true
  publisher.send(wire.publish(5, 'fast/t', 'one', { qos: 1, id: 1 }))
  await here.receive({ payload: 'one' })
  // This node and one more are two of four.
  await publisher.expectNothing()
  second?.hear()
  await publisher.expectPacket('PUBACK', { id: 1, reason: 0 })
  await there.expectNothing()
  third?.hear()
  await there.receive({ payload: 'one' })
})

test('while too few nodes are there, QoS 0 reaches whom it can and QoS 1 waits, and goes out when they are back', async () => {
  const { targets, log } = await fastCluster()
  using here = await connect(targets[0] as Target, 5)
  using near = await connect(targets[1] as Target, 5)
  using far = await connect(targets[2] as Target, 5)
  for (const client of [here, near, far]) await client.subscribe('fast/#', 1)
  using publisher = await connect(targets[0] as Target, 5)
  log.cut(2)
  log.cut(3)
  // In a turn of its own: what comes in one goes out together.
  await publisher.publish('fast/t', 'zero')
  publisher.send(wire.publish(5, 'fast/t', 'one', { qos: 1, id: 1 }))
  for (const client of [here, near]) for (const payload of ['zero', 'one']) await client.receive({ payload })
  await publisher.expectNothing()
  log.join(2)
  await publisher.expectPacket('PUBACK', { id: 1, reason: 0 })
  // What nobody waits for is lost with the link.
  await far.receive({ payload: 'one' })
  for (const client of [here, near, far]) await client.expectNothing()
})

test('a node that had it before its link was lost does not give it twice', async () => {
  const { targets, log } = await fastCluster()
  using there = await connect(targets[1] as Target, 5)
  await there.subscribe('fast/#', 1)
  using publisher = await connect(targets[0] as Target, 5)
  log.cut(2)
  log.cut(3)
  publisher.send(wire.publish(5, 'fast/t', 'one', { qos: 1, id: 1 }))
  await there.receive({ payload: 'one' })
  log.cut(1)
  log.join(1)
  log.join(2)
  await publisher.expectPacket('PUBACK', { id: 1 })
  await there.expectNothing()
})

test('with onStall refuse QoS 1 is refused with 0x97 while too few nodes are there, and QoS 0 goes on', async () => {
  const { targets, log } = await fastCluster(4, { cluster: { onStall: 'refuse' } })
  using here = await connect(targets[0] as Target, 5)
  await here.subscribe('fast/#', 1)
  using publisher = await connect(targets[0] as Target, 5)
  log.stall()
  publisher.send(wire.publish(5, 'fast/t', 'no', { qos: 1, id: 1 }), wire.publish(5, 'fast/t', 'yes', { qos: 0 }))
  await publisher.expectPacket('PUBACK', { id: 1, reason: 0x97 })
  await here.receive({ payload: 'yes' })
})

test('a kept session gets fast messages at QoS 0 while it is connected, once, and finds none when it comes back', async () => {
  const { targets, brokers: nodes } = await fastCluster()
  using session = await connect(targets[2] as Target, 5, kept('s'))
  await session.subscribe('fast/#', 1, [['subscriptionIdentifier', 7]])
  await session.subscribe('fast/t', 2)
  using publisher = await connect(targets[0] as Target, 5)
  await publisher.publish('fast/t', 'on', { qos: 1, properties: [['contentType', 'text/plain']] })
  const on = await session.receive({ payload: 'on', qos: 0 })
  assert.ok(isMarked(on))
  assert.equal(wire.propertyOf(on, 'subscriptionIdentifier'), 7)
  assert.equal(wire.propertyOf(on, 'contentType'), 'text/plain')
  await session.drop()
  await until(() => nodes.every((node) => node.client('s') === undefined))
  await publisher.publish('fast/t', 'off', { qos: 1 })
  using back = await connect(targets[1] as Target, 5, kept('s'))
  await back.expectNothing()
  await publisher.publish('fast/t', 'again', { qos: 1 })
  await back.receive({ payload: 'again', qos: 0 })
})

test('one member of a shared group gets each, in turn, whatever node it is at; a member that is away gets none', async () => {
  const { targets } = await fastCluster()
  const members = await Promise.all([
    connect(targets[1] as Target, 5, { clientId: 'a' }),
    connect(targets[2] as Target, 5, kept('b')),
    connect(targets[0] as Target, 4, { clientId: 'c' }),
  ])
  for (const member of members) await member.subscribe('$share/g/fast/#', 1)
  using away = await connect(targets[3] as Target, 5, kept('d'))
  await away.subscribe('$share/g/fast/#', 1)
  using publisher = await connect(targets[0] as Target, 5)
  await away.drop()
  // The order knows that it is gone.
  await publisher.publish('ordered', '', { qos: 1 })
  for (let i = 0; i < 12; i++) await publisher.publish('fast/t', `${i}`, { qos: 1 })
  const shares: string[][] = []
  for (const member of members) {
    const share: string[] = []
    for (let i = 0; i < 4; i++) share.push((await member.receive()).payload.toString())
    await member.expectNothing()
    shares.push(share)
  }
  assert.deepEqual(
    shares
      .flat()
      .map(Number)
      .sort((a, b) => a - b),
    Array.from({ length: 12 }, (_, i) => i),
  )
  dispose(...members)
})

test('properties, expiry and No Local are as for any other message', async () => {
  const { targets } = await fastCluster()
  using there = await connect(targets[2] as Target, 5)
  await there.subscribe('fast/#', 1)
  using publisher = await connect(targets[0] as Target, 5)
  await publisher.subscribe('fast/#', 1 | 4)
  const properties: wire.Property[] = [
    ['responseTopic', 'back'],
    ['messageExpiryInterval', 60],
    ['userProperty', ['mine', 'yes']],
  ]
  await publisher.publish('fast/t', 'x', { qos: 1, properties })
  const message = await there.receive({ payload: 'x' })
  assert.equal(wire.propertyOf(message, 'responseTopic'), 'back')
  assert.equal(wire.propertyOf(message, 'messageExpiryInterval'), 60)
  assert.deepEqual(
    message.properties?.filter(([name]) => name === 'userProperty').map(([, value]) => value),
    [['mine', 'yes'], MARK],
  )
  await publisher.expectNothing()
})

test('who may not publish is told, and who may not receive gets nothing, at whatever node', async () => {
  const permissions = {
    default: 'allow' as const,
    clients: new Map([
      ['mute', { topics: [{ filter: 'fast/#', denied: ['publish' as const] }] }],
      ['deaf', { topics: [{ filter: 'fast/secret', denied: ['subscribe' as const] }] }],
    ]),
    widerSubscriptions: 'narrow' as const,
  }
  const { targets } = await fastCluster(4, { options: { access: { allowAnonymous: true, permissions } } })
  using deaf = await connect(targets[2] as Target, 5, { clientId: 'deaf' })
  using deafKept = await connect(targets[3] as Target, 5, kept('deaf2'))
  await deaf.subscribe('fast/#', 1)
  await deafKept.subscribe('fast/#', 1)
  using mute = await connect(targets[0] as Target, 5, { clientId: 'mute' })
  mute.send(wire.publish(5, 'fast/t', 'no', { qos: 1, id: 1 }))
  await mute.expectPacket('PUBACK', { id: 1, reason: 0x87 })
  using publisher = await connect(targets[0] as Target, 5, { clientId: 'p' })
  await publisher.publish('fast/secret', 'hidden', { qos: 1 })
  await publisher.publish('fast/t', 'open', { qos: 1 })
  await deaf.receive({ payload: 'open' })
  await deafKept.receive({ payload: 'hidden' })
  await deafKept.receive({ payload: 'open' })
})

test('what the program itself publishes and subscribes to goes the same way', async () => {
  const { targets, brokers: nodes, log } = await fastCluster()
  const heard: string[] = []
  nodes[3]?.subscribe('fast/#', ({ payload, properties }) => {
    heard.push(`${Buffer.from(payload).toString()} ${JSON.stringify(properties?.userProperties)}`)
  })
  using there = await connect(targets[1] as Target, 5, { clientId: 'there' })
  await there.subscribe('fast/#', 1)
  const before = log.entries.length
  await nodes[0]?.publish({ topic: 'fast/t', payload: 'own', qos: 1 })
  await nodes[1]?.inject({ type: 'publish', topic: 'fast/t', payload: 'injected', qos: 1 }, { clientId: 'there' })
  for (const payload of ['own', 'injected']) assert.ok(isMarked(await there.receive({ payload })))
  await until(() => heard.length === 2)
  assert.deepEqual(heard, [`own ${JSON.stringify([MARK])}`, `injected ${JSON.stringify([MARK])}`])
  assert.equal(log.entries.length, before)
})

test('acknowledgements of fast and ordered messages leave in the order of their requests', async () => {
  const { targets, log } = await fastCluster()
  using publisher = await connect(targets[0] as Target, 5)
  log.stall()
  publisher.send(wire.publish(5, 'fast/t', '', { qos: 1, id: 1 }), wire.publish(5, 'slow', '', { qos: 2, id: 2 }))
  publisher.send(wire.publish(5, 'fast/t', '', { qos: 1, id: 3 }))
  await publisher.expectPacket('PUBACK', { id: 1 })
  await publisher.expectNothing()
  log.heal()
  await publisher.expectPacket('PUBREC', { id: 2 })
  await publisher.expectPacket('PUBACK', { id: 3 })
})
