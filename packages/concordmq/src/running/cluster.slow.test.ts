/** Nodes of a cluster as the program runs them: what its keys and flags change. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { freePorts } from '../../../../testing/testkit/src/cluster-process.ts'
import { connect, opened } from '../../../../testing/testkit/src/raw-client.ts'
import * as wire from '../../../../testing/testkit/src/wire.ts'
import { portOf, run, startNode } from '../program.testkit.ts'

test('nodes whose settings of the machine differ refuse each other, and name both values', {
  timeout: 120_000,
}, async () => {
  const addresses = (await freePorts(2)).map((port) => `127.0.0.1:${port}`)
  assert.equal((await run(['address-book', 'from-list', ...addresses])).code, 0)
  const start = (node: number, flags: readonly string[], env: Record<string, string>) =>
    startNode(['-f', `concordmq.d/key_${node}.pem`, '--allow-anonymous-login', ...flags], { env })
  const [first, second] = await Promise.all([
    start(0, ['--node-timeout-ms', '5000'], {}),
    start(1, [], { CONCORDMQ_CLUSTER_NODE_TIMEOUT_MS: '7000', CONCORDMQ_SESSIONS_QUEUE_MESSAGES_MAX: '77' }),
  ])
  const differ = 'Refused node . .*: its settings of the machine differ: '
  await first.until(new RegExp(`${differ}nodeTimeoutMs is 7000, here 5000; queueMessagesMax is 77, here \\d+`))
  await second.until(new RegExp(`${differ}nodeTimeoutMs is 5000, here 7000; queueMessagesMax is \\d+, here 77`))
  for (const node of [first, second]) assert.doesNotMatch(node.output.stdout, /This node takes clients/)
})

test('--on-stall refuse answers 0x97 while too few nodes are there, and takes messages again when they are back', {
  timeout: 120_000,
}, async () => {
  const addresses = (await freePorts(2)).map((port) => `127.0.0.1:${port}`)
  assert.equal((await run(['address-book', 'from-list', ...addresses])).code, 0)
  const start = (node: number) =>
    startNode(['-f', `concordmq.d/key_${node}.pem`, '--allow-anonymous-login', '--on-stall', 'refuse'])
  const [first, second] = await Promise.all([start(0), start(1)])
  await first.until(/order\.begun/u)
  using client = await connect({ host: '127.0.0.1', port: await portOf(first, 'tcp') }, 5, { clientId: 'publisher' })
  await client.publish('t', 'ordered', { qos: 1 })
  second.child.kill('SIGKILL')
  await first.until(/order\.begun.*mode=stalled/su)
  client.send(wire.publish(5, 't', 'refused', { qos: 1, id: 9 }))
  await client.expectPacket('PUBACK', { id: 9, reason: 0x97 })
  await start(1)
  await first.until(/order\.begun.*mode=stalled.*mode=active/su)
  await client.publish('t', 'ordered again', { qos: 1 })
})

test('--serve-stale takes clients of a node that is not current yet; their messages wait, and probes are told', {
  timeout: 120_000,
}, async () => {
  const addresses = (await freePorts(2)).map((port) => `127.0.0.1:${port}`)
  assert.equal((await run(['address-book', 'from-list', ...addresses])).code, 0)
  const start = (node: number, ...flags: readonly string[]) =>
    startNode(['-f', `concordmq.d/key_${node}.pem`, '--allow-anonymous-login', '--on-stall', 'queue', ...flags])
  const first = await start(0, '--serve-stale')
  const [, http] = await first.until(/serving \/healthz and \/readyz .*listen_addr=(\S+)/u)
  const probe = async (): Promise<string> => {
    const answer = await fetch(`http://${http}/readyz`)
    return `${answer.status} ${(await answer.text()).trim()}`
  }
  assert.equal(await probe(), '503 not ready: broker, current')
  const target = { host: '127.0.0.1', port: await portOf(first, 'tcp') }
  using refused = await opened(target, 5, wire.connect(5, { clientId: 'kept', cleanStart: false }))
  await refused.expectConnectRefused(0x88)
  using client = await connect(target, 5, { clientId: 'early' })
  using subscriber = await connect(target, 5, { clientId: 'subscriber' })
  await subscriber.subscribe('t', 1)
  client.send(wire.publish(5, 't', 'waits', { qos: 1, id: 9 }))
  await client.expectNothing()
  await subscriber.expectNothing()
  await start(1)
  await client.expectPacket('PUBACK', { id: 9, reason: 0 })
  assert.equal((await subscriber.receive()).payload.toString(), 'waits')
  assert.equal(await probe(), '200 ok')
})
