/** Brokers on one log in memory (`SharedLog`), for tests of the ordered cluster: everything but the engine is what runs. */
import assert from 'node:assert/strict'
import type { RawClient, Target } from '../../../testing/testkit/src/raw-client.ts'
import { SharedLog, type SharedLogOptions } from '../../../testing/testkit/src/shared-log.ts'
import type * as wire from '../../../testing/testkit/src/wire.ts'
import type { Broker } from './api.ts'
import { createBroker } from './broker.ts'
import type { BrokerOptions, ClusterOptions } from './config/options.ts'

export interface Cluster {
  readonly log: SharedLog
  readonly brokers: readonly Broker[]
  readonly targets: readonly Target[]
}

export interface ClusterTerms {
  readonly options?: BrokerOptions
  readonly log?: SharedLogOptions
  readonly cluster?: Omit<ClusterOptions, 'log'>
}

/** All of them serve. Whoever asked closes them. */
export async function openCluster(nodes: number, terms: ClusterTerms = {}): Promise<Cluster> {
  const log = new SharedLog(nodes, terms.log)
  const brokers: Broker[] = []
  const targets: Target[] = []
  for (const node of log.nodes) {
    const broker = await createBroker({
      access: { allowAnonymous: true },
      sys: { intervalSeconds: 0 },
      ...terms.options,
      cluster: { log: node, nodeTimeoutMs: 1_000, ...terms.cluster },
    })
    brokers.push(broker)
    const { port } = await broker.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })
    targets.push({ host: '127.0.0.1', port })
  }
  await until(() => brokers.every((broker) => broker.ready))
  return { log, brokers, targets }
}

export async function closeAll(brokers: Iterable<Broker>): Promise<void> {
  for (const broker of brokers) await broker.close({ graceMs: 0 })
}

/** Looks once a turn of the event loop. */
export async function until(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 5_000
  while (!holds()) {
    assert.ok(performance.now() < deadline, 'it did not come about in time')
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** A session that outlives its connection. */
export function kept(clientId: string, more: wire.ConnectOptions = {}): wire.ConnectOptions {
  return { clientId, cleanStart: false, properties: [['sessionExpiryInterval', 1000]], ...more }
}

/** Payloads of the next messages, each acknowledged. */
export async function received(client: RawClient, count: number): Promise<string[]> {
  const payloads: string[] = []
  for (let i = 0; i < count; i++) payloads.push((await client.receive()).payload.toString())
  return payloads
}
