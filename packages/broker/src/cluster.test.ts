import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { connect, open, type RawClient, type Target } from '../../../testing/testkit/src/raw-client.ts'
import type { NodeLog, SharedLogOptions } from '../../../testing/testkit/src/shared-log.ts'
import * as wire from '../../../testing/testkit/src/wire.ts'
import type { Broker } from './api.ts'
import { createBroker } from './broker.ts'
import { type Cluster, kept, openCluster, received, until } from './cluster-brokers.testkit.ts'
import type { BrokerOptions, ClusterOptions } from './config/options.ts'
import { LOGINS_ALONE_MAX } from './connections/connect-line.ts'

const brokers: Broker[] = []
after(async () => {
  for (const broker of brokers) await broker.close({ graceMs: 0 })
})

/** Brokers on one log, all of which serve. */
async function cluster(
  nodes: number,
  options: BrokerOptions = {},
  logOptions: SharedLogOptions = {},
  clusterOptions: Omit<ClusterOptions, 'log'> = {},
): Promise<Cluster> {
  const opened = await openCluster(nodes, { options, log: logOptions, cluster: clusterOptions })
  brokers.push(...opened.brokers)
  return opened
}

for (const qos of [0, 1, 2] as const) {
  test(`every subscriber on every node sees one order, at QoS ${qos}`, async () => {
    const { targets } = await cluster(4, {}, { seed: 10 + qos })
    const subscribers = await Promise.all(targets.map((target) => connect(target, 5)))
    for (const subscriber of subscribers) await subscriber.subscribe('t/#', qos)
    const publishers = await Promise.all(targets.map((target, i) => connect(target, i % 2 === 0 ? 5 : 4)))
    const messages = 25
    await Promise.all(
      publishers.map(async (publisher, p) => {
        for (let i = 0; i < messages; i++) await publisher.publish(`t/${p}`, `${p}.${i}`, { qos })
      }),
    )
    const orders = await Promise.all(subscribers.map((subscriber) => received(subscriber, 4 * messages)))
    const [first = []] = orders
    for (const order of orders) assert.deepEqual(order, first)
    for (const p of publishers.keys()) {
      const own = first.filter((payload) => payload.startsWith(`${p}.`))
      assert.deepEqual(
        own,
        Array.from({ length: messages }, (_, i) => `${p}.${i}`),
        'and no message of a publisher overtakes another',
      )
    }
    for (const client of [...subscribers, ...publishers]) client[Symbol.dispose]()
  })
}

const NOTHING = new Uint8Array(0)

/** Until what clients sent is with the order; nobody can see when that is so. */
const submitted = (): Promise<void> => wait(200)

test('a client resumes its session on another node, with subscriptions, queue and identifiers', async () => {
  const { targets } = await cluster(4, {}, { seed: 21 })
  const [first, second, third] = targets as [Target, Target, Target]
  using before = await connect(first, 5, kept('a'))
  await before.subscribe('t', 1)
  using publisher = await connect(third, 5)
  await publisher.publish('t', 'one', { qos: 1 })
  const one = await before.expectPacket('PUBLISH', { payload: 'one', dup: false })
  await before.drop()
  for (const payload of ['two', 'three']) await publisher.publish('t', payload, { qos: 1 })
  using after = await connect(second, 5, kept('a'))
  assert.equal(after.connack?.sessionPresent, true)
  // [MQTT-4.4.0-1] what was not acknowledged comes again, under its identifier; what surely was not sent comes without DUP
  await after.receive({ payload: 'one', dup: true, id: one.id })
  await after.receive({ payload: 'two' })
  await after.receive({ payload: 'three' })
  await publisher.publish('t', 'four', { qos: 1 })
  await after.receive({ payload: 'four', dup: false })
})

test('a takeover on another node closes the older connection with 0x8E', async () => {
  const { targets } = await cluster(4, {}, { seed: 22 })
  const [first, second] = targets as [Target, Target]
  using older = await connect(first, 5, { clientId: 'a' })
  using newer = await connect(second, 5, { clientId: 'a' })
  await older.expectRefusal(0x8e)
  await newer.ping()
})

test('of two nodes that a client connects to at once, one has it at the end, and all nodes know which', async () => {
  for (let seed = 0; seed < 5; seed++) {
    const { targets, brokers: nodes } = await cluster(4, {}, { seed: 100 + seed, turnsMax: 8, lagMax: 8 })
    const [first, second] = targets as [Target, Target]
    const clients = await Promise.all([connect(first, 4, { clientId: 'a' }), connect(second, 4, { clientId: 'a' })])
    await until(() => nodes.filter((node) => node.client('a') !== undefined).length === 1)
    const at = nodes.findIndex((node) => node.client('a') !== undefined)
    await clients[1 - at]?.expectClosed()
    await clients[at]?.ping()
    for (const client of clients) client[Symbol.dispose]()
  }
})

test('QoS 2 is published once, though its sender sends it again through another node', async () => {
  const { targets } = await cluster(4, {}, { seed: 23 })
  const [first, second, third] = targets as [Target, Target, Target]
  using subscriber = await connect(third, 5)
  await subscriber.subscribe('t', 2)
  using before = await connect(first, 5, kept('p'))
  before.send(wire.publish(5, 't', 'once', { qos: 2, id: 7 }))
  await before.expectPacket('PUBREC', { id: 7, reason: 0 })
  await before.drop()
  using again = await connect(second, 5, kept('p'))
  again.send(wire.publish(5, 't', 'once', { qos: 2, id: 7, dup: true }))
  await again.expectPacket('PUBREC', { id: 7, reason: 0 })
  again.send(wire.acknowledge('PUBREL', 7))
  await again.expectPacket('PUBCOMP', { id: 7, reason: 0 })
  await again.publish('t', 'next', { qos: 2 })
  await subscriber.receive({ payload: 'once' })
  await subscriber.receive({ payload: 'next' })
})

test('QoS 2 is delivered once, though its receiver goes on at another node between PUBREC and PUBCOMP', async () => {
  const { targets } = await cluster(4, {}, { seed: 24 })
  const [first, second, third] = targets as [Target, Target, Target]
  using before = await connect(first, 5, kept('s'))
  await before.subscribe('t', 2)
  using publisher = await connect(third, 5)
  await publisher.publish('t', 'once', { qos: 2 })
  const { id } = await before.expectPacket('PUBLISH', { payload: 'once' })
  before.send(wire.acknowledge('PUBREC', id))
  await before.expectPacket('PUBREL', { id })
  await before.drop()
  using after = await connect(second, 5, kept('s'))
  await after.expectPacket('PUBREL', { id })
  after.send(wire.acknowledge('PUBCOMP', id))
  await publisher.publish('t', 'next', { qos: 2 })
  await after.receive({ payload: 'next' })
})

test('a message as large as they get is ordered, whatever waits with it', async () => {
  const { targets, log } = await cluster(4, {}, { seed: 30 }, { onStall: 'queue' })
  const [first, second] = targets as [Target, Target]
  using subscriber = await connect(second, 5)
  await subscriber.subscribe('t', 1)
  using publisher = await connect(first, 5)
  // Nothing gets through: what comes gathers in the open bundle once enough others are under way.
  log.cut(0)
  const small = 32
  for (let i = 1; i <= small; i++) {
    publisher.send(wire.publish(5, 't', 'x'.repeat(4_000), { qos: 1, id: i }))
    await publisher.ping()
  }
  publisher.send(wire.publish(5, 't', 'y'.repeat(960 * 1024 - 100), { qos: 1, id: 100 }))
  await publisher.ping()
  log.join(0)
  for (let i = 1; i <= small; i++) await publisher.expectPacket('PUBACK', { id: i })
  await publisher.expectPacket('PUBACK', { id: 100, reason: 0 })
  for (let i = 1; i <= small; i++) await subscriber.receive()
  assert.equal((await subscriber.receive()).payload.length, 960 * 1024 - 100)
})

test('acknowledgements leave in the order of the requests, pipelined, whatever their QoS', async () => {
  const { targets } = await cluster(4, {}, { seed: 25, turnsMax: 8 })
  const [first] = targets as [Target]
  using publisher = await connect(first, 5, kept('p'))
  for (let i = 1; i <= 40; i++)
    publisher.send(wire.publish(5, `t/${i % 3}`, `${i}`, { qos: i % 2 === 0 ? 1 : 2, id: i }))
  for (let i = 1; i <= 40; i++) await publisher.expectPacket(i % 2 === 0 ? 'PUBACK' : 'PUBREC', { id: i, reason: 0 })
  for (let i = 1; i <= 40; i += 2) publisher.send(wire.acknowledge('PUBREL', i))
  for (let i = 1; i <= 40; i += 2) await publisher.expectPacket('PUBCOMP', { id: i, reason: 0 })
})

for (const how of ['transient', 'kept'] as const) {
  test(`a SUBSCRIBE of a ${how} session takes effect behind what the connection published before`, async () => {
    const { targets } = await cluster(4, {}, { seed: 26, turnsMax: 8 })
    const [first] = targets as [Target]
    using client = await connect(first, 5, how === 'kept' ? kept('a') : { clientId: 'a' })
    client.send(
      wire.publish(5, 't', 'before', { qos: 0 }),
      wire.publish(5, 't', 'before', { qos: 1, id: 1 }),
      wire.subscribe(5, 2, [['t', 1]]),
      wire.publish(5, 't', 'behind', { qos: 1, id: 3 }),
    )
    await client.expectPacket('PUBACK', { id: 1 })
    await client.expectPacket('SUBACK', { id: 2 })
    const types = [(await client.next())?.type, (await client.next())?.type]
    assert.deepEqual(new Set(types), new Set(['PUBACK', 'PUBLISH']))
    await client.expectNothing()
  })
}

test('a will is published once, at one place, when its node falls; clients of other nodes are not disturbed', async () => {
  const { targets, log } = await cluster(4, {}, { seed: 27 })
  const [first, second, third] = targets as [Target, Target, Target]
  const subscribers = await Promise.all([connect(second, 5), connect(third, 5)])
  for (const subscriber of subscribers) await subscriber.subscribe('#', 1)
  using dying = await connect(first, 5, kept('d', { will: { topic: 'will', payload: 'gone', qos: 1 } }))
  using publisher = await connect(second, 5)
  log.cut(0)
  for (let i = 0; i < 12; i++) {
    await publisher.publish('t', `${i}`, { qos: 1 })
    log.pass(0.2)
  }
  const orders = await Promise.all(subscribers.map((subscriber) => received(subscriber, 13)))
  assert.deepEqual(orders[0], orders[1])
  assert.equal(orders[0]?.filter((payload) => payload === 'gone').length, 1)
  log.join(0)
  // It reads of its own fall: its clients are disconnected, and it goes on with a new life.
  await dying.expectRefusal(0x9c)
  using again = await connectWhenServed(first, kept('d'))
  assert.equal(again.connack?.sessionPresent, true)
  for (const subscriber of subscribers) {
    await subscriber.expectNothing()
    subscriber[Symbol.dispose]()
  }
})

test('the fall of a node in an idle cluster is noticed by itself', async () => {
  const { targets, log } = await cluster(4, {}, { seed: 28 })
  const [first, second] = targets as [Target, Target]
  using subscriber = await connect(second, 5)
  await subscriber.subscribe('will', 1)
  using _dying = await connect(first, 5, { will: { topic: 'will', payload: 'gone', qos: 1 } })
  log.cut(0)
  await subscriber.receive({ payload: 'gone' })
})

test('a node that was started anew ends the connections of its earlier life at once', async () => {
  const { targets, brokers: nodes, log } = await cluster(4, {}, { seed: 29 })
  const [first, second] = targets as [Target, Target]
  using subscriber = await connect(second, 5)
  await subscriber.subscribe('will', 1)
  using lost = await connect(first, 5, { will: { topic: 'will', payload: 'gone', qos: 1 } })
  // Killed: nothing more of it is ordered, and it tells nobody.
  const [dead] = log.nodes
  await dead?.stop()
  const again = await createBroker({
    access: { allowAnonymous: true },
    sys: { intervalSeconds: 0 },
    cluster: { log: log.restarted(0), nodeTimeoutMs: 1_000 },
  })
  brokers.push(again)
  await subscriber.receive({ payload: 'gone' })
  assert.equal(nodes.length, 4)
  lost[Symbol.dispose]()
})

test('a node that has nothing catches up by a snapshot, and serves sessions and retained messages as of the agreed position', async () => {
  const { targets, log, brokers: nodes } = await cluster(4, {}, { seed: 40 })
  const [first, second] = targets as [Target, Target]
  using subscriber = await connect(first, 5, kept('a'))
  await subscriber.subscribe('t', 1)
  await subscriber.drop()
  using publisher = await connect(second, 5)
  for (let i = 0; i < 50; i++) await publisher.publish('t', `${i}`, { qos: 1, retain: i === 49 })
  await nodes[0]?.close({ graceMs: 0 })
  const again = await createBroker({
    access: { allowAnonymous: true },
    sys: { intervalSeconds: 0 },
    cluster: { log: log.restarted(0, { from: 1 }), nodeTimeoutMs: 1_000 },
  })
  brokers.push(again)
  const { port } = await again.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })
  using back = await connectWhenServed({ host: '127.0.0.1', port }, kept('a'))
  assert.equal(back.connack?.sessionPresent, true)
  assert.deepEqual(
    await received(back, 50),
    Array.from({ length: 50 }, (_, i) => `${i}`),
  )
  await publisher.publish('t', 'more', { qos: 1 })
  await back.receive({ payload: 'more' })
})

test('a node that was away keeps what its disk has, and goes on from there', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'concordmq-'))
  try {
    const { targets, log, brokers: nodes } = await cluster(4, {}, { seed: 41 })
    const [, second] = targets as [Target, Target]
    const open = async (): Promise<Broker> =>
      await createBroker({
        access: { allowAnonymous: true },
        sys: { intervalSeconds: 0 },
        storage: { directory },
        cluster: { log: log.restarted(0), nodeTimeoutMs: 1_000 },
      })
    using publisher = await connect(second, 5)
    using subscriber = await connect(second, 5, kept('a'))
    await subscriber.subscribe('t', 1)
    await subscriber.drop()
    for (let life = 0; life < 3; life++) {
      const broker = await open()
      await until(() => log.nodes[0]?.position === log.entries.length)
      await publisher.publish('t', `${life}`, { qos: 1 })
      await until(() => log.nodes[0]?.position === log.entries.length)
      await broker.close({ graceMs: 0 })
      // While it is away.
      await publisher.publish('t', `${life} away`, { qos: 1 })
    }
    const broker = await open()
    brokers.push(broker)
    const { port } = await broker.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })
    using back = await connectWhenServed({ host: '127.0.0.1', port }, kept('a'))
    assert.deepEqual(await received(back, 6), ['0', '0 away', '1', '1 away', '2', '2 away'])
    await until(() => Buffer.compare(broker.stateHash ?? NOTHING, nodes[1]?.stateHash ?? NOTHING) === 0)
  } finally {
    for (const broker of brokers.splice(0)) await broker.close({ graceMs: 0 })
    await rm(directory, { recursive: true })
  }
})

for (const how of ['run', 'retained'] as const) {
  test(`while nothing is ordered, transient subscribers here get a ${how} message at once, marked, and not again afterwards`, async () => {
    const { targets, log } = await cluster(4, {}, { seed: 50 })
    const [first, second] = targets as [Target, Target]
    using here = await connect(first, 5)
    using there = await connect(second, 5)
    using session = await connect(first, 5, kept('s'))
    for (const client of [here, there, session]) await client.subscribe('t', 1)
    using publisher = await connect(first, 5)
    log.stall()
    const retain = how === 'retained'
    // Acknowledged because this node's disk has it.
    await publisher.publish('t', 'one', { qos: 1, retain })
    const one = await here.receive({ payload: 'one' })
    assert.deepEqual(wire.propertyOf(one, 'userProperty'), ['concord-ordered', 'false'])
    publisher.send(wire.publish(5, 't', 'two', { qos: 2, id: 2, retain }))
    await here.receive({ payload: 'two' })
    await publisher.expectNothing()
    await there.expectNothing()
    await session.expectNothing()
    // It takes effect now, though what the client published has no place.
    await publisher.subscribe('other', 1)
    using late = await connect(first, 5)
    await late.subscribe('t', 1, retain ? undefined : [])
    log.heal()
    await publisher.expectPacket('PUBREC', { id: 2 })
    for (const client of [there, session, late]) {
      for (const payload of ['one', 'two']) {
        assert.equal(wire.propertyOf(await client.receive({ payload }), 'userProperty'), undefined)
      }
    }
    await publisher.publish('t', 'three', { qos: 1 })
    for (const client of [here, there, session, late]) await client.receive({ payload: 'three' })
  })
}

for (const how of ['run', 'retained'] as const) {
  test(`a ${how} message that is under way when the order stops is given to transient subscribers here, and is answered`, async () => {
    const { targets, log } = await cluster(4, {}, { seed: 54 })
    const [first, second] = targets as [Target, Target]
    const retain = how === 'retained'
    using here = await connect(first, 5)
    using there = await connect(second, 5)
    for (const client of [here, there]) await client.subscribe('t', 1)
    using publisher = await connect(first, 5)
    // The others are gone, and this node does not know it yet.
    log.stalled = true
    publisher.send(wire.publish(5, 't', 'one', { qos: 1, id: 1, retain }))
    publisher.send(wire.publish(5, 't', 'two', { qos: 0, retain }))
    publisher.send(wire.publish(5, 't', 'three', { qos: 2, id: 2, retain }))
    await publisher.expectNothing()
    await here.expectNothing()
    log.stall()
    await publisher.expectPacket('PUBACK', { id: 1, reason: 0 })
    publisher.send(wire.publish(5, 't', 'four', { qos: 0, retain }))
    const payloads = ['one', 'two', 'three', 'four']
    for (const payload of payloads) {
      const one = await here.receive({ payload })
      assert.deepEqual(wire.propertyOf(one, 'userProperty'), ['concord-ordered', 'false'])
    }
    await publisher.subscribe('other', 1)
    await there.expectNothing()
    log.heal()
    await publisher.expectPacket('PUBREC', { id: 2 })
    await publisher.publish('t', 'five', { qos: 1 })
    for (const payload of payloads) await there.receive({ payload })
    // Nobody gets a message twice.
    for (const client of [here, there]) await client.receive({ payload: 'five' })
  })
}

test('a message that no block has room for, with the names that belong to it, is refused at once', async () => {
  const clientId = 'c'.repeat(65_535)
  const { targets, log } = await cluster(4, { limits: { clientIdBytesMax: 65_535 } }, { seed: 52 })
  const [first] = targets as [Target]
  for (const [qos, type] of [
    [1, 'PUBACK'],
    [2, 'PUBREC'],
  ] as const) {
    using client = await connect(first, 5, { clientId })
    const before = log.entries.length
    client.send(wire.publish(5, 't', 'y'.repeat(960 * 1024 - 100), { qos, id: 1 }))
    await client.expectPacket(type, { id: 1, reason: 0x97 })
    assert.ok(log.entries.slice(before).every(({ message }) => message.bytes.length < 1000))
    await client.publish('t', 'small', { qos: 1 })
  }
})

test('while nothing is ordered, no session is resumed or kept, and a transient one begins', async () => {
  const { targets, log } = await cluster(4, {}, { seed: 51 })
  const [first] = targets as [Target]
  const before = await connect(first, 5, kept('a'))
  await before.disconnect()
  log.stall()
  for (const options of [kept('a'), kept('new'), { clientId: 'a', cleanStart: false }]) {
    using refused = await open(first, 5)
    refused.send(wire.connect(5, options))
    await refused.expectConnectRefused(0x88)
  }
  using client = await connect(first, 5, { clientId: 'b' })
  await client.subscribe('t', 1)
  client.send(wire.publish(5, 't', 'here', { qos: 0 }))
  await client.receive({ payload: 'here' })
  log.heal()
  client.send(wire.publish(5, 't', 'all', { qos: 0 }))
  await client.receive({ payload: 'all' })
})

test('a CONNECT that is under way when the order stops is answered then if it keeps no session, else in its place', async () => {
  const { targets, log } = await cluster(4, {}, { seed: 55 })
  const [first, second] = targets as [Target, Target]
  using there = await connect(second, 5)
  await there.subscribe('t', 1)
  // The others are gone, and this node does not know it yet.
  log.stalled = true
  using transient = await open(first, 5)
  transient.send(wire.connect(5, { clientId: 'transient' }))
  using session = await open(first, 5)
  session.send(wire.connect(5, kept('session')))
  const gone = await open(first, 5)
  gone.send(wire.connect(5, { clientId: 'gone' }))
  await submitted()
  await gone.drop()
  log.stall()
  await transient.expectPacket('CONNACK', { reason: 0 })
  await transient.subscribe('t', 1)
  transient.send(wire.publish(5, 't', 'here', { qos: 1, id: 7 }))
  await transient.receive({ payload: 'here' })
  await transient.expectPacket('PUBACK', { id: 7, reason: 0 })
  log.heal()
  await there.receive({ payload: 'here' })
  await session.expectPacket('CONNACK', { reason: 0 })
  await session.publish('t', 'all', { qos: 1 })
  for (const client of [there, transient]) await client.receive({ payload: 'all' })
  using again = await connect(first, 5, { clientId: 'gone' })
  await again.publish('t', 'again', { qos: 1 })
})

test('a QoS 2 message that was ordered, and is sent again when the order stops, reaches nobody twice', async () => {
  const { targets, log } = await cluster(4, {}, { seed: 57 })
  const [first] = targets as [Target]
  using here = await connect(first, 5)
  await here.subscribe('t', 1)
  const before = await connect(first, 5, kept('p'))
  before.send(wire.publish(5, 't', 'one', { qos: 2, id: 1 }))
  before.send(wire.publish(5, 't', 'retained', { qos: 2, id: 2, retain: true }))
  for (const payload of ['one', 'retained']) await here.receive({ payload })
  await before.drop()
  using publisher = await connect(first, 5, kept('p'))
  log.stalled = true
  publisher.send(wire.publish(5, 't', 'one', { qos: 2, id: 1, dup: true }))
  publisher.send(wire.publish(5, 't', 'new', { qos: 2, id: 3 }))
  publisher.send(wire.publish(5, 't', 'retained', { qos: 2, id: 2, retain: true, dup: true }))
  await submitted()
  log.stall()
  await here.receive({ payload: 'new' })
  await here.expectNothing()
  log.heal()
  for (const id of [1, 3, 2]) await publisher.expectPacket('PUBREC', { id })
  await publisher.publish('t', 'last', { qos: 1, id: 4 })
  await here.receive({ payload: 'last' })
})

for (const underWay of [true, false]) {
  test(`a client that is let in while nothing is ordered ends its older connection, ${underWay ? 'its CONNECT under way' : 'at once'}`, async () => {
    const { targets, log } = await cluster(4, {}, { seed: 58 })
    const [first, second] = targets as [Target, Target]
    using there = await connect(second, 5)
    await there.subscribe('t', 1)
    using older = await connect(first, 5, { clientId: 'x' })
    await older.subscribe('t', 1)
    if (underWay) log.stalled = true
    else log.stall()
    using client = await open(first, 5)
    client.send(wire.connect(5, { clientId: 'x' }))
    await submitted()
    if (underWay) log.stall()
    await client.expectPacket('CONNACK', { reason: 0 })
    await older.expectPacket('DISCONNECT', { reason: 0x8e })
    await client.subscribe('u', 1)
    await client.publish('t', 'not for this one any more', { qos: 0 })
    log.heal()
    await there.receive({ payload: 'not for this one any more' })
    client.send(wire.publish(5, 'u', 'after', { qos: 0 }))
    await client.receive({ payload: 'after' })
  })
}

test('logins that wait for their turn when the order stops are answered, too', async () => {
  const { targets, log } = await cluster(4, {}, { seed: 56 })
  const [first] = targets as [Target]
  log.stalled = true
  const clients: RawClient[] = []
  for (let i = 0; i < LOGINS_ALONE_MAX + 20; i++) {
    const client = await open(first, 5)
    client.send(wire.connect(5, { clientId: `c${i}` }))
    clients.push(client)
  }
  await submitted()
  log.stall()
  for (const client of clients) await client.expectPacket('CONNACK', { reason: 0 })
  log.heal()
  for (const client of clients) {
    await client.publish('t', 'x', { qos: 1 })
    await client.drop()
  }
})

for (const gone of [true, false]) {
  test(`a client that comes again while nothing is ordered stays connected when its first CONNECT gets its place, ${gone ? 'gone by then' : 'and the first connection ends'}`, async () => {
    const { targets, log } = await cluster(4, {}, { seed: 53 })
    const [first, second] = targets as [Target, Target]
    using publisher = await connect(second, 5)
    const [node] = log.nodes as [NodeLog]
    // The order has the first CONNECT, and this node has not got so far.
    node.heldAt = log.entries.length
    using early = await open(first, 5)
    early.send(wire.connect(5, { clientId: 'a' }))
    await until(() => log.entries.length > (node.heldAt ?? 0))
    log.stall()
    if (gone) await early.drop()
    using client = await connect(first, 5, { clientId: 'a' })
    await client.subscribe('t', 1)
    node.heldAt = undefined
    node.wake()
    log.heal()
    await until(() => log.nodes.every(({ position }) => position === log.entries.length))
    await publisher.publish('t', 'one', { qos: 1 })
    await client.receive({ payload: 'one' })
    if (gone) return
    await early.expectPacket('CONNACK')
    await early.expectPacket('DISCONNECT', { reason: 0x8e })
  })
}

test('onStall queue lets messages wait; refuse answers 0x97, and closes before 5.0', async () => {
  for (const onStall of ['queue', 'refuse'] as const) {
    const { targets, log } = await cluster(4, {}, { seed: 52 }, { onStall })
    const [first] = targets as [Target]
    using subscriber = await connect(first, 5)
    await subscriber.subscribe('t', 1)
    using publisher = await connect(first, 5)
    using older = await connect(first, 4, { clientId: 'older' })
    log.stall()
    publisher.send(wire.publish(5, 't', 'x', { qos: 1, id: 1 }))
    if (onStall === 'refuse') {
      await publisher.expectPacket('PUBACK', { id: 1, reason: 0x97 })
      older.send(wire.publish(4, 't', 'x', { qos: 1, id: 1 }))
      await older.expectClosed()
      continue
    }
    await subscriber.expectNothing()
    log.heal()
    await subscriber.receive({ payload: 'x' })
    await publisher.expectPacket('PUBACK', { id: 1, reason: 0 })
  }
})

test('a subscription that asks for it is told the place of each message, the same on all nodes, whatever the session', async () => {
  const { targets } = await cluster(4, {}, { seed: 60 })
  const [first, second, third] = targets as [Target, Target, Target]
  using a = await connect(first, 5)
  using b = await connect(second, 5, kept('b'))
  using c = await connect(third, 5)
  const asks: wire.Property = ['userProperty', ['concord-order', '1']]
  for (const client of [a, b]) await client.subscribe('t/#', 1, [asks])
  await c.subscribe('t/#', 1)
  using publisher = await connect(third, 5)
  for (let i = 0; i < 20; i++)
    publisher.send(wire.publish(5, 't/1', `${i}`, { qos: 1, id: i + 1, retain: i % 7 === 0 }))
  const placesOf = async (client: RawClient): Promise<string[]> => {
    const places: string[] = []
    for (let i = 0; i < 20; i++) {
      const message = await client.receive({ payload: `${i}` })
      places.push(JSON.stringify(wire.propertiesOf(message, 'userProperty')))
    }
    return places
  }
  const places = await placesOf(a)
  assert.deepEqual(await placesOf(b), places)
  assert.equal(new Set(places).size, 20)
  assert.match(places[0] ?? '', /^\[\["concord-position","\d+\.\d+"\],\["concord-time","\d{16}"\]\]$/)
  assert.deepEqual(new Set(await placesOf(c)), new Set(['[]']))
})

test('messages of one run come whole to each subscriber that asks for places, and all are acknowledged', async () => {
  const { targets } = await cluster(4, {}, { seed: 61 })
  const [first, second] = targets as [Target, Target]
  const asks: wire.Property = ['userProperty', ['concord-order', '1']]
  using a = await connect(first, 5)
  using b = await connect(first, 5)
  for (const client of [a, b]) await client.subscribe('t', 1, [asks])
  using publisher = await connect(second, 5)
  publisher.send(Buffer.concat([1, 2, 3].map((id) => wire.publish(5, 't', `${id}`, { qos: 1, id }))))
  for (const id of [1, 2, 3]) await publisher.expectPacket('PUBACK', { id, reason: 0 })
  for (const client of [a, b]) for (const id of [1, 2, 3]) await client.receive({ payload: `${id}` })
})

test('session expiry falls on one position on all nodes', async () => {
  const { targets, log, brokers: nodes } = await cluster(4, {}, { seed: 30 })
  const [first, second] = targets as [Target, Target]
  const client = await connect(first, 5, {
    clientId: 'a',
    cleanStart: false,
    properties: [['sessionExpiryInterval', 50]],
  })
  await client.subscribe('t', 1)
  await client.disconnect()
  using publisher = await connect(second, 5)
  await publisher.publish('t', 'x', { qos: 1 })
  log.pass(60)
  await publisher.publish('u', 'y', { qos: 1 })
  using back = await connect(second, 5, kept('a'))
  assert.equal(back.connack?.sessionPresent, false)
  assert.equal(nodes.length, 4)
})

test('a shared group chooses one member across nodes, and hands over when a node falls', async () => {
  const { targets, log } = await cluster(4, {}, { seed: 31 })
  const [first, second, third, fourth] = targets as [Target, Target, Target, Target]
  using a = await connect(first, 5, { clientId: 'a' })
  using b = await connect(second, 5, { clientId: 'b' })
  using c = await connect(third, 5, kept('c'))
  for (const member of [a, b, c]) await member.subscribe('$share/g/t', 1)
  using publisher = await connect(fourth, 5)
  for (let i = 0; i < 6; i++) await publisher.publish('t', `${i}`, { qos: 1 })
  const taken = await Promise.all([received(a, 2), received(b, 2), received(c, 2)])
  assert.deepEqual(taken.flat().sort(), ['0', '1', '2', '3', '4', '5'])
  log.cut(0)
  for (let i = 0; i < 3; i++) await publisher.publish('t', `x${i}`, { qos: 1 })
  for (let i = 0; i < 12; i++) {
    log.pass(0.2)
    await publisher.publish('time', '', { qos: 1 })
  }
  // What the member on the fallen node had not acknowledged, as far as the others know, passes on.
  const later: string[] = []
  const collect = async (member: RawClient): Promise<void> => {
    for (;;) later.push((await member.receive({}, 60_000)).payload.toString())
  }
  for (const member of [b, c]) collect(member).catch(() => {})
  const fresh = (): string[] => later.filter((payload) => payload.startsWith('x')).sort()
  await until(() => fresh().length === 3)
  assert.deepEqual(fresh(), ['x0', 'x1', 'x2'])
})

/** Connects until the node serves. */
async function connectWhenServed(target: Target, options: wire.ConnectOptions): Promise<RawClient> {
  for (;;) {
    const client = await open(target, 5)
    client.send(wire.connect(5, options))
    const connack = await client.expectPacket('CONNACK')
    client.connack = connack
    if (connack.reason === 0) return client
    client[Symbol.dispose]()
  }
}
