/** Documents of operators: in force on all nodes from one place of the order on, whatever each node was told before. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import type { AdminDocument, AdminSignature } from '@concordmq/state'
import { connect, type Target } from '../../../testing/testkit/src/raw-client.ts'
import * as wire from '../../../testing/testkit/src/wire.ts'
import type { Broker } from './api.ts'
import { createBroker } from './broker.ts'
import { type Cluster, closeAll, openCluster, received, until } from './cluster-brokers.testkit.ts'

const brokers: Broker[] = []
after(() => closeAll(brokers))

const signed: readonly AdminSignature[] = [{ operator: 0, signature: new Uint8Array(64).fill(1) }]

/** The text is the filter that clients may publish to; reading is free. */
function document(version: number, text: string | undefined): AdminDocument {
  return { subject: 'permissions', version, text: text === undefined ? undefined : Buffer.from(text) }
}

function obey(broker: Broker): void {
  broker.administration?.watch((documents) => {
    const text = documents.get('permissions')?.document.text
    const topics = [
      { filter: '#', allowed: ['subscribe'] },
      { filter: Buffer.from(text ?? '').toString(), allowed: ['publish'] },
    ] as const
    const permissions = { default: 'deny', users: new Map([['*', { topics: [topics[1], topics[0]] }]]) } as const
    broker.reloadAccess({ allowAnonymous: true, ...(text !== undefined && { permissions }) })
  })
}

async function cluster(seed: number): Promise<Cluster> {
  const opened = await openCluster(3, { log: { seed, lagMax: 6 } })
  brokers.push(...opened.brokers)
  opened.log.judge = (_content, signatures) => (signatures.length > 0 ? undefined : '0 operators signed it, 1 must')
  for (const broker of opened.brokers) obey(broker)
  return opened
}

/** What each node says to a publish. */
async function answers(targets: readonly Target[], topic: string): Promise<number[]> {
  return await Promise.all(
    targets.map(async (target) => {
      using client = await connect(target, 5)
      client.send(wire.publish(5, topic, 'x', { qos: 1, id: 1 }))
      return (await client.expectPacket('PUBACK', { id: 1 })).reason
    }),
  )
}

test('a document counts on all nodes, and a publish that it denies never enters the order', async () => {
  const nodes = await cluster(401)
  const { targets, log } = nodes
  const first = nodes.brokers[0] as Broker
  assert.deepEqual(await answers(targets, 'b'), [0, 0, 0])
  const record = await first.administration?.apply(document(1, 'a/#'), signed)
  assert.equal(record?.document.version, 1)
  await until(() => log.nodes.every(({ position }) => position === log.entries.length))
  const length = log.entries.length
  assert.deepEqual(await answers(targets, 'b'), [0x87, 0x87, 0x87])
  const behind = log.entries.slice(length).map(({ message }) => Buffer.from(message.bytes))
  assert.ok(behind.every((bytes) => !bytes.includes('\0\x01b')))
  assert.deepEqual(await answers(targets, 'a/1'), [0, 0, 0])
  await first.administration?.apply(document(2, undefined), signed)
  await until(() => log.nodes.every(({ position }) => position === log.entries.length))
  assert.deepEqual(await answers(targets, 'b'), [0, 0, 0])
})

test('an older version and what no operator signed are refused with the reason, at every node alike', async () => {
  const nodes = await cluster(402)
  const [first, second] = nodes.brokers as [Broker, Broker]
  await first.administration?.apply(document(2, 'a/#'), signed)
  for (const [given, signatures, why] of [
    [document(2, 'b/#'), signed, /version 2 is in force, and version 2 is not later/u],
    [document(1, 'b/#'), signed, /not later/u],
    [document(3, 'b/#'), [], /0 operators signed it, 1 must/u],
  ] as const) {
    const refusal = second.administration?.apply(given, signatures) ?? Promise.resolve()
    await assert.rejects(refusal, { code: 'CMQ_CLUSTER_CHANGE', message: why })
  }
  await until(() => nodes.log.nodes.every(({ position }) => position === nodes.log.entries.length))
  const hashes = new Set(nodes.brokers.map((broker) => Buffer.from(broker.stateHash ?? []).toString('hex')))
  assert.equal(hashes.size, 1)
})

test('a node that begins with the state of others has their document before it takes clients', async () => {
  const nodes = await cluster(403)
  await nodes.brokers[0]?.administration?.apply(document(1, 'a/#'), signed)
  await nodes.brokers[2]?.close({ graceMs: 0 })
  const late = await createBroker({
    access: { allowAnonymous: true },
    sys: { intervalSeconds: 0 },
    cluster: { log: nodes.log.restarted(2, { from: 0 }), nodeTimeoutMs: 1_000 },
  })
  brokers.push(late)
  obey(late)
  const { port } = await late.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })
  await until(() => late.ready)
  assert.deepEqual(await answers([{ host: '127.0.0.1', port }], 'b'), [0x87])
  assert.equal(late.administration?.documents.get('permissions')?.document.version, 1)
})

test('messages behind the document in the order are delivered by it, those before it were delivered without', async () => {
  const nodes = await cluster(404)
  const [target] = nodes.targets as [Target]
  const last = nodes.brokers[2] as Broker
  last.administration?.watch((documents) => {
    if (documents.size === 0) return
    const permissions = {
      default: 'allow',
      users: new Map([['*', { topics: [{ filter: 't', denied: ['subscribe'] }] }]]),
    }
    last.reloadAccess({ allowAnonymous: true, permissions } as Parameters<Broker['reloadAccess']>[0])
  })
  using reader = await connect(nodes.targets[2] as Target, 5)
  await reader.subscribe('t', 1)
  using publisher = await connect(target, 5)
  publisher.send(wire.publish(5, 't', 'before', { qos: 1, id: 1 }))
  await publisher.expectPacket('PUBACK', { id: 1 })
  const applied = nodes.brokers[1]?.administration?.apply(document(1, '#'), signed)
  await applied
  await publisher.publish('t', 'behind', { qos: 1 })
  assert.deepEqual(await received(reader, 1), ['before'])
  await reader.expectNothing()
})
