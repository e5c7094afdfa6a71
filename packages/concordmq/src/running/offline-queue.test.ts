/** What is kept for a client that is away, as the file says (row U12). */
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { connect } from '../../../../testing/testkit/src/raw-client.ts'
import { at, portOf, startNode } from '../program.testkit.ts'

/** Payloads that a kept session gets after its connection was lost and ten messages were published. */
async function afterTen(file: string): Promise<string[]> {
  mkdirSync(at('concordmq.d'), { recursive: true })
  writeFileSync(at('concordmq.d', 'concordmq.toml'), file)
  const node = await startNode(['--allow-anonymous-login'])
  const target = { host: '127.0.0.1', port: await portOf(node, 'tcp') }
  const away = await connect(target, 4, { clientId: 'c1', cleanStart: false })
  await away.subscribe('t', 1)
  await away.drop()
  const publisher = await connect(target, 4, { clientId: 'p' })
  for (let i = 1; i <= 10; i++) await publisher.publish('t', String(i), { qos: 1 })
  const back = await connect(target, 4, { clientId: 'c1', cleanStart: false })
  assert.equal(back.connack?.sessionPresent, true)
  // At QoS 0 it is not queued, and comes behind what is.
  await publisher.publish('t', 'last')
  const payloads: string[] = []
  for (;;) {
    const { payload } = await back.receive()
    if (payload.toString() === 'last') return payloads
    payloads.push(payload.toString())
  }
}

test('a session that was cut off gets all ten messages by default [row U12]', async () => {
  assert.deepEqual(await afterTen(''), ['1', '2', '3', '4', '5', '6', '7', '8', '9', '10'])
})

test("with sessions.queue-messages-max = 3 and dropOldest it gets the newest three, as fubar's does [row U12]", async () => {
  const file = '[sessions]\nqueue-messages-max = 3\nqueue-full = "dropOldest"\n'
  assert.deepEqual(await afterTen(file), ['8', '9', '10'])
})

test('with dropNewest it gets the first three', async () => {
  assert.deepEqual(await afterTen('[sessions]\nqueue-messages-max = 3\n'), ['1', '2', '3'])
})
