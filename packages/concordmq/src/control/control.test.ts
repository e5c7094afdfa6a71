/** A running node and the commands that speak to it, as a person uses them. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { connect, createServer, type Socket } from 'node:net'
import { dirname } from 'node:path'
import { test } from 'node:test'
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

const socketPath = () => at('concordmq.d', 'control.sock')

async function startOpenNode(args: string[] = []) {
  mkdirSync(at('concordmq.d'), { recursive: true })
  return startNode(['--allow-anonymous-login', ...args])
}

/** The JSON of a command's answer. */
async function ask(...args: string[]) {
  const { code, stdout, stderr } = await run([...args, '--json'])
  assert.equal(code, 0, stderr)
  return JSON.parse(stdout)
}

/** A client that stays connected; resolves after CONNACK. */
async function client(port: number, packet: Buffer): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.write(packet)
  await once(socket, 'data')
  return socket
}

/** Whichever way it is cut. */
function ended(socket: Socket): Promise<void> {
  socket.on('error', () => {})
  return new Promise((resolve) => socket.once('close', () => resolve()))
}

function raw(options: { readonly method?: string; readonly path: string; readonly body?: string }) {
  return new Promise<{ readonly status: number; readonly text: string }>((resolve, reject) => {
    const sent = request({ socketPath: socketPath(), ...options }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      response.on('error', () => {})
      response.on('close', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    sent.on('error', reject)
    sent.end(options.body)
  })
}

test('state has the fields of row U22, and lies behind a socket that only its owner can open', async () => {
  const node = await startOpenNode()
  const state = await ask('state')
  for (const field of [
    'name',
    'description',
    'version',
    'listeners',
    'nodes',
    'routes',
    'memory_mb',
    'load',
    'min_load',
  ]) {
    assert.ok(state[field] !== undefined, field)
  }
  assert.equal(state.pid, node.child.pid)
  assert.deepEqual(
    state.listeners.map((one: { transport: string; connections: number; acceptors: number }) => [
      one.transport,
      one.connections,
      one.acceptors,
    ]),
    [['tcp', 0, 1]],
  )
  assert.equal(statSync(socketPath()).mode & 0o777, 0o600)
  const { stdout } = await run(['ctl', 'state'])
  assert.match(stdout, /^Node +\S+\nVersion +0\.1\.0\nRunning +.*ready\n/)
  node.child.kill('SIGTERM')
  assert.equal(await node.ended, 0)
  assert.ok(!existsSync(socketPath()))
})

test('without a node every command says so, with where it looked, and ends with 69', async () => {
  for (const args of [['state'], ['ctl', 'clients'], ['account', 'all'], ['settings', 'list'], ['config', 'reload']]) {
    const { code, stderr } = await run(args)
    assert.equal(code, 69, args.join(' '))
    assert.match(
      stderr,
      /No node runs with the directory concordmq\.d\nThere is no control socket at .*control\.sock or /,
    )
  }
  const named = await run(['state', '--control-socket', 'other.sock'])
  assert.match(named.stderr, /No node runs: there is no control socket at .*other\.sock/)
})

test('a socket that a killed node left is replaced, a live one refuses the second node', async () => {
  const first = await startOpenNode()
  first.child.kill('SIGKILL')
  await first.ended
  assert.ok(existsSync(socketPath()))
  assert.match((await run(['state'])).stderr, /nobody answers on .*which a node that ended has left/)
  const second = await startOpenNode()
  assert.equal((await ask('state')).pid, second.child.pid)
  const open = ['run', '--allow-anonymous-login', '-L', '127.0.0.1:0', '--http-addr', 'off']
  const third = await run(open)
  assert.equal(third.code, 69)
  assert.match(third.stderr, /another broker has it open; stop the other broker/)
  const fourth = await run([...open, '--durability', 'memory'])
  assert.equal(fourth.code, 69)
  assert.match(fourth.stderr, /Another node answers on the control socket .*\nStop it, or give this one/)
  assert.equal((await ask('state')).pid, second.child.pid, 'the live node was cut off')
  const beside = await startOpenNode(['--control-socket', 'beside.sock', '--data-dir', 'beside'])
  assert.equal((await ask('state', '--control-socket', 'beside.sock')).pid, beside.child.pid)
})

test('of nodes that start together on one directory, one serves', async () => {
  mkdirSync(at('concordmq.d'))
  const args = ['run', '--allow-anonymous-login', '-L', '127.0.0.1:0', '--http-addr', 'off']
  const nodes = Array.from({ length: 4 }, () => start(args))
  const ended = await Promise.all(nodes.map((node) => Promise.race([node.ended, node.until(/node is ready/)])))
  assert.deepEqual(
    ended.filter((end) => typeof end === 'number'),
    [69, 69, 69],
  )
  const { pid } = await ask('state')
  assert.ok(nodes.some((node) => node.child.pid === pid))
})

test('a file in the place of the socket is refused and stays', async () => {
  mkdirSync(at('concordmq.d'))
  writeFileSync(socketPath(), 'precious')
  const refused = await run(['run', '--allow-anonymous-login', '-L', '127.0.0.1:0', '--http-addr', 'off'])
  assert.equal(refused.code, 69)
  assert.match(refused.stderr, /a file is in its place\nRemove it, or give another place/)
  assert.equal(readFileSync(socketPath(), 'utf8'), 'precious')
})

test('without a directory the socket lies in a private folder, where ctl finds it; off is off; too long is refused', async () => {
  // Nothing is kept, so nothing makes the directory.
  const node = await startNode(['--allow-anonymous-login', '--durability', 'memory'])
  const [, path = ''] = await node.until(/outside of the directory .*path=(\S+) reason="concordmq\.d does not exist"/)
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.equal(statSync(dirname(path)).mode & 0o777, 0o700)
  assert.equal((await ask('state')).pid, node.child.pid)
  assert.ok(!existsSync(at('concordmq.d')))
  await startOpenNode(['--control-socket', 'off', '--durability', 'memory'])
  assert.ok(!existsSync(socketPath()))
  const long = ['run', '--allow-anonymous-login', '-L', '127.0.0.1:0', '--control-socket', 'x'.repeat(120)]
  const refused = await run([...long, '--http-addr', 'off'])
  assert.equal(refused.code, 78)
  assert.match(refused.stderr, /The path of the control socket is too long/)
})

test('a folder that others may write is not used for a socket', async () => {
  const folder = at(`concordmq-${process.getuid?.()}`)
  mkdirSync(folder)
  chmodSync(folder, 0o777)
  const node = await startNode(['--allow-anonymous-login', '--durability', 'memory'])
  assert.match(node.output.stdout, /WARN .*no control socket: .*others have rights on/)
})

test('accounts set at run time log in within a second, and deleted ones do not [row U15]', async () => {
  writeUsers(`# who may\n${await record('first', 'pw')}`)
  const node = await startNode([])
  const port = await portOf(node, 'tcp')
  const login = (name: string, password: string) =>
    answer(connect(port, '127.0.0.1'), connectPacket({ name, password }, name), 4)
  assert.deepEqual(await login('romeo', 'wherefore'), notAuthorized)

  const added = await run(['account', 'set', 'romeo', '--password-stdin'], { input: 'wherefore\n' })
  assert.equal(added.code, 0, added.stderr)
  assert.match(added.stdout, /Added account "romeo", in force now/)
  assert.deepEqual(await login('romeo', 'wherefore'), accepted)
  await run(['ctl', 'account', 'set', 'romeo'], { input: 'other\n' })
  assert.deepEqual(await login('romeo', 'wherefore'), notAuthorized)

  const all = await run(['account', 'all'])
  assert.match(all.stdout, /^USER +PASSWORD RECORD\nfirst +argon2id\nromeo +argon2id\n$/)
  const socket = await client(port, connectPacket({ name: 'romeo', password: 'other' }, 'stays'))
  assert.equal((await ask('account', 'get', 'romeo')).connected, 1)
  const gone = once(socket, 'close')
  const deleted = await ask('account', 'del', 'romeo', '--disconnect')
  assert.equal(deleted.disconnected, 1)
  await gone
  assert.deepEqual(await login('romeo', 'other'), notAuthorized)
  assert.deepEqual(await login('first', 'pw'), accepted)

  const file = readFileSync(at('concordmq.d', 'users.toml'), 'utf8')
  assert.match(file, /^# who may\n/)
  assert.doesNotMatch(file, /romeo/)
  assert.doesNotMatch(node.output.stdout + all.stdout, /wherefore|\$argon2id/)

  assert.match((await run(['account', 'del', 'romeo'])).stderr, /There is no account "romeo"/)
  assert.match((await run(['account', 'set', 'x'], { input: '\n' })).stderr, /An empty password is none/)
  assert.match((await run(['account', 'set', 'a\nb'], { input: 'x\n' })).stderr, /no control characters/)
  // The last account, too, can be taken away: nobody can log in then, and the log says it.
  assert.equal((await run(['account', 'del', 'first'])).code, 0)
  assert.deepEqual(await login('first', 'pw'), notAuthorized)
  assert.match(node.output.stdout, /nobody can log in/)
})

test('many accounts set at once are all there', async () => {
  const node = await startOpenNode()
  const names = Array.from({ length: 12 }, (_, i) => `user-${i}`)
  const results = await Promise.all(
    names.map((name) => raw({ method: 'PUT', path: `/v1/accounts/${name}`, body: JSON.stringify({ password: name }) })),
  )
  assert.deepEqual(
    results.map(({ status }) => status),
    names.map(() => 200),
  )
  const { items } = await ask('account', 'list')
  assert.deepEqual(items.map((one: { name: string }) => one.name).sort(), [...names].sort())
  const port = await portOf(node, 'tcp')
  const packet = connectPacket({ name: 'user-7', password: 'user-7' })
  assert.deepEqual(await answer(connect(port, '127.0.0.1'), packet, 4), accepted)
})

test('limits.packet-bytes-max set at run time holds for new connections only [rows U19, U20]', async () => {
  const node = await startOpenNode(['--log', 'compact'])
  const port = await portOf(node, 'tcp')
  await ask('settings', 'set', 'limits.packet-bytes-max', '4096')
  const packet = wire.publish(4, 't', Buffer.alloc(5_000), { qos: 1, id: 1 })
  const old = await client(port, connectPacket(undefined, 'old'))
  const set = await run(['settings', 'set', 'limits.packet-bytes-max', '8192'])
  assert.match(set.stdout, /4096 → 8192, in force for new connections; .*\nconcordmq\.toml is not changed/)
  const fresh = await client(port, connectPacket(undefined, 'fresh'))
  fresh.write(packet)
  assert.deepEqual((await once(fresh, 'data'))[0], Buffer.from([0x40, 2, 0, 1]))
  const closed = ended(old)
  old.write(packet)
  await closed
  assert.equal((await ask('ctl', 'client', 'fresh')).packetBytesMax, 8_192)
})

test('a key of each kind: now, new connections, restart; --save writes, reload goes back to the file [row U20]', async () => {
  const node = await startOpenNode()
  writeFileSync(at('concordmq.d', 'concordmq.toml'), '# kept\n[log]\nlevel = "info"\n')
  await ask('settings', 'set', 'log.level', 'debug')
  await ask('settings', 'set', 'log.format', 'json')
  await ask('settings', 'set', 'limits.keep-alive-max', '7')
  const late = await run(['settings', 'set', 'features.direct-messages', 'prefix'])
  assert.equal(late.code, 1)
  assert.match(late.stderr, /cannot change while the node runs\nAdd --save/)
  const saved = await run(['settings', 'set', 'features.direct-messages', 'prefix', '--save'])
  assert.match(saved.stdout, /in force at the next start\nWritten to concordmq\.d\/concordmq\.toml/)
  const shown = await ask('settings', 'get', 'features.direct-messages')
  assert.deepEqual([shown.value, shown.next, shown.effect], ['off', 'prefix', 'restart'])
  await node.until(/^\{"level":"DEBUG".*$|^\{.*"features\.direct-messages/m)
  assert.equal(
    readFileSync(at('concordmq.d', 'concordmq.toml'), 'utf8'),
    '# kept\n[log]\nlevel = "info"\n\n[features]\ndirect-messages = "prefix"\n',
  )
  const report = await run(['settings', 'reload'])
  assert.match(report.stdout, /limits\.keep-alive-max: 7 → 3600 \(new connections\)/)
  assert.match(report.stdout, /log\.level: "debug" → "info" \(now\)/)
  assert.match(report.stdout, /These take effect at the next start: features\.direct-messages/)

  for (const [args, pattern] of [
    [['limits.packet-bytes-max', 'many'], /must be an integer from 64 to/],
    [
      ['limits.packet-byte-max', '100'],
      /There is no setting "limits\.packet-byte-max"; did you mean "limits\.packet-bytes-max"/,
    ],
    [['secret-key', 'x'], /is a secret/],
    [['mqtt.addr', 'off', '--save'], /no listener is on/],
  ] as const) {
    const { code, stderr } = await run(['settings', 'set', ...args])
    assert.notEqual(code, 0)
    assert.match(stderr, pattern)
  }
})

test('reload takes each file whole or leaves it, and says which and why', async () => {
  writeUsers(await record('a', 'pw'))
  const node = await startNode([])
  const port = await portOf(node, 'tcp')
  writeFileSync(at('concordmq.d', 'concordmq.toml'), '[limits]\nkeep-alive-max = 7\npacket-bytes-max = 1\n')
  writeUsers(await record('b', 'pw'))
  const half = await run(['config', 'reload'])
  assert.equal(half.code, 78)
  assert.match(
    half.stdout,
    /configuration: refused, the old one stays\n.*1 problem\n.*packet-bytes-max = 1 .*must be an integer/,
  )
  assert.match(half.stdout, /\nusers: changed\n/)
  assert.equal((await ask('settings', 'get', 'limits.keep-alive-max')).value, 3_600)
  const login = connectPacket({ name: 'b', password: 'pw' })
  assert.deepEqual(await answer(connect(port, '127.0.0.1'), login, 4), accepted)

  writeFileSync(
    at('concordmq.d', 'concordmq.toml'),
    '[limits]\nkeep-alive-max = 7\n[auth]\nallow-anonymous-login = true\n',
  )
  writeUsers('[users.b\n')
  const other = await run(['ctl', 'reload'])
  assert.equal(other.code, 78)
  assert.match(other.stdout, /configuration: changed/)
  assert.match(other.stdout, /allow-anonymous-login: false → true \(refused\)/)
  assert.match(other.stdout, /users: refused, the old one stays\n.*users\.toml:1:/)
  assert.deepEqual(await answer(connect(port, '127.0.0.1'), login, 4), accepted)
  assert.deepEqual(await answer(connect(port, '127.0.0.1'), connectPacket(), 4), notAuthorized)
})

test('reloads and changes at the same moment come one after the other', async () => {
  const node = await startOpenNode()
  const file = at('concordmq.d', 'concordmq.toml')
  writeFileSync(file, '[limits]\nkeep-alive-max = 100\n')
  const asked: Promise<{ readonly status: number; readonly text: string }>[] = []
  for (let i = 0; i < 10; i++) {
    asked.push(raw({ method: 'POST', path: '/v1/reload' }))
    const body = JSON.stringify({ value: String(200 + i) })
    asked.push(raw({ method: 'PUT', path: '/v1/settings/limits.keep-alive-max', body }))
    node.child.kill('SIGHUP')
  }
  for (const { status, text } of await Promise.all(asked)) assert.equal(status, 200, text)
  assert.equal(
    JSON.parse((await raw({ method: 'POST', path: '/v1/reload' })).text).parts[0].outcome === 'refused',
    false,
  )
  assert.equal((await ask('settings', 'get', 'limits.keep-alive-max')).value, 100)
})

test('clients, subscriptions, sessions and retained messages are listed, shown and ended', async () => {
  const node = await startOpenNode()
  const port = await portOf(node, 'tcp')
  const kept = wire.connect(4, { clientId: 'kept\u001b[2J', keepAlive: 60, cleanStart: false })
  const first = await client(port, kept)
  first.write(wire.subscribe(4, 1, [['a/+', 1]]))
  await once(first, 'data')
  const second = await client(port, connectPacket(undefined, 'second'))
  second.write(wire.publish(4, 'a/b', 'hidden', { qos: 1, id: 2, retain: true }))
  await once(second, 'data')

  const { items } = await ask('ctl', 'clients')
  assert.deepEqual(items.map((one: { clientId: string }) => one.clientId).sort(), ['kept\u001b[2J', 'second'])
  const table = (await run(['ctl', 'clients', '--filter', 'KEPT'])).stdout
  assert.match(table, /^CLIENT .*\nkept\\u001b\[2J .*3\.1\.1 .*\n$/)
  assert.equal((await ask('ctl', 'clients', '--size', '1')).more, true)
  assert.match((await run(['ctl', 'clients', '--size', '1'])).stdout, /1 to 1; --page 2 shows the next/)
  assert.match((await run(['ctl', 'subscriptions'])).stdout, /a\/\+ +1 +no +yes/)
  const retained = (await run(['ctl', 'retained', 'list'])).stdout
  assert.match(retained, /a\/b +1 +6 +second/)
  assert.doesNotMatch(retained, /hidden/)

  const closed = once(first, 'close')
  assert.equal((await run(['ctl', 'disconnect', 'kept\u001b[2J'])).code, 0)
  await closed
  assert.match((await run(['ctl', 'client', 'kept\u001b[2J'])).stderr, /No client ".*" is connected/)
  const session = await ask('ctl', 'sessions', 'show', 'kept\u001b[2J')
  assert.deepEqual([session.connected, session.kept, session.filters[0].filter], [false, true, 'a/+'])
  assert.equal((await ask('ctl', 'sessions', 'list', '--offline')).items.length, 1)
  assert.equal((await run(['ctl', 'sessions', 'end', 'kept\u001b[2J'])).code, 0)
  assert.equal((await run(['ctl', 'sessions', 'show', 'kept\u001b[2J'])).code, 1)
  assert.equal((await run(['ctl', 'retained', 'delete', 'a/b'])).code, 0)
  assert.match((await run(['ctl', 'retained', 'delete', 'a/b'])).stderr, /No message of topic "a\/b" is retained/)
  assert.match((await run(['ctl', 'retained', 'list'])).stdout, /No retained messages/)
})

test('bans are listed, added and lifted; a banned client is refused', async () => {
  const node = await startOpenNode()
  const port = await portOf(node, 'tcp')
  assert.match((await run(['ctl', 'bans', 'list'])).stdout, /No bans/)
  assert.equal((await run(['ctl', 'bans', 'add', 'client', 'rude', '--for', '60'])).code, 0)
  const table = (await run(['ctl', 'bans', 'list'])).stdout
  assert.match(table, /client +rude +operator +\S+ s +in (1 min 0|5\d) s/)
  assert.notDeepEqual(await answer(connect(port, '127.0.0.1'), connectPacket(undefined, 'rude'), 4), accepted)
  assert.deepEqual(await answer(connect(port, '127.0.0.1'), connectPacket(undefined, 'polite'), 4), accepted)
  assert.equal((await run(['ctl', 'bans', 'lift', 'client', 'rude'])).code, 0)
  assert.match((await run(['ctl', 'bans', 'lift', 'client', 'rude'])).stderr, /There is no such ban of "rude"/)
  assert.deepEqual(await answer(connect(port, '127.0.0.1'), connectPacket(undefined, 'rude'), 4), accepted)
  assert.equal((await run(['ctl', 'bans', 'add', 'address', 'no address'])).code, 64)
})

test('acl set: deny closes without a byte, allow needs no credentials, del goes back to the login [row U16]', async () => {
  writeUsers(await record('a', 'pw'))
  const node = await startNode([])
  const port = await portOf(node, 'tcp')
  const right = connectPacket({ name: 'a', password: 'pw' })
  const nameless = () => answer(connect(port, '127.0.0.1'), connectPacket(), 4)
  assert.deepEqual(await nameless(), notAuthorized)
  assert.match((await run(['acl', 'set', '127.0.0.1', 'false'])).stdout, /127\.0\.0\.1: deny, in force now/)
  const closed = connect(port, '127.0.0.1')
  closed.on('error', () => {})
  const bytes: Buffer[] = []
  closed.on('data', (chunk: Buffer) => bytes.push(chunk))
  closed.write(right)
  await new Promise<void>((resolve) => closed.once('close', () => resolve()))
  assert.equal(Buffer.concat(bytes).length, 0)
  assert.equal((await run(['ctl', 'acl', 'set', '127.0.0.0/8', 'allow'])).code, 0)
  assert.equal((await run(['acl', 'set', '127.0.0.1', 'true'])).code, 0)
  assert.deepEqual(await nameless(), accepted)
  assert.match((await run(['acl', 'all'])).stdout, /127\.0\.0\.1 +allow\n127\.0\.0\.0\/8 +allow/)
  assert.equal((await ask('acl', 'get', '127.0.0.1')).rule, 'allow')
  for (const address of ['127.0.0.1', '127.0.0.0/8']) assert.equal((await run(['acl', 'del', address])).code, 0)
  assert.deepEqual(await nameless(), notAuthorized)
  assert.deepEqual(await answer(connect(port, '127.0.0.1'), right, 4), accepted)
  assert.match((await run(['acl', 'del', '127.0.0.1'])).stderr, /There is no rule for 127\.0\.0\.1/)
  assert.match((await run(['acl', 'set', '10.0.0.1/8', 'deny'])).stderr, /for the range write 10\.0\.0\.0\/8/)
  assert.match((await run(['acl', 'set', 'nowhere', 'deny'])).stderr, /neither an IP address nor a range/)
})

test('trace tells what happens to one client in words, and as records with three times [row U21]', async () => {
  const node = await startOpenNode()
  const port = await portOf(node, 'tcp')
  const words = start(['ctl', 'trace', 'client', 'c1', '--for', '30s'])
  const records = start(['trace', 'topic', 'secret/#', '--for', '30', '--json', '--payload'])
  await node.until(/tracing event=trace\.begun kind=topic/)
  await node.until(/tracing event=trace\.begun kind=client/)
  const c1 = await client(port, connectPacket(undefined, 'c1'))
  c1.write(wire.subscribe(4, 1, [['t/#', 1]]))
  await once(c1, 'data')
  const c2 = await client(port, connectPacket(undefined, 'c2'))
  c2.write(wire.publish(4, 't/1', 'hush', { qos: 1, id: 7 }))
  await once(c1, 'data')
  c2.write(wire.publish(4, 'other', 'x', { qos: 1, id: 8 }))
  c2.write(wire.publish(4, 'secret/1', 'shown', { qos: 1, id: 9 }))
  const [, line = ''] = await records.until(/^(\{.*"event":"message".*\})$/m)
  const message = JSON.parse(line)
  assert.deepEqual(
    [message.from, message.via, message.to, message.payload, message.bytes],
    ['c2', 'secret/1', [], 'shown', 5],
  )
  for (const time of [message.received, message.routed]) assert.match(time, /T\d\d:\d\d:\d\d\.\d{6}Z$/)
  assert.ok(message.received <= message.routed)
  await words.until(/c2 ▶ t\/1 QoS 1, 4 bytes ▶ c1\n/)
  c1.destroy()
  await words.until(/c1: connection ended/)
  assert.match(
    words.output.stdout,
    /^\d\d:\d\d:\d\d\.\d{6} {2}c1: connected from 127\.0\.0\.1 as anonymous, MQTT 3\.1\.1, a new session$/m,
  )
  assert.match(words.output.stdout, /c1: subscription to t\/# granted QoS 1/)
  assert.doesNotMatch(words.output.stdout, /hush|other|secret/)
  words.child.kill('SIGINT')
  await node.until(/tracing no more event=trace\.ended kind=client/)
  const others = []
  for (let i = 0; i < 7; i++) {
    others.push(raw({ path: `/v1/trace?client=x${i}&for=30` }).catch(() => undefined))
    await node.until(new RegExp(`trace\\.begun kind=client value=x${i}`))
  }
  assert.match((await run(['trace', 'client', 'y'])).stderr, /already 8 traces/)
  assert.match((await run(['trace', 'topic', 'a/#/b'])).stderr, /Cannot trace topic "a\/#\/b"/)
  node.child.kill('SIGTERM')
  assert.equal(await node.ended, 0)
  await Promise.all(others)
  assert.equal(await records.ended, 69)
})

test('drain ends the node after its clients, and tells 5.0 clients where to go', async () => {
  const node = await startOpenNode()
  const port = await portOf(node, 'tcp')
  const socket = connect(port, '127.0.0.1')
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.write(wire.connect(5, { clientId: 'five', keepAlive: 60 }))
  await once(socket, 'data')
  chunks.length = 0
  const drained = await run(['ctl', 'drain', '--over', '0', '--server-reference', 'other:1883'])
  assert.equal(drained.code, 0, drained.stderr)
  assert.match(drained.stdout, /ending 1 over 0 s, then the node stops\nThe node has stopped/)
  assert.equal(await node.ended, 0)
  const bytes = Buffer.concat(chunks)
  assert.equal(bytes[0], 0xe0)
  assert.equal(bytes[2], 0x9c)
  assert.ok(bytes.includes('other:1883'))
})

test('what is no request of ours is answered with the reason, and the node goes on', async () => {
  const node = await startOpenNode()
  const status = async (options: Parameters<typeof raw>[0]) => (await raw(options)).status
  assert.equal(await status({ path: '/' }), 404)
  assert.equal(await status({ path: '/v2/state' }), 404)
  assert.equal(await status({ method: 'DELETE', path: '/v1/state' }), 400)
  assert.equal(await status({ path: '/v1/clients?size=1000000' }), 400)
  assert.equal(await status({ path: '/v1/clients/%ff' }), 400)
  assert.equal(await status({ path: 'http://[' }), 400)
  assert.equal(await status({ method: 'PUT', path: '/v1/accounts/x', body: 'no json' }), 400)
  assert.equal(await status({ method: 'PUT', path: '/v1/accounts/x', body: '[]' }), 400)
  assert.equal(await status({ method: 'PUT', path: '/v1/accounts/x', body: '{"password":1}' }), 400)
  assert.equal(await status({ method: 'PUT', path: '/v1/accounts/x', body: '{"pasword":"x"}' }), 400)
  const large = raw({ method: 'PUT', path: '/v1/accounts/x', body: `{"password":"${'x'.repeat(2_000_000)}"}` })
  // The answer may be overtaken by the end of the connection that it announces.
  await large.then(
    ({ status: code }) => assert.equal(code, 413),
    () => {},
  )
  for (const bytes of [
    '\u0000\u0001\u0002',
    `GET /${'x'.repeat(100_000)} HTTP/1.1\r\n\r\n`,
    'GET / HTTP/9.9\r\n\r\n',
  ]) {
    const rude = connect(socketPath())
    const closed = ended(rude)
    rude.resume()
    rude.write(bytes)
    await closed
  }
  const held = Array.from({ length: 64 }, () => connect(socketPath()))
  await Promise.all(held.map((socket) => ended(socket)).slice(40))
  for (const socket of held) socket.destroy()
  assert.equal((await ask('state')).pid, node.child.pid)
  assert.doesNotMatch(node.output.stdout, /A control request failed/)
})

test('something else that answers on the socket is told from a node', async () => {
  const server = createServer((socket) => socket.end('HTTP/1.1 200 OK\r\n\r\nhello'))
  await once(server.listen(at('foreign.sock')), 'listening')
  const { code, stderr } = await run(['state', '--control-socket', 'foreign.sock'])
  server.close()
  assert.equal(code, 1)
  assert.match(stderr, /no JSON; is it another program/)
})
