import assert from 'node:assert/strict'
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { ensureCertificate } from './identity/certificate.ts'

/** The real program, started as a person starts it. */
const bin = new URL('../bin/concordmq.js', import.meta.url).pathname

let directory = ''
const children = new Set<ChildProcessWithoutNullStreams>()
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'concordmq-program-'))
})
afterEach(async () => {
  for (const child of children) {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  }
  children.clear()
  rmSync(directory, { recursive: true })
})

interface Started {
  readonly child: ChildProcessWithoutNullStreams
  readonly output: { stdout: string; stderr: string }
  /** Resolves with the match once standard output holds it; rejects if the program ends before. */
  until(pattern: RegExp): Promise<RegExpExecArray>
  /** Resolves with the exit status. */
  ended: Promise<number | null>
}

function start(
  args: string[],
  options: { readonly input?: string; readonly env?: Record<string, string> } = {},
): Started {
  const env = { PATH: process.env.PATH ?? '', HOME: directory, TMPDIR: directory, ...options.env }
  const child = spawn(process.execPath, [bin, ...args], { cwd: directory, env })
  children.add(child)
  const output = { stdout: '', stderr: '' }
  const waiting = new Set<() => void>()
  const notify = () => {
    for (const look of waiting) look()
  }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text
      notify()
    })
  }
  const ended = once(child, 'close').then(([code]) => code as number | null)
  void ended.then(notify)
  child.stdin.end(options.input ?? '')
  const until = (pattern: RegExp) =>
    new Promise<RegExpExecArray>((resolve, reject) => {
      const look = () => {
        const match = pattern.exec(output.stdout)
        if (match === null && child.exitCode === null) return
        waiting.delete(look)
        if (match === null) reject(new Error(`ended without ${pattern}:\n${output.stdout}\n${output.stderr}`))
        else resolve(match)
      }
      waiting.add(look)
      look()
    })
  return { child, output, until, ended }
}

async function run(args: string[], options: Parameters<typeof start>[1] = {}) {
  const { ended, output } = start(args, options)
  const code = await ended
  assert.doesNotMatch(output.stderr, /\n {4}at /, 'a stack trace at a person')
  return { code, ...output }
}

/** A node on free ports; resolves when it is ready. */
async function startNode(args: string[], options: Parameters<typeof start>[1] = {}) {
  const node = start(['run', '-L', '127.0.0.1:0', '--http-addr', '127.0.0.1:0', ...args], options)
  await node.until(/node is ready/)
  return node
}

async function portOf(node: Started, transport: 'tcp' | 'tls' | 'ws' | 'wss'): Promise<number> {
  const match = await node.until(
    new RegExp(`listening for connections .*listen_addr=\\S+:(\\d+) transport=${transport}`),
  )
  return Number(match[1])
}

/** CONNECT of MQTT 3.1.1 with user name and password, or without. */
function connectPacket(user?: { readonly name: string; readonly password: string }, clientId = 'probe'): Buffer {
  const text = (value: string) => Buffer.concat([Buffer.from([0, value.length]), Buffer.from(value)])
  const body = Buffer.concat([
    text('MQTT'),
    Buffer.from([4, user === undefined ? 0x02 : 0xc2, 0, 60]),
    text(clientId),
    ...(user === undefined ? [] : [text(user.name), text(user.password)]),
  ])
  return Buffer.concat([Buffer.from([0x10, body.length]), body])
}

/** What the broker answers to bytes, until it answers with `bytes` bytes or closes. */
async function answer(socket: Socket, packet: Buffer, bytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  socket.write(packet)
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    if (Buffer.concat(chunks).length >= bytes) break
  }
  return Buffer.concat(chunks)
}

async function takenPort(): Promise<{ readonly port: number; close(): void }> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, close: () => void server.close() }
}

const accepted = Buffer.from([0x20, 2, 0, 0])
const notAuthorized = Buffer.from([0x20, 2, 0, 5])

test("FoxMQ's recipe for a single node works line by line", async () => {
  assert.equal((await run(['address-book', 'from-range', '127.0.0.1', '19793', '19793'])).code, 0)
  assert.equal((await run(['user', 'add'], { input: 'myagent\nmypassword\n' })).code, 0)
  assert.deepEqual(readdirSync(join(directory, 'concordmq.d')).sort(), ['address-book.toml', 'key_0.pem', 'users.toml'])
  assert.equal(statSync(join(directory, 'concordmq.d', 'users.toml')).mode & 0o777, 0o600)
  const node = await startNode(['--secret-key-file=concordmq.d/key_0.pem'])
  const port = await portOf(node, 'tcp')
  const right = connectPacket({ name: 'myagent', password: 'mypassword' })
  assert.deepEqual(await answer(connect(port, '127.0.0.1'), right, 4), accepted)
  const wrong = connectPacket({ name: 'myagent', password: 'other' })
  assert.deepEqual(await answer(connect(port, '127.0.0.1'), wrong, 4), notAuthorized)
  assert.deepEqual(await answer(connect(port, '127.0.0.1'), connectPacket(), 4), notAuthorized)
  assert.doesNotMatch(node.output.stdout, /mypassword/)
})

test('a directory made for FoxMQ works as the trailing argument', async () => {
  await run(['address-book', 'from-list', '127.0.0.1:19793', '-O', 'foxmq.d'])
  const record = (await run(['user', 'generate', 'a', 'pw'])).stdout
  writeFileSync(join(directory, 'foxmq.d', 'users.toml'), `[auth]\nsilent-connect-errors = true\n${record}`, {
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

test('run tells who could log in when nobody could [row F17]', async () => {
  const { code, stderr } = await run(['run', '-L', '127.0.0.1:0'])
  assert.equal(code, 78)
  assert.match(stderr, /Nobody could log in: .*users\.toml does not exist and anonymous login is off/)
  assert.match(stderr, /user add .*--allow-anonymous-login/)
})

test('run serves anonymous clients when told to, without any directory [row F24]', async () => {
  const node = await startNode(['--allow-anonymous-login'])
  const port = await portOf(node, 'tcp')
  assert.deepEqual(await answer(connect(port, '127.0.0.1'), connectPacket(), 4), accepted)
  assert.match(node.output.stdout, /INFO concordmq::program: no address book, running as a single node/)
})

test('run refuses what its directory has wrong, naming file, rule and remedy', async () => {
  const book = join(directory, 'd')
  await run(['address-book', 'from-list', '127.0.0.1:1', '127.0.0.1:2', '-O', 'many'])
  await run(['address-book', 'from-list', '127.0.0.1:1', '-O', 'one'])
  mkdirSync(book)
  const cases: { name: string; args: string[]; before?: () => void; message: RegExp }[] = [
    { name: 'a missing directory', args: ['no.d'], message: /directory no\.d does not exist/ },
    {
      name: 'a book of several nodes',
      args: ['-f', 'many/key_0.pem', 'many'],
      message: /has 2 nodes, and this version cannot form a cluster/,
    },
    {
      name: 'a book without a key',
      args: ['one'],
      message: /names a node, and no secret key is given\nAdd --secret-key-file one\/key_0\.pem/,
    },
    {
      name: 'a key that is not in the book',
      args: ['-f', 'many/key_0.pem', 'one'],
      message: /is not the key in the address book/,
    },
    {
      name: 'a book with a syntax error [row F10]',
      args: ['d'],
      before: () => writeFileSync(join(book, 'address-book.toml'), '[[addresses]]\nkey = \n'),
      message: /address-book\.toml:2:\d+: not valid TOML/,
    },
    {
      name: 'a key file that does not exist',
      args: ['-f', 'key_9.pem', 'one'],
      message: /key_9\.pem: it does not exist/,
    },
    {
      name: 'permissions that would not be enforced',
      args: ['d'],
      before: onlyPermissions,
      message: /permissions\.toml exists, and this version cannot enforce/,
    },
  ]
  function onlyPermissions() {
    rmSync(join(book, 'address-book.toml'))
    writeFileSync(join(book, 'permissions.toml'), '')
  }
  for (const { name, args, before, message } of cases) {
    before?.()
    const { code, stderr } = await run([
      'run',
      '--allow-anonymous-login',
      '-L',
      '127.0.0.1:0',
      '--http-addr',
      'off',
      ...args,
    ])
    assert.equal(code, 78, `${name}: ${stderr}`)
    assert.match(stderr, message, name)
  }
})

test('run --ignore-permissions starts and says that nothing is enforced', async () => {
  mkdirSync(join(directory, 'concordmq.d'))
  writeFileSync(join(directory, 'concordmq.d', 'permissions.toml'), '')
  const node = await startNode(['--allow-anonymous-login', '--ignore-permissions'])
  assert.match(node.output.stdout, /WARN concordmq::program: permissions are not enforced/)
})

test('run reports all configuration problems at once with 78', async () => {
  mkdirSync(join(directory, 'concordmq.d'))
  writeFileSync(join(directory, 'concordmq.d', 'concordmq.toml'), '[mqtt]\nadr = 1\n[limits]\nkeep-alive-max = -1\n')
  const { code, stderr } = await run(['run', '-L', '1883', '--cluster-cert', 'x'])
  assert.equal(code, 78)
  assert.match(stderr, /4 problems/)
  assert.match(stderr, /did you mean "mqtt\.addr"/)
  assert.match(stderr, /mqtt\.addr = \["1883"\] in --mqtt-addr/)
})

test('bad usage ends with 64 and a suggestion, and shows no secret', async () => {
  const unknown = await run(['run', '--secret-kee=c0ffee'])
  assert.equal(unknown.code, 64)
  assert.match(unknown.stderr, /unknown option '--secret-kee'/)
  assert.match(unknown.stderr, /--secret-key/)
  assert.doesNotMatch(unknown.stderr, /c0ffee/)
  const command = await run(['rum'])
  assert.equal(command.code, 64)
  assert.match(command.stderr, /Did you mean run\?/)
  assert.equal((await run([])).code, 64)
  assert.equal((await run(['run', 'a', 'b'])).code, 64)
  assert.equal((await run(['run', '-l', 'xml'])).code, 64)
  assert.equal((await run(['--help'])).code, 0)
  assert.match((await run(['--version'])).stdout, /^\d+\.\d+\.\d+/)
})

test('a port in use ends with 69 and names the flag', async () => {
  const taken = await takenPort()
  const { code, stderr } = await run([
    'run',
    '--allow-anonymous-login',
    '-L',
    `127.0.0.1:${taken.port}`,
    '--http-addr',
    'off',
  ])
  const health = await run([
    'run',
    '--allow-anonymous-login',
    '-L',
    '127.0.0.1:0',
    '--http-addr',
    `127.0.0.1:${taken.port}`,
  ])
  const dev = await run(['dev', '--port', String(taken.port), '--mqtts-port', '0', '--websockets-port', '0'])
  taken.close()
  assert.equal(code, 69)
  assert.match(stderr, /--mqtt-addr/)
  assert.equal(health.code, 69)
  assert.match(health.stderr, /--http-addr/)
  assert.equal(dev.code, 69)
  assert.match(dev.stderr, /run: npx concordmq dev --port \d+/)
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
  const ca = readFileSync(join(directory, 'concordmq.d', 'key_0.crt'), 'utf8')
  const login = connectPacket({ name: 'a', password: 'pw' })
  const client = connectTls({ host: '127.0.0.1', port, ca })
  // An identifier of its own, or the next client would take its session over.
  client.write(connectPacket({ name: 'a', password: 'pw' }, 'stays'))
  const [connack] = (await once(client, 'data')) as [Buffer]
  assert.deepEqual(connack, accepted)

  writeUsers(await record('b', 'pw2'))
  rmSync(join(directory, 'concordmq.d', 'key_0.crt'))
  node.child.kill('SIGHUP')
  await node.until(/read certificates again/)
  const renewed = readFileSync(join(directory, 'concordmq.d', 'key_0.crt'), 'utf8')
  assert.notEqual(renewed, ca)
  const fresh = connectTls({ host: '127.0.0.1', port, ca: renewed })
  assert.deepEqual(await answer(fresh, connectPacket({ name: 'b', password: 'pw2' }), 4), accepted)
  assert.deepEqual(await answer(connectTls({ host: '127.0.0.1', port, ca: renewed }), login, 4), notAuthorized)
  client.write(Buffer.from([0xc0, 0]))
  assert.deepEqual((await once(client, 'data'))[0], Buffer.from([0xd0, 0]))

  writeFileSync(join(directory, 'concordmq.d', 'users.toml'), '[users.b\n')
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

test('TLS: certificate and key that do not belong together are refused by their files [row F22]', async () => {
  const key = (name: string) => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    writeFileSync(join(directory, name), privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 })
    return privateKey
  }
  const privateKey = key('tls.pem')
  key('other.pem')
  await ensureCertificate({
    path: join(directory, 'tls.crt'),
    privateKey,
    serverName: 'x',
    boundHosts: [],
    now: new Date(),
    write: true,
  })
  const args = [
    'run',
    '--allow-anonymous-login',
    '-L',
    'off',
    '--mqtts',
    '--mqtts-addr',
    '127.0.0.1:0',
    '--http-addr',
    'off',
  ]
  const mismatch = await run([...args, '--tls-cert-file', 'tls.crt', '--tls-key-file', 'other.pem'])
  assert.equal(mismatch.code, 78)
  assert.match(mismatch.stderr, /tls\.crt was not made for the key .*other\.pem/)
  const keyless = await run([...args, '--tls-cert-file', 'tls.crt'])
  assert.equal(keyless.code, 78)
  assert.match(keyless.stderr, /without its private key\nAdd --tls-key-file/)
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
    { cwd: directory },
  )
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stdin.end()
  await once(child, 'close')
  assert.match(output, /Verification: OK/)
})

test('user add refuses a second one, --replace changes it, list and del follow [row F16]', async () => {
  assert.equal((await run(['user', 'add', 'alice'], { input: 'pw\n' })).code, 0)
  const path = join(directory, 'concordmq.d', 'users.toml')
  const before = readFileSync(path, 'utf8')
  assert.doesNotMatch(before, /pw/)
  const again = await run(['user', 'add', 'alice', 'other'])
  assert.equal(again.code, 73)
  assert.match(again.stderr, /already in .*; nothing was changed/)
  assert.equal(readFileSync(path, 'utf8'), before)
  const replaced = await run(['user', 'add', 'alice', 'other', '--replace'])
  assert.equal(replaced.code, 0)
  assert.match(replaced.stderr, /can be seen in the process list/)
  assert.notEqual(readFileSync(path, 'utf8'), before)
  assert.equal((await run(['user', 'add', 'bob b'], { input: 'x\n' })).code, 0)
  assert.equal((await run(['user', 'list'])).stdout, 'alice\nbob b\n')
  assert.equal((await run(['user', 'del', 'alice'])).code, 0)
  assert.equal((await run(['user', 'list'])).stdout, 'bob b\n')
  assert.equal((await run(['user', 'del', 'alice'])).code, 1)
  assert.equal((await run(['user', 'add', 'carol', '-m', 'truncate'], { input: 'x\n' })).code, 0)
  assert.equal((await run(['user', 'list'])).stdout, 'carol\n')
})

test('user add offers a random password, and prints a record with -O -', async () => {
  const { code, stdout, stderr } = await run(['user', 'add', 'alice', '-O', '-'], { input: '\n' })
  assert.equal(code, 0)
  assert.match(stdout, /^\[users\.alice\]\npassword-hash = "\$argon2id\$v=19\$m=19456,t=2,p=1\$[^"]+"\n$/)
  assert.match(stderr, /Password: [A-Za-z0-9]{12}\n/)
  assert.deepEqual(readdirSync(directory), [])
})

test('user generate reads the password from standard input; without one it says so', async () => {
  const { code, stdout } = await run(['user', 'generate', 'alice'], { input: 'pw\n' })
  assert.equal(code, 0)
  assert.match(stdout, /^\[users\.alice\]/)
  const { code: usage, stderr } = await run(['user', 'generate', 'alice'])
  assert.equal(usage, 64)
  assert.match(stderr, /Standard input ended/)
})

test('config check and show tell what run would do, and write nothing', async () => {
  await run(['address-book', 'from-range', '127.0.0.1', '19793', '19793'])
  const before = readdirSync(join(directory, 'concordmq.d'))
  const good = await run(['config', 'check', '--allow-anonymous-login', '--mqtts', '-f', 'concordmq.d/key_0.pem'])
  assert.equal(good.code, 0, good.stderr)
  assert.match(good.stdout, /is usable\nListeners: tcp 0\.0\.0\.0:1883, tls 0\.0\.0\.0:8883/)
  assert.deepEqual(readdirSync(join(directory, 'concordmq.d')), before)
  assert.equal((await run(['config', 'check'])).code, 78)
  const show = await run(['config', 'show', '--mqtts', '--json'], { env: { SECRET_KEY: 'c0ffee' } })
  assert.equal(show.code, 0)
  assert.doesNotMatch(show.stdout, /c0ffee/)
  const { values } = JSON.parse(show.stdout)
  assert.deepEqual(
    values.find((value: { path: string }) => value.path === 'mqtts.enabled'),
    {
      path: 'mqtts.enabled',
      value: true,
      origin: '--mqtts',
      change: 'restart',
      about: 'MQTT over TLS',
    },
  )
})

test('config show knows what users.toml turns on [row F24]', async () => {
  mkdirSync(join(directory, 'd'))
  writeFileSync(join(directory, 'd', 'users.toml'), '[auth]\nallow-anonymous-login = true\n')
  const { stdout } = await run(['config', 'show', 'd'])
  assert.match(stdout, /allow-anonymous-login = true {2}# d\/users\.toml\nsilent-connect-errors = false {2}# default/)
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
  assert.deepEqual(await answer(connect(join(directory, 'mq.sock')), connectPacket(), 4), accepted)
  assert.equal((await fetch(`http://127.0.0.1:${await portOf(node, 'ws')}/`)).status, 200)
})

test('dev serves, says what to type next, and leaves nothing behind', async () => {
  const dev = start(['dev', '--port', '0', '--mqtts-port', '0', '--websockets-port', '0'])
  const [, port] = await dev.until(/npx concordmq sub -p (\d+) -t 'hello\/#' -v[\s\S]*Ctrl-C stops it/)
  assert.deepEqual(await answer(connect(Number(port), '127.0.0.1'), connectPacket(), 4), accepted)
  dev.child.kill('SIGINT')
  assert.equal(await dev.ended, 0)
  assert.deepEqual(readdirSync(directory), [])
})

function writeUsers(text: string): void {
  mkdirSync(join(directory, 'concordmq.d'), { recursive: true })
  writeFileSync(join(directory, 'concordmq.d', 'users.toml'), text, { mode: 0o600 })
}

async function record(name: string, password: string): Promise<string> {
  return (await run(['user', 'generate', name, password])).stdout
}
