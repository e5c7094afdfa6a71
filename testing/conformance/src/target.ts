/**
 * Which broker the conformance tests talk to: the one at `CONCORDMQ_TARGET=host:port` (and `CONCORDMQ_TARGET_WS=host:port`
 * for WebSocket), or one of our own in this process, made by `createBroker()` and reached through real sockets.
 *
 * Tests that need a broker with settings of their own are skipped against an outside broker: `{ skip: outside }`.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before } from 'node:test'
import type { Target } from '../../testkit/src/raw-client.ts'
import type { ConnectOptions, Property, Version } from '../../testkit/src/wire.ts'

type BrokerModule = typeof import('@concordmq/broker')
type BrokerOptions = NonNullable<Parameters<BrokerModule['createBroker']>[0]>

/** A reason for skipping when the broker is not ours; `false` when it is. */
export const outside: string | false =
  process.env['CONCORDMQ_TARGET'] === undefined ? false : 'the outside broker has its own settings'

/** Topics and client identifiers of one run: letters and digits, at most 23 bytes. */
const run = process.pid.toString(36)
let count = 0
export function unique(name: string): string {
  return `${name.slice(0, 12)}${run}x${(count++).toString(36)}`
}

/** Starts a broker before the tests of this file; the result is filled by then. */
export function useBroker(kind: 'tcp' | 'ws' = 'tcp', options: BrokerOptions = {}): Target {
  const target = { host: '127.0.0.1', port: 0 }
  const given = process.env[kind === 'tcp' ? 'CONCORDMQ_TARGET' : 'CONCORDMQ_TARGET_WS']
  if (given !== undefined) {
    const [host = '', port = ''] = given.split(/:(?=\d+$)/)
    return { host, port: Number(port) }
  }
  if (outside !== false) return target
  let close = async (): Promise<void> => {}
  before(async () => {
    const { createRecordedBroker } = await import('../../testkit/src/recorded-broker.ts')
    const { storage, remove } = storageOfRun()
    const broker = await createRecordedBroker({
      access: { allowAnonymous: true },
      sys: { intervalSeconds: 0 },
      ...(storage !== undefined && { storage }),
      ...options,
    })
    const handle = await broker.listen({ kind, host: target.host, port: 0 })
    target.port = handle.port
    close = async () => {
      await broker.close({ graceMs: 0 })
      remove()
    }
  })
  after(() => close())
  return target
}

/** `CONCORDMQ_TEST_DURABILITY=fsync` or `os`: the brokers keep their state in a directory of their own. */
function storageOfRun(): { readonly storage: BrokerOptions['storage']; readonly remove: () => void } {
  const durability = process.env['CONCORDMQ_TEST_DURABILITY']
  if (durability !== 'fsync' && durability !== 'os') return { storage: undefined, remove: () => {} }
  const directory = mkdtempSync(join(tmpdir(), 'concordmq-conformance-'))
  return { storage: { directory, durability }, remove: () => rmSync(directory, { recursive: true, force: true }) }
}

/** CONNECT options of a session that outlives its connection, in either version. */
export function kept(version: Version, clientId: string, more: ConnectOptions = {}): ConnectOptions {
  const expiry: readonly Property[] = version === 5 ? [['sessionExpiryInterval', 60]] : []
  return { clientId, cleanStart: false, ...more, properties: [...expiry, ...(more.properties ?? [])] }
}

/**
 * Lets real time pass, where the statement under test is about seconds on somebody else's clock. It is never used to wait
 * for the broker to have done something: expectations have deadlines for that.
 */
export function elapse(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
