/**
 * A client for black-box tests: sends any bytes, and says what it expects back. It never answers on its own, sends no
 * keep alive and checks no rule of its own side, since most tests are about a client that breaks one.
 *
 * Every expectation has a deadline and fails with what came instead. `expectNothing()` first waits a moment and then makes a
 * round trip with PINGREQ, so a packet that the broker had already queued is seen; nothing here sleeps in the hope that
 * something has happened.
 *
 *     using client = await connect(target, 5, { clientId: 'a' })
 *     await client.subscribe('t', 1)
 *     client.send(publish(5, 't', 'hello', { qos: 1, id: 7 }))
 *     await client.expectPacket('PUBACK', { id: 7 })
 */
import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { createConnection } from 'node:net'
import type { Duplex } from 'node:stream'
import type { ConnectOptions, PacketType, Property, PublishOptions, Received, Version } from './wire.ts'
import * as wire from './wire.ts'

export interface Target {
  readonly host: string
  readonly port: number
}

/** How long a broker may take for anything; a broken one is found by it, a loaded machine must not be. */
export const deadlineMs: number = Number(process.env['CONCORDMQ_DEADLINE_MS'] ?? 5_000)
/** How long a packet that must not come is waited for. */
const quietMs = Number(process.env['CONCORDMQ_QUIET_MS'] ?? 60)

export type Expected = Partial<Omit<Received, 'type' | 'payload'>> & { readonly payload?: string }

export class RawClient {
  readonly version: Version
  /** The answer to CONNECT, once there was one. */
  connack: Received | undefined
  readonly #stream: Duplex
  #arrived = Buffer.alloc(0)
  #closed = false
  #wake: (() => void) | undefined
  /** What arrived between PUBREC and PUBREL of `receive()`. */
  readonly #setAside: Received[] = []
  #nextId = 1000

  constructor(stream: Duplex, version: Version) {
    this.version = version
    this.#stream = stream
    stream.on('data', (chunk: Buffer) => {
      this.#arrived = Buffer.concat([this.#arrived, chunk])
      this.#wake?.()
    })
    // A reset is a way of closing; `close` follows it.
    stream.on('error', () => {})
    const closed = () => {
      this.#closed = true
      this.#wake?.()
    }
    stream.on('end', closed)
    stream.on('close', closed)
  }

  [Symbol.dispose](): void {
    this.#stream.destroy()
  }

  send(...parts: readonly Uint8Array[]): void {
    this.#stream.write(Buffer.concat(parts))
  }

  /** Sends what is pending and closes our side, without DISCONNECT: to the broker a lost connection. */
  drop(): Promise<void> {
    return new Promise((resolve) => {
      this.#stream.once('close', resolve)
      this.#stream.destroy()
      if (this.#stream.closed) resolve()
    })
  }

  /** Stops and starts reading, as a slow client does. */
  pause(): void {
    this.#stream.pause()
  }
  resume(): void {
    this.#stream.resume()
  }

  /** The next packet; undefined when the connection closed before one. Rejects at the deadline. */
  async next(withinMs: number = deadlineMs): Promise<Received | undefined> {
    const timeIsUp = Symbol('time is up')
    const received = await this.#poll(withinMs, timeIsUp)
    assert.notEqual(received, timeIsUp, `Nothing came within ${withinMs} ms`)
    return received as Received | undefined
  }

  async expectPacket(type: PacketType, expected: Expected = {}, withinMs: number = deadlineMs): Promise<Received> {
    const timeIsUp = Symbol('time is up')
    const received = await this.#poll(withinMs, timeIsUp)
    assert.notEqual(received, timeIsUp, `Expected ${type}, nothing came within ${withinMs} ms`)
    assert.notEqual(received, undefined, `Expected ${type}, the connection was closed`)
    return checked(received as Received, type, expected)
  }

  /** The connection ends without any further packet. */
  async expectClosed(withinMs: number = deadlineMs): Promise<void> {
    const timeIsUp = Symbol('time is up')
    const received = await this.#poll(withinMs, timeIsUp)
    assert.notEqual(received, timeIsUp, `Expected closing, the connection is open after ${withinMs} ms`)
    if (received !== undefined) assert.fail(`Expected closing, got ${describe(received as Received)}`)
  }

  /**
   * The connection ends because of what this client did: in 5.0 after a DISCONNECT with one of the reason codes, before
   * 5.0, where a server has no DISCONNECT, without a packet.
   */
  async expectRefusal(...reasons: readonly number[]): Promise<void> {
    if (this.version === 5) {
      const { reason } = await this.expectPacket('DISCONNECT')
      assert.ok(
        reasons.includes(reason),
        `DISCONNECT with reason ${hex(reason)} instead of ${reasons.map(hex).join(' or ')}`,
      )
    }
    await this.expectClosed()
  }

  /** CONNECT is answered with one of the codes (5.0; before 5.0 one of the return codes) and the connection closed. */
  async expectConnectRefused(...reasons: readonly number[]): Promise<void> {
    const { reason } = await this.expectPacket('CONNACK', { sessionPresent: false })
    assert.ok(reasons.includes(reason), `CONNACK with ${hex(reason)} instead of ${reasons.map(hex).join(' or ')}`)
    await this.expectClosed()
  }

  /**
   * A CONNECT that is malformed or breaks a rule: the connection is closed, in 5.0 perhaps after a CONNACK with one of the
   * reason codes, before 5.0 without any packet.
   */
  async expectConnectError(...reasons: readonly number[]): Promise<void> {
    const received = await this.next()
    if (received === undefined) return
    checked(received, 'CONNACK', { sessionPresent: false })
    assert.equal(this.version, 5, `Expected closing, got ${describe(received)}`)
    assert.ok(
      reasons.includes(received.reason),
      `CONNACK with ${hex(received.reason)} instead of ${reasons.map(hex).join(' or ')}`,
    )
    await this.expectClosed()
  }

  /** All bytes until the connection is closed, whatever they are. */
  async untilClosed(withinMs: number = deadlineMs): Promise<Buffer> {
    const until = performance.now() + withinMs
    while (!this.#closed) {
      const leftMs = until - performance.now()
      assert.ok(leftMs > 0, `Expected closing, the connection is open after ${withinMs} ms`)
      await this.#wakeWithin(leftMs)
    }
    const all = this.#arrived
    this.#arrived = Buffer.alloc(0)
    return all
  }

  /** Nothing comes, and the connection is alive. */
  async expectNothing(ms: number = quietMs): Promise<void> {
    const timeIsUp = Symbol('time is up')
    const received = await this.#poll(ms, timeIsUp)
    if (received !== timeIsUp) {
      assert.fail(`Expected nothing, got ${received === undefined ? 'closing' : describe(received as Received)}`)
    }
    await this.ping()
  }

  /** A round trip: everything that the broker had queued for this client before has arrived before PINGRESP. */
  async ping(): Promise<void> {
    this.send(wire.pingreq)
    await this.expectPacket('PINGRESP')
  }

  /** An identifier that this client has not used for `subscribe()`, `unsubscribe()` or `publish()`. */
  newId(): number {
    return this.#nextId++
  }

  /** Subscribes to one filter and returns the SUBACK, which must grant it. Retained messages come after it. */
  async subscribe(filter: string, options = 0, list?: readonly Property[]): Promise<Received> {
    const id = this.newId()
    this.send(wire.subscribe(this.version, id, [[filter, options]], list))
    const suback = await this.expectPacket('SUBACK', { id })
    assert.deepEqual(suback.reasons, [options & 3], `Subscription to ${filter} not granted`)
    return suback
  }

  async unsubscribe(filter: string): Promise<Received> {
    const id = this.newId()
    this.send(wire.unsubscribe(this.version, id, [filter]))
    return this.expectPacket('UNSUBACK', { id })
  }

  /** Publishes with the whole handshake; at QoS 0 with a round trip, so the broker has seen it. */
  async publish(topic: string, payload: string | Uint8Array, options: PublishOptions = {}): Promise<void> {
    const { qos = 0 } = options
    const id = qos === 0 ? undefined : (options.id ?? this.newId())
    this.send(wire.publish(this.version, topic, payload, id === undefined ? options : { ...options, id }))
    if (id === undefined) await this.ping()
    else if (qos === 1) succeeded(await this.expectPacket('PUBACK', { id }))
    else {
      succeeded(await this.expectPacket('PUBREC', { id }))
      this.send(wire.acknowledge('PUBREL', id))
      succeeded(await this.expectPacket('PUBCOMP', { id }))
    }
  }

  /** Expects a message and finishes its handshake. */
  async receive(expected: Expected = {}, withinMs: number = deadlineMs): Promise<Received> {
    const message = await this.expectPacket('PUBLISH', expected, withinMs)
    if (message.qos === 1) this.send(wire.acknowledge('PUBACK', message.id))
    if (message.qos === 2) {
      this.send(wire.acknowledge('PUBREC', message.id))
      await this.#pubrel(message.id)
      this.send(wire.acknowledge('PUBCOMP', message.id))
    }
    return message
  }

  /** DISCONNECT and the closing by the broker. */
  async disconnect(reason?: number, list?: readonly Property[]): Promise<void> {
    this.send(wire.disconnect(reason, list))
    await this.expectClosed()
  }

  /** Waits for PUBREL; other packets may be on their way before it, and are kept for later expectations. */
  async #pubrel(id: number): Promise<void> {
    for (;;) {
      const timeIsUp = Symbol('time is up')
      const received = await this.#arrival(deadlineMs, timeIsUp)
      assert.notEqual(received, timeIsUp, `Expected PUBREL, it did not come within ${deadlineMs} ms`)
      assert.notEqual(received, undefined, 'Expected PUBREL, the connection was closed')
      const packet = received as Received
      if (packet.type === 'PUBREL' && packet.id === id) return
      this.#setAside.push(packet)
    }
  }

  async #poll<T>(withinMs: number, timeIsUp: T): Promise<Received | undefined | T> {
    return this.#setAside.shift() ?? this.#arrival(withinMs, timeIsUp)
  }

  async #arrival<T>(withinMs: number, timeIsUp: T): Promise<Received | undefined | T> {
    const until = performance.now() + withinMs
    for (;;) {
      const received = wire.decode(this.version, this.#arrived)
      if (received !== undefined) {
        this.#arrived = this.#arrived.subarray(received.length)
        return received
      }
      if (this.#closed) {
        assert.equal(this.#arrived.length, 0, 'The connection was closed within a packet')
        return undefined
      }
      const leftMs = until - performance.now()
      if (leftMs <= 0) return timeIsUp
      await this.#wakeWithin(leftMs)
    }
  }

  #wakeWithin(ms: number): Promise<void> {
    assert.equal(this.#wake, undefined, 'Two expectations at once on one client')
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer)
        this.#wake = undefined
        resolve()
      }
      const timer = setTimeout(done, ms)
      this.#wake = done
    })
  }
}

/** A network connection on which nothing has been sent. */
export function open(target: Target, version: Version): Promise<RawClient> {
  return new Promise((resolve, reject) => {
    const socket: Socket = createConnection({ host: target.host, port: target.port, noDelay: true })
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      // A test that failed leaves its clients open; they must not keep the process.
      socket.unref()
      resolve(new RawClient(socket, version))
    })
  })
}

/** A connection with CONNECT accepted. */
export async function connect(target: Target, version: Version, options: ConnectOptions = {}): Promise<RawClient> {
  const client = await open(target, version)
  client.send(wire.connect(version, options))
  client.connack = await client.expectPacket('CONNACK')
  assert.equal(client.connack.reason, 0, `CONNECT refused with ${hex(client.connack.reason)}`)
  return client
}

/** A connection on which `packet` was sent in place of a good CONNECT. */
export async function opened(target: Target, version: Version, ...packets: readonly Uint8Array[]): Promise<RawClient> {
  const client = await open(target, version)
  client.send(...packets)
  return client
}

function succeeded(received: Received): void {
  assert.ok(received.reason < 0x80, `${received.type} with reason ${hex(received.reason)}`)
}

function checked(received: Received, type: PacketType, expected: Expected): Received {
  assert.equal(received.type, type, `Expected ${type}, got ${describe(received)}`)
  for (const [key, value] of Object.entries(expected)) {
    const actual = key === 'payload' ? received.payload.toString() : received[key as keyof Received]
    assert.deepEqual(actual, value, `${key} of ${describe(received)}`)
  }
  return received
}

function describe(received: Received): string {
  const { type, id, reason, reasons, topic, qos, dup, retain, payload } = received
  const short = payload.subarray(0, 40).toString()
  return JSON.stringify(
    type === 'PUBLISH' ? { type, topic, qos, id, dup, retain, payload: short } : { type, id, reason, reasons },
  )
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(2, '0')}`
}
