import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type BrokerProcess, startBroker } from '../../testing/testkit/src/broker-process.ts'
import type { Target } from '../../testing/testkit/src/raw-client.ts'
import { type Report, runLoad } from './mqload.ts'

const messages = 3_000

describe('the load generator counts every message', () => {
  const directory = mkdtempSync(join(tmpdir(), 'concordmq-load-'))
  let broker: BrokerProcess
  before(async () => {
    const flags = ['--allow-anonymous-login', '--durability', 'memory']
    broker = await startBroker({ directory, flags, websocket: true, tls: true })
  })
  after(async () => {
    await broker.kill()
    rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
  })

  function run(target: Target | undefined, ...args: readonly string[]): Promise<Report> {
    if (target === undefined) throw new Error('The broker does not listen there')
    const settings = ['--qos', '1', '--subs', '2', '--count', String(messages), '--settle', '0.01', '--limit', '30']
    return runLoad(['pubsub', '--target', `${target.host}:${target.port}`, ...settings, ...args])
  }

  function assertWhole({ recv, lost, dup, reorder, corrupt, proto_err: broken, exit }: Report): void {
    assert.deepEqual(
      { recv, lost, dup, reorder, corrupt, broken, exit },
      { recv: 2 * messages, lost: 0, dup: 0, reorder: 0, corrupt: 0, broken: 0, exit: 0 },
    )
  }

  test('over TCP, with properties of MQTT 5', async () => {
    assertWhole(await run(broker.target, '--version', '5', '--props'))
  })

  test('over TCP, on a thousand topics', async () => {
    assertWhole(await run(broker.target, '--spread', '1000'))
  })

  // One frame of 126 bytes to 64 KiB, one above, and acknowledgements in small ones.
  for (const payload of ['16', '3000', '70000']) {
    test(`over WebSocket, payload ${payload}`, async () => {
      assertWhole(await run(broker.websocket, '--ws', '--payload', payload, '--check'))
    })
  }

  test('over TLS', async (t) => {
    const report = await run(broker.tls, '--tls', '--payload', '20000', '--check')
    // Without OpenSSL's headers it is built without TLS, and says so.
    if (report['exit'] === 1) return t.skip('built without TLS')
    assertWhole(report)
  })
})
