/** What clients are promised on a single node holds across the nodes of a cluster: rights, takeover, groups, wills, retained messages. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { FlowClient } from '../../../testing/testkit/src/flow-client.ts'
import { connect, open, type Target } from '../../../testing/testkit/src/raw-client.ts'
import type { SharedLogOptions } from '../../../testing/testkit/src/shared-log.ts'
import * as wire from '../../../testing/testkit/src/wire.ts'
import type { Broker } from './api.ts'
import { type Cluster, closeAll, kept, openCluster, received, until } from './cluster-brokers.testkit.ts'
import type { BrokerOptions } from './config/options.ts'
import { LOGINS_ALONE_MAX } from './connections/connect-line.ts'

const brokers: Broker[] = []
after(() => closeAll(brokers))

async function cluster(log: SharedLogOptions, options: BrokerOptions = {}, onStall?: 'queue'): Promise<Cluster> {
  const opened = await openCluster(4, { options, log, ...(onStall && { cluster: { onStall } }) })
  brokers.push(...opened.brokers)
  return opened
}

/** Every node has applied all that is ordered, to the same state. */
async function sameState({ brokers: nodes, log }: Cluster): Promise<void> {
  await until(() => log.nodes.every(({ position }) => position === log.entries.length))
  const hashes = nodes.map((node) => Buffer.from(node.stateHash ?? []).toString('hex'))
  assert.ok(hashes[0] !== '' && hashes.every((hash) => hash === hashes[0]), hashes.join(' '))
}

test('a publish without the right never enters the order, and its publisher is told 0x87', async () => {
  const both = ['publish', 'subscribe'] as const
  const permissions = { default: 'deny', clients: new Map([['reader', { topics: [{ filter: '#', allowed: both }] }]]) }
  const nodes = await cluster({ seed: 201 }, {
    access: { allowAnonymous: true, permissions },
  } as BrokerOptions)
  const [first, second] = nodes.targets as [Target, Target]
  using reader = await connect(second, 5, { clientId: 'reader' })
  await reader.subscribe('#', 1)
  for (const version of [5, 4] as const) {
    using poor = await connect(first, version, { clientId: `poor${version}` })
    await until(() => nodes.log.nodes.every(({ position }) => position === nodes.log.entries.length))
    const before = nodes.log.entries.length
    const reason = version === 5 ? 0x87 : 0
    for (const retain of [false, true]) {
      poor.send(wire.publish(version, 'x', 'zero', { qos: 0, retain }))
      poor.send(wire.publish(version, 'x', 'one', { qos: 1, id: 1, retain }))
      await poor.expectPacket('PUBACK', { id: 1, reason })
      poor.send(wire.publish(version, 'x', 'two', { qos: 2, id: 2, retain }))
      await poor.expectPacket('PUBREC', { id: 2, reason })
      if (version === 5) continue
      // [MQTT3-3.3.5-2] answered as if it had been taken, to the end of the handshake.
      poor.send(wire.acknowledge('PUBREL', 2))
      await poor.expectPacket('PUBCOMP', { id: 2 })
    }
    assert.equal(nodes.log.entries.length, before)
  }
  await reader.expectNothing()
  await sameState(nodes)
})

test('logins beyond those that may be on their way wait for their turn, and who is gone by then is not ordered', async () => {
  const opened = await openCluster(4, { log: { seed: 204 }, cluster: { onStall: 'queue' } })
  brokers.push(...opened.brokers)
  const { log } = opened
  const [broker] = opened.brokers as [Broker]
  const [target] = opened.targets as [Target]
  const all = Array.from({ length: LOGINS_ALONE_MAX + 20 }, (_, n) => `c${n}`)
  log.stall()
  const clients = await Promise.all(all.map(() => open(target, 5)))
  for (const [n, client] of clients.entries()) client.send(wire.connect(5, { clientId: `c${n}` }))
  await until(() => broker.counters.limits.loginsWaited === 20)
  const gone = clients.at(-1)
  await gone?.drop()
  await until(() => broker.inspection.totals().connections === all.length - 1)
  log.heal()
  for (const client of clients.slice(0, -1)) await client.expectPacket('CONNACK', { reason: 0 })
  await until(() => log.nodes.every(({ position }) => position === log.entries.length))
  const ordered = Buffer.concat(log.entries.map(({ message }) => Buffer.from(message.bytes))).toString('latin1')
  assert.ok(ordered.includes(all.at(-2) as string))
  assert.ok(!ordered.includes(all.at(-1) as string))
  await Promise.all(clients.slice(0, -1).map((client) => client.drop()))
})

test('a takeover on another node closes the older connection within a second, in 5.0 with 0x8E', async () => {
  const nodes = await cluster({ seed: 202, turnsMax: 8, lagMax: 8 })
  const [first, second, third] = nodes.targets as [Target, Target, Target]
  for (const version of [5, 4] as const) {
    using older = await connect(first, version, { clientId: 'a', cleanStart: false })
    const begunMs = performance.now()
    using newer = await connect(second, version, { clientId: 'a', cleanStart: false })
    await older.expectRefusal(0x8e)
    assert.ok(performance.now() - begunMs < 1000)
    using newest = await connect(third, version, { clientId: 'a', cleanStart: false })
    await newer.expectRefusal(0x8e)
    await newest.ping()
    const owners = nodes.brokers.filter((node) => node.client('a') !== undefined)
    assert.equal(owners.length, 1, 'one node has it')
    await newest.disconnect()
  }
  await sameState(nodes)
})

test('a will that a takeover on another node sets free comes once, before what the newer connection publishes', async () => {
  const nodes = await cluster({ seed: 203, turnsMax: 8 })
  const [first, second, third, fourth] = nodes.targets as [Target, Target, Target, Target]
  const subscribers = await Promise.all([first, third, fourth].map((target) => connect(target, 5)))
  for (const subscriber of subscribers) await subscriber.subscribe('#', 1)
  using older = await connect(first, 5, kept('a', { will: { topic: 'will', payload: 'lost', qos: 1 } }))
  using newer = await connect(second, 5, kept('a'))
  await newer.publish('t', 'taken over', { qos: 1 })
  await older.expectRefusal(0x8e)
  for (const subscriber of subscribers) {
    assert.deepEqual(await received(subscriber, 2), ['lost', 'taken over'])
    await subscriber.expectNothing()
    subscriber[Symbol.dispose]()
  }
  await sameState(nodes)
})

test('the will of a client that is lost has one place on all nodes, and stays as retained [row F32]', async () => {
  const nodes = await cluster({ seed: 204, lagMax: 8 })
  const subscribers = await Promise.all(nodes.targets.map((target) => connect(target, 5)))
  const asks: wire.Property = ['userProperty', ['concord-order', '1']]
  for (const subscriber of subscribers) await subscriber.subscribe('#', 1, [asks])
  const [first, second] = nodes.targets as [Target, Target]
  const dying = await connect(first, 5, { will: { topic: 'will', payload: 'lost', qos: 1, retain: true } })
  using publisher = await connect(second, 5)
  for (let i = 0; i < 10; i++) {
    publisher.send(wire.publish(5, 't', `${i}`, { qos: 1, id: i + 1 }))
    if (i === 4) await dying.drop()
  }
  const seen = await Promise.all(
    subscribers.map(async (subscriber) => {
      const places: string[] = []
      for (let i = 0; i < 11; i++) {
        const message = await subscriber.receive()
        places.push(`${message.payload.toString()} ${JSON.stringify(wire.propertiesOf(message, 'userProperty'))}`)
      }
      return places
    }),
  )
  for (const places of seen) assert.deepEqual(places, seen[0])
  for (const target of nodes.targets) {
    using late = await connect(target, 5)
    await late.subscribe('will', 1)
    await late.receive({ payload: 'lost', retain: true })
  }
  for (const subscriber of subscribers) subscriber[Symbol.dispose]()
  await sameState(nodes)
})

test('a topic that two nodes set at once has one retained message everywhere [row F31]', async () => {
  const nodes = await cluster({ seed: 205, turnsMax: 12, lagMax: 8 })
  const [first, , third] = nodes.targets as [Target, Target, Target]
  const publishers = await Promise.all([connect(first, 5), connect(third, 5)])
  await Promise.all(
    publishers.map(async (publisher, p) => {
      for (let i = 0; i < 100; i++)
        publisher.send(wire.publish(5, 'r', `${p}.${i}`, { qos: 1, id: i + 1, retain: true }))
      for (let i = 0; i < 100; i++) await publisher.expectPacket('PUBACK', { id: i + 1 })
    }),
  )
  const values = await Promise.all(
    nodes.targets.map(async (target) => {
      using late = await connect(target, 5)
      await late.subscribe('r', 1)
      return (await late.receive({ retain: true })).payload.toString()
    }),
  )
  assert.equal(new Set(values).size, 1, values.join(' '))
  await sameState(nodes)
})

for (const leaves of ['disconnects', 'is lost', 'unsubscribes', 'ends its session'] as const) {
  test(`a member of a shared group that ${leaves} at one node hands what it has not acknowledged to one at another`, async () => {
    const nodes = await cluster({ seed: 206 })
    const [first, second, third] = nodes.targets as [Target, Target, Target]
    const ends = leaves === 'disconnects' || leaves === 'is lost'
    using leaver = await connect(first, 5, ends ? { clientId: 'leaver' } : kept('leaver'))
    using stayer = await connect(second, 5, { clientId: 'stayer' })
    for (const member of [leaver, stayer]) await member.subscribe('$share/g/t', 1)
    using publisher = await connect(third, 5)
    for (let i = 0; i < 6; i++) await publisher.publish('t', `${i}`, { qos: 1 })
    const own = await received(stayer, 3)
    for (let i = 0; i < 3; i++) await leaver.expectPacket('PUBLISH')
    if (leaves === 'disconnects') await leaver.disconnect()
    else if (leaves === 'is lost') await leaver.drop()
    else if (leaves === 'unsubscribes') {
      leaver.send(wire.unsubscribe(5, 99, ['$share/g/t']))
      await leaver.expectPacket('UNSUBACK', { id: 99 })
      await publisher.publish('t', 'next', { qos: 1 })
      await stayer.receive({ payload: 'next' })
      // [MQTT-3.10.4-3] what it may have been sent it settles itself.
      await stayer.expectNothing()
      return
    } else await leaver.disconnect(0, [['sessionExpiryInterval', 0]])
    const others = await received(stayer, 3)
    assert.deepEqual([...own, ...others].sort(), ['0', '1', '2', '3', '4', '5'])
    await stayer.expectNothing()
    await sameState(nodes)
  })
}

test('a queue moves with its session from node to node, once each message, and one node has it [rows U13, U14]', async () => {
  const nodes = await cluster({ seed: 207 })
  const { targets, brokers: members } = nodes
  const first = await connect(targets[0] as Target, 5, kept('s'))
  await first.subscribe('t', 2)
  await first.disconnect()
  using publisher = await connect(targets[3] as Target, 5)
  for (let i = 0; i < 5; i++) await publisher.publish('t', `${i}`, { qos: i % 2 === 0 ? 1 : 2 })
  using second = await connect(targets[1] as Target, 5, kept('s'))
  assert.equal(second.connack?.sessionPresent, true)
  assert.deepEqual(await received(second, 5), ['0', '1', '2', '3', '4'])
  await second.expectNothing()
  await until(() => members.filter((member) => member.client('s') !== undefined).length === 1)
  assert.notEqual(members[1]?.client('s'), undefined)
  using third = await connect(targets[2] as Target, 5, kept('s'))
  await second.expectRefusal(0x8e)
  await third.expectNothing()
  await sameState(nodes)
})

test('a message expires for all nodes at once, also one that no node has looked at', async () => {
  const nodes = await cluster({ seed: 208 })
  const [first, second, third] = nodes.targets as [Target, Target, Target]
  for (const [i, target] of nodes.targets.entries()) {
    const session = await connect(target, 5, kept(`s${i}`))
    await session.subscribe('t', 1)
    await session.disconnect()
  }
  using publisher = await connect(first, 5)
  await publisher.publish('t', 'short', { qos: 1, retain: true, properties: [['messageExpiryInterval', 10]] })
  await publisher.publish('t', 'long', { qos: 1 })
  nodes.log.pass(11)
  using other = await connect(second, 5)
  await other.publish('time', '', { qos: 1 })
  await sameState(nodes)
  for (const i of nodes.targets.keys()) {
    using session = await connect(third, 5, kept(`s${i}`))
    assert.deepEqual(await received(session, 1), ['long'])
    await session.expectNothing()
  }
  using late = await connect(third, 5)
  await late.subscribe('t', 1)
  await late.expectNothing()
})

test('who asks for time stamps is told the time of the order and the place in it, the same at all nodes [row F33]', async () => {
  const nodes = await cluster({ seed: 209, lagMax: 8 })
  const asks: wire.Property = ['userProperty', ['include_broker_timestamps', 'true']]
  const subscribers = await Promise.all(
    nodes.targets.map((target, i) => connect(target, 5, i % 2 === 0 ? { clientId: `s${i}` } : kept(`s${i}`))),
  )
  for (const subscriber of subscribers) await subscriber.subscribe('t', 1, [asks])
  using publisher = await connect(nodes.targets[0] as Target, 5)
  // The clocks of nodes differ, and the second changes.
  nodes.log.pass(0.7)
  publisher.send(Buffer.concat([1, 2, 3].map((id) => wire.publish(5, 't', `run ${id}`, { qos: 1, id }))))
  publisher.send(wire.publish(5, 't', 'retained', { qos: 1, id: 4, retain: true }))
  const seen = await Promise.all(
    subscribers.map(async (subscriber) => {
      const all: string[] = []
      for (let i = 0; i < 4; i++)
        all.push(JSON.stringify(wire.propertiesOf(await subscriber.receive(), 'userProperty')))
      return all
    }),
  )
  for (const properties of seen) assert.deepEqual(properties, seen[0])
  for (const text of seen[0] ?? []) {
    const found = new Map(JSON.parse(text) as [string, string][])
    const keys = ['timestamp_received', 'consensus_timestamp', 'concord-position', 'concord-time']
    assert.deepEqual([...found.keys()], keys)
    const time = found.get('consensus_timestamp') ?? ''
    assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
    assert.equal(found.get('timestamp_received'), `${time.slice(0, 19)}Z`)
    const us = Date.parse(`${time.slice(0, 19)}Z`) * 1000 + Number(time.slice(20, 26))
    assert.equal(`${us}`, found.get('concord-time'))
  }
  for (const subscriber of subscribers) subscriber[Symbol.dispose]()
})

test('publishers that are faster than the order are not read on, whatever their QoS, and nothing of theirs is lost [rows F6, F39]', async () => {
  const nodes = await cluster({ seed: 261 }, {}, 'queue')
  const [first, second] = nodes.targets as [Target, Target]
  const arrived: string[] = []
  const { promise: subscribed, resolve } = Promise.withResolvers<void>()
  const subscriber = new FlowClient(second, {
    version: 5,
    connect: { clientId: 'reader' },
    onPacket: ({ type, payload }, client) => {
      if (type === 'CONNACK') client.send(wire.subscribe(5, 1, [['t', 0]]))
      else if (type === 'SUBACK') resolve()
      else arrived.push(payload.toString('latin1', 0, 5).trim())
    },
  })
  await subscribed
  const { counters } = nodes.brokers[0] as Broker
  const acknowledged: number[] = []
  const publishers = [0, 1].map((qos) => {
    const connected = Promise.withResolvers<void>()
    const client = new FlowClient(first, {
      version: 4,
      connect: { clientId: `fast${qos}` },
      onPacket: ({ type, id }) => (type === 'CONNACK' ? connected.resolve() : acknowledged.push(id ?? 0)),
    })
    return { qos, client, connected: connected.promise }
  })
  for (const { connected } of publishers) await connected
  nodes.log.stall()
  const before = counters.bytesReceived
  const count = 40
  for (let id = 1; id <= count; id++) {
    for (const { qos, client } of publishers) {
      const payload = `${qos}:${id}`.padEnd(400_000)
      client.send(wire.publish(4, 't', payload, qos === 0 ? { qos } : { qos, id }))
    }
  }
  // Read until its room is full, and then no further, however long it takes.
  let readBytes = 0
  for (let still = 0; still < 20; still++) {
    await new Promise((after) => setTimeout(after, 10))
    if (counters.bytesReceived - before > readBytes) still = 0
    readBytes = counters.bytesReceived - before
  }
  const answered = acknowledged.length + arrived.length
  nodes.log.heal()
  assert.ok(readBytes > 3e6 && readBytes < 12e6, `${readBytes} bytes were read`)
  assert.equal(answered, 0)
  // For as long as something comes.
  for (let come = -1; come < arrived.length + acknowledged.length; ) {
    come = arrived.length + acknowledged.length
    if (come < 3 * count) await until(() => arrived.length + acknowledged.length > come)
  }
  assert.equal(acknowledged.length, count)
  for (const { qos } of publishers) {
    const own = arrived.filter((name) => name.startsWith(`${qos}:`))
    assert.deepEqual(
      own,
      Array.from({ length: count }, (_, i) => `${qos}:${i + 1}`),
    )
  }
  for (const client of [subscriber, ...publishers.map((one) => one.client)]) client.drop()
})
