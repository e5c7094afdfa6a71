/** Proofs of positions from before a kill, by the real program (consensus.md section 10). */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { connect } from '@concordmq/client'
import { freePorts } from '../../../../testing/testkit/src/cluster-process.ts'
import { at, portOf, run, type Started, start } from '../program.testkit.ts'

async function startAlone(env: Record<string, string> = {}): Promise<{ node: Started; http: string }> {
  const flags = ['-L', '127.0.0.1:0', '--http-addr', '127.0.0.1:0', '-f', at('concordmq.d', 'key_0.pem')]
  const node = start(['run', ...flags, '--allow-anonymous-login'], { env: { CONCORDMQ_CLUSTER_MODE: 'bft', ...env } })
  const [, http = ''] = await node.until(/serving \/healthz.* listen_addr=(\S+)/)
  await node.until(/This node takes clients/)
  return { node, http }
}

async function publish(node: Started, count: number): Promise<void> {
  const client = await connect(`mqtt://127.0.0.1:${await portOf(node, 'tcp')}`, { clientId: 'p', reconnect: false })
  for (let i = 0; i < count; i++) await client.publish('t', `message ${i}`, { qos: 1, retain: true })
  await client.disconnect()
}

test('a node proves old positions after kill -9, and not when it keeps nothing on disk', {
  timeout: 120_000,
}, async () => {
  const [port] = await freePorts(1)
  assert.equal((await run(['address-book', 'from-list', `127.0.0.1:${port}`])).code, 0)
  const first = await startAlone()
  await publish(first.node, 20)
  assert.equal((await fetch(`http://${first.http}/proof/3`)).status, 200)
  await publish(first.node, 20)
  first.node.child.kill('SIGKILL')
  await first.node.ended

  const second = await startAlone()
  const answer = await fetch(`http://${second.http}/proof/3`)
  assert.equal(answer.status, 200, await answer.clone().text())
  writeFileSync(at('proof.json'), await answer.text())
  const verified = await run(['verify', '--book', at('concordmq.d', 'address-book.toml'), at('proof.json')])
  assert.match(verified.stdout, /^Valid: the message has position 3/, verified.stderr)
  // Also what was ordered after the last checkpoint, and after the start.
  for (const position of [20, 40]) assert.equal((await fetch(`http://${second.http}/proof/${position}`)).status, 200)
  second.node.child.kill('SIGKILL')
  await second.node.ended

  const third = await startAlone({ CONCORDMQ_CLUSTER_PROOF_BYTES_MAX: '0' })
  const refused = await fetch(`http://${third.http}/proof/3`)
  assert.match(await refused.text(), /Cannot prove position 3: this node keeps/)
})
