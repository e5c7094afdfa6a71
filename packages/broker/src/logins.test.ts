/** Logins by token, by SCRAM, by certificate and by address, through the sockets of a broker. */
import assert from 'node:assert/strict'
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto'
import { connect as dial } from 'node:net'
import { duplexPair } from 'node:stream'
import { after, describe, test } from 'node:test'
import { connect as dialTls } from 'node:tls'
import { connect, open, RawClient, type Target } from '../../../testing/testkit/src/raw-client.ts'
import * as wire from '../../../testing/testkit/src/wire.ts'
import { makePasswordRecord } from './access/password-record.ts'
import { makeScramRecord } from './access/scram/scram-record.ts'
import { claims, hmacToken, inSeconds, secret } from './access/tokens/token.testkit.ts'
import type { Broker } from './api.ts'
import { createBroker } from './broker.ts'
import type { AccessOptions, ListenerOptions, PermissionOptions } from './config/options.ts'
import { makeAuthority } from './listeners/listener.testkit.ts'

const brokers: Broker[] = []
after(async () => {
  for (const broker of brokers) await broker.close({ graceMs: 0 })
})

async function start(
  access: AccessOptions,
  listener: ListenerOptions = { kind: 'tcp', host: '127.0.0.1', port: 0 },
): Promise<{ readonly broker: Broker; readonly target: Target }> {
  const broker = await createBroker({ sys: { intervalSeconds: 0 }, bans: { failuresMax: 0 }, access })
  brokers.push(broker)
  const { port } = await broker.listen(listener)
  return { broker, target: { host: '127.0.0.1', port } }
}

/** Sends a CONNECT that must be refused. */
async function refused(
  target: Target,
  options: wire.ConnectOptions,
  code = 0x86,
  version: wire.Version = 5,
): Promise<void> {
  using client = await open(target, version)
  client.send(wire.connect(version, options))
  await client.expectConnectRefused(code)
}

const names = (broker: Broker): string[] => [...broker.clients()].map(({ username }) => username)

describe('a refused login', () => {
  test('is 4 or 5 in 3.1.1 as the setting says, 4 in 3.1, and 0x86 in 5.0 [rows F15, U17, C8, S6]', async () => {
    const users = new Map([['alice', await makePasswordRecord('right')]])
    const wrong = { clientId: 'c', username: 'alice', password: 'wrong' }
    const { broker, target } = await start({ users })
    await refused(target, wrong, 4, 4)
    await refused(target, wrong, 4, 3)
    await refused(target, wrong, 0x86, 5)
    broker.reloadAccess({ users, refusedLoginCode: 5 })
    await refused(target, wrong, 5, 4)
    await refused(target, wrong, 4, 3)
  })

  test('is 4 and 0x86 where nobody can log in at all: no user, no hook [row C8]', async () => {
    const { target } = await start({})
    for (const login of [{}, { username: 'a', password: 'b' }]) {
      await refused(target, { clientId: 'c', ...login }, 0x86, 5)
      await refused(target, { clientId: 'c', ...login }, 4, 4)
      await refused(target, { clientId: 'c', ...login }, 4, 3)
    }
  })
})

describe('a token', () => {
  const withToken = (payload: object, more: wire.ConnectOptions = {}): wire.ConnectOptions => ({
    clientId: 'c',
    username: '',
    password: hmacToken(payload),
    ...more,
  })

  test('logs in in every version, with its rights; a wrong one is refused as a wrong password is', async () => {
    const { broker, target } = await start({ tokens: { secret } })
    for (const version of [3, 4, 5] as const) {
      using client = await connect(target, version, withToken({ ...claims, publish: ['a/+'], subscribe: ['b'] }))
      assert.deepEqual(names(broker), ['alice'])
      if (version !== 5) continue
      client.send(wire.publish(5, 'a/b', 'x', { qos: 1, id: 1 }), wire.publish(5, 'b', 'x', { qos: 1, id: 2 }))
      await client.expectPacket('PUBACK', { id: 1, reason: 0x10 })
      await client.expectPacket('PUBACK', { id: 2, reason: 0x87 })
      client.send(
        wire.subscribe(5, 3, [
          ['b', 0],
          ['a/b', 0],
          ['#', 0],
        ]),
      )
      assert.deepEqual((await client.expectPacket('SUBACK')).reasons, [0, 0x87, 0x87])
    }
    await refused(target, withToken({ ...claims, exp: inSeconds(-60) }))
    await refused(target, withToken(claims, { username: 'bob' }))
    await refused(target, { clientId: 'c', username: 'alice', password: 'no token' })
  })

  test('with claims bounds its holder although there are no rules', async () => {
    const { target } = await start({ tokens: { secret } })
    using client = await connect(target, 5, withToken({ ...claims, publish: [] }))
    client.send(wire.publish(5, 'a', 'x', { qos: 1, id: 1 }))
    await client.expectPacket('PUBACK', { id: 1, reason: 0x87 })
    await client.subscribe('anything/#')
  })

  test('of any size up to the largest packet is refused or taken, and never more', async () => {
    const { target } = await start({ tokens: { secret } })
    await refused(target, withToken({ ...claims, pad: 'x'.repeat(9_000) }))
    await refused(target, { clientId: 'c', username: 'a', password: `eyJ${'x'.repeat(60_000)}.a.b` })
    using client = await connect(target, 5, withToken({ ...claims, pad: 'x'.repeat(5_000) }))
    await client.ping()
  })

  test('may be the user name, and stands beside passwords', async () => {
    const users = new Map([['bob', await makePasswordRecord('eyJ')]])
    const { broker, target } = await start({ users, tokens: { secret, carriedIn: 'username' } })
    using byToken = await connect(target, 4, { clientId: 'a', username: hmacToken(claims) })
    using byPassword = await connect(target, 4, { clientId: 'b', username: 'bob', password: 'eyJ' })
    assert.deepEqual(names(broker).sort(), ['alice', 'bob'])
    await byToken.ping()
    await byPassword.ping()
  })

  test('ends the connection when it expires: DISCONNECT 0x87, and a will', async () => {
    const { target } = await start({ allowAnonymous: true, tokens: { secret, leewaySeconds: 0 } })
    using watcher = await connect(target, 5)
    await watcher.subscribe('will')
    const soon = () => withToken({ ...claims, exp: inSeconds(2) }, { will: { topic: 'will', payload: 'gone' } })
    using modern = await connect(target, 5, soon())
    using old = await connect(target, 4, { ...soon(), clientId: 'd' })
    await modern.expectRefusal(0x87)
    await old.expectClosed()
    await watcher.receive({ payload: 'gone' })
    await watcher.receive({ payload: 'gone' })
  })

  test('keys that are replaced are in force at the next login; damaged ones change nothing', async () => {
    const { broker, target } = await start({ tokens: { secret } })
    assert.throws(() => broker.reloadAccess({ tokens: { jwks: '{"keys":[{"kty":"RSA"}]}' } }), { code: 'CMQ_TOKENS' })
    using before = await connect(target, 5, withToken(claims))
    broker.reloadAccess({ tokens: { secret: Buffer.alloc(32, 1) } })
    await refused(target, withToken(claims, { clientId: 'd' }))
    await before.ping()
  })

  test('storms are refused as busy beyond the line that passwords have too', async () => {
    const { target } = await start({ tokens: { secret }, passwordChecksMax: 1, passwordQueueMax: 1 })
    const clients = await Promise.all(Array.from({ length: 60 }, () => open(target, 5)))
    for (const [i, client] of clients.entries()) client.send(wire.connect(5, withToken(claims, { clientId: `c${i}` })))
    const codes = await Promise.all(clients.map(async (client) => (await client.expectPacket('CONNACK')).reason))
    assert.ok(
      codes.every((code) => code === 0 || code === 0x89),
      codes.join(' '),
    )
    assert.ok(codes.includes(0))
    for (const client of clients) client[Symbol.dispose]()
  })
})

describe('SCRAM over AUTH', () => {
  const bare = 'n=alice,r=fyko+d2lbbFgONRv9qkxdawL'

  function scram(data: string, method = 'SCRAM-SHA-256'): wire.Property[] {
    return [
      ['authenticationMethod', method],
      ['authenticationData', Buffer.from(data)],
    ]
  }

  function proof(password: string, asked: string, method = 'SCRAM-SHA-256'): string {
    const [, nonce = '', salt = '', count = ''] = /^r=(.*),s=(.*),i=(\d+)$/.exec(asked) ?? []
    const [name, bytes] = method === 'SCRAM-SHA-256' ? ['sha256', 32] : ['sha512', 64]
    const mac = (key: Uint8Array, text: string) => createHmac(name, key).update(text).digest()
    const clientKey = mac(
      pbkdf2Sync(password, Buffer.from(salt, 'base64'), Number(count), bytes as number, name),
      'Client Key',
    )
    const without = `c=biws,r=${nonce}`
    const signature = mac(createHash(name).update(clientKey).digest(), `${bare},${asked},${without}`)
    return `${without},p=${Buffer.from(clientKey.map((byte, i) => byte ^ (signature[i] as number))).toString('base64')}`
  }

  const dataOf = (packet: wire.Received): string =>
    String(Buffer.from((packet.properties?.find(([name]) => name === 'authenticationData')?.[1] ?? []) as Uint8Array))

  async function begin(
    target: Target,
    clientId: string,
    method = 'SCRAM-SHA-256',
  ): Promise<{ readonly client: RawClient; readonly asked: string }> {
    const client = await open(target, 5)
    client.send(wire.connect(5, { clientId, properties: scram(`n,,${bare}`, method) }))
    return { client, asked: dataOf(await client.expectPacket('AUTH', { reason: 0x18 })) }
  }

  async function users(): Promise<AccessOptions> {
    const records = [
      await makeScramRecord('pencil', { iterations: 4096 }),
      await makeScramRecord('pencil', { iterations: 4096, method: 'SCRAM-SHA-512' }),
    ]
    return { scramRecords: new Map([['alice', records]]), scramSecret: Buffer.alloc(32, 1) }
  }

  test('logs a user in by either method, with the proof of the server in CONNACK', async () => {
    const { broker, target } = await start(await users())
    for (const method of ['SCRAM-SHA-256', 'SCRAM-SHA-512']) {
      const { client, asked } = await begin(target, 'c', method)
      client.send(wire.auth(0x18, scram(proof('pencil', asked, method), method)))
      assert.match(dataOf(await client.expectPacket('CONNACK', { reason: 0 })), /^v=/)
      assert.deepEqual(names(broker), ['alice'])
      await client.disconnect()
    }
  })

  test('refuses a wrong password and an unknown user alike, and a method that nobody has', async () => {
    const { broker, target } = await start(await users())
    const wrong = await begin(target, 'c')
    wrong.client.send(wire.auth(0x18, scram(proof('pen', wrong.asked))))
    await wrong.client.expectConnectRefused(0x86)
    using garbled = await open(target, 5)
    garbled.send(wire.connect(5, { clientId: 'c', properties: scram('p=tls-unique,,n=a,r=bbbbbbbb') }))
    await garbled.expectConnectRefused(0x86)
    using other = await open(target, 5)
    other.send(wire.connect(5, { clientId: 'c', properties: scram('x', 'SCRAM-SHA-1') }))
    await other.expectConnectRefused(0x8c)
    broker.reloadAccess({ allowAnonymous: true })
    using gone = await open(target, 5)
    gone.send(wire.connect(5, { clientId: 'c', properties: scram(`n,,${bare}`) }))
    await gone.expectConnectRefused(0x8c)
  })

  test('authenticates again on the same connection, and closes one that fails at it', async () => {
    const { target } = await start(await users())
    for (const [password, works] of [
      ['pencil', true],
      ['pen', false],
    ] as const) {
      const { client, asked } = await begin(target, 'c')
      client.send(wire.auth(0x18, scram(proof('pencil', asked))))
      await client.expectPacket('CONNACK', { reason: 0 })
      client.send(wire.auth(0x19, scram(`n,,${bare}`)))
      const again = dataOf(await client.expectPacket('AUTH', { reason: 0x18 }))
      assert.notEqual(again, asked)
      client.send(wire.auth(0x18, scram(proof(password, again))))
      if (works) {
        assert.match(dataOf(await client.expectPacket('AUTH', { reason: 0 })), /^v=/)
        await client.ping()
        client[Symbol.dispose]()
      } else await client.expectRefusal(0x87)
    }
  })

  test('re-authentication as somebody else is refused', async () => {
    const records = [await makeScramRecord('pencil', { iterations: 4096 })]
    const { target } = await start({
      scramRecords: new Map([
        ['alice', records],
        ['bob', records],
      ]),
    })
    const { client, asked } = await begin(target, 'c')
    client.send(wire.auth(0x18, scram(proof('pencil', asked))))
    await client.expectPacket('CONNACK', { reason: 0 })
    const bob = bare.replace('alice', 'bob')
    client.send(wire.auth(0x19, scram(`n,,${bob}`)))
    const again = dataOf(await client.expectPacket('AUTH', { reason: 0x18 }))
    const [, nonce = '', salt = '', count = ''] = /^r=(.*),s=(.*),i=(\d+)$/.exec(again) ?? []
    const mac = (key: Uint8Array, text: string) => createHmac('sha256', key).update(text).digest()
    const clientKey = mac(pbkdf2Sync('pencil', Buffer.from(salt, 'base64'), Number(count), 32, 'sha256'), 'Client Key')
    const without = `c=biws,r=${nonce}`
    const signature = mac(createHash('sha256').update(clientKey).digest(), `${bob},${again},${without}`)
    const p = Buffer.from(clientKey.map((byte, i) => byte ^ (signature[i] as number))).toString('base64')
    client.send(wire.auth(0x18, scram(`${without},p=${p}`)))
    await client.expectRefusal(0x87)
  })

  test('an exchange that never ends meets the time to CONNECT, and one that repeats itself is refused', async () => {
    const { target } = await start(await users())
    const { client } = await begin(target, 'c')
    client.send(wire.auth(0x18, scram(`n,,${bare}`)))
    await client.expectConnectRefused(0x86)
  })
})

describe('rules for addresses [row U16]', () => {
  const users = async () => new Map([['alice', await makePasswordRecord('right')]])
  const right = { clientId: 'c', username: 'alice', password: 'right' }

  test('deny closes before any byte, even with the right password, and those who are connected', async () => {
    const access = { users: await users() }
    const { broker, target } = await start(access)
    using inside = await connect(target, 5, right)
    broker.reloadAccess({ ...access, addresses: { deny: ['127.0.0.0/8'] } })
    await inside.expectRefusal(0x98)
    const socket = dial(target.port, target.host)
    const bytes: Buffer[] = []
    socket.on('data', (chunk: Buffer) => bytes.push(chunk))
    socket.on('error', () => {})
    socket.write(wire.connect(4, right))
    await new Promise((resolve) => socket.once('close', resolve))
    assert.equal(bytes.length, 0)
    assert.equal(broker.counters.limits.addressDenied, 1)
    broker.reloadAccess(access)
    using again = await connect(target, 5, right)
    await again.ping()
  })

  test('allow needs no credentials, checks those that are given, and makes nobody somebody', async () => {
    const access = { users: await users(), addresses: { allow: ['127.0.0.1', '::1'] } }
    const { broker, target } = await start(access)
    using anonymous = await connect(target, 5, { clientId: 'a' })
    using named = await connect(target, 4, { clientId: 'b', username: 'alice' })
    using known = await connect(target, 5, right)
    assert.deepEqual(names(broker).sort(), ['', '', 'alice'])
    await refused(target, { ...right, password: 'wrong' })
    for (const client of [anonymous, named, known]) await client.ping()
    broker.reloadAccess({ users: await users() })
    await refused(target, { clientId: 'x' }, 0x87)
  })

  test('hold over TLS and for streams of the program, and bad ones change nothing', async () => {
    const ca = await makeAuthority('ca')
    const { cert, key } = await ca.issue('localhost')
    const { broker, target } = await start(
      { allowAnonymous: true, addresses: { deny: ['127.0.0.1'] } },
      { kind: 'tls', host: '127.0.0.1', port: 0, tls: { cert, key } },
    )
    const socket = dialTls({ port: target.port, host: '127.0.0.1', ca: ca.cert, servername: 'localhost' })
    const outcome = await new Promise((resolve) => {
      socket.once('secureConnect', () => resolve('handshake'))
      socket.once('error', () => resolve('closed'))
      socket.once('close', () => resolve('closed'))
    })
    assert.equal(outcome, 'closed')
    const [ours, theirs] = duplexPair()
    broker.handle(ours, { remoteAddress: '127.0.0.1' })
    using stream = new RawClient(theirs, 5)
    await stream.expectClosed()
    assert.throws(() => broker.reloadAccess({ addresses: { deny: ['nowhere'] } }), { code: 'CMQ_ADDRESS_RULES' })
    const [more, others] = duplexPair()
    broker.handle(more, { remoteAddress: '127.0.0.1' })
    using still = new RawClient(others, 5)
    await still.expectClosed()
  })
})

describe('a client certificate', () => {
  async function tlsClient(target: Target, options: object): Promise<RawClient> {
    const socket = dialTls({ host: target.host, port: target.port, servername: 'localhost', ...options })
    await new Promise<void>((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject))
    return new RawClient(socket, 5)
  }

  test('names the user by its common name or its one alternative name; without one the login is the normal one', async () => {
    const ca = await makeAuthority('ca')
    const server = await ca.issue('localhost')
    const sensor = await ca.issue('sensor-7')
    const tls = { ...server, ca: ca.cert, requireClientCertificate: false }
    const users = new Map([['alice', await makePasswordRecord('right')]])
    const mayReport = { topics: [{ filter: 'up/%u', allowed: ['publish'] }] } as const
    const permissions: PermissionOptions = { default: 'deny', users: new Map([['sensor-7', mayReport]]) }
    const access = { users, permissions, certificateUser: 'commonName' } as const
    const { broker, target } = await start(access, { kind: 'tls', host: '127.0.0.1', port: 0, tls })
    const log = async (options: object, login: wire.ConnectOptions, code: number): Promise<RawClient> => {
      const client = await tlsClient(target, { ca: ca.cert, ...options })
      client.send(wire.connect(5, { clientId: 'c', ...login }))
      await client.expectPacket('CONNACK', { reason: code })
      return client
    }
    const byName = await log(sensor, {}, 0)
    assert.deepEqual(names(broker), ['sensor-7'])
    byName.send(wire.publish(5, 'up/sensor-7', 'x', { qos: 1, id: 1 }))
    await byName.expectPacket('PUBACK', { id: 1, reason: 0x10 })
    await (await log(sensor, { username: 'sensor-7' }, 0)).disconnect()
    // Another name is another user, who needs his password.
    await log(sensor, { username: 'alice' }, 0x86)
    await (await log(sensor, { username: 'alice', password: 'right' }, 0)).disconnect()
    await log({}, {}, 0x87)
    await (await log({}, { username: 'alice', password: 'right' }, 0)).disconnect()
    // One that nobody issued whom we trust is none.
    const stranger = await (await makeAuthority('other')).issue('sensor-7')
    await log(stranger, {}, 0x87)
    broker.reloadAccess({ ...access, certificateUser: 'dns' })
    await log(sensor, {}, 0)
    assert.deepEqual(names(broker), ['localhost'])
    broker.reloadAccess({ ...access, certificateUser: 'uri' })
    await log(sensor, {}, 0x87)
    broker.reloadAccess({ ...access, certificateUser: 'off' })
    await log(sensor, {}, 0x87)
  })
})
