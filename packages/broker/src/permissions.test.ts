/** Permissions in force: what a publisher is told, what nobody gets, and what a change does to clients that are connected. */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { connect, open, type Target } from '../../../testing/testkit/src/raw-client.ts'
import * as wire from '../../../testing/testkit/src/wire.ts'
import type { Broker } from './api.ts'
import { createBroker } from './broker.ts'
import type { BrokerOptions, PermissionOptions, PermissionRule } from './config/options.ts'

const brokers: Broker[] = []
after(async () => {
  for (const broker of brokers) await broker.close({ graceMs: 0 })
})

const both = ['publish', 'subscribe'] as const

/** Rules for all clients, by client identifier. */
function byClient(tables: Readonly<Record<string, readonly PermissionRule[]>>, more: Partial<PermissionOptions> = {}) {
  const clients = new Map(Object.entries(tables).map(([name, topics]) => [name, { topics }]))
  return { allowAnonymous: true, permissions: { default: 'deny', clients, ...more } as PermissionOptions }
}

async function start(
  access: BrokerOptions['access'],
  options: BrokerOptions = {},
): Promise<{ readonly broker: Broker; readonly target: Target }> {
  const broker = await createBroker({ sys: { intervalSeconds: 0 }, ...options, access: access ?? {} })
  brokers.push(broker)
  const { port } = await broker.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })
  return { broker, target: { host: '127.0.0.1', port } }
}

const willDelay = (seconds: number): wire.Property => ['willDelayInterval', seconds]
const expiry = (seconds: number): wire.Property => ['sessionExpiryInterval', seconds]
const everything: readonly PermissionRule[] = [{ filter: '#', allowed: both }]

describe('a publisher without the right', () => {
  test('is told 0x87 in PUBACK and PUBREC, and nothing is stored or forwarded', async () => {
    const { broker, target } = await start(byClient({ reader: everything, kept: everything }))
    const reader = await connect(target, 5, { clientId: 'reader' })
    const kept = await connect(target, 5, { clientId: 'kept', properties: [expiry(100)] })
    await reader.subscribe('#', 2)
    await kept.subscribe('#', 2)
    const poor = await connect(target, 5, { clientId: 'poor' })
    for (const retain of [false, true]) {
      poor.send(wire.publish(5, 'x', 'zero', { qos: 0, retain }))
      poor.send(wire.publish(5, 'x', 'one', { qos: 1, id: 1, retain }))
      await poor.expectPacket('PUBACK', { id: 1, reason: 0x87 })
      poor.send(wire.publish(5, 'x', 'two', { qos: 2, id: 2, retain }))
      await poor.expectPacket('PUBREC', { id: 2, reason: 0x87 })
    }
    await reader.expectNothing()
    await kept.expectNothing()
    const late = await connect(target, 5, { clientId: 'reader' })
    await late.subscribe('#', 1)
    await late.expectNothing()
    assert.equal(broker.counters.publishDenied, 6)
  })

  test('of 3.1.1 is acknowledged all the same, and nothing is forwarded [MQTT3-3.3.5-2]', async () => {
    const { target } = await start(byClient({ reader: everything }))
    const reader = await connect(target, 5, { clientId: 'reader' })
    await reader.subscribe('#', 2)
    for (const version of [3, 4] as const) {
      const poor = await connect(target, version, { clientId: 'poor' })
      poor.send(wire.publish(version, 'x', 'one', { qos: 1, id: 1 }))
      await poor.expectPacket('PUBACK', { id: 1 })
      poor.send(wire.publish(version, 'x', 'two', { qos: 2, id: 2 }))
      await poor.expectPacket('PUBREC', { id: 2 })
      poor.send(wire.acknowledge('PUBREL', 2))
      await poor.expectPacket('PUBCOMP', { id: 2 })
    }
    await reader.expectNothing()
  })

  test('by topic alias, in a run of messages and in a packet in pieces gets no further', async () => {
    const { target } = await start(byClient({ reader: everything, writer: [{ filter: 'ok', allowed: ['publish'] }] }))
    const reader = await connect(target, 5, { clientId: 'reader' })
    await reader.subscribe('#')
    const writer = await connect(target, 5, { clientId: 'writer' })
    const alias = (n: number): wire.Property => ['topicAlias', n]
    writer.send(
      wire.publish(5, 'no', 'a', { properties: [alias(1)] }),
      wire.publish(5, '', 'b', { properties: [alias(1)] }),
    )
    writer.send(
      wire.publish(5, 'ok', '1'),
      wire.publish(5, 'ok', '2'),
      wire.publish(5, 'no', 'c'),
      wire.publish(5, 'ok', '3'),
    )
    writer.send(wire.publish(5, 'no', 'd'.repeat(100_000)))
    await writer.ping()
    for (const payload of ['1', '2', '3']) await reader.expectPacket('PUBLISH', { payload })
    await reader.expectNothing()
  })

  test('by will is refused at CONNECT; a will whose right goes is not published', async () => {
    const access = byClient({ reader: everything, writer: [{ filter: 'will/%c', allowed: ['publish'] }] })
    const { broker, target } = await start(access)
    const reader = await connect(target, 5, { clientId: 'reader' })
    await reader.subscribe('#')
    const will = (topic: string) => ({ clientId: 'writer', will: { topic, payload: 'gone' } })
    const refused = await open(target, 5)
    refused.send(wire.connect(5, will('other')))
    await refused.expectConnectRefused(0x87)
    const first = await connect(target, 5, will('will/writer'))
    await first.drop()
    await reader.receive({ topic: 'will/writer', payload: 'gone' })
    const second = await connect(target, 5, will('will/writer'))
    broker.reloadAccess(byClient({ reader: everything }))
    // Whoever would be refused if he came now does not stay: the machine would publish the will at a takeover.
    await second.expectRefusal(0x87)
    await reader.expectNothing()
  })

  test('of a message to one client needs the right to its address; its reader needs none', async () => {
    const access = byClient({ writer: [{ filter: '$direct/mine', allowed: ['publish'] }] })
    const { target } = await start(access, { features: { directMessages: 'prefix' } })
    const mine = await connect(target, 5, { clientId: 'mine' })
    const other = await connect(target, 5, { clientId: 'other' })
    const writer = await connect(target, 5, { clientId: 'writer' })
    await writer.publish('$direct/mine', 'for you', { qos: 1 })
    await mine.receive({ payload: 'for you' })
    writer.send(wire.publish(5, '$direct/other', 'no', { qos: 1, id: 9 }))
    await writer.expectPacket('PUBACK', { id: 9, reason: 0x87 })
    await other.expectNothing()
  })

  test('that is withdrawn between PUBLISH and its resend finishes the exchange it began', async () => {
    for (const properties of [[], [expiry(100)]]) {
      const { broker, target } = await start(byClient({ writer: everything }))
      const writer = await connect(target, 5, { clientId: 'writer', properties })
      writer.send(wire.publish(5, 'x', 'a', { qos: 2, id: 1 }))
      await writer.expectPacket('PUBREC', { id: 1 })
      broker.reloadAccess(byClient({}))
      writer.send(wire.publish(5, 'x', 'a', { qos: 2, id: 1, dup: true }), wire.publish(5, 'x', 'b', { qos: 2, id: 2 }))
      const again = await writer.expectPacket('PUBREC', { id: 1 })
      assert.ok(again.reason < 0x80)
      await writer.expectPacket('PUBREC', { id: 2, reason: 0x87 })
      writer.send(wire.acknowledge('PUBREL', 1), wire.acknowledge('PUBREL', 2))
      await writer.expectPacket('PUBCOMP', { id: 1, reason: 0 })
      await writer.expectPacket('PUBCOMP', { id: 2, reason: 0x92 })
    }
  })
})

describe('a subscriber', () => {
  test('is refused 0x87 for a filter wider than its rules, shared or not, and 0x80 before 5.0', async () => {
    const { broker, target } = await start(byClient({ '*': [{ filter: 'a/+', allowed: ['subscribe'] }] }))
    const modern = await connect(target, 5)
    modern.send(
      wire.subscribe(5, 1, [
        ['a/+', 1],
        ['a/#', 1],
        ['$share/g/a/b', 1],
        ['$share/g/#', 1],
        ['b', 0],
      ]),
    )
    assert.deepEqual((await modern.expectPacket('SUBACK')).reasons, [1, 0x87, 1, 0x87, 0x87])
    const old = await connect(target, 4)
    old.send(
      wire.subscribe(4, 1, [
        ['a/b', 0],
        ['a/#', 0],
      ]),
    )
    assert.deepEqual((await old.expectPacket('SUBACK')).reasons, [0, 0x80])
    assert.equal(broker.counters.subscribeDenied, 4)
  })

  test('with a thousand wildcards against a thousand rules is answered in bounded time: the rest is refused 0x97', async () => {
    const topics = Array.from({ length: 1_000 }, (_none, i) => ({
      filter: `dev${i}/#`,
      allowed: ['subscribe'] as const,
    }))
    const { target } = await start(byClient({ '*': topics }))
    const greedy = await connect(target, 5)
    greedy.send(
      wire.subscribe(
        5,
        1,
        Array.from({ length: 4_000 }, (_none, i) => [`+/x${i}`, 0] as const),
      ),
    )
    const { reasons } = await greedy.expectPacket('SUBACK')
    assert.equal(reasons.length, 4_000)
    assert.equal(reasons[0], 0x87)
    assert.equal(reasons.at(-1), 0x97)
    await greedy.subscribe('dev7/#')
  })

  test('of a narrowed subscription reads what it may and nothing else, retained messages included', async () => {
    const narrow = { widerSubscriptions: 'narrow' } as const
    const access = byClient({ writer: everything, reader: [{ filter: 'a/+', allowed: ['subscribe'] }] }, narrow)
    for (const properties of [[], [expiry(100)]]) {
      const { target } = await start(access)
      const writer = await connect(target, 5, { clientId: 'writer' })
      for (const topic of ['a/b', 'a/b/c', 'z']) await writer.publish(topic, `kept ${topic}`, { qos: 1, retain: true })
      const reader = await connect(target, 5, { clientId: 'reader', properties })
      await reader.subscribe('#', 1)
      await reader.receive({ payload: 'kept a/b', retain: true })
      for (const qos of [0, 1] as const) {
        for (const topic of ['a/b/c', 'z', 'a/x']) await writer.publish(topic, topic, { qos })
        await reader.receive({ payload: 'a/x' })
      }
      await reader.expectNothing()
    }
  })

  test('whose right is withdrawn gets nothing more, at once; given back, it gets what comes then', async () => {
    const may = byClient({ writer: everything, reader: everything, kept: everything })
    const mayNot = byClient({ writer: everything })
    const { broker, target } = await start(may)
    const reader = await connect(target, 4, { clientId: 'reader' })
    const kept = await connect(target, 5, { clientId: 'kept', properties: [expiry(100)] })
    const sharing = await connect(target, 5, { clientId: 'reader2' })
    await reader.subscribe('t', 1)
    await kept.subscribe('t', 1)
    const writer = await connect(target, 5, { clientId: 'writer' })
    const round = async (text: string) => {
      for (const qos of [0, 1] as const) await writer.publish('t', text, { qos })
    }
    await round('first')
    for (const client of [reader, kept]) for (let i = 0; i < 2; i++) await client.receive({ payload: 'first' })
    broker.reloadAccess(mayNot)
    await round('second')
    await reader.expectNothing()
    await kept.expectNothing()
    broker.reloadAccess(may)
    await round('third')
    for (const client of [reader, kept]) for (let i = 0; i < 2; i++) await client.receive({ payload: 'third' })
    await sharing.ping()
  })

  test('that was away gets nothing of what was queued before its right went, and its queue goes on', async () => {
    const { broker, target } = await start(byClient({ writer: everything, kept: everything }))
    const options = { clientId: 'kept', cleanStart: false, properties: [expiry(100)] }
    const first = await connect(target, 5, options)
    await first.subscribe('t/#', 2)
    const writer = await connect(target, 5, { clientId: 'writer' })
    await writer.publish('t/secret', 'sent before', { qos: 1 })
    await first.expectPacket('PUBLISH', { payload: 'sent before' })
    await first.drop()
    for (const qos of [1, 2] as const) {
      await writer.publish('t/secret', 'queued', { qos })
      await writer.publish('t/open', 'open', { qos })
    }
    broker.reloadAccess(byClient({ writer: everything, kept: [{ filter: 't/open', allowed: ['subscribe'] }] }))
    const second = await connect(target, 5, options)
    assert.equal(second.connack?.sessionPresent, true)
    await second.receive({ payload: 'open' })
    await second.receive({ payload: 'open' })
    await second.expectNothing()
    assert.equal(broker.counters.deliveryDenied, 3)
    await writer.publish('t/open', 'after', { qos: 1 })
    await second.receive({ payload: 'after' })
  })

  test('that is gone has no will any more when its right to it is withdrawn; others keep theirs', async () => {
    const { broker, target } = await start(
      byClient({ writer: everything, reader: everything, loses: everything, keeps: everything }),
    )
    const reader = await connect(target, 5, { clientId: 'reader' })
    await reader.subscribe('wills/#')
    for (const clientId of ['loses', 'keeps']) {
      const will = { topic: `wills/${clientId}`, payload: clientId, properties: [willDelay(1)] }
      const client = await connect(target, 5, { clientId, will, properties: [expiry(100)] })
      await client.drop()
    }
    broker.reloadAccess(byClient({ writer: everything, reader: everything, keeps: everything }))
    await reader.receive({ payload: 'keeps' })
    await reader.expectNothing()
  })

  test('of a shared group that lost its right leaves it: nothing of the group is lost', async () => {
    for (const properties of [[], [expiry(100)]]) {
      const both = byClient({ writer: everything, first: everything, second: everything })
      const { broker, target } = await start(both)
      const [first, second] = await Promise.all(
        ['first', 'second'].map((clientId) => connect(target, 5, { clientId, properties })),
      )
      assert.ok(first !== undefined && second !== undefined)
      for (const member of [first, second]) await member.subscribe('$share/g/t', 2)
      const writer = await connect(target, 5, { clientId: 'writer' })
      broker.reloadAccess(byClient({ writer: everything, second: everything }))
      for (const qos of [0, 1, 2, 0, 1, 2] as const) {
        await writer.publish('t', `at ${qos}`, { qos })
        await second.receive({ payload: `at ${qos}` })
      }
      await first.expectNothing()
      assert.equal(broker.counters.deliveryDenied, 0)
      broker.reloadAccess(both)
      await first.subscribe('$share/g/t', 2)
    }
  })

  test('of $SYS needs the right to it like to any topic', async () => {
    const access = byClient({
      mayRead: [{ filter: '$SYS/#', allowed: ['subscribe'] }],
      mayNot: [{ filter: '#', allowed: both }],
    })
    const { target } = await start(access, { sys: { intervalSeconds: 1 } })
    const mayRead = await connect(target, 5, { clientId: 'mayRead' })
    await mayRead.subscribe('$SYS/broker/uptime')
    await mayRead.receive({ topic: '$SYS/broker/uptime' })
    const mayNot = await connect(target, 5, { clientId: 'mayNot' })
    mayNot.send(wire.subscribe(5, 1, [['$SYS/#', 0]]))
    assert.deepEqual((await mayNot.expectPacket('SUBACK')).reasons, [0x87])
  })
})

test('permissions that cannot be used are refused at the start, and a reload with them changes nothing', async () => {
  const contradiction = byClient({ a: [{ filter: 'x', allowed: ['publish'], denied: ['publish'] }] })
  await assert.rejects(createBroker({ access: contradiction }), { code: 'CMQ_PERMISSIONS' })
  const { broker, target } = await start(byClient({ writer: everything, reader: everything }))
  assert.throws(() => broker.reloadAccess(contradiction), { code: 'CMQ_PERMISSIONS' })
  const reader = await connect(target, 5, { clientId: 'reader' })
  await reader.subscribe('x')
  const writer = await connect(target, 5, { clientId: 'writer' })
  await writer.publish('x', 'as before')
  await reader.receive({ payload: 'as before' })
})

test('rules may come and go while clients are connected', async () => {
  const { broker, target } = await start({ allowAnonymous: true })
  const reader = await connect(target, 5, { clientId: 'reader' })
  await reader.subscribe('#')
  const writer = await connect(target, 5, { clientId: 'writer' })
  await writer.publish('x', 'open')
  await reader.receive({ payload: 'open' })
  broker.reloadAccess(byClient({}))
  await writer.publish('x', 'shut')
  await reader.expectNothing()
  broker.reloadAccess({ allowAnonymous: true })
  await writer.publish('x', 'open again')
  await reader.receive({ payload: 'open again' })
})
