/** The program's commands, each run to its end, and what keeps a node from starting. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { ensureCertificate } from './identity/certificate.ts'
import { at, run, start } from './program.testkit.ts'

async function takenPort(): Promise<{ readonly port: number; close(): void }> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, close: () => void server.close() }
}

test('run tells who could log in when nobody could [row F17]', async () => {
  const { code, stderr } = await run(['run', '-L', '127.0.0.1:0'])
  assert.equal(code, 78)
  assert.match(stderr, /Nobody could log in: .*users\.toml does not exist and anonymous login is off/)
  assert.match(stderr, /user add .*--allow-anonymous-login/)
})

test('run refuses what its directory has wrong, naming file, rule and remedy', async () => {
  const book = at('d')
  await run(['address-book', 'from-list', '127.0.0.1:1', '127.0.0.1:2', '-O', 'many'])
  await run(['address-book', 'from-list', '127.0.0.1:1', '-O', 'one'])
  mkdirSync(book)
  const cases: { name: string; args: string[]; before?: () => void; message: RegExp }[] = [
    { name: 'a missing at()', args: ['no.d'], message: /directory no\.d does not exist/ },
    {
      name: 'a book of several nodes for a node that is to run alone',
      args: ['-f', 'many/key_0.pem', '--cluster-mode', 'none', 'many'],
      message: /cluster\.mode is "none", and the address book many\/address-book\.toml has 2 nodes/,
    },
    {
      name: 'a book of several nodes without a key',
      args: ['many'],
      message: /names 2 nodes, and no secret key is given\nAdd --secret-key-file many\/key_N\.pem/,
    },
    {
      name: 'a key that is not among those of the book',
      args: ['-f', 'one/key_0.pem', 'many'],
      message: /\([0-9a-f]{16}\) is not among the 2 keys of the address book many\/address-book\.toml/,
    },
    {
      name: 'a cluster without a data folder',
      args: ['-f', 'many/key_0.pem', '--durability', 'memory', 'many'],
      message: /durability is "memory", and a node of a cluster must not forget/,
    },
    {
      name: 'a cluster without a book',
      args: ['--cluster-mode', 'bft', 'd'],
      message: /cluster\.mode is "bft", and there is no address book d\/address-book\.toml/,
    },
    {
      name: 'the data folder of a node that ran alone',
      args: ['-f', 'many/key_0.pem', '--data-dir', 'alone', 'many'],
      before: () => {
        mkdirSync(at('alone'))
        writeFileSync(at('alone', 'state.sqlite'), '')
      },
      message: /The data folder .*alone is that of a node that ran alone/,
    },
    {
      name: 'the data folder of a node of a cluster, alone',
      args: ['--data-dir', 'shared', 'd'],
      before: () => {
        mkdirSync(at('shared', 'cluster'), { recursive: true })
        writeFileSync(at('shared', 'cluster', 'cluster.json'), '{}')
      },
      message: /The data folder .*shared belongs to a node of a cluster, and this node would run alone/,
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
      name: 'permissions that contradict themselves',
      args: ['d'],
      before: onlyPermissions,
      message: /permissions\.toml:2: the rule for "a" both allows and denies "publish"/,
    },
  ]
  function onlyPermissions() {
    rmSync(join(book, 'address-book.toml'))
    writeFileSync(
      join(book, 'permissions.toml'),
      '[permissions.a]\ntopic = [{ filter = "a", allowed = ["publish"], denied = ["publish"] }]\n',
    )
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

test('run reports everything that its directory has wrong at once', async () => {
  mkdirSync(at('concordmq.d'))
  for (const [name, text] of [
    ['users.toml', '[users.a]\npassword-hash = "x"\n'],
    ['address-book.toml', 'addresses = 1\n'],
    ['permissions.toml', 'default = 1'],
    ['tls.crt', 'x'],
  ] as const) {
    writeFileSync(at('concordmq.d', name), text)
  }
  const { code, stderr } = await run(['run', '--mqtts', '--tls-cert-file', 'concordmq.d/tls.crt'])
  assert.equal(code, 78)
  assert.match(stderr, /Cannot start: 4 problems/)
  for (const file of ['users', 'address-book', 'permissions']) assert.match(stderr, new RegExp(`${file}\\.toml`))
  assert.match(stderr, /tls\.crt is not a certificate in PEM\n {4}It begins with/)
})

test('run reports all configuration problems at once with 78', async () => {
  mkdirSync(at('concordmq.d'))
  writeFileSync(at('concordmq.d', 'concordmq.toml'), '[mqtt]\nadr = 1\n[limits]\nkeep-alive-max = -1\n')
  const { code, stderr } = await run(['run', '-L', '1883'])
  assert.equal(code, 78)
  assert.match(stderr, /3 problems/)
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

test('a data folder that cannot be used ends with 78 and says what to do, and one that is in use with 69', async () => {
  writeFileSync(at('file'), '')
  const flags = ['run', '--allow-anonymous-login', '-L', '127.0.0.1:0', '--http-addr', 'off', '--control-socket', 'off']
  const unusable = await run([...flags, '--data-dir', 'file/data'])
  assert.equal(unusable.code, 78)
  assert.match(
    unusable.stderr,
    /Cannot make the data directory .*file\/data.*\nName another folder with --data-dir, or keep/,
  )
  const node = start([...flags, '--data-dir', 'used'])
  await node.until(/node is ready/)
  const second = await run([...flags, '--data-dir', 'used'])
  assert.equal(second.code, 69)
  assert.match(second.stderr, /used\/state\.sqlite: another broker has it open/)
  node.child.kill('SIGTERM')
  assert.equal(await node.ended, 0)
})

test('TLS: certificate and key that do not belong together are refused by their files [row F22]', async () => {
  const key = (name: string) => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    writeFileSync(at(name), privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 })
    return privateKey
  }
  const privateKey = key('tls.pem')
  key('other.pem')
  await ensureCertificate({
    path: at('tls.crt'),
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

test('user add refuses a second one, --replace changes it, list and del follow [row F16]', async () => {
  assert.equal((await run(['user', 'add', 'alice'], { input: 'p w!\n' })).code, 0)
  const path = at('concordmq.d', 'users.toml')
  const before = readFileSync(path, 'utf8')
  assert.doesNotMatch(before, /p w!/)
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
  assert.deepEqual(readdirSync(at()), [])
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
  const before = readdirSync(at('concordmq.d'))
  const good = await run(['config', 'check', '--allow-anonymous-login', '--mqtts', '-f', 'concordmq.d/key_0.pem'])
  assert.equal(good.code, 0, good.stderr)
  assert.match(good.stdout, /is usable\nListeners: tcp 0\.0\.0\.0:1883, tls 0\.0\.0\.0:8883/)
  assert.deepEqual(readdirSync(at('concordmq.d')), before)
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
  mkdirSync(at('d'))
  writeFileSync(at('d', 'users.toml'), '[auth]\nallow-anonymous-login = true\n')
  const { stdout } = await run(['config', 'show', 'd'])
  assert.match(stdout, /allow-anonymous-login = true {2}# d\/users\.toml\nsilent-connect-errors = false {2}# default/)
})
