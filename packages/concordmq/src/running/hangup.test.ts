/** SIGHUP and repeated signals, at the times when they are least convenient. */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { connect } from 'node:net'
import { test } from 'node:test'
import { accepted, answer, at, connectPacket, start } from '../program.testkit.ts'

const dev = ['dev', '--port', '0', '--mqtts-port', '0', '--websockets-port', '0']

test('dev ends with its terminal', async () => {
  const { child, ended, until } = start(dev)
  await until(/Ctrl-C stops it/)
  child.kill('SIGHUP')
  child.kill('SIGHUP')
  assert.equal(await ended, 0)
  assert.deepEqual(readdirSync(at()), [])
})

test('dev leaves nothing behind when Ctrl-C is pressed twice', async () => {
  const { child, ended, until } = start(dev)
  const [, port] = await until(/npx concordmq sub -p (\d+)/)
  // A client that does not hang up keeps the stop from ending by itself.
  const client = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true })
  assert.deepEqual(await answer(client, connectPacket(), 4), accepted)
  await until(/Ctrl-C stops it/)
  child.kill('SIGINT')
  await until(/stopping/)
  child.kill('SIGINT')
  const code = await ended
  // Once all is done, the system's own way with a signal is as good.
  assert.ok(code === null ? child.signalCode === 'SIGINT' : [0, 130].includes(code), `${code}`)
  client.destroy()
  assert.deepEqual(readdirSync(at()), [])
})

test('SIGHUP while a node starts does not end it and is carried out once it serves, nor does a storm of them', async () => {
  const node = start(['run', '--allow-anonymous-login', '-L', '127.0.0.1:0', '--http-addr', 'off'])
  await node.until(/running as a single node/)
  for (let i = 0; i < 100; i++) node.child.kill('SIGHUP')
  await node.until(/node is ready[\s\S]*read users again/)
  node.child.kill('SIGTERM')
  assert.equal(await node.ended, 0)
  assert.match(node.output.stdout, /INFO concordmq::broker: stopped/)
})
