/** Permissions and users of a whole cluster, with real processes: signed once, in force everywhere, also for who was away. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { freePorts } from '../../../../testing/testkit/src/cluster-process.ts'
import { connect, opened } from '../../../../testing/testkit/src/raw-client.ts'
import * as wire from '../../../../testing/testkit/src/wire.ts'
import { at, portOf, run, type Started, start } from '../program.testkit.ts'
import type { DocumentAnswer } from './document-file.ts'

const all = [0, 1, 2, 3]
const memberArgs = (i: number): string[] => [
  ...['run', '-L', '127.0.0.1:0', '--http-addr', '127.0.0.1:0', '--log-level', 'info'],
  ...['-f', at('concordmq.d', `key_${i}.pem`)],
]
const ctl = (node: number, ...args: string[]) => run(['ctl', ...args, '--node', `${node}`])
const operator = (): string[] => ['--operator-key', at('concordmq.d', 'operator_0.pem')]
const alice = { username: 'alice', password: 'mypassword' }

async function target(node: Started) {
  return { host: '127.0.0.1', port: await portOf(node, 'tcp') }
}

/** What a node says to a publish of alice. */
async function answerOf(node: Started, topic: string): Promise<number> {
  using client = await connect(await target(node), 5, alice)
  client.send(wire.publish(5, topic, 'x', { qos: 1, id: 1 }))
  return (await client.expectPacket('PUBACK', { id: 1 })).reason
}

async function documentsOf(node: number): Promise<readonly DocumentAnswer[]> {
  const { stdout } = await ctl(node, 'cluster', 'status', '--json')
  return (JSON.parse(stdout) as { readonly documents: readonly DocumentAnswer[] }).documents
}

/** When every node has applied what one has. */
async function agreed(nodes: readonly number[], version: number): Promise<void> {
  for (const node of nodes) {
    const deadline = performance.now() + 30_000
    for (;;) {
      const found = (await documentsOf(node)).find(({ subject }) => subject === 'permissions')
      if (found?.version === version) break
      assert.ok(performance.now() < deadline, `node ${node} has version ${found?.version}`)
    }
  }
}

test('users and permissions that operators signed count on all nodes, in the place of their files, and after a return', {
  timeout: 400_000,
}, async () => {
  const addresses = (await freePorts(4)).map((port) => `127.0.0.1:${port}`)
  assert.equal((await run(['address-book', 'from-list', ...addresses, '--operators', '1'])).code, 0)
  // What each node's own directory says: everything is allowed, and nobody is known.
  writeFileSync(at('concordmq.d', 'permissions.toml'), 'default = "allow"\n')
  const nodes = all.map((i) => start(memberArgs(i)))
  await Promise.all(nodes.map((node) => node.until(/This node takes clients/)))
  assert.match((nodes[0] as Started).output.stdout, /nobody can log in/)

  await run(['user', 'add', 'alice', '-O', at('users.toml')], { input: 'mypassword\n' })
  const users = await ctl(0, 'cluster', 'apply', at('users.toml'), ...operator())
  assert.equal(users.code, 0, users.stderr)
  assert.match(users.stdout, /users of the cluster, version 1, are in force on all nodes, from position \d+ on/)
  writeFileSync(
    at('rules.toml'),
    'default = "deny"\n\n[permissions.alice]\ntopic = [\n  { filter = "a/#", allowed = ["publish"] },\n]\n',
  )
  const unnamed = await ctl(0, 'cluster', 'apply', at('rules.toml'), ...operator())
  assert.notEqual(unnamed.code, 0)
  assert.match(unnamed.stderr, /does not say what it is[\s\S]*--as permissions/)
  const apply = ['cluster', 'apply', at('rules.toml'), '--as', 'permissions']
  const first = await ctl(1, ...apply, ...operator())
  assert.equal(first.code, 0, first.stderr)
  await agreed(all, 1)
  for (const node of nodes) {
    assert.deepEqual([await answerOf(node, 'a/1'), await answerOf(node, 'b')], [0, 0x87])
    using wrong = await opened(await target(node), 5, wire.connect(5, { ...alice, password: 'another' }))
    await wrong.expectConnectRefused(0x86)
    assert.match(
      node.output.stdout,
      /in force: permissions of the cluster, version 1; permissions.toml of this node is left aside/,
    )
  }

  const tested = await ctl(2, 'acl', 'test', 'alice', 'publish', 'b')
  assert.equal(tested.code, 1)
  assert.match(tested.stdout, /^denied: user "alice" may not publish to "b"/)
  const allowed = await ctl(2, 'acl', 'test', 'alice', 'publish', 'a/1')
  assert.match(allowed.stdout, /permissions of the cluster, version 1:5 allows it/)
  const account = await run(['ctl', 'account', 'set', 'bob', '--node', '1'], { input: 'secret\n' })
  assert.notEqual(account.code, 0)
  assert.match(account.stderr, /accounts are the same on all nodes[\s\S]*ctl cluster apply/)
  assert.match((await ctl(1, 'account', 'list')).stdout, /alice/)

  // What no operator signed, what is older, and what nobody could read.
  const unsigned = await ctl(0, ...apply)
  assert.match(unsigned.stderr, /signed by 0 operators, and 1 must sign it/)
  const older = await ctl(3, ...apply, '--as-version', '1', ...operator())
  assert.notEqual(older.code, 0)
  assert.match(older.stderr, /version 1 is in force, and version 1 is not later/)
  assert.equal((await run(['address-book', 'key', at('stranger.pem')])).code, 0)
  const stranger = await ctl(0, ...apply, '--operator-key', at('stranger.pem'))
  assert.match(stranger.stderr, /is not that of an operator of this cluster/)
  writeFileSync(at('broken.toml'), 'default = "perhaps"\n')
  const broken = await ctl(0, 'cluster', 'apply', at('broken.toml'), '--as', 'permissions', ...operator())
  assert.match(broken.stderr, /default must be "allow" or "deny"/)

  // A node that was away has it when it takes clients again; so has one that starts on its own disk.
  nodes[2]?.child.kill('SIGKILL')
  await nodes[2]?.ended
  writeFileSync(
    at('rules.toml'),
    'default = "allow"\n[permissions.alice]\ntopic = [{ filter = "a/#", denied = ["publish"] }]\n',
  )
  const second = await ctl(0, ...apply, ...operator())
  assert.match(second.stdout, /version 2/)
  nodes[2] = start(memberArgs(2))
  await nodes[2].until(/This node takes clients/)
  assert.deepEqual([await answerOf(nodes[2], 'a/1'), await answerOf(nodes[2], 'b')], [0x87, 0])
  assert.deepEqual(await documentsOf(2), await documentsOf(0))
  const shown = await ctl(2, 'cluster', 'status')
  assert.match(shown.stdout, /Permissions +version 2, SHA-256 [0-9a-f]{16}, since position [\d,]+, by operator 0/)
  assert.equal((await ctl(2, 'cluster', 'show', 'permissions')).stdout, readFileSync(at('rules.toml'), 'utf8'))

  // Who is no user any more is disconnected, at whatever node; others stay.
  await run(['user', 'add', 'bob', '-O', at('users.toml')], { input: 'secret\n' })
  assert.equal((await ctl(0, 'cluster', 'apply', at('users.toml'), ...operator())).code, 0)
  await nodes[2].until(/in force: users of the cluster, version 2/)
  using leaves = await connect(await target(nodes[2]), 5, { username: 'bob', password: 'secret' })
  using stays = await connect(await target(nodes[2]), 5, alice)
  await run(['user', 'del', 'bob', '-O', at('users.toml')])
  assert.equal((await ctl(0, 'cluster', 'apply', at('users.toml'), ...operator())).code, 0)
  await leaves.expectRefusal(0x98)
  await stays.ping()
  using again = await opened(await target(nodes[2]), 5, wire.connect(5, { username: 'bob', password: 'secret' }))
  await again.expectConnectRefused(0x86)

  const withdrawn = await ctl(3, 'cluster', 'withdraw', 'permissions', ...operator())
  assert.equal(withdrawn.code, 0, withdrawn.stderr)
  await agreed(all, 3)
  for (const node of nodes) assert.equal(await answerOf(node, 'a/1'), 0)
  assert.ok(!holds(at('concordmq.d'), 'mypassword'), 'a password lies on disk as it is')
})

/** Whether any file below a folder has these bytes. */
function holds(folder: string, text: string): boolean {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).some((name) => {
    const path = join(folder, name)
    return statSync(path).isFile() && readFileSync(path).includes(text)
  })
}
