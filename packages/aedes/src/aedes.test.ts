import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { after, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { connect, open, type RawClient } from '../../../testing/testkit/src/raw-client.ts'
import * as wire from '../../../testing/testkit/src/wire.ts'
import { Aedes } from './aedes.ts'
import type { Client } from './client.ts'
import type { AedesOptions } from './options.ts'
import type { PublishPacket, Subscription } from './packets.ts'

const running: { readonly aedes: Aedes; readonly server: Server }[] = []
after(() => {
  for (const { aedes, server } of running) {
    aedes.close()
    server.close()
  }
})

async function start(options: AedesOptions = {}) {
  const aedes = new Aedes(options)
  const server = createServer(aedes.handle).listen(0, '127.0.0.1')
  await once(server, 'listening')
  running.push({ aedes, server })
  const address = server.address()
  assert.ok(address !== null && typeof address === 'object')
  return { aedes, target: { host: '127.0.0.1', port: address.port } }
}

const textOf = (packet: PublishPacket): string => packet.payload.toString()

describe('handlers', () => {
  test('preConnect lets in or keeps out, and may change the CONNECT', async () => {
    const { aedes, target } = await start()
    const errors: string[] = []
    aedes.on('connectionError', (_client: Client, error: Error) => errors.push(error.message))
    aedes.preConnect = (client, packet, done) => {
      if (packet.clientId === 'bad') return done(new Error('kept out'))
      packet.clientId = `x-${packet.clientId}`
      setImmediate(() => done(null, (client.conn as { remoteAddress?: string }).remoteAddress !== undefined))
    }
    const ready = once(aedes, 'clientReady')
    await connect(target, 4, { clientId: 'good' })
    const [client] = (await ready) as [Client]
    assert.deepEqual([client.id, client.connected, client.version, client.clean], ['x-good', true, 4, true])
    const bad = await open(target, 4)
    bad.send(wire.connect(4, { clientId: 'bad' }))
    await bad.expectConnectRefused(5)
    assert.deepEqual(errors, ['kept out'])
  })

  test('authenticate gets name and password; its return codes reach the client', async () => {
    const { aedes, target } = await start()
    const errors: string[] = []
    aedes.on('clientError', (client: Client, error: Error) => errors.push(`${client.id} ${error.message}`))
    aedes.authenticate = (_client, username, password, done) => {
      if (username === 'matteo') return done(null, password?.toString() === 'collina')
      const error = Object.assign(new Error('Auth error'), { returnCode: username === 'four' ? 4 : 3 })
      done(error, null)
    }
    await connect(target, 4, { clientId: 'a', username: 'matteo', password: 'collina' })
    for (const [username, code] of [
      ['matteo', 5],
      ['four', 4],
      ['three', 3],
    ] as const) {
      const client = await open(target, 4)
      client.send(wire.connect(4, { clientId: username, username, password: 'x' }))
      await client.expectConnectRefused(code)
    }
    assert.deepEqual(errors, ['matteo not authorized', 'four Auth error', 'three Auth error'])
  })

  test('authorizePublish changes a message in place, and closes whoever it refuses', async () => {
    const { aedes, target } = await start()
    const errors: string[] = []
    aedes.on('clientError', (client: Client, error: Error) => errors.push(`${client.id} ${error.message}`))
    aedes.authorizePublish = (client, packet, done) => {
      assert.ok(client !== null)
      if (packet.topic === 'aaaa') return done(new Error('wrong topic'))
      if (packet.topic === 'bbb') packet.payload = Buffer.from('overwrite packet payload')
      done(null)
    }
    const watcher = await connect(target, 4, { clientId: 'w' })
    await watcher.subscribe('#', 2)
    const client = await connect(target, 4, { clientId: 'c' })
    for (const qos of [0, 1, 2] as const) {
      await client.publish('bbb', 'x', { qos })
      await watcher.receive({ topic: 'bbb', payload: 'overwrite packet payload', qos })
      await client.publish('same', 'x', { qos })
      await watcher.receive({ topic: 'same', payload: 'x', qos })
    }
    client.send(wire.publish(4, 'aaaa', 'x'))
    await client.expectClosed()
    await watcher.expectNothing()
    assert.deepEqual(errors, ['c wrong topic'])
  })

  test('authorizeSubscribe changes, negates with null, and closes on an error', async () => {
    const { aedes, target } = await start()
    aedes.authorizeSubscribe = (_client, sub, done) => {
      if (sub.topic === 'error') return done(new Error('wrong topic'))
      if (sub.topic === 'bbb') {
        sub.topic = 'foo'
        sub.qos = 1
      }
      done(null, sub.topic === 'aaaa' ? null : sub)
    }
    const subscribed = once(aedes, 'subscribe')
    const client = await connect(target, 4, { clientId: 'c' })
    client.send(
      wire.subscribe(4, 1, [
        ['aaaa', 0],
        ['bbb', 0],
      ]),
    )
    await client.expectPacket('SUBACK', { reasons: [0x80, 1] })
    const [subs] = (await subscribed) as [Subscription[]]
    assert.deepEqual(subs, [
      { topic: 'aaaa', qos: 128 },
      { topic: 'foo', qos: 1 },
    ])
    aedes.publish({ cmd: 'publish', topic: 'foo', payload: 'hello', qos: 1, retain: false, dup: false })
    await client.receive({ topic: 'foo', payload: 'hello', qos: 1 })
    client.send(wire.subscribe(4, 2, [['error', 0]]))
    await client.expectPacket('SUBACK', { reasons: [0x80] })
    await client.expectClosed()
  })

  test('authorizeForward keeps or changes what one client gets', async () => {
    const { aedes, target } = await start({
      authorizeForward: (client, packet) => {
        if (packet.topic === 'aaaa' && client.id === 'I should not see this') return
        if (packet.topic === 'bbb') packet.payload = Buffer.from('overwrite')
        return packet
      },
    })
    const [blind, seeing] = [
      await connect(target, 4, { clientId: 'I should not see this' }),
      await connect(target, 4, { clientId: 'sees' }),
    ]
    for (const client of [blind, seeing]) await client.subscribe('#', 1)
    const publisher = await connect(target, 4)
    await publisher.publish('aaaa', 'x', { qos: 1 })
    await publisher.publish('bbb', 'x', { qos: 1 })
    await seeing.receive({ topic: 'aaaa', payload: 'x' })
    for (const client of [seeing, blind]) await client.receive({ topic: 'bbb', payload: 'overwrite' })
    aedes.authorizeForward = undefined
    await publisher.publish('aaaa', 'x', { qos: 1 })
    await blind.receive({ topic: 'aaaa' })
  })

  test('published is told of clients, the program and wills', async () => {
    const { aedes, target } = await start()
    const told: string[] = []
    aedes.published = (packet, client, done) => {
      if (!packet.topic.startsWith('$SYS')) told.push(`${client?.id ?? 'null'} ${packet.topic} ${textOf(packet)}`)
      done()
    }
    const client = await connect(target, 4, { clientId: 'c', will: { topic: 'will', payload: 'w' } })
    await client.publish('t', 'one', { qos: 2 })
    await new Promise((resolve) => aedes.publish({ topic: 't', payload: 'two' }, resolve))
    const gone = once(aedes, 'clientDisconnect')
    await client.drop()
    await gone
    assert.deepEqual(told, ['c t one', 'null t two', 'null will w'])
  })

  test('a handler that throws or never calls back is a refusal', async () => {
    const { aedes, target } = await start({ concord: { embedding: { hookTimeoutMs: 50 } } })
    aedes.authenticate = () => {
      throw new Error('broken')
    }
    for (const next of [() => {}, undefined]) {
      const client = await open(target, 4)
      client.send(wire.connect(4, { clientId: 'c' }))
      await client.expectConnectRefused(4)
      if (next !== undefined) aedes.authenticate = next
    }
  })
})

describe('events', () => {
  test('come in the order of a connection', async () => {
    const { aedes, target } = await start()
    const seen: string[] = []
    for (const event of ['client', 'clientReady', 'clientDisconnect', 'keepaliveTimeout'] as const) {
      aedes.on(event, (client: Client) => seen.push(`${event} ${client.id}`))
    }
    for (const event of ['connackSent', 'publish', 'subscribe', 'unsubscribe', 'ack', 'ping'] as const) {
      aedes.on(event, (what: { topic?: string; returnCode?: number }, client: Client | null) => {
        if (client !== null) seen.push(`${event} ${client.id} ${what.topic ?? what.returnCode ?? ''}`.trim())
      })
    }
    const client = await connect(target, 4, { clientId: 'c' })
    assert.equal(aedes.connectedClients, 1)
    await client.subscribe('t', 1)
    await client.ping()
    client.send(wire.publish(4, 't', 'x', { qos: 1, id: 1 }))
    await client.receive({ topic: 't' })
    await client.expectPacket('PUBACK', { id: 1 })
    await client.unsubscribe('t')
    const gone = once(aedes, 'clientDisconnect')
    await client.disconnect()
    await gone
    assert.equal(aedes.connectedClients, 0)
    assert.deepEqual(seen, [
      'client c',
      'connackSent c 0',
      'clientReady c',
      'subscribe c',
      'ping c',
      'publish c t',
      'ack c',
      'unsubscribe c',
      'clientDisconnect c',
    ])
    const closed = once(aedes, 'closed')
    aedes.close()
    await closed
    assert.equal(aedes.closed, true)
  })

  test('keepaliveTimeout and clientError tell of clients that fall silent or break a rule', async () => {
    const { aedes, target } = await start()
    const silent = once(aedes, 'keepaliveTimeout')
    await connect(target, 4, { clientId: 'silent', keepAlive: 1 })
    const [client] = (await silent) as [Client]
    assert.equal(client.id, 'silent')
    const wrong = once(aedes, 'clientError')
    const rude = await connect(target, 4, { clientId: 'rude' })
    rude.send(wire.connect(4, { clientId: 'rude' }))
    const [told] = (await wrong) as [Client]
    assert.equal(told.id, 'rude')
  })

  test('$SYS/<id>/… says who comes and subscribes', async () => {
    const { aedes, target } = await start({ id: 'b1', heartbeatInterval: 20 })
    const heard = new Map<string, string>()
    let wake = () => {}
    aedes.subscribe('$SYS/b1/#', (packet, done) => {
      heard.set(packet.topic, textOf(packet))
      wake()
      done()
    })
    const client = await connect(target, 4, { clientId: 'c' })
    await client.subscribe('t')
    await client.unsubscribe('t')
    await client.disconnect()
    const topics = ['heartbeat', 'new/clients', 'new/subscribers', 'new/unsubscribers', 'disconnect/clients']
    const deadline = AbortSignal.timeout(5_000)
    while (!topics.every((topic) => heard.has(`$SYS/b1/${topic}`))) {
      deadline.throwIfAborted()
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    assert.deepEqual(JSON.parse(heard.get('$SYS/b1/new/subscribers') ?? ''), {
      clientId: 'c',
      subs: [{ topic: 't', qos: 0 }],
    })
  })
})

describe('calls', () => {
  test('before the broker runs are not lost (0.x: no await anywhere)', async () => {
    const aedes = new Aedes()
    const got = new Promise<string>((resolve) => {
      aedes.subscribe('t', (packet, done) => {
        resolve(textOf(packet))
        done()
      })
    })
    aedes.publish({ cmd: 'publish', topic: 't', payload: Buffer.from('early'), qos: 0, retain: false, dup: false })
    assert.equal(await got, 'early')
    aedes.close()
  })

  test('unsubscribe() takes exactly the function that was given', async () => {
    const { aedes } = await start()
    const got: string[] = []
    const one = (packet: PublishPacket, done: () => void): void => {
      got.push(`one ${textOf(packet)}`)
      done()
    }
    const two = (packet: PublishPacket, done: () => void): void => {
      got.push(`two ${textOf(packet)}`)
      done()
    }
    const call = (work: (done: (error?: Error | null) => void) => void): Promise<Error | null | undefined> =>
      new Promise((resolve) => work(resolve))
    for (const deliver of [one, two, one]) await call((done) => aedes.subscribe('t', deliver, done))
    await call((done) => aedes.publish({ topic: 't', payload: 'a' }, done))
    await call((done) => aedes.unsubscribe('t', one, done))
    await call((done) => aedes.unsubscribe('t', () => {}, done))
    await call((done) => aedes.publish({ topic: 't', payload: 'b' }, done))
    await new Promise(setImmediate)
    assert.deepEqual(got, ['one a', 'two a', 'two b'])
    assert.match(String(await call((done) => aedes.publish({ topic: 'a/#' }, done))), /CMQ_TOPIC|wildcard/u)
    assert.match(String(await call((done) => aedes.subscribe('#/a', one, done))), /Cannot subscribe/u)
  })

  test("a client's own publish, subscribe, unsubscribe and close", async () => {
    const { aedes, target } = await start()
    const ready = once(aedes, 'clientReady')
    const raw: RawClient = await connect(target, 4, { clientId: 'c' })
    const [client] = (await ready) as [Client]
    const call = (work: (done: (error?: Error | null) => void) => void): Promise<unknown> =>
      new Promise((resolve) => work(resolve))
    for (const qos of [0, 1, 2] as const) {
      assert.equal(await call((done) => client.publish({ topic: 'welcome', payload: 'x', qos }, done)), null)
      await raw.receive({ topic: 'welcome', qos })
    }
    for (const wanted of [
      { topic: 'a', qos: 1 },
      [{ topic: 'b', qos: 0 }],
      { subscriptions: [{ topic: 'c', qos: 2 }] },
    ] as const) {
      assert.equal(await call((done) => client.subscribe(wanted as never, done)), null)
    }
    for (const topic of ['a', 'b', 'c']) {
      aedes.publish({ topic, payload: 'x', qos: 2 })
      await raw.receive({ topic })
    }
    assert.equal(await call((done) => client.unsubscribe([{ topic: 'a' }, { topic: 'b' }], done)), null)
    assert.equal(await call((done) => client.unsubscribe('c', done)), null)
    aedes.publish({ topic: 'a', payload: 'x' })
    await raw.expectNothing()
    assert.ok((await call((done) => client.emptyOutgoingQueue(done))) instanceof Error)
    await call((done) => client.close(() => done()))
    await raw.expectClosed()
    assert.ok((await call((done) => client.publish({ topic: 'late' }, done))) instanceof Error)
    await call((done) => client.close(() => done()))
  })

  test('options that would silently mean nothing are refused', () => {
    for (const [options, message] of [
      [{ mq: {} }, /"mq" is not supported/u],
      [{ persistence: {} }, /"persistence" is not supported/u],
      [{ trustProxy: true }, /"trustProxy" is not supported/u],
      [{ autenticate() {} }, /Unknown option "autenticate"/u],
    ] as const) {
      assert.throws(() => new Aedes(options as never), message)
    }
  })

  test('after close() a process ends by itself', async () => {
    const script = `
      const { Aedes } = require(${JSON.stringify(new URL('./index.ts', import.meta.url).pathname)})
      const { createServer } = require('node:net')
      const aedes = new Aedes()
      const server = createServer(aedes.handle)
      server.listen(0, () => aedes.close(() => server.close(() => console.log('closed'))))`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=commonjs', '-e', script], {
      timeout: 20_000,
    })
    assert.equal(stdout, 'closed\n')
  })
})
