/** A node that has not caught up: whom it refuses, and whom it takes where it is told to serve what it knows so far. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { connect, opened, type Target } from '../../../testing/testkit/src/raw-client.ts'
import * as wire from '../../../testing/testkit/src/wire.ts'
import { openHealth } from './admin/health.ts'
import type { Broker } from './api.ts'
import { createBroker } from './broker.ts'
import { type Cluster, closeAll, kept, openCluster, received, until } from './cluster-brokers.testkit.ts'

const brokers: Broker[] = []
after(() => closeAll(brokers))

/** Three nodes, of which one was away while the retained message of `t` changed, and has read no further than before. */
async function behind(seed: number, serveStale: boolean): Promise<Cluster & { readonly late: Broker; at: Target }> {
  const cluster = await openCluster(3, { log: { seed }, cluster: { serveStale } })
  brokers.push(...cluster.brokers)
  const { log, targets } = cluster
  using publisher = await connect(targets[0] as Target, 5)
  await publisher.publish('t', 'old', { qos: 1, retain: true })
  await until(() => log.nodes.every(({ position }) => position === log.entries.length))
  await cluster.brokers[2]?.close({ graceMs: 0 })
  const heldAt = log.entries.length
  await publisher.publish('t', 'new', { qos: 1, retain: true })
  const node = log.restarted(2)
  node.heldAt = heldAt
  const late = await createBroker({
    access: { allowAnonymous: true },
    sys: { intervalSeconds: 0 },
    cluster: { log: node, nodeTimeoutMs: 1_000, serveStale },
  })
  brokers.push(late)
  const { port } = await late.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })
  await until(() => node.position === heldAt)
  return { ...cluster, late, at: { host: '127.0.0.1', port } }
}

function catchUp({ log }: Cluster): void {
  const node = log.nodes[2]
  if (node === undefined) return
  node.heldAt = undefined
  node.wake()
}

test('a node that lags takes no clients, says so to probes, and is ready when it has caught up', async () => {
  const cluster = await behind(301, false)
  const { late, at } = cluster
  assert.deepEqual([late.current, late.ready], [false, false])
  const checks = () => ({ current: late.current })
  const health = await openHealth({ broker: late, checks, host: '127.0.0.1', port: 0 })
  const probe = async (path: string): Promise<string> => {
    const answer = await fetch(`http://${health.address}${path}`)
    return `${answer.status} ${(await answer.text()).trim()}`
  }
  assert.equal(await probe('/readyz'), '503 not ready: broker, current')
  assert.equal(await probe('/healthz'), '200 ok')
  for (const version of [5, 4] as const) {
    using refused = await opened(at, version, wire.connect(version, { clientId: 'early' }))
    await refused.expectConnectRefused(version === 5 ? 0x88 : 3)
  }
  catchUp(cluster)
  await until(() => late.ready)
  assert.equal(await probe('/readyz'), '200 ok')
  await health.close()
  using client = await connect(at, 5)
  await client.subscribe('t', 1)
  assert.deepEqual(await received(client, 1), ['new'])
})

test('told to serve what it knows, it gives the retained message as of its place, and then what follows in order', async () => {
  const cluster = await behind(302, true)
  const { late, at, targets } = cluster
  assert.deepEqual([late.current, late.ready], [false, false])
  using client = await connect(at, 5, { clientId: 'early' })
  await client.subscribe('t', 1)
  assert.deepEqual(await received(client, 1), ['old'])
  using publisher = await connect(targets[0] as Target, 5)
  await publisher.publish('t', 'newest', { qos: 1 })
  await client.expectNothing()
  catchUp(cluster)
  assert.deepEqual(await received(client, 2), ['new', 'newest'])
  await until(() => late.ready)
  await client.ping()
})

test('what is published at a node that lags waits, is acknowledged when it has its place, and is there once', async () => {
  const cluster = await behind(303, true)
  const { at, log, targets, late } = cluster
  using subscriber = await connect(targets[1] as Target, 5)
  await subscriber.subscribe('p/#', 2)
  using client = await connect(at, 5, { clientId: 'early' })
  const before = log.entries.length
  client.send(wire.publish(5, 'p/1', 'one', { qos: 1, id: 1 }))
  client.send(wire.publish(5, 'p/2', 'two', { qos: 2, id: 2 }))
  // More than a block of the order takes: it leaves in several pieces.
  for (let id = 3; id < 6; id++) client.send(wire.publish(5, `p/${id}`, 'x'.repeat(500_000), { qos: 1, id }))
  await client.expectNothing()
  await subscriber.expectNothing()
  // Nothing but the beginning of its life has been handed in.
  assert.ok(log.entries.length - before <= 1)
  catchUp(cluster)
  await client.expectPacket('PUBACK', { id: 1 })
  await client.expectPacket('PUBREC', { id: 2 })
  for (let id = 3; id < 6; id++) await client.expectPacket('PUBACK', { id })
  const topics: string[] = []
  for (let i = 0; i < 5; i++) topics.push((await subscriber.receive()).topic)
  assert.deepEqual(topics, ['p/1', 'p/2', 'p/3', 'p/4', 'p/5'])
  await subscriber.expectNothing()
  await until(() => late.ready)
})

test('sessions that outlive their connection are refused until the node is current: nobody here knows what they are', async () => {
  const cluster = await behind(304, true)
  const { at, late } = cluster
  using refused = await opened(at, 5, wire.connect(5, kept('k')))
  await refused.expectConnectRefused(0x88)
  catchUp(cluster)
  await until(() => late.ready)
  using client = await connect(at, 5, kept('k'))
  await client.ping()
})
