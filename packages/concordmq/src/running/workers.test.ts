/** The program with several threads: what it refuses, and that they are one broker. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect } from '@concordmq/client'
import { at, portOf, run, startNode } from '../program.testkit.ts'

test('`--workers` is refused with the remedy where it cannot be served', async () => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [['--workers', '99'], /workers = "99" in --workers: must be "auto" or an integer/],
  ]
  for (const [flags, reason] of cases) {
    const { code, stderr } = await run([
      'run',
      '-L',
      '127.0.0.1:0',
      '--http-addr',
      'off',
      '--allow-anonymous-login',
      ...flags,
    ])
    assert.equal(code, 78)
    assert.match(stderr, reason)
  }
})

test('eight clients of two workers get each message', async () => {
  const node = await startNode(['--allow-anonymous-login', '--workers', '2'])
  const url = `mqtt://127.0.0.1:${await portOf(node, 'tcp')}`
  const clients = await Promise.all(Array.from({ length: 8 }, (_, i) => connect(url, { clientId: `client ${i}` })))
  const heard = clients.map(() => Promise.withResolvers<string>())
  await Promise.all(
    clients.map((client, i) =>
      client.subscribe('all', { qos: 1 }, ({ payload }) => heard[i]?.resolve(new TextDecoder().decode(payload))),
    ),
  )
  await clients[0]?.publish('all', 'hello', { qos: 1 })
  for (const { promise } of heard) assert.equal(await promise, 'hello')
  await Promise.all(clients.map((client) => client.disconnect()))
})

test('what two workers keep is there for one that starts on the same data', async () => {
  const flags = ['--allow-anonymous-login', '--data-dir', at('data')]
  const first = await startNode([...flags, '--workers', '2'])
  const client = await connect(`mqtt://127.0.0.1:${await portOf(first, 'tcp')}`)
  await client.publish('kept', 'as it was', { qos: 1, retain: true })
  await client.disconnect()
  first.child.kill('SIGKILL')
  await first.ended
  const second = await startNode([...flags, '--workers', '1'])
  const again = await connect(`mqtt://127.0.0.1:${await portOf(second, 'tcp')}`)
  const heard = Promise.withResolvers<string>()
  await again.subscribe('kept', { qos: 1 }, ({ payload }) => heard.resolve(new TextDecoder().decode(payload)))
  assert.equal(await heard.promise, 'as it was')
  await again.disconnect()
})
