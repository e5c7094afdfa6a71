import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { connect as dial, type Socket } from 'node:net'
import { duplexPair } from 'node:stream'
import { after, describe, mock, test } from 'node:test'
import { promisify } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import {
  connect,
  open,
  RawClient as Raw,
  type RawClient,
  type Target,
} from '../../../testing/testkit/src/raw-client.ts'
import * as wire from '../../../testing/testkit/src/wire.ts'
import type { Broker } from './api.ts'
import { createBroker } from './broker.ts'
import type { BrokerOptions } from './config/options.ts'

const brokers: Broker[] = []
after(async () => {
  for (const broker of brokers) await broker.close({ graceMs: 0 })
})

async function start(options: BrokerOptions = {}): Promise<{ readonly broker: Broker; readonly target: Target }> {
  const broker = await createBroker({ access: { allowAnonymous: true }, sys: { intervalSeconds: 0 }, ...options })
  brokers.push(broker)
  const { port } = await broker.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })
  return { broker, target: { host: '127.0.0.1', port } }
}

const receiveMaximum = (value: number): wire.Property => ['receiveMaximum', value]
const expiry = (seconds: number): wire.Property => ['sessionExpiryInterval', seconds]

/** Sends and waits as the socket asks for it. */
async function write(socket: Socket, bytes: Uint8Array): Promise<void> {
  if (!socket.write(bytes)) await once(socket, 'drain')
}

/** A client for floods: nothing is decoded but the number that each message begins with. */
class Flood {
  readonly socket: Socket
  readonly numbers: number[] = []
  longestGapMs = 0
  #rest: Buffer = Buffer.alloc(0)
  #lastMs = 0
  #wake: (() => void) | undefined
  readonly #packetBytes: number

  /** `packetBytes`: of each PUBLISH; all are of one size. */
  constructor(socket: Socket, packetBytes: number) {
    this.socket = socket
    this.#packetBytes = packetBytes
  }

  static async open(target: Target, filter: string, packetBytes: number, clientId: string): Promise<Flood> {
    const socket = dial({ host: target.host, port: target.port })
    socket.write(wire.connect(4, { clientId }))
    socket.write(wire.subscribe(4, 1, [[filter, 0]]))
    let have = 0
    while (have < 9) {
      const [chunk] = (await once(socket, 'data')) as [Buffer]
      have += chunk.length
    }
    return new Flood(socket, packetBytes)
  }

  read(): this {
    this.#lastMs = performance.now()
    this.socket.on('data', (chunk: Buffer) => this.take(chunk))
    return this
  }

  take(chunk: Buffer): void {
    const now = performance.now()
    this.longestGapMs = Math.max(this.longestGapMs, now - this.#lastMs)
    this.#lastMs = now
    const buf = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let at = 0
    // Fixed header of three or four bytes, two of topic length, one of topic: the number stands behind.
    const numberAt = this.#packetBytes > 16_387 ? 7 : 6
    for (; at + this.#packetBytes <= buf.length; at += this.#packetBytes)
      this.numbers.push(buf.readUInt32BE(at + numberAt))
    this.#rest = Buffer.from(buf.subarray(at))
    this.#wake?.()
  }

  async until(done: () => boolean): Promise<void> {
    const deadline = AbortSignal.timeout(30_000)
    while (!done()) {
      deadline.throwIfAborted()
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1000)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }
}

/** PUBLISH to topic "t" whose payload begins with `number`. */
function numbered(number: number, payloadBytes: number): Buffer {
  const payload = Buffer.alloc(payloadBytes)
  payload.writeUInt32BE(number)
  return wire.publish(4, 't', payload)
}

function ascending(numbers: readonly number[]): boolean {
  return numbers.every((number, i) => i === 0 || number > (numbers[i - 1] as number))
}

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Bytes of buffers that are held, once they are below `bytesMax` or collecting has stopped helping: it frees them later. */
async function bytesHeld(bytesMax: number): Promise<number> {
  let held = Number.POSITIVE_INFINITY
  for (let attempt = 0; attempt < 20 && held > bytesMax; attempt++) {
    collectGarbage()
    await new Promise(setImmediate)
    held = process.memoryUsage().arrayBuffers
  }
  return held
}

describe('a slow subscriber', () => {
  test('that stops reading never delays others: they get everything in order, and memory stays bounded', async () => {
    const queueBytesMax = 8 << 20
    const { broker, target } = await start({ delivery: { queueBytesMax } })
    const payloadBytes = 10_000
    const bytes = numbered(0, payloadBytes).length
    const stopped = await Flood.open(target, 't', bytes, 'stopped')
    stopped.socket.pause()
    const healthy = (await Flood.open(target, 't', bytes, 'healthy')).read()
    const publisher = dial({ host: target.host, port: target.port })
    publisher.write(wire.connect(4, { clientId: 'publisher' }))
    await once(publisher, 'data')
    collectGarbage()
    const before = process.memoryUsage().arrayBuffers

    const count = 10_500
    for (let n = 0; n < count; n++) await write(publisher, numbered(n, payloadBytes))
    await healthy.until(() => healthy.numbers.length === count)

    assert.ok(ascending(healthy.numbers))
    assert.equal(healthy.numbers.at(-1), count - 1)
    assert.ok(healthy.longestGapMs < 10_000, `nothing for ${healthy.longestGapMs} ms`)
    assert.ok(broker.counters.publishDropped > 0)
    const held = (await bytesHeld(before + (32 << 20))) - before
    assert.ok(held < 32 << 20, `${held} bytes are held for 105 MB sent past a stopped reader`)

    // What it was not sent is counted; what it is sent keeps its order.
    stopped.read().socket.resume()
    const expected = count - broker.counters.publishDropped
    await stopped.until(() => stopped.numbers.length === expected)
    assert.ok(ascending(stopped.numbers))

    // It has caught up and is a subscriber like others again.
    const dropped = broker.counters.publishDropped
    await write(publisher, numbered(count, payloadBytes))
    await stopped.until(() => stopped.numbers.at(-1) === count)
    assert.equal(broker.counters.publishDropped, dropped)
    for (const { socket } of [stopped, healthy]) socket.destroy()
    publisher.destroy()
  })

  test('that keeps reading slows its publishers, whose sockets are not read, and loses nothing', async () => {
    const { broker, target } = await start({ delivery: { queueBytesMax: 4 << 20 } })
    const payloadBytes = 10_000
    const slow = await Flood.open(target, 't', numbered(0, payloadBytes).length, 'slow')
    // One chunk in a turn of the loop, while three publishers may send one each.
    slow.read().socket.on('data', () => {
      slow.socket.pause()
      setImmediate(() => slow.socket.resume())
    })
    const each = 2_000
    const publish = async (from: number): Promise<void> => {
      const publisher = dial({ host: target.host, port: target.port })
      publisher.write(wire.connect(4, { clientId: `publisher ${from}` }))
      await once(publisher, 'data')
      for (let n = 0; n < each; n++) await write(publisher, numbered(from + n, payloadBytes))
      await slow.until(() => slow.numbers.length >= each * 3 - broker.counters.publishDropped)
      publisher.destroy()
    }
    await Promise.all([publish(0), publish(each), publish(2 * each)])
    assert.equal(broker.counters.publishDropped, 0)
    for (let p = 0; p < 3; p++) {
      const own = slow.numbers.filter((n) => Math.floor(n / each) === p)
      assert.deepEqual([own.length, ascending(own)], [each, true])
    }
    slow.socket.destroy()
  })

  test('with a kept session loses no QoS 1 message, and its QoS 0 keeps the order, when it reads again', async () => {
    const { broker, target } = await start()
    const subscriber = await connect(target, 5, { clientId: 'kept', cleanStart: false, properties: [expiry(100)] })
    await subscriber.subscribe('k', 1)
    subscriber.pause()
    const publisher = await connect(target, 5)
    const large = Buffer.alloc(400_000)
    for (let n = 0; n < 40; n++) {
      large.writeUInt32BE(n)
      await publisher.publish('k', large, { qos: n % 4 === 3 ? 1 : 0 })
    }
    subscriber.resume()
    for (let n = 0; n < 40; n++) {
      const message = await subscriber.receive({ qos: n % 4 === 3 ? 1 : 0 })
      assert.equal(message.payload.readUInt32BE(0), n)
    }
    assert.equal(broker.counters.publishDropped, 0)
    subscriber[Symbol.dispose]()
    publisher[Symbol.dispose]()
  })
})

describe('a full queue', () => {
  /** A subscriber with one unacknowledged message, and a publisher. */
  async function blocked(queueFull: 'dropQoS0' | 'dropOldest' | 'disconnect') {
    const { broker, target } = await start({ delivery: { queueFull, queueMessagesMax: 5 } })
    const subscriber = await connect(target, 5, { properties: [receiveMaximum(1)] })
    await subscriber.subscribe('q', 1)
    const publisher = await connect(target, 5)
    await publisher.publish('q', 'first', { qos: 1 })
    const first = await subscriber.expectPacket('PUBLISH', { payload: 'first' })
    // The window is full: this one waits, and what comes after it waits behind it.
    await publisher.publish('q', 'second', { qos: 1 })
    return { broker, subscriber, publisher, unblock: () => subscriber.send(wire.acknowledge('PUBACK', first.id)) }
  }

  test('dropQoS0: a QoS 0 message that finds no room is dropped, one at QoS 1 closes the connection with 0x97', async () => {
    const { broker, subscriber, publisher, unblock } = await blocked('dropQoS0')
    for (let n = 0; n < 7; n++) await publisher.publish('q', `m${n}`)
    assert.equal(broker.counters.publishDropped, 3)
    unblock()
    await subscriber.receive({ payload: 'second' })
    for (let n = 0; n < 4; n++) await subscriber.receive({ payload: `m${n}` })
    for (let n = 0; n < 7; n++) await publisher.publish('q', `n${n}`, { qos: 1 })
    await subscriber.expectPacket('PUBLISH', { payload: 'n0' })
    await subscriber.expectRefusal(0x97)
  })

  test('dropOldest: the newest messages stay, at any QoS', async () => {
    const { broker, subscriber, publisher, unblock } = await blocked('dropOldest')
    for (let n = 0; n < 8; n++) await publisher.publish('q', `m${n}`, { qos: n % 2 === 0 ? 1 : 0 })
    assert.equal(broker.counters.publishDropped, 4)
    unblock()
    for (let n = 3; n < 8; n++) await subscriber.receive({ payload: `m${n}` })
    await subscriber.expectNothing()
  })

  test('disconnect: the first message without room closes the connection with 0x97', async () => {
    const { subscriber, publisher } = await blocked('disconnect')
    for (let n = 0; n < 6; n++) await publisher.publish('q', `m${n}`)
    await subscriber.expectRefusal(0x97)
    await publisher.ping()
  })
})

describe('close()', () => {
  test('tells 5.0 clients 0x8B, closes all and takes nobody new', async () => {
    const { broker, target } = await start()
    const five = await connect(target, 5)
    const four = await connect(target, 4)
    const waiting = await open(target, 5)
    const closed = broker.close()
    assert.equal(broker.ready, false)
    await five.expectPacket('DISCONNECT', { reason: 0x8b })
    await five.expectClosed()
    await four.expectClosed()
    await waiting.expectClosed()
    await closed
    await assert.rejects(open(target, 5), { code: 'ECONNREFUSED' })
    await assert.rejects(broker.listen({ kind: 'tcp', port: 0 }), { code: 'CMQ_CLOSED' })
    assert.equal(broker.close(), broker.close())
  })

  test('ends within the grace although a client neither reads nor closes', async () => {
    const { broker, target } = await start()
    const stuck = dial({ host: target.host, port: target.port, allowHalfOpen: true })
    stuck.write(wire.connect(4, { clientId: 'stuck' }))
    stuck.write(wire.subscribe(4, 1, [['t', 0]]))
    await once(stuck, 'data')
    stuck.pause()
    const publisher = await connect(target, 4)
    for (let n = 0; n < 20; n++) await publisher.publish('t', Buffer.alloc(1 << 20))
    const began = performance.now()
    await broker.close({ graceMs: 100 })
    assert.ok(performance.now() - began < 3_000)
    stuck.destroy()
  })

  test('leaves nothing behind that keeps a process', async () => {
    const script = `
      import { createBroker } from ${JSON.stringify(new URL('./broker.ts', import.meta.url).href)}
      import { connect } from 'node:net'
      const broker = await createBroker({ access: { allowAnonymous: true } })
      const { port } = await broker.listen({ kind: 'tcp', port: 0 })
      const socket = connect(port, '127.0.0.1')
      socket.write(Buffer.from([0x10, 13, 0, 4, 77, 81, 84, 84, 4, 2, 0, 9, 0, 1, 97]))
      socket.once('data', () => void broker.close().then(() => console.log(process.getActiveResourcesInfo().length)))
      socket.on('error', () => {})`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
      timeout: 20_000,
    })
    assert.match(stdout, /^\d+\n$/)
  })
})

describe('sessions', () => {
  test('a takeover tells the old connection 0x8E and resends what it had not acknowledged, with DUP', async () => {
    const { target } = await start()
    const options: wire.ConnectOptions = { clientId: 'one', cleanStart: false, properties: [expiry(100)] }
    const first = await connect(target, 5, options)
    await first.subscribe('s', 2)
    const publisher = await connect(target, 5)
    await publisher.publish('s', 'one', { qos: 1 })
    await publisher.publish('s', 'two', { qos: 2 })
    const one = await first.expectPacket('PUBLISH', { payload: 'one', dup: false })
    const two = await first.expectPacket('PUBLISH', { payload: 'two', dup: false })
    first.send(wire.acknowledge('PUBREC', two.id))
    await first.expectPacket('PUBREL', { id: two.id })
    const second = await connect(target, 5, options)
    assert.equal(second.connack?.sessionPresent, true)
    await first.expectRefusal(0x8e)
    await second.expectPacket('PUBLISH', { payload: 'one', dup: true, id: one.id })
    await second.expectPacket('PUBREL', { id: two.id })
    await publisher.publish('s', 'three', { qos: 0 })
    await second.expectPacket('PUBLISH', { payload: 'three', dup: false })
  })

  test('a transient session that is taken over takes its subscriptions along', async () => {
    const { target } = await start()
    const first = await connect(target, 4, { clientId: 'same' })
    await first.subscribe('x')
    const second = await connect(target, 4, { clientId: 'same' })
    await first.expectClosed()
    const publisher = await connect(target, 4)
    await publisher.publish('x', 'to nobody')
    await second.expectNothing()
    await second.subscribe('x')
    await publisher.publish('x', 'now')
    await second.receive({ payload: 'now' })
  })

  test('a will that comes due within a publish reaches transient subscribers', async () => {
    const { target } = await start()
    const watcher = await connect(target, 5, { clientId: 'watcher' })
    await watcher.subscribe('will/#')
    const keeper = await connect(target, 5, { clientId: 'keeper', properties: [expiry(100)] })
    await keeper.subscribe('kept', 1)
    const mortal = await connect(target, 5, {
      clientId: 'mortal',
      properties: [expiry(1000)],
      will: { topic: 'will/mortal', payload: 'gone', properties: [['willDelayInterval', 500]] },
    })
    await mortal.drop()
    const publisher = await connect(target, 5)
    await publisher.ping()
    // The order's clock moves on; the timer that watches the deadline has not fired when the publish comes.
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 600_000 })
    try {
      await publisher.publish('kept', 'x', { qos: 1 })
      await watcher.receive({ topic: 'will/mortal', payload: 'gone' })
    } finally {
      mock.timers.reset()
    }
  })

  test('QoS 2 published twice under one identifier reaches subscribers once, with DUP or without [MQTT-4.3.3-10]', async () => {
    const { target } = await start()
    for (const keptSession of [false, true]) {
      const subscriber = await connect(target, 5)
      await subscriber.subscribe('once')
      const publisher = await connect(target, 5, { properties: keptSession ? [expiry(100)] : [] })
      const message = (id: number, payload: string, dup = false) =>
        wire.publish(5, 'once', payload, { qos: 2, id, dup })
      publisher.send(message(1, 'a'))
      await publisher.expectPacket('PUBREC', { id: 1 })
      publisher.send(message(1, 'a'), message(2, 'b'), message(2, 'b'), message(1, 'a', true), message(3, 'c'))
      for (const id of [1, 2, 2, 1, 3]) await publisher.expectPacket('PUBREC', { id })
      for (const payload of ['a', 'b', 'c']) await subscriber.expectPacket('PUBLISH', { payload })
      await subscriber.expectNothing()
      publisher.send(wire.acknowledge('PUBREL', 2))
      await publisher.expectPacket('PUBCOMP', { id: 2, reason: 0 })
      publisher.send(wire.acknowledge('PUBREL', 2))
      await publisher.expectPacket('PUBCOMP', { id: 2, reason: 0x92 })
      publisher.send(message(2, 'd'))
      await publisher.expectPacket('PUBREC', { id: 2 })
      await subscriber.expectPacket('PUBLISH', { payload: 'd' })
    }
  })
})

describe('topics', () => {
  test('clients publish nothing under $, neither by message nor by will', async () => {
    const { target } = await start()
    const listener = await connect(target, 5)
    await listener.subscribe('$SYS/#')
    const five = await connect(target, 5)
    five.send(wire.publish(5, '$SYS/broker/version', 'x', { qos: 1, id: 1 }))
    await five.expectPacket('PUBACK', { id: 1, reason: 0x87 })
    five.send(wire.publish(5, '$direct/x', 'x', { qos: 2, id: 2 }))
    await five.expectPacket('PUBREC', { id: 2, reason: 0x87 })
    // Before 5.0 there is no way to say no [MQTT-3.3.5-2].
    const four = await connect(target, 4, { clientId: 'f', cleanStart: false })
    await four.publish('$SYS/broker/version', 'x', { qos: 2 })
    await four.publish('$SYS/broker/version', 'x', { qos: 1, retain: true })
    const will = { topic: '$SYS/broker/version', payload: 'x' }
    for (const [version, code] of [
      [5, 0x87],
      [4, 5],
    ] as const) {
      const liar = await open(target, version)
      liar.send(wire.connect(version, { will }))
      await liar.expectConnectRefused(code)
    }
    await listener.expectNothing()
  })

  test('$SYS counts what is retained and what waits for kept sessions as stored', async () => {
    const { target } = await start({ sys: { intervalSeconds: 1 } })
    const keeper = await connect(target, 4, { clientId: 'keeper', cleanStart: false })
    await keeper.subscribe('q', 1)
    await keeper.drop()
    const publisher = await connect(target, 4)
    await publisher.publish('q', 'waits', { qos: 1 })
    await publisher.publish('r', 'stays', { qos: 1, retain: true })
    const watcher = await connect(target, 4)
    await watcher.subscribe('$SYS/broker/store/messages/count')
    const counts: string[] = []
    while (counts.at(-1) !== '2') counts.push((await watcher.expectPacket('PUBLISH')).payload.toString())
    assert.ok(counts.length <= 3, counts.join())
  })

  test('a topic deeper than topicLevelsMax is refused, as message, will and filter', async () => {
    const { broker, target } = await start({ limits: { topicLevelsMax: 3 } })
    const client = await connect(target, 5)
    client.send(wire.publish(5, 'a/b/c/d', 'x', { qos: 1, id: 1 }), wire.publish(5, 'a/b/c', 'x', { qos: 1, id: 2 }))
    await client.expectPacket('PUBACK', { id: 1, reason: 0x90 })
    await client.expectPacket('PUBACK', { id: 2, reason: 0x10 })
    client.send(
      wire.subscribe(5, 3, [
        ['a/b/c/d', 0],
        ['a/b/c', 0],
      ]),
    )
    const suback = await client.expectPacket('SUBACK', { id: 3 })
    assert.deepEqual(suback.reasons, [0x8f, 0])
    const liar = await open(target, 5)
    liar.send(wire.connect(5, { will: { topic: 'a/b/c/d' } }))
    await liar.expectConnectRefused(0x90)
    await assert.rejects(broker.publish({ topic: 'a/b/c/d', payload: 'x' }), { code: 'CMQ_TOPIC' })
    await assert.rejects(broker.publish({ topic: 'a/#', payload: 'x' }), { code: 'CMQ_TOPIC' })
  })

  test('direct messages reach the client they name and nobody else, where they are switched on', async () => {
    for (const mode of ['off', 'prefix', 'bare'] as const) {
      const { target } = await start({ features: { directMessages: mode } })
      const addressee = await connect(target, 5, { clientId: 'addressee' })
      const snoop = await connect(target, 5, { clientId: 'snoop' })
      await snoop.subscribe('#')
      const publisher = await connect(target, 5, { clientId: 'publisher' })
      publisher.send(wire.publish(5, '$direct/addressee', 'hello', { qos: 1, id: 1 }))
      await publisher.expectPacket('PUBACK', { id: 1, reason: mode === 'off' ? 0x87 : 0 })
      if (mode !== 'off') await addressee.receive({ topic: '$direct/addressee', payload: 'hello', qos: 1 })
      await publisher.publish('addressee', 'bare', { qos: 1 })
      if (mode === 'bare') await addressee.receive({ topic: 'addressee', payload: 'bare' })
      await snoop.receive({ topic: 'addressee', payload: 'bare' })
      await snoop.expectNothing()
      await addressee.expectNothing()
    }
  })

  test('retained messages come with the subscription, live ones without the flag unless asked for', async () => {
    const { broker, target } = await start()
    await broker.publish({ topic: 'r/1', payload: 'old', retain: true, qos: 1 })
    for (const keptSession of [false, true]) {
      const client = await connect(target, 5, { properties: keptSession ? [expiry(100)] : [] })
      await client.subscribe('r/#', 1)
      await client.receive({ topic: 'r/1', payload: 'old', retain: true, qos: 1 })
      const asPublished = await connect(target, 5)
      await asPublished.subscribe('r/2', 0x08)
      await broker.publish({ topic: 'r/2', payload: 'live', retain: true })
      await client.receive({ topic: 'r/2', payload: 'live', retain: false })
      await asPublished.receive({ topic: 'r/2', payload: 'live', retain: true })
      await broker.publish({ topic: 'r/2', payload: '', retain: true })
      await client.receive({ topic: 'r/2', payload: '', retain: false })
      const late = await connect(target, 5)
      await late.subscribe('r/2')
      await late.expectNothing()
    }
  })

  test('a retained message of its own does not come to a client that wants none of its own [MQTT-3.8.3-3]', async () => {
    const { target } = await start()
    for (const keptSession of [false, true]) {
      const client = await connect(target, 5, { clientId: 'own', properties: keptSession ? [expiry(100)] : [] })
      await client.publish('mine', 'x', { retain: true, qos: 1 })
      await client.subscribe('mine', 0x04)
      await client.expectNothing()
      const other = await connect(target, 5, { clientId: 'other' })
      await other.subscribe('mine', 0x04)
      await other.receive({ payload: 'x' })
    }
  })

  test('a shared group takes turns, whatever the QoS and whether sessions are kept', async () => {
    const { target } = await start()
    const members: RawClient[] = []
    for (let n = 0; n < 3; n++) {
      const member = await connect(target, 5, { clientId: `m${n}`, properties: n === 1 ? [expiry(100)] : [] })
      await member.subscribe('$share/g/jobs', 2)
      members.push(member)
    }
    const publisher = await connect(target, 5)
    for (let n = 0; n < 9; n++) await publisher.publish('jobs', `${n}`, { qos: (n % 3) as 0 | 1 | 2 })
    for (let n = 0; n < 9; n++) await members[n % 3]?.receive({ payload: `${n}`, qos: n % 3 })
    for (const member of members) await member.expectNothing()
    // What a lost member had not acknowledged goes to another one [MQTT-4.8.2-4].
    await publisher.publish('jobs', 'passes on', { qos: 1 })
    await members[0]?.expectPacket('PUBLISH', { payload: 'passes on' })
    await members[0]?.drop()
    await members[1]?.receive({ payload: 'passes on' })
  })
})

describe('connections', () => {
  test('without CONNECT are closed when connectTimeoutMs is over', async () => {
    const { target } = await start({ limits: { connectTimeoutMs: 100 } })
    const silent = await open(target, 5)
    const slow = await open(target, 5)
    slow.send(wire.connect(5).subarray(0, 5))
    const quick = await connect(target, 5)
    await silent.expectClosed(3_000)
    assert.equal((await slow.untilClosed(3_000)).length, 0)
    await quick.ping()
  })

  test('of streams within the process work as others, although they answer within a write', async () => {
    const { broker, target } = await start()
    const [near, far] = duplexPair({ highWaterMark: 1 << 22 })
    broker.handle(far, { remoteAddress: 'inside' })
    const inside = new Raw(near, 4)
    inside.send(wire.connect(4, { clientId: 'inside' }))
    await inside.expectPacket('CONNACK')
    await inside.subscribe('big/#', 1)
    // Answers each chunk within the very call that delivers it.
    near.on('data', () => near.write(wire.publish(4, 'echo', 'x')))
    const watcher = await connect(target, 4, { clientId: 'watcher' })
    await watcher.subscribe('big/#', 0)
    const publisher = await connect(target, 4)
    const payload = Buffer.alloc(150_000)
    publisher.send(...[0, 1, 2, 3, 4, 5].map((n) => wire.publish(4, `big/${n}`, payload, { qos: 1, id: n + 1 })))
    for (let n = 0; n < 6; n++) await publisher.expectPacket('PUBACK', { id: n + 1 })
    for (let n = 0; n < 6; n++) {
      await watcher.receive({ topic: `big/${n}` })
      await inside.expectPacket('PUBLISH', { topic: `big/${n}`, qos: 1 })
    }
    assert.deepEqual(
      [...broker.clients()]
        .map(({ clientId, remoteAddress }) => [clientId, remoteAddress])
        .find(([id]) => id === 'inside'),
      ['inside', 'inside'],
    )
  })

  test('disconnectClient() tells the client 0x98', async () => {
    const { broker, target } = await start()
    const client = await connect(target, 5, { clientId: 'out' })
    assert.equal(broker.disconnectClient('nobody'), false)
    assert.equal(broker.disconnectClient('out'), true)
    await client.expectRefusal(0x98)
    assert.equal(broker.disconnectClient('out'), false)
  })

  test('that break a rule end alone', async () => {
    const { target } = await start()
    const neighbour = await connect(target, 5)
    const bad = await connect(target, 5)
    const second = wire.connect(5)
    second[8] = 6
    bad.send(second)
    await bad.expectRefusal(0x82)
    await neighbour.ping()
  })

  test('in whose service the broker itself fails are closed with 0x83; their neighbours notice nothing', async () => {
    const { target } = await start({
      commandLog: (_position, _timeUs, command) => {
        if (command.type === 'publish' && command.message.topic === 'boom') throw new Error('the recorder broke')
      },
    })
    const neighbour = await connect(target, 5)
    await neighbour.subscribe('#', 1)
    for (const version of [4, 5] as const) {
      const unlucky = await connect(target, version, { will: { topic: 'will', payload: 'x' } })
      unlucky.send(wire.publish(version, 'boom', 'x', { retain: true }))
      await unlucky.expectRefusal(0x83)
      await neighbour.receive({ topic: 'will' })
    }
    const next = await connect(target, 5)
    await next.publish('fine', 'x', { qos: 2, retain: true })
    await neighbour.receive({ topic: 'fine' })
  })

  test('whose acknowledgements waited for an authenticator go on getting what waits for the window', async () => {
    let decide: (() => void) | undefined
    const { target } = await start({
      access: {
        allowAnonymous: true,
        enhanced: {
          methods: ['M'],
          step: (exchange) =>
            exchange.reAuthentication
              ? new Promise((resolve) => (decide = () => resolve({ verdict: 'success' })))
              : { verdict: 'success', principal: 'm' },
        },
      },
    })
    const method: wire.Property = ['authenticationMethod', 'M']
    const client = await connect(target, 5, { properties: [method, receiveMaximum(1)] })
    await client.subscribe('t', 1)
    const publisher = await connect(target, 5)
    await publisher.publish('t', 'one', { qos: 1 })
    await publisher.publish('t', 'two', { qos: 1 })
    const one = await client.expectPacket('PUBLISH', { payload: 'one' })
    client.send(wire.auth(0x19, [method]), wire.acknowledge('PUBACK', one.id))
    while (decide === undefined) await publisher.ping()
    decide()
    await client.expectPacket('AUTH', { reason: 0 })
    await client.receive({ payload: 'two' })
  })

  test('an answer on the wrong level is a protocol error', async () => {
    const { target } = await start()
    const subscriber = await connect(target, 5)
    await subscriber.subscribe('t', 2)
    const publisher = await connect(target, 5)
    await publisher.publish('t', 'x', { qos: 2 })
    const message = await subscriber.expectPacket('PUBLISH')
    subscriber.send(wire.acknowledge('PUBACK', message.id))
    await subscriber.expectRefusal(0x82)
  })
})

describe('enhanced authentication', () => {
  test('runs in steps, may take its time, and a refused re-authentication ends the connection', async () => {
    const { target } = await start({
      access: {
        enhanced: {
          methods: ['COUNT'],
          step: async (exchange) => {
            const round = ((exchange.state as number | undefined) ?? 0) + 1
            exchange.state = round
            await Promise.resolve()
            if (exchange.reAuthentication && round === 2) return { verdict: 'refuse', reasonCode: 0x86 }
            return round < 2
              ? { verdict: 'continue', data: Buffer.of(round) }
              : { verdict: 'success', principal: 'counted' }
          },
        },
      },
    })
    const method: wire.Property = ['authenticationMethod', 'COUNT']
    const wrong = await open(target, 5)
    wrong.send(wire.connect(5, { properties: [['authenticationMethod', 'OTHER']] }))
    await wrong.expectConnectRefused(0x8c)
    const client = await open(target, 5)
    client.send(wire.connect(5, { clientId: 'e', properties: [method] }))
    await client.expectPacket('AUTH', { reason: 0x18 })
    client.send(wire.auth(0x18, [method]), wire.pingreq)
    await client.expectPacket('CONNACK', { reason: 0 })
    await client.expectPacket('PINGRESP')
    client.send(wire.auth(0x19, [method]))
    await client.expectPacket('AUTH', { reason: 0x18 })
    client.send(wire.auth(0x18, [method]))
    await client.expectRefusal(0x87)
  })
})
