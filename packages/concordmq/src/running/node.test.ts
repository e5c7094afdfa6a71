/** A node as the program runs it, and what its clients, its signals and its log show. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import * as wire from '../../../../testing/testkit/src/wire.ts'
import {
  accepted,
  answer,
  at,
  connectPacket,
  notAuthorized,
  portOf,
  record,
  run,
  start,
  startNode,
  writeUsers,
} from '../program.testkit.ts'

test("FoxMQ's recipe for a single node works line by line", async () => {
  assert.equal((await run(['address-book', 'from-range', '127.0.0.1', '19793', '19793'])).code, 0)
  assert.equal((await run(['user', 'add'], { input: 'myagent\nmypassword\n' })).code, 0)
  assert.deepEqual(readdirSync(at('concordmq.d')).sort(), ['address-book.toml', 'key_0.pem', 'users.toml'])
  assert.equal(statSync(at('concordmq.d', 'users.toml')).mode & 0o777, 0o600)
  const node = await startNode(['--secret-key-file=concordmq.d/key_0.pem'])
  const port = await portOf(node, 'tcp')
  const right = connectPacket({ name: 'myagent', password: 'mypassword' })
  assert.deepEqual(await answer(connect(port, '127.0.0.1'), right, 4), accepted)
  const wrong = connectPacket({ name: 'myagent', password: 'other' })
  assert.deepEqual(await answer(connect(port, '127.0.0.1'), wrong, 4), notAuthorized)
  assert.deepEqual(await answer(connect(port, '127.0.0.1'), connectPacket(), 4), notAuthorized)
  // MQTT 3.1 has a code of its own for a wrong password.
  const old = wire.connect(3, { clientId: 'probe', username: 'myagent', password: 'other' })
  assert.deepEqual(await answer(connect(port, '127.0.0.1'), old, 4), Buffer.from([0x20, 2, 0, 4]))
  assert.doesNotMatch(node.output.stdout, /mypassword/)
})

test('a directory made for FoxMQ works as the trailing argument', async () => {
  await run(['address-book', 'from-list', '127.0.0.1:19793', '-O', 'foxmq.d'])
  const record = (await run(['user', 'generate', 'a', 'pw'])).stdout
  writeFileSync(at('foxmq.d', 'users.toml'), `[auth]\nsilent-connect-errors = true\n${record}`, {
    mode: 0o600,
  })
  const node = await startNode(['-f', 'foxmq.d/key_0.pem', 'foxmq.d'])
  const port = await portOf(node, 'tcp')
  assert.deepEqual(await answer(connect(port, '127.0.0.1'), connectPacket({ name: 'a', password: 'pw' }), 4), accepted)
  const silent = await answer(connect(port, '127.0.0.1'), connectPacket({ name: 'a', password: 'no' }), 4)
  assert.equal(silent.length, 0)
})

test('--silent-connect-errors closes refused connections without a byte, HTTP too [row F25]', async () => {
  writeUsers(await record('a', 'pw'))
  const node = await startNode(['--silent-connect-errors'])
  const port = await portOf(node, 'tcp')
  for (const bytes of [
    connectPacket({ name: 'a', password: 'no' }),
    Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
  ]) {
    assert.equal((await answer(connect(port, '127.0.0.1'), bytes, 1)).length, 0)
  }
})

test('run serves anonymous clients when told to, without any directory [row F24]', async () => {
  const node = await startNode(['--allow-anonymous-login'])
  const port = await portOf(node, 'tcp')
  assert.deepEqual(await answer(connect(port, '127.0.0.1'), connectPacket(), 4), accepted)
  assert.match(node.output.stdout, /INFO concordmq::program: no address book, running as a single node/)
})

test('run --ignore-permissions starts and says that nothing is enforced', async () => {
  mkdirSync(at('concordmq.d'))
  writeFileSync(at('concordmq.d', 'permissions.toml'), '')
  const node = await startNode(['--allow-anonymous-login', '--ignore-permissions'])
  assert.match(node.output.stdout, /WARN concordmq::program: permissions are not enforced/)
})

test('--log json: every line is an object with the four keys, the last refusal too [row F26]', async () => {
  const node = await startNode(['--allow-anonymous-login', '--log=json'])
  node.child.kill('SIGTERM')
  assert.equal(await node.ended, 0)
  const lines = node.output.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  for (const line of lines) assert.deepEqual(Object.keys(line).sort(), ['fields', 'level', 'target', 'timestamp'])
  const listening = lines.find((line) => line.fields.message === 'listening for connections')
  assert.match(listening.fields.listen_addr, /^127\.0\.0\.1:\d+$/)
  const refused = await run(['run', '--log=json', '-L', '127.0.0.1:0'])
  assert.match(JSON.parse(refused.stdout.trimEnd().split('\n').at(-1) ?? '').fields.message, /Nobody could log in/)
})

test('/healthz and /readyz answer while the node serves', async () => {
  const node = await startNode(['--allow-anonymous-login'])
  const [, address] = await node.until(/serving \/healthz and \/readyz .*listen_addr=(\S+)/)
  assert.equal((await fetch(`http://${address}/healthz`)).status, 200)
  assert.equal((await fetch(`http://${address}/readyz`)).status, 200)
  assert.equal((await fetch(`http://${address}/other`)).status, 404)
})

test('SIGTERM stops gracefully with 0: 5.0 clients get DISCONNECT 0x8B', async () => {
  const node = await startNode(['--allow-anonymous-login'])
  const socket = connect(await portOf(node, 'tcp'), '127.0.0.1')
  const connect5 = Buffer.from([0x10, 14, 0, 4, 0x4d, 0x51, 0x54, 0x54, 5, 2, 0, 60, 0, 0, 1, 0x70])
  connect5[1] = connect5.length - 2
  socket.write(connect5)
  const chunks: Buffer[] = []
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    if (chunks.length === 0) node.child.kill('SIGTERM')
    chunks.push(chunk)
  }
  const bytes = Buffer.concat(chunks)
  assert.equal(bytes[0], 0x20)
  const connackLength = 2 + (bytes[1] ?? 0)
  assert.equal(bytes[connackLength], 0xe0)
  assert.equal(bytes[connackLength + 2], 0x8b)
  assert.equal(await node.ended, 0)
})

test('TLS: a client trusts the file written beside the key; SIGHUP changes certificate and users and drops nobody [rows F21, F22]', async () => {
  await run(['address-book', 'from-range', '127.0.0.1', '19793', '19793'])
  writeUsers(await record('a', 'pw'))
  const args = ['-f', 'concordmq.d/key_0.pem', '--mqtts', '--mqtts-addr', '127.0.0.1:0']
  const node = await startNode(args)
  const port = await portOf(node, 'tls')
  const ca = readFileSync(at('concordmq.d', 'key_0.crt'), 'utf8')
  const login = connectPacket({ name: 'a', password: 'pw' })
  const client = connectTls({ host: '127.0.0.1', port, ca })
  // An identifier of its own, or the next client would take its session over.
  client.write(connectPacket({ name: 'a', password: 'pw' }, 'stays'))
  const [connack] = (await once(client, 'data')) as [Buffer]
  assert.deepEqual(connack, accepted)

  writeUsers(await record('b', 'pw2'))
  rmSync(at('concordmq.d', 'key_0.crt'))
  node.child.kill('SIGHUP')
  await node.until(/read certificates again/)
  const renewed = readFileSync(at('concordmq.d', 'key_0.crt'), 'utf8')
  assert.notEqual(renewed, ca)
  const fresh = connectTls({ host: '127.0.0.1', port, ca: renewed })
  assert.deepEqual(await answer(fresh, connectPacket({ name: 'b', password: 'pw2' }), 4), accepted)
  assert.deepEqual(await answer(connectTls({ host: '127.0.0.1', port, ca: renewed }), login, 4), notAuthorized)
  client.write(Buffer.from([0xc0, 0]))
  assert.deepEqual((await once(client, 'data'))[0], Buffer.from([0xd0, 0]))

  writeFileSync(at('concordmq.d', 'users.toml'), '[users.b\n')
  node.child.kill('SIGHUP')
  await node.until(/ERROR concordmq::reload: keeping the old users .*users\.toml:1:/)
  assert.deepEqual(
    await answer(
      connectTls({ host: '127.0.0.1', port, ca: renewed }),
      connectPacket({ name: 'b', password: 'pw2' }),
      4,
    ),
    accepted,
  )
  client.destroy()
})

test('OpenSSL verifies the running listener with the file beside the key', async (t) => {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' })
  } catch {
    return t.skip('openssl is not installed')
  }
  await run(['address-book', 'from-range', '127.0.0.1', '19793', '19793'])
  const node = await startNode([
    '-f',
    'concordmq.d/key_0.pem',
    '--allow-anonymous-login',
    '--mqtts',
    '--mqtts-addr',
    '127.0.0.1:0',
  ])
  const port = await portOf(node, 'tls')
  const child = spawn(
    'openssl',
    [
      's_client',
      '-connect',
      `127.0.0.1:${port}`,
      '-CAfile',
      'concordmq.d/key_0.crt',
      '-verify_return_error',
      '-verify_ip',
      '127.0.0.1',
      '-brief',
    ],
    { cwd: at() },
  )
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stdin.end()
  await once(child, 'close')
  assert.match(output, /Verification: OK/)
})

test('several addresses, WebSocket and a Unix socket are served by one node', async () => {
  const args = [
    '-L',
    '127.0.0.2:0',
    '--websockets',
    '--websockets-addr',
    '127.0.0.1:0',
    '--unix',
    'mq.sock',
    '--allow-anonymous-login',
  ]
  const node = await startNode(args)
  const listening = node.output.stdout.match(/listening for connections/g)
  assert.equal(listening?.length, 4)
  const [, second] = await node.until(/listen_addr=127\.0\.0\.2:(\d+)/)
  assert.deepEqual(await answer(connect(Number(second), '127.0.0.2'), connectPacket(), 4), accepted)
  assert.deepEqual(await answer(connect(at('mq.sock')), connectPacket(), 4), accepted)
  assert.equal((await fetch(`http://127.0.0.1:${await portOf(node, 'ws')}/`)).status, 200)
})

test('dev serves, says what to type next, and leaves nothing behind', async () => {
  const dev = start(['dev', '--port', '0', '--mqtts-port', '0', '--websockets-port', '0'])
  const [, port] = await dev.until(/npx concordmq sub -p (\d+) -t 'hello\/#' -v[\s\S]*Ctrl-C stops it/)
  assert.deepEqual(await answer(connect(Number(port), '127.0.0.1'), connectPacket(), 4), accepted)
  dev.child.kill('SIGINT')
  assert.equal(await dev.ended, 0)
  assert.deepEqual(readdirSync(at()), [])
})

test('--cpu-profile writes a profile when the node is interrupted, and a wrong path stops the start (row S10)', async () => {
  const node = await startNode(['--allow-anonymous-login', '--cpu-profile', at('node.cpuprofile')])
  const port = await portOf(node, 'tcp')
  assert.deepEqual(await answer(connect(port, '127.0.0.1'), connectPacket(), 4), accepted)
  node.child.kill('SIGINT')
  assert.equal(await node.ended, 0)
  const profile = JSON.parse(readFileSync(at('node.cpuprofile'), 'utf8')) as { nodes: unknown[]; samples: unknown[] }
  assert.ok(profile.nodes.length > 0 && profile.samples.length > 0)
  const wrong = await run(['run', '--allow-anonymous-login', '-L', '127.0.0.1:0', '--cpu-profile', at('nowhere', 'x')])
  assert.equal(wrong.code, 74)
  assert.match(wrong.stderr, /Cannot write the CPU profile/)
})
