import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { connect, type RawClient, type Target } from '../../../testing/testkit/src/raw-client.ts'
import { SharedLog, type SharedLogOptions } from '../../../testing/testkit/src/shared-log.ts'
import type { Broker } from './api.ts'
import { createBroker } from './broker.ts'
import type { BrokerOptions } from './config/options.ts'

const brokers: Broker[] = []
after(async () => {
  for (const broker of brokers) await broker.close({ graceMs: 0 })
})

interface Cluster {
  readonly log: SharedLog
  readonly brokers: readonly Broker[]
  readonly targets: readonly Target[]
}

/** Brokers on one log, all of which serve. */
async function cluster(
  nodes: number,
  options: BrokerOptions = {},
  logOptions: SharedLogOptions = {},
): Promise<Cluster> {
  const log = new SharedLog(nodes, logOptions)
  const own: Broker[] = []
  const targets: Target[] = []
  for (const node of log.nodes) {
    const broker = await createBroker({
      access: { allowAnonymous: true },
      sys: { intervalSeconds: 0 },
      ...options,
      cluster: { log: node, nodeTimeoutMs: 1_000 },
    })
    brokers.push(broker)
    own.push(broker)
    const { port } = await broker.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })
    targets.push({ host: '127.0.0.1', port })
  }
  await until(() => own.every((broker) => broker.ready))
  return { log, brokers: own, targets }
}

async function until(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 5_000
  while (!holds()) {
    assert.ok(performance.now() < deadline, 'it did not come about in time')
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Payloads of the next messages, each acknowledged. */
async function received(client: RawClient, count: number): Promise<string[]> {
  const payloads: string[] = []
  for (let i = 0; i < count; i++) payloads.push((await client.receive()).payload.toString())
  return payloads
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
