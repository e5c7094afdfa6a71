/** Emptying the store: what stays, what goes, and whom it refuses (row U25). */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { connect } from '../../../../testing/testkit/src/raw-client.ts'
import { at, portOf, run, startNode } from '../program.testkit.ts'

async function startOpen() {
  mkdirSync(at('concordmq.d'), { recursive: true })
  const node = await startNode(['--allow-anonymous-login'])
  return { node, target: { host: '127.0.0.1', port: await portOf(node, 'tcp') } }
}

const data = () => at('concordmq.d', 'data', 'node')

test('reset empties the store after a confirmation, refuses while a node runs, and leaves everything else [row U25]', async () => {
  const first = await startOpen()
  const client = await connect(first.target, 4, { clientId: 'kept', cleanStart: false })
  await client.subscribe('t', 1)
  await client.publish('r', 'retained', { qos: 1, retain: true })
  await client.drop()

  const running = await run(['reset', '--yes'])
  assert.equal(running.code, 69)
  assert.match(running.stderr, /another broker has it open.*\nA node runs on these data: stop it first/)
  first.node.child.kill('SIGTERM')
  assert.equal(await first.node.ended, 0)

  // Stop and start keeps it all.
  const second = await startOpen()
  const back = await connect(second.target, 4, { clientId: 'kept', cleanStart: false })
  assert.equal(back.connack?.sessionPresent, true)
  await back.subscribe('r')
  await back.receive({ payload: 'retained' })
  second.node.child.kill('SIGKILL')
  await second.node.ended

  writeFileSync(at('concordmq.d', 'data', 'node', 'mine.txt'), 'precious')
  const unasked = await run(['reset'])
  assert.equal(unasked.code, 64)
  assert.match(unasked.stderr, /Nobody can be asked whether to delete .*data\/node: \d+ files, .*\nAdd --yes/)
  assert.ok(existsSync(at('concordmq.d', 'data', 'node', 'state.sqlite')))

  const done = await run(['reset', '--yes'])
  assert.equal(done.code, 0, done.stderr)
  assert.match(done.stdout, /Deleted \d+ files in .*data\/node/)
  assert.deepEqual(readdirSync(data()).sort(), ['log', 'mine.txt'])
  assert.deepEqual(readdirSync(at('concordmq.d', 'data', 'node', 'log')), [])
  assert.equal(readFileSync(at('concordmq.d', 'data', 'node', 'mine.txt'), 'utf8'), 'precious')
  assert.match((await run(['reset', '--yes'])).stdout, /There is nothing in/)

  const third = await startOpen()
  const fresh = await connect(third.target, 4, { clientId: 'kept', cleanStart: false })
  assert.equal(fresh.connack?.sessionPresent, false)
})

test('reset takes away damaged data, and leaves what another program wrote', async () => {
  const first = await startOpen()
  first.node.child.kill('SIGTERM')
  await first.node.ended
  const state = at('concordmq.d', 'data', 'node', 'state.sqlite')
  writeFileSync(state, Buffer.alloc(10_000, 'x'))
  assert.equal((await run(['reset', '--yes'])).code, 0)
  assert.ok(!existsSync(state))
  const { DatabaseSync } = await import('node:sqlite')
  const foreign = new DatabaseSync(state)
  foreign.exec('CREATE TABLE mine (a); PRAGMA user_version = 1')
  foreign.close()
  const refused = await run(['reset', '--yes'])
  assert.equal(refused.code, 78)
  assert.ok(existsSync(state))
  const none = await run(['reset', '--yes', '--durability', 'memory'])
  assert.match(none.stderr, /keeps nothing: durability is memory/)
})
