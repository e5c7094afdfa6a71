/** Each limit on what clients may take: that it refuses with its code, is counted, harms nobody else, and is over in time. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import { after, describe, test } from 'node:test'
import { connect, deadlineMs, RawClient, type Target } from '../../../testing/testkit/src/raw-client.ts'
import * as wire from '../../../testing/testkit/src/wire.ts'
import { makePasswordRecord } from './access/password-record.ts'
import type { Broker } from './api.ts'
import { createBroker } from './broker.ts'
import type { BrokerOptions } from './config/options.ts'
import type { LogFields, Logger } from './telemetry/logger.ts'

const brokers: Broker[] = []
after(async () => {
  for (const broker of brokers) await broker.close({ graceMs: 0 })
})

async function start(options: BrokerOptions = {}): Promise<{ readonly broker: Broker; readonly target: Target }> {
  const broker = await createBroker({ access: { allowAnonymous: true }, sys: { intervalSeconds: 0 }, ...options })
  brokers.push(broker)
  const { port } = await broker.listen({ kind: 'tcp', host: '0.0.0.0', port: 0 })
  return { broker, target: { host: '127.0.0.1', port } }
}

const sockets: Socket[] = []
after(() => {
  for (const socket of sockets) socket.destroy()
})

/** A connection from one of the addresses of this machine: all of 127.0.0.0/8 are. */
async function dial({ host, port }: Target, localAddress = '127.0.0.1'): Promise<Socket> {
  const socket = createConnection({ host, port, localAddress, noDelay: true })
  sockets.push(socket)
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

type Login = wire.ConnectOptions & { readonly from?: string }

/** The answer to a CONNECT, its code or `closed`; afterwards the client is gone. */
async function login(target: Target, version: wire.Version, options: Login = {}): Promise<number | 'closed'> {
  const { from, ...rest } = options
  using client = new RawClient(await dial(target, from), version)
  client.send(wire.connect(version, rest))
  // One that is closed while it still sends sees a reset, perhaps after the answer.
  const connack = await client.next(6 * deadlineMs)
  return connack?.reason ?? 'closed'
}

/** Until something holds; the deadline is the test runner's. */
async function until(holds: () => boolean): Promise<void> {
  const end = performance.now() + deadlineMs
  while (!holds()) {
    assert.ok(performance.now() < end, `Not so within ${deadlineMs} ms: ${holds.toString()}`)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    if (socket.closed) resolve()
    socket.once('close', () => resolve())
    socket.resume()
  })

describe('connections', () => {
  test('one address has a maximum: what is beyond reads why, and another address does not notice', async () => {
    const { broker, target } = await start({ limits: { connectionsPerAddressMax: 2 } })
    using first = await connect(target, 5, { clientId: 'a' })
    using _second = await connect(target, 4, { clientId: 'b' })
    assert.deepEqual([await login(target, 5), await login(target, 4)], [0x97, 3])
    assert.equal(broker.counters.limits.addressFull, 2)
    assert.equal(await login(target, 5, { from: '127.0.0.2' }), 0)
    await first.drop()
    await until(() => [...broker.clients()].length === 1)
    assert.equal(await login(target, 5), 0)
  })

  test('a storm of 1,000 connections from one address is closed unread, and others connect meanwhile', async () => {
    const { broker, target } = await start({ limits: { connectionsPerAddressMax: 10 } })
    const storm = await Promise.all(Array.from({ length: 1_000 }, () => dial(target, '127.0.0.66')))
    const healthy = await Promise.all(
      Array.from({ length: 20 }, (_, i) => login(target, 5, { clientId: `h${i}`, from: `127.0.1.${i + 1}` })),
    )
    assert.deepEqual(new Set(healthy), new Set([0]))
    await until(() => broker.counters.limits.addressFull === 990)
    // Those that would be told why are few; the others cost nothing any more.
    await until(() => storm.filter((socket) => !socket.destroyed && socket.readable).length <= 110)
    for (const socket of storm) socket.destroy()
    const since = performance.now()
    while ((await login(target, 5, { from: '127.0.0.66' })) !== 0) assert.ok(performance.now() - since < deadlineMs)
  })

  test('one address has a pace, and is taken again when it has slowed down', async () => {
    const { broker, target } = await start({ limits: { connectionsPerSecondPerAddressMax: 2 } })
    const codes = []
    for (let i = 0; i < 4; i++) codes.push(await login(target, 5))
    assert.deepEqual(codes, [0, 0, 0x9f, 0x9f])
    assert.equal(await login(target, 4), 3)
    assert.equal(await login(target, 5, { from: '127.0.0.2' }), 0)
    assert.equal(broker.counters.limits.addressRate, 3)
    const since = performance.now()
    while ((await login(target, 5)) !== 0) assert.ok(performance.now() - since < deadlineMs)
  })

  test('all clients together have a pace of logins', async () => {
    const { broker, target } = await start({ limits: { connectsPerSecondMax: 3 } })
    const codes = []
    for (let i = 0; i < 4; i++) codes.push(await login(target, 5, { from: `127.0.2.${i + 1}` }))
    assert.deepEqual(codes, [0, 0, 0, 0x9f])
    assert.equal(broker.counters.limits.connectRate, 1)
  })

  test('one user has a maximum, which a client that takes its own session over does not reach', async () => {
    const password = await makePasswordRecord('pw')
    const access = {
      users: new Map([
        ['alice', password],
        ['bob', password],
      ]),
    }
    const { broker, target } = await start({ access, limits: { connectionsPerUserMax: 2 } })
    const as = (username: string, clientId: string) => ({ username, password: 'pw', clientId })
    using _one = await connect(target, 5, as('alice', '1'))
    using two = await connect(target, 5, as('alice', '2'))
    assert.deepEqual([await login(target, 5, as('alice', '3')), await login(target, 4, as('alice', '3'))], [0x97, 3])
    assert.equal(broker.counters.limits.userFull, 2)
    assert.equal(await login(target, 5, as('bob', '4')), 0)
    using again = await connect(target, 5, as('alice', '2'))
    await two.expectPacket('DISCONNECT', { reason: 0x8e })
    assert.equal(await login(target, 5, as('alice', '3')), 0x97)
    await again.drop()
    await until(() => [...broker.clients()].every(({ clientId }) => clientId !== '2'))
    assert.equal(await login(target, 5, as('alice', '3')), 0)
  })

  test('1,000 connections that say nothing make room, the oldest first, and healthy clients connect', async () => {
    const { broker, target } = await start({ limits: { halfOpenPerAddressMax: 100 } })
    const silent: Socket[] = []
    for (let i = 0; i < 1_000; i++) silent.push(await dial(target, '127.0.0.66'))
    const before = performance.now()
    for (let i = 0; i < 20; i++) assert.equal(await login(target, 5, { clientId: `h${i}` }), 0)
    assert.ok(performance.now() - before < deadlineMs)
    await until(() => broker.counters.limits.halfOpen === 900)
    await closed(silent[0] as Socket)
    // The youngest are still there, and may still speak.
    const last = new RawClient(silent.at(-1) as Socket, 5)
    last.send(wire.connect(5, { clientId: 'late' }))
    await last.expectPacket('CONNACK', { reason: 0 })
  })

  test('all addresses together have a maximum of silent connections', async () => {
    const { broker, target } = await start({ limits: { halfOpenMax: 3 } })
    const silent: Socket[] = []
    for (let i = 1; i <= 5; i++) silent.push(await dial(target, `127.0.3.${i}`))
    assert.equal(await login(target, 5), 0)
    await closed(silent[0] as Socket)
    await closed(silent[1] as Socket)
    assert.equal(broker.counters.limits.halfOpen, 3)
  })

  test('refused clients read nothing where refusals are silent', async () => {
    const access = { allowAnonymous: true, silentConnectErrors: true }
    const { target } = await start({ access, limits: { connectionsPerAddressMax: 1 } })
    using _first = await connect(target, 5, { clientId: 'a' })
    assert.equal(await login(target, 5), 'closed')
  })
})

describe('bans', () => {
  const wrong = { username: 'alice', password: 'guess' }

  test('an address is banned after too many failed logins, others are not, and lifting lets it in again', async () => {
    const access = { users: new Map([['alice', await makePasswordRecord('pw')]]) }
    const { broker, target } = await start({ access, bans: { failuresMax: 3, exempt: [] } })
    using before = await connect(target, 5, { clientId: 'b', username: 'alice', password: 'pw' })
    const codes = []
    for (let i = 0; i < 4; i++) codes.push(await login(target, 5, wrong))
    assert.deepEqual(codes, [0x86, 0x86, 0x86, 0x8a])
    // The right password does not help, before 5.0 the code is 5, and who is connected stays.
    assert.equal(await login(target, 4, { username: 'alice', password: 'pw' }), 5)
    await before.ping()
    assert.equal(await login(target, 5, { username: 'alice', password: 'pw', from: '127.0.0.2' }), 0)
    assert.deepEqual(
      broker.bans().map(({ kind, value, reason }) => ({ kind, value, reason })),
      [{ kind: 'address', value: '127.0.0.1', reason: 'failures' }],
    )
    assert.equal(broker.counters.limits.banned, 2)
    assert.equal(broker.liftBan({ kind: 'address', value: '127.0.0.1' }), true)
    assert.equal(broker.liftBan({ kind: 'address', value: '127.0.0.1' }), false)
    assert.equal(await login(target, 5, { username: 'alice', password: 'pw' }), 0)
  })

  test('a ban ends by itself', async () => {
    const { broker, target } = await start()
    broker.ban({ kind: 'user', value: 'eve', forMs: 100 })
    const eve = { username: 'eve', password: 'x' }
    assert.equal(await login(target, 5, eve), 0x8a)
    await until(() => broker.bans().length === 0)
    assert.equal(await login(target, 5, eve), 0x86)
  })

  test('loopback is exempt unless told otherwise', async () => {
    const { broker, target } = await start({ bans: { failuresMax: 1, flappingConnectsMax: 1 } })
    assert.deepEqual([await login(target, 5, wrong), await login(target, 5, wrong)], [0x86, 0x86])
    for (let i = 0; i < 3; i++) assert.equal(await login(target, 5, { clientId: 'f' }), 0)
    assert.deepEqual(broker.bans(), [])
  })

  test('a client identifier that connects too often is kept out for a while', async () => {
    const { broker, target } = await start({ bans: { flappingConnectsMax: 3, exempt: [] } })
    const codes = []
    for (let i = 0; i < 5; i++) codes.push(await login(target, 5, { clientId: 'f' }))
    assert.deepEqual(codes, [0, 0, 0, 0x8a, 0x8a])
    assert.equal(await login(target, 5, { clientId: 'g' }), 0)
    assert.deepEqual(
      broker.bans().map(({ kind, value, reason }) => `${kind} ${value} ${reason}`),
      ['clientId f flapping'],
    )
  })

  test('an operator bans addresses, and what is no address is refused', async () => {
    const { broker, target } = await start()
    broker.ban({ kind: 'address', value: '127.0.0.1' })
    assert.equal(await login(target, 5), 0x8a)
    assert.equal(await login(target, 5, { from: '127.0.0.2' }), 0)
    broker.ban({ kind: 'address', value: '2001:db8::5' })
    assert.equal(broker.liftBan({ kind: 'address', value: '2001:db8::6' }), true)
    assert.throws(() => broker.ban({ kind: 'address', value: 'somewhere' }), { code: 'CMQ_BANS' })
    assert.throws(() => broker.ban({ kind: 'user', value: '' }), { code: 'CMQ_BANS' })
  })

  test('1,000 wrong passwords delay a right one by no more than what waits before it, and fill no log', async () => {
    const lines: LogFields[] = []
    const keep = (fields: LogFields) => void lines.push(fields)
    const logger: Logger = { error: keep, warn: keep, info: keep, debug() {}, debugEnabled: false }
    const access = { users: new Map([['alice', await makePasswordRecord('pw')]]), passwordQueueMax: 20 }
    const { broker, target } = await start({ access, logger, bans: { failuresMax: 20, exempt: [] } })
    const wave = () =>
      Promise.all(Array.from({ length: 100 }, () => login(target, 5, { ...wrong, from: '127.0.0.66' })))
    const storm = (async () => {
      const codes: (number | 'closed')[] = []
      for (let i = 0; i < 10; i++) codes.push(...(await wave()))
      return codes
    })()
    const first = performance.now()
    let ok = 0
    // A healthy client that finds the queue full comes again, as clients do.
    while (ok < 3) {
      const code = await login(target, 5, { clientId: `ok${ok}`, username: 'alice', password: 'pw' })
      if (code === 0) ok++
      else assert.equal(code, 0x89)
    }
    assert.ok(performance.now() - first < 6 * deadlineMs)
    const codes = await storm
    const seen = new Set(codes)
    assert.ok(seen.has(0x86) && (seen.has(0x8a) || seen.has('closed')), JSON.stringify([...seen]))
    assert.equal(broker.bans()[0]?.value, '127.0.0.66')
    const refused = lines.filter(({ event }) => event === 'connect.refused').length
    assert.ok(refused <= 100 + 10 * 15, `${refused} lines`)
    assert.equal(await login(target, 5, { username: 'alice', password: 'pw' }), 0)
  })
})

describe('what is kept', () => {
  test('beyond the maximum of retained messages a publish is refused, and taken when there is room', async () => {
    const { broker, target } = await start({ retained: { messagesMax: 2, messageBytesMax: 20 } })
    using five = await connect(target, 5, { clientId: 'five' })
    const put = async (qos: 1 | 2, topic: string, payload = 'x') => {
      const id = five.newId()
      five.send(wire.publish(5, topic, payload, { qos, retain: true, id }))
      const { reason } = await five.expectPacket(qos === 1 ? 'PUBACK' : 'PUBREC', { id })
      if (qos === 2 && reason < 0x80) {
        five.send(wire.acknowledge('PUBREL', id))
        await five.expectPacket('PUBCOMP', { id, reason: 0 })
      }
      return reason
    }
    using listener = await connect(target, 5, { clientId: 'listener' })
    await listener.subscribe('#', 0)
    for (const topic of ['a', 'b']) {
      assert.equal(await put(1, topic), 0)
      await listener.receive({ topic })
    }
    assert.deepEqual([await put(1, 'c'), await put(2, 'c'), await put(1, 'a', 'x'.repeat(20))], [0x97, 0x97, 0x97])
    await listener.expectNothing()
    // 3.1.1 has no code for it: the connection ends, and the client sends it again when it is back.
    using four = await connect(target, 4, { clientId: 'four' })
    four.send(wire.publish(4, 'c', 'x', { qos: 1, retain: true, id: 1 }))
    await four.expectClosed()
    await assert.rejects(broker.publish({ topic: 'c', payload: 'x', retain: true }), { code: 'CMQ_QUOTA' })
    // QoS 0 gets no answer at all.
    five.send(wire.publish(5, 'c', 'x', { retain: true }))
    await five.ping()
    assert.equal(await put(1, 'a', ''), 0)
    await listener.receive({ topic: 'a', payload: '' })
    assert.equal(await put(2, 'c', 'y'), 0)
    await listener.receive({ topic: 'c', payload: 'y' })
  })

  test('a refused QoS 2 message of a kept session leaves its packet identifier free', async () => {
    const { target } = await start({ retained: { messagesMax: 0 } })
    const kept: wire.Property = ['sessionExpiryInterval', 60]
    using client = await connect(target, 5, { clientId: 'k', properties: [kept] })
    client.send(wire.publish(5, 'a', 'x', { qos: 2, retain: true, id: 7 }))
    await client.expectPacket('PUBREC', { id: 7, reason: 0x97 })
    using listener = await connect(target, 5, { clientId: 'l' })
    await listener.subscribe('a', 0)
    client.send(wire.publish(5, 'a', 'y', { qos: 2, id: 7 }))
    await client.expectPacket('PUBREC', { id: 7, reason: 0 })
    await listener.receive({ topic: 'a', payload: 'y' })
  })

  test('when all queues together are full, messages for them are refused and others are not', async () => {
    const { target } = await start({ sessions: { queuesBytesMax: 2_000 } })
    const kept: wire.Property = ['sessionExpiryInterval', 60]
    {
      using absent = await connect(target, 5, { clientId: 'absent', properties: [kept] })
      await absent.subscribe('q/#', 1)
      await absent.disconnect()
    }
    using client = await connect(target, 5, { clientId: 'p' })
    const codes = []
    for (let id = 1; id <= 4; id++) {
      client.send(wire.publish(5, 'q/a', 'x'.repeat(900), { qos: 1, id }))
      codes.push((await client.expectPacket('PUBACK', { id })).reason)
    }
    assert.deepEqual(codes, [0, 0, 0x97, 0x97])
    client.send(wire.publish(5, 'other', 'x', { qos: 1, id: 9 }))
    await client.expectPacket('PUBACK', { id: 9, reason: 0x10 })
    using back = await connect(target, 5, { clientId: 'absent', cleanStart: false, properties: [kept] })
    for (let i = 0; i < 2; i++) await back.receive({ topic: 'q/a' })
    await back.ping()
    client.send(wire.publish(5, 'q/a', 'x', { qos: 1, id: 10 }))
    await client.expectPacket('PUBACK', { id: 10, reason: 0 })
  })

  test('subscriptions of a session have a maximum, kept or not, and replacing one is no new one', async () => {
    const { broker, target } = await start({ sessions: { subscriptionsMax: 2 } })
    const kept: wire.Property = ['sessionExpiryInterval', 60]
    for (const properties of [[], [kept]]) {
      using client = await connect(target, 5, { clientId: 's', properties })
      client.send(
        wire.subscribe(5, 1, [
          ['a', 0],
          ['b', 0],
          ['c', 0],
          ['a', 1],
        ]),
      )
      const { reasons } = await client.expectPacket('SUBACK', { id: 1 })
      assert.deepEqual([...reasons], [0, 0, 0x97, 1])
      client.send(wire.unsubscribe(5, 2, ['b']), wire.subscribe(5, 3, [['c', 0]]))
      await client.expectPacket('UNSUBACK', { id: 2 })
      const later = await client.expectPacket('SUBACK', { id: 3 })
      assert.deepEqual([...later.reasons], [0])
    }
    assert.equal(broker.counters.limits.subscriptionsFull, 2)
  })

  test('sessions have a maximum: a new client is refused, and one that has a session is not', async () => {
    const { broker, target } = await start({ sessions: { sessionsMax: 2 } })
    using a = await connect(target, 5, { clientId: 'a' })
    using _b = await connect(target, 5, { clientId: 'b' })
    assert.deepEqual([await login(target, 5, { clientId: 'c' }), await login(target, 4, { clientId: 'c' })], [0x97, 3])
    assert.equal(broker.counters.limits.sessionsFull, 2)
    assert.equal(await login(target, 5, { clientId: 'a' }), 0)
    await a.expectPacket('DISCONNECT', { reason: 0x8e })
  })

  test('message expiry has a ceiling for what is retained or queued, which messages without expiry get too', async () => {
    const { broker, target } = await start({ limits: { messageExpiryMax: 100 } })
    using client = await connect(target, 5, { clientId: 'p' })
    await client.publish('a', 'x', { qos: 1, retain: true })
    await client.publish('b', 'x', { qos: 1, retain: true, properties: [['messageExpiryInterval', 500]] })
    await client.publish('c', 'x', { qos: 1, retain: true, properties: [['messageExpiryInterval', 50]] })
    await broker.publish({ topic: 'd', payload: 'x', retain: true })
    using reader = await connect(target, 5, { clientId: 'r' })
    for (const [topic, seconds] of [
      ['a', 100],
      ['b', 100],
      ['c', 50],
      ['d', 100],
    ] as const) {
      await reader.subscribe(topic, 0)
      const left = wire.propertyOf(await reader.receive({ topic }), 'messageExpiryInterval') as number
      assert.ok(left > seconds - 5 && left <= seconds, `${topic}: ${left}`)
    }
  })
})

describe('the rate of a client', () => {
  const messages = (version: wire.Version, count: number, qos: 0 | 1 | 2, topic = 't') =>
    Buffer.concat(
      Array.from({ length: count }, (_, i) =>
        wire.publish(version, topic, `${i}`, qos === 0 ? {} : { qos, id: i + 1 }),
      ),
    )

  test('slows a client that publishes faster, loses nothing, and leaves others alone', async () => {
    const { broker, target } = await start({ limits: { messagesPerSecondMax: 200, messagesBurstMax: 100 } })
    using listener = await connect(target, 5, { clientId: 'l' })
    await listener.subscribe('t', 0)
    using fast = await connect(target, 5, { clientId: 'fast' })
    const began = performance.now()
    using other = await connect(target, 5, { clientId: 'other' })
    // In several reads, for what one read brought is taken; another client's publishes go on meanwhile.
    for (let sent = 0; sent < 400; sent += 100) {
      fast.send(messages(5, 100, 0))
      await other.publish('elsewhere', 'x', { qos: 1 })
    }
    fast.send(wire.pingreq)
    for (let i = 0; i < 400; i++) await listener.receive({ topic: 't', payload: `${i % 100}` })
    // The ping is read only when what was overdrawn is made up for.
    await fast.expectPacket('PINGRESP')
    const tookMs = performance.now() - began
    assert.ok(tookMs >= 900, `400 messages at 200 a second after 100 at once took ${tookMs} ms`)
    assert.ok(broker.counters.limits.rateSlowed > 0)
    assert.equal(broker.counters.publishDropped, 0)
  })

  test('slows a client that sends more bytes, whatever they are', async () => {
    const { target } = await start({ limits: { bytesPerSecondMax: 20_000, bytesBurstMax: 20_000 } })
    using client = await connect(target, 5, { clientId: 'c' })
    const began = performance.now()
    client.send(wire.publish(5, 't', 'x'.repeat(30_000), { qos: 1, id: 1 }))
    await client.expectPacket('PUBACK', { id: 1 })
    client.send(wire.pingreq)
    await client.expectPacket('PINGRESP')
    assert.ok(performance.now() - began >= 450)
  })

  test('does not take a slowed client for a silent one', async () => {
    const { target } = await start({ limits: { messagesPerSecondMax: 1 } })
    using client = await connect(target, 5, { clientId: 'c', keepAlive: 1 })
    client.send(messages(5, 4, 0), wire.pingreq)
    await client.expectPacket('PINGRESP')
    client.send(wire.pingreq)
    await client.expectPacket('PINGRESP', {}, 2 * deadlineMs)
  })

  test('drops what is too much where told so: QoS 0 silently, 1 and 2 with 0x97, and takes more later', async () => {
    const { broker, target } = await start({ limits: { messagesPerSecondMax: 10, rateExceeded: 'drop' } })
    using listener = await connect(target, 5, { clientId: 'l' })
    await listener.subscribe('t', 0)
    for (const qos of [0, 1, 2] as const) {
      using client = await connect(target, 5, { clientId: `c${qos}` })
      client.send(messages(5, 15, qos), wire.pingreq)
      const codes = []
      for (let i = 1; i <= 15 && qos > 0; i++) {
        codes.push((await client.expectPacket(qos === 1 ? 'PUBACK' : 'PUBREC', { id: i })).reason)
      }
      await client.expectPacket('PINGRESP')
      assert.deepEqual(codes, qos === 0 ? [] : [...Array(10).fill(0), ...Array(5).fill(0x97)])
      for (let i = 0; i < 10; i++) await listener.receive({ payload: `${i}` })
      await listener.expectNothing()
      const began = performance.now()
      let reason = 0x97
      for (let id = 100; reason === 0x97; id++) {
        client.send(wire.publish(5, 'later', 'x', { qos: 1, id }))
        reason = (await client.expectPacket('PUBACK', { id })).reason
        assert.ok(performance.now() - began < deadlineMs)
      }
    }
    assert.ok(broker.counters.limits.rateDropped >= 15)
    // A refused QoS 2 message leaves its identifier free.
    using client = await connect(target, 5, { clientId: 'c' })
    client.send(messages(5, 10, 0, 'x'), wire.publish(5, 't', 'again', { qos: 2, id: 5 }))
    await client.expectPacket('PUBREC', { id: 5, reason: 0x97 })
    for (let reason = 0x97; reason !== 0; ) {
      client.send(wire.publish(5, 't', 'again', { qos: 2, id: 5 }))
      reason = (await client.expectPacket('PUBREC', { id: 5 })).reason
    }
    await listener.receive({ payload: 'again' })
  })

  test('ends a 3.1.1 connection in place of the code it cannot have', async () => {
    const { target } = await start({ limits: { messagesPerSecondMax: 2, rateExceeded: 'drop' } })
    using client = await connect(target, 4, { clientId: 'c' })
    client.send(messages(4, 3, 1))
    await client.expectPacket('PUBACK', { id: 1 })
    await client.expectPacket('PUBACK', { id: 2 })
    await client.expectClosed()
  })

  test('disconnects with 0x96 where told so', async () => {
    for (const limits of [{ messagesPerSecondMax: 2 }, { bytesPerSecondMax: 50 }]) {
      const { broker, target } = await start({ limits: { ...limits, rateExceeded: 'disconnect' } })
      using client = await connect(target, 5, { clientId: 'c' })
      client.send(messages(5, 20, 0))
      await client.expectRefusal(0x96)
      assert.equal(broker.counters.limits.rateDisconnected, 1)
      assert.equal(await login(target, 5, { clientId: 'c' }), 0)
    }
  })
})

describe('what is held for those that do not read', () => {
  test('answers of a client that reads none stop its reading, and go on when it reads', async () => {
    const { broker, target } = await start()
    const socket = await dial(target)
    socket.pause()
    socket.write(wire.connect(4, { clientId: 'rude' }))
    const batch = Buffer.concat(
      Array.from({ length: 8_000 }, (_, i) => wire.publish(4, 'a', '', { qos: 1, id: i + 1 })),
    )
    // Far more answers than the system takes and the broker holds; it is stopped when nothing more is taken from it.
    let sent = 0
    let stuck = false
    for (let last = -1; !stuck; ) {
      if (socket.write(batch)) {
        sent += 8_000
        continue
      }
      sent += 8_000
      await Promise.race([once(socket, 'drain'), new Promise((resolve) => setTimeout(resolve, 500))])
      stuck = socket.writableNeedDrain && broker.counters.publishReceived === last
      last = broker.counters.publishReceived
      assert.ok(sent < 50_000_000, 'it is read for ever')
    }
    assert.ok(broker.counters.publishReceived < sent)
    // Others do not notice.
    using other = await connect(target, 5, { clientId: 'other' })
    await other.publish('b', 'x', { qos: 1 })
    let read = 0
    socket.on('data', (chunk: Buffer) => {
      read += chunk.length
    })
    socket.resume()
    await until(() => read === 4 + 4 * sent)
  })

  test('beyond the maximum of all connections together those with most lose it, and the others go on', async () => {
    const { broker, target } = await start({
      delivery: { backlogBytesMax: 16 << 20, queueBytesMax: 1 << 30, queueFull: 'disconnect' },
    })
    using healthy = await connect(target, 5, { clientId: 'healthy' })
    await healthy.subscribe('h', 1)
    const rude = await Promise.all(
      Array.from({ length: 4 }, async (_, i) => {
        const client = await connect(target, 5, { clientId: `rude${i}` })
        await client.subscribe(`r${i}`, 0)
        client.pause()
        return client
      }),
    )
    using publisher = await connect(target, 5, { clientId: 'p' })
    // 48 MB in all, each its own: no message waits in two lines.
    for (let n = 0; n < 12; n++) {
      for (let i = 0; i < 4; i++) await publisher.publish(`r${i}`, 'x'.repeat(1 << 20), { qos: 1 })
      await publisher.publish('h', `${n}`, { qos: 1 })
      await healthy.receive({ topic: 'h', payload: `${n}` })
    }
    assert.ok(broker.counters.limits.backlogFull > 0)
    const ids = [...broker.clients()].map(({ clientId }) => clientId)
    assert.ok(ids.includes('healthy') && ids.includes('p') && ids.length < 6, ids.join())
    for (const client of rude) await client.drop()
  })
})

test('control packets are counted by type, each once', async () => {
  const { broker, target } = await start()
  using subscriber = await connect(target, 5, { clientId: 's' })
  await subscriber.subscribe('t', 2)
  using publisher = await connect(target, 5, { clientId: 'p' })
  for (const qos of [2, 1] as const) {
    await publisher.publish('t', 'x', { qos })
    await subscriber.receive({ topic: 't', qos })
  }
  await publisher.ping()
  for (const client of [publisher, subscriber]) await client.disconnect()
  const { counters } = broker
  //                                    -  C  CA P  PA PR PL PC S  SA U  UA PI PO D  A
  assert.deepEqual([...counters.receivedByType], [0, 2, 0, 2, 1, 1, 1, 1, 1, 0, 0, 0, 1, 0, 2, 0])
  assert.deepEqual([...counters.sentByType], [0, 0, 2, 2, 1, 1, 1, 1, 0, 1, 0, 0, 0, 1, 0, 0])
  assert.deepEqual([counters.packetsReceived, counters.packetsSent], [12, 10])
})

describe('what clients of other brokers are used to (row C6)', () => {
  test('what is not allowed can be told as an unspecified error', async () => {
    const { target } = await start({ features: { obscureNotAuthorized: true } })
    using client = await connect(target, 5, { clientId: 'c' })
    for (const qos of [1, 2] as const) {
      client.send(wire.publish(5, '$SYS/x', 'x', { qos, id: 1 }))
      await client.expectPacket(qos === 1 ? 'PUBACK' : 'PUBREC', { id: 1, reason: 0x80 })
    }
    client.send(wire.subscribe(5, 2, [['$direct/other', 0]]))
    const { reasons } = await client.expectPacket('SUBACK', { id: 2 })
    assert.deepEqual([...reasons], [0x80])
  })

  test('response information is told to those who ask, or to all', async () => {
    const asks: wire.Property = ['requestResponseInformation', 1]
    for (const alwaysReturnResponse of [false, true]) {
      const { target } = await start({ features: { responseInformation: 'answers/', alwaysReturnResponse } })
      for (const properties of [[asks], []]) {
        using client = await connect(target, 5, { clientId: 'c', properties })
        const told = wire.propertyOf(client.connack as wire.Received, 'responseInformation')
        assert.equal(told, alwaysReturnResponse || properties.length > 0 ? 'answers/' : undefined)
      }
    }
    await assert.rejects(start({ features: { responseInformation: 'a\0' } }), { code: 'CMQ_OPTIONS' })
  })
})

describe('capabilities (row C5)', () => {
  test('are told in CONNACK and enforced', async () => {
    const { target } = await start({
      limits: {
        receiveMaximum: 20,
        maximumQoS: 1,
        retainAvailable: false,
        packetBytesMax: 5_000,
        topicAliasMaximum: 7,
        wildcardSubscriptionAvailable: false,
        subscriptionIdentifierAvailable: false,
        sharedSubscriptionAvailable: false,
      },
      sessions: { expiryMax: 100 },
    })
    const asked: wire.Property = ['sessionExpiryInterval', 500]
    using client = await connect(target, 5, { clientId: 'c', properties: [asked] })
    const { connack } = client
    const told = (name: wire.PropertyName) => wire.propertyOf(connack as wire.Received, name)
    assert.deepEqual(
      [told('receiveMaximum'), told('maximumQoS'), told('retainAvailable'), told('maximumPacketSize')],
      [20, 1, 0, 5_000],
    )
    assert.deepEqual([told('topicAliasMaximum'), told('sessionExpiryInterval')], [7, 100])
    assert.deepEqual(
      (
        ['wildcardSubscriptionAvailable', 'subscriptionIdentifierAvailable', 'sharedSubscriptionAvailable'] as const
      ).map(told),
      [0, 0, 0],
    )
    client.send(
      wire.subscribe(5, 1, [
        ['#', 0],
        ['$share/g/a', 0],
        ['a', 2],
      ]),
    )
    const { reasons } = await client.expectPacket('SUBACK', { id: 1 })
    assert.deepEqual([...reasons], [0xa2, 0x9e, 1])
    const refused = async (packet: Buffer, code: number) => {
      using other = await connect(target, 5, { clientId: 'other' })
      other.send(packet)
      await other.expectRefusal(code)
    }
    await refused(wire.publish(5, 'a', 'x', { qos: 2, id: 1 }), 0x9b)
    await refused(wire.publish(5, 'a', 'x', { retain: true }), 0x9a)
    await refused(wire.publish(5, 'a', 'x'.repeat(5_000)), 0x95)
    await refused(wire.publish(5, 'a', 'x', { properties: [['topicAlias', 8]] }), 0x94)
  })

  test('before 5.0 QoS 2 is taken and given at the highest QoS there is', async () => {
    const { target } = await start({ limits: { maximumQoS: 1 } })
    using listener = await connect(target, 4, { clientId: 'l' })
    listener.send(wire.subscribe(4, 1, [['a', 2]]))
    const { reasons } = await listener.expectPacket('SUBACK', { id: 1 })
    assert.deepEqual([...reasons], [1])
    using client = await connect(target, 4, { clientId: 'c', will: { topic: 'a', payload: 'will', qos: 2 } })
    await client.publish('a', 'x', { qos: 2 })
    await listener.receive({ payload: 'x', qos: 1 })
    await client.drop()
    await listener.receive({ payload: 'will', qos: 1 })
  })

  test('messages in flight towards a client have a maximum', async () => {
    const { target } = await start({ limits: { inflightMax: 3 } })
    for (const version of [4, 5] as const) {
      using listener = await connect(target, version, { clientId: `l${version}` })
      await listener.subscribe('a', 1)
      using client = await connect(target, 5, { clientId: 'c' })
      for (let i = 0; i < 5; i++) await client.publish('a', `${i}`, { qos: 1 })
      const first = []
      for (let i = 0; i < 3; i++) first.push(await listener.expectPacket('PUBLISH', { payload: `${i}` }))
      await listener.expectNothing()
      for (const { id } of first) listener.send(wire.acknowledge('PUBACK', id))
      for (const payload of ['3', '4']) await listener.receive({ payload })
    }
  })
})

describe('limits that change while the broker runs', () => {
  test('hold for connections that come then, and bans for those that were made before', async () => {
    const { broker, target } = await start()
    using _a = await connect(target, 5, { clientId: 'a' })
    using b = await connect(target, 5, { clientId: 'b' })
    broker.reconfigure({ limits: { connectionsPerAddressMax: 1, messagesPerSecondMax: 1, rateExceeded: 'drop' } })
    await b.ping()
    assert.equal(await login(target, 5), 0x97)
    // Those that are open keep their rate, and new ones have the new one.
    for (let i = 0; i < 5; i++) await b.publish('t', 'x', { qos: 1 })
    broker.reconfigure({ limits: { messagesPerSecondMax: 1, rateExceeded: 'drop' } })
    using c = await connect(target, 5, { clientId: 'c' })
    for (const [id, reason] of [
      [1, 0x10],
      [2, 0x97],
    ] as const) {
      c.send(wire.publish(5, 't', 'x', { qos: 1, id }))
      await c.expectPacket('PUBACK', { id, reason })
    }
    broker.reconfigure({ limits: { halfOpenPerAddressMax: 2 } })
    const silent = [await dial(target), await dial(target), await dial(target)]
    await closed(silent[0] as Socket)
    broker.reconfigure({ bans: { failuresMax: 1, exempt: [] } })
    assert.equal(await login(target, 5, { username: 'x', password: 'x' }), 0x86)
    assert.equal(await login(target, 5), 0x8a)
    // The ban that was made stays, whatever is exempt now.
    broker.reconfigure({})
    assert.equal(await login(target, 5), 0x8a)
    assert.throws(() => broker.reconfigure({ limits: { halfOpenMax: 0 } }), { code: 'CMQ_OPTIONS' })
  })
})

describe('what may be sent', () => {
  test('protocol levels below the lowest taken are told so', async () => {
    const { target } = await start({ limits: { protocolVersionMin: 5 } })
    assert.deepEqual(
      [await login(target, 3, { clientId: 'a' }), await login(target, 4), await login(target, 5)],
      [1, 1, 0],
    )
  })

  test('a CONNECT is smaller than other packets may be', async () => {
    const { target } = await start({ limits: { connectBytesMax: 200 } })
    assert.equal(await login(target, 5, { clientId: 'a'.repeat(300) }), 'closed')
    using client = await connect(target, 5, { clientId: 'a'.repeat(50) })
    await client.publish('t', 'x'.repeat(50_000), { qos: 1 })
  })
})

test('who was refused, for which limit, stands in $SYS', async () => {
  const { broker, target } = await start({
    limits: {
      connectionsPerAddressMax: 3,
      connectionsPerSecondPerAddressMax: 3,
      halfOpenPerAddressMax: 1,
      messagesPerSecondMax: 2,
      rateExceeded: 'drop',
    },
    sessions: { subscriptionsMax: 1, queueMessagesMax: 1 },
    retained: { messagesMax: 1 },
    bans: { flappingConnectsMax: 2, exempt: [] },
    sys: { intervalSeconds: 1 },
  })
  const from = async (address: string, options: wire.ConnectOptions = {}): Promise<RawClient> => {
    const client = new RawClient(await dial(target, address), 5)
    client.send(wire.connect(5, options))
    await client.expectPacket('CONNACK', { reason: 0 })
    return client
  }
  using reader = await from('127.0.3.1', { clientId: 'reader' })
  await reader.subscribe('$SYS/broker/limits/#')
  // One subscription and one waiting message too many; the queue is that of a client that is gone.
  using kept = await from('127.0.3.2', { clientId: 'kept', properties: [['sessionExpiryInterval', 100]] })
  await kept.subscribe('t', 1)
  kept.send(wire.subscribe(5, 1, [['u', 0]]))
  assert.deepEqual((await kept.expectPacket('SUBACK')).reasons, [0x97])
  await kept.drop()
  using sender = await from('127.0.3.3', { clientId: 'sender' })
  for (let id = 1; id <= 3; id++) sender.send(wire.publish(5, 't', 'x', { qos: 1, id }))
  for (const [id, reason] of [0, 0, 0x97].entries()) await sender.expectPacket('PUBACK', { id: id + 1, reason })
  // One retained message too many.
  using keeper = await from('127.0.3.4', { clientId: 'keeper' })
  for (let id = 1; id <= 2; id++) keeper.send(wire.publish(5, `r/${id}`, 'x', { qos: 1, id, retain: true }))
  await keeper.expectPacket('PUBACK', { id: 1 })
  await keeper.expectPacket('PUBACK', { id: 2, reason: 0x97 })
  // A client identifier that comes too often, and an address that does.
  const flaps = []
  for (let i = 0; i < 3; i++) flaps.push(await login(target, 5, { clientId: 'f', from: '127.0.3.5' }))
  flaps.push(await login(target, 5, { clientId: 'g', from: '127.0.3.5' }))
  assert.deepEqual(flaps, [0, 0, 0x8a, 0x9f])
  // Silent connections, of which the first makes room.
  for (let i = 0; i < 2; i++) await dial(target, '127.0.3.6')
  await until(() => broker.counters.limits.halfOpen === 1)
  const wanted = {
    'subscriptions/refused': '1',
    'queue/dropped': '1',
    'rate/dropped': '1',
    'retained/refused': '1',
    'bans/count': '1',
    'bans/made': '1',
    'bans/refused': '1',
    'connections/address_rate': '1',
    'half_open/closed': '1',
  }
  const seen = new Map<string, string>()
  const isSeen = (): boolean =>
    Object.entries(wanted).every(([name, value]) => seen.get(`$SYS/broker/limits/${name}`) === value)
  while (!isSeen()) {
    const { topic, payload } = await reader.receive()
    seen.set(topic ?? '', String(payload))
  }
})
