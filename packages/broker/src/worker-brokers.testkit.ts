/** Brokers of several workers, for tests: clients at a worker of one's choice, where the system chooses. */
import assert from 'node:assert/strict'
import { connect, deadlineMs, type RawClient, type Target } from '../../../testing/testkit/src/raw-client.ts'
import type * as wire from '../../../testing/testkit/src/wire.ts'
import type { Broker } from './api.ts'
import { createBroker } from './broker.ts'
import type { BrokerOptions } from './config/options.ts'

export const WORKERS = 3

export interface Workers {
  readonly broker: Broker
  readonly target: Target
  /** Connects a client whose connection a worker gets. */
  readonly at: (worker: number, version: wire.Version, options?: wire.ConnectOptions) => Promise<RawClient>
}

/** Whoever asked closes it. */
export async function openWorkers(options: BrokerOptions = {}): Promise<Workers> {
  const workers = options.workers === undefined ? WORKERS : Number(options.workers)
  const broker = await createBroker({
    ...{ access: { allowAnonymous: true }, sys: { intervalSeconds: 0 }, workers },
    ...options,
  })
  const { port } = await broker.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })
  const target = { host: '127.0.0.1', port }
  let names = 0
  return {
    broker,
    target,
    async at(worker, version, connectOptions = {}) {
      const given = connectOptions.clientId?.toString()
      for (;;) {
        const clientId = given ?? `c${names++}`
        const client = await connect(target, version, { ...connectOptions, clientId })
        await until(() => broker.client(clientId) !== undefined)
        if (workerOf(broker, clientId, workers) === worker) return client
        // A kept session may be sent something meanwhile.
        await client.disconnect().catch(() => client[Symbol.dispose]())
        await until(() => broker.client(clientId) === undefined)
      }
    },
  }
}

export function workerOf(broker: Broker, clientId: string, workers = WORKERS): number {
  return (broker.client(clientId)?.connection ?? 0) % workers
}

export async function until(holds: () => boolean): Promise<void> {
  const end = performance.now() + deadlineMs
  while (!holds()) {
    assert.ok(performance.now() < end, `Not so within ${deadlineMs} ms: ${holds.toString()}`)
    await new Promise((resolve) => setImmediate(resolve))
  }
}
