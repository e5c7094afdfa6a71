/** Sealed messages in a cluster: ordered before anybody can read them (consensus.md section 12). */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { connect, type Target } from '../../../testing/testkit/src/raw-client.ts'
import * as wire from '../../../testing/testkit/src/wire.ts'
import type { Broker } from './api.ts'
import { createBroker } from './broker.ts'
import { type Cluster, type ClusterTerms, closeAll, kept, openCluster, until } from './cluster-brokers.testkit.ts'

const brokers: Broker[] = []
after(() => closeAll(brokers))

async function sealingCluster(terms: ClusterTerms = {}): Promise<Cluster> {
  const cluster = await openCluster(4, { ...terms, options: { ordering: { sealed: ['bids/#'] }, ...terms.options } })
  brokers.push(...cluster.brokers)
  return cluster
}

const SEALED: wire.Property = ['userProperty', ['concord-sealed', '1']]

function rankOf(message: wire.Received): string | undefined {
  for (const [name, value] of message.properties ?? []) {
    if (name === 'userProperty' && Array.isArray(value) && value[0] === 'concord-sealed-position')
      return String(value[1])
  }
  return undefined
}

function isInLog({ log }: Cluster, text: string): boolean {
  return log.entries.some(({ message }) => Buffer.from(message.bytes).includes(text))
}

for (const qos of [0, 1, 2] as const) {
  test(`sealed messages come in one order at all nodes, with their rank, and no node's log shows them, at QoS ${qos}`, async () => {
    const cluster = await sealingCluster({ log: { seed: 70 + qos, turnsMax: 8 } })
    const { targets } = cluster
    const subscribers = await Promise.all(targets.map((target) => connect(target, 5)))
    for (const subscriber of subscribers) await subscriber.subscribe('#', qos)
    const publishers = await Promise.all(targets.map((target, i) => connect(target, i === 3 ? 4 : 5)))
    await Promise.all(
      publishers.map(async (publisher, p) => {
        // Some ask for it themselves, others by their topic; one sealed message among plain ones.
        const asks = p === 0
        for (let i = 0; i < 5; i++) {
          const options = { qos, ...(asks && { properties: [SEALED] }) }
          await publisher.publish(asks ? 'mine' : 'bids/7', `bid ${p}.${i}`, options)
        }
        await publisher.publish('plain', `${p}`, { qos })
      }),
    )
    const orders: string[][] = []
    for (const subscriber of subscribers) {
      const order: string[] = []
      for (let i = 0; i < 24; i++) {
        const message = await subscriber.receive()
        order.push(`${message.payload.toString()} ${rankOf(message)}`)
      }
      orders.push(order)
    }
    for (const order of orders) assert.deepEqual(order, orders[0])
    assert.equal(new Set(orders[0]).size, 24)
    for (const line of orders[0] ?? []) assert.match(line, /^(bid \d\.\d \d+\.\d+|\d undefined)$/)
    assert.equal(isInLog(cluster, 'bid '), false)
    assert.equal(isInLog(cluster, 'bids/7'), false)
    for (const client of [...subscribers, ...publishers]) client[Symbol.dispose]()
  })
}

test('it is acknowledged when it was opened, not when it has its place; what its client does next does not wait', async () => {
  const { targets, log } = await sealingCluster({ log: { turnsMax: 1, lagMax: 0 } })
  using publisher = await connect(targets[0] as Target, 5)
  publisher.send(wire.publish(5, 'bids/1', 'x', { qos: 1, id: 1 }))
  await until(() => log.entries.some(({ message }) => message.kind === 4))
  log.stall()
  await publisher.expectNothing()
  log.heal()
  await publisher.expectPacket('PUBACK', { id: 1, reason: 0 })
})

test('a void message is not published: its publisher is told with 0x83, and before 5.0 its connection is closed', async () => {
  const { targets, log, brokers: nodes } = await sealingCluster()
  using subscriber = await connect(targets[1] as Target, 5)
  await subscriber.subscribe('#', 1)
  using publisher = await connect(targets[0] as Target, 5, kept('p'))
  using older = await connect(targets[2] as Target, 4)
  log.unopenable = true
  publisher.send(
    wire.publish(5, 'bids/1', 'one', { qos: 1, id: 1 }),
    wire.publish(5, 'bids/1', 'two', { qos: 2, id: 2 }),
  )
  await publisher.expectPacket('PUBACK', { id: 1, reason: 0x83 })
  await publisher.expectPacket('PUBREC', { id: 2, reason: 0x83 })
  older.send(wire.publish(4, 'bids/1', 'older', { qos: 1, id: 1 }))
  await older.expectClosed()
  await assert.rejects(nodes[3]?.publish({ topic: 'bids/1', payload: 'own', qos: 1 }) ?? Promise.resolve(), {
    code: 'CMQ_SEALED',
    retryable: true,
  })
  log.unopenable = false
  // The identifier is free, and the message can be sent anew.
  await publisher.publish('bids/1', 'again', { qos: 2, id: 2 })
  await subscriber.receive({ payload: 'again' })
})

test('a client that goes on at another node before the verdict has its QoS 2 message published once', async () => {
  const { targets, log } = await sealingCluster({ log: { turnsMax: 1, lagMax: 0 } })
  using subscriber = await connect(targets[2] as Target, 5)
  await subscriber.subscribe('#', 2)
  using before = await connect(targets[0] as Target, 5, kept('p'))
  before.send(wire.publish(5, 'bids/1', 'once', { qos: 2, id: 7 }))
  await until(() => log.entries.some(({ message }) => message.kind === 4))
  await before.drop()
  using again = await connect(targets[1] as Target, 5, kept('p'))
  again.send(wire.publish(5, 'bids/1', 'once', { qos: 2, id: 7, dup: true }))
  await again.expectPacket('PUBREC', { id: 7, reason: 0 })
  again.send(wire.acknowledge('PUBREL', 7))
  await again.expectPacket('PUBCOMP', { id: 7, reason: 0 })
  await again.publish('end', '', { qos: 2 })
  await subscriber.receive({ payload: 'once' })
  await subscriber.receive({ topic: 'end' })
})

test('many small ones share few submissions, since each costs a key agreement with every node', async () => {
  const { targets, log } = await sealingCluster({ log: { turnsMax: 1, lagMax: 0 } })
  using subscriber = await connect(targets[1] as Target, 5)
  await subscriber.subscribe('#', 1)
  using publisher = await connect(targets[0] as Target, 5)
  log.stall()
  for (let i = 0; i < 60; i++) {
    publisher.send(wire.publish(5, 'bids/1', `${i}`, { qos: 1, id: i + 1 }))
    await publisher.ping()
  }
  log.heal()
  for (let i = 0; i < 60; i++) await publisher.expectPacket('PUBACK', { id: i + 1, reason: 0 })
  for (let i = 0; i < 60; i++) await subscriber.receive({ payload: `${i}` })
  assert.equal(log.entries.filter(({ message }) => message.kind === 4).length, 9)
})

test('retained, queued, shared and expiring: after the verdict it is a message like any other', async () => {
  const { targets } = await sealingCluster()
  using session = await connect(targets[1] as Target, 5, kept('s'))
  await session.subscribe('bids/#', 1)
  await session.drop()
  using publisher = await connect(targets[0] as Target, 5)
  const properties: wire.Property[] = [['messageExpiryInterval', 100]]
  await publisher.publish('bids/1', 'kept', { qos: 1, retain: true, properties })
  using late = await connect(targets[2] as Target, 5)
  await late.subscribe('bids/1', 1)
  const retained = await late.receive({ payload: 'kept', retain: true })
  assert.match(rankOf(retained) ?? '', /^\d+\.0$/)
  const left = Number(wire.propertyOf(retained, 'messageExpiryInterval'))
  assert.ok(left > 0 && left <= 100)
  using back = await connect(targets[3] as Target, 5, kept('s'))
  const queued = await back.receive({ payload: 'kept' })
  assert.equal(rankOf(queued), rankOf(retained))
})

test('while nothing is ordered it is given to nobody, whatever onStall says', async () => {
  const { targets, log } = await sealingCluster()
  using here = await connect(targets[0] as Target, 5)
  await here.subscribe('#', 1)
  using publisher = await connect(targets[0] as Target, 5)
  log.stall()
  publisher.send(wire.publish(5, 'bids/1', 'later', { qos: 1, id: 1 }))
  await publisher.expectNothing()
  await here.expectNothing()
  log.heal()
  await publisher.expectPacket('PUBACK', { id: 1 })
  await here.receive({ payload: 'later' })
})

test('who may not publish is told before anything is sealed', async () => {
  const table = { topics: [{ filter: 'bids/#', denied: ['publish' as const] }] }
  const permissions = { default: 'allow' as const, clients: new Map([['mute', table]]) }
  const { targets, log } = await sealingCluster({ options: { access: { allowAnonymous: true, permissions } } })
  using mute = await connect(targets[0] as Target, 5, { clientId: 'mute' })
  mute.send(wire.publish(5, 'bids/1', 'no', { qos: 1, id: 1, properties: [SEALED] }))
  await mute.expectPacket('PUBACK', { id: 1, reason: 0x87 })
  assert.equal(
    log.entries.some(({ message }) => message.kind === 4),
    false,
  )
})

test('a topic that is both fast and sealed is sealed, and so is a message on a fast topic that asks for it', async () => {
  const cluster = await sealingCluster({ options: { ordering: { fast: ['bids/#', 'fast'], sealed: ['bids/#'] } } })
  using there = await connect(cluster.targets[2] as Target, 5)
  await there.subscribe('#', 1)
  using publisher = await connect(cluster.targets[0] as Target, 5)
  await publisher.publish('bids/1', 'one', { qos: 1 })
  await publisher.publish('fast', 'two', { qos: 0, properties: [SEALED] })
  for (const payload of ['one', 'two']) assert.match(rankOf(await there.receive({ payload })) ?? '', /^\d+\.\d+$/)
})

test('a node that dies before the verdict is mourned by nobody: what it sealed is published all the same', async () => {
  const { targets, log } = await sealingCluster({ log: { turnsMax: 1, lagMax: 0 } })
  using there = await connect(targets[2] as Target, 5)
  await there.subscribe('#', 1)
  using publisher = await connect(targets[0] as Target, 5)
  publisher.send(wire.publish(5, 'bids/1', 'last will', { qos: 1, id: 1 }))
  await until(() => log.entries.some(({ message }) => message.kind === 4))
  await log.nodes[0]?.stop()
  await there.receive({ payload: 'last will' })
})

test('nodes that come back by their disk or by a snapshot open what was sealed before, once, and have the same state', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'concordmq-'))
  const own: Broker[] = []
  try {
    const { targets, log, brokers: nodes } = await sealingCluster()
    using publisher = await connect(targets[1] as Target, 5)
    using session = await connect(targets[1] as Target, 5, kept('s'))
    await session.subscribe('#', 1)
    await session.drop()
    for (const from of [undefined, undefined, 1]) {
      const again = await createBroker({
        ...{ access: { allowAnonymous: true }, sys: { intervalSeconds: 0 }, ordering: { sealed: ['bids/#'] } },
        ...(from === undefined && { storage: { directory } }),
        cluster: { log: log.restarted(0, from === undefined ? {} : { from }), nodeTimeoutMs: 1_000 },
      })
      own.push(again)
      await until(() => log.nodes[0]?.position === log.entries.length)
      for (let i = 0; i < 5; i++) publisher.send(wire.publish(5, 'bids/1', `${i}`, { qos: 1, id: i + 1 }))
      // Right at a verdict, or between a place and its verdict.
      for (let i = 0; i < 3; i++) await publisher.expectPacket('PUBACK', { id: i + 1 })
      await again.close({ graceMs: 0 })
      for (let i = 3; i < 5; i++) await publisher.expectPacket('PUBACK', { id: i + 1 })
    }
    const last = await createBroker({
      ...{ access: { allowAnonymous: true }, sys: { intervalSeconds: 0 }, ordering: { sealed: ['bids/#'] } },
      storage: { directory },
      cluster: { log: log.restarted(0), nodeTimeoutMs: 1_000 },
    })
    own.push(last)
    const hashes = (): string[] =>
      [last, ...nodes.slice(1)].map((node) => Buffer.from(node.stateHash ?? []).toString('hex'))
    await until(
      () => log.nodes.every(({ position }) => position === log.entries.length) && new Set(hashes()).size === 1,
    )
    using back = await connect(targets[2] as Target, 5, kept('s'))
    const ranks = new Set<string>()
    for (let i = 0; i < 15; i++) ranks.add(rankOf(await back.receive()) ?? '')
    assert.equal(ranks.size, 15)
    await back.expectNothing()
  } finally {
    await closeAll(own)
    await rm(directory, { recursive: true })
  }
})
