import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { after, describe, test } from 'node:test'
import { type Client, connect } from './client.ts'
import { ClientError, type ClientErrorCode } from './errors.ts'
import type { ClientOptions, Message } from './options.ts'

/** One connection of a scripted server. Everything is raw bytes, so that a mistake of our codec does not hide itself. */
class Peer {
  readonly socket: Socket
  #bytes = Buffer.alloc(0)
  #wake: () => void = () => {}
  #ended = false

  constructor(socket: Socket) {
    this.socket = socket.setNoDelay(true)
    socket.on('data', (chunk) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk])
      this.#wake()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.#ended = true
      this.#wake()
    })
  }

  write(...bytes: (number | string)[]): void {
    this.socket.write(
      Buffer.concat(bytes.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.of(part)))),
    )
  }

  /** The next packet, or undefined at the end of the connection. Lengths under 128 only. */
  async read(): Promise<Buffer | undefined> {
    for (;;) {
      const length = this.#bytes.length < 2 ? undefined : (this.#bytes[1] as number) + 2
      if (length !== undefined && this.#bytes.length >= length) {
        const packet = this.#bytes.subarray(0, length)
        this.#bytes = this.#bytes.subarray(length)
        return packet
      }
      if (this.#ended) return undefined
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  /** Reads a packet of this type (upper four bits), as an array. */
  async expect(type: number): Promise<number[]> {
    const packet = await this.read()
    assert.equal(packet === undefined ? 'end' : (packet[0] as number) >> 4, type)
    return [...(packet as Buffer)]
  }

  /** CONNECT in, CONNACK out. */
  async accept(flags = 0): Promise<number[]> {
    const packet = await this.expect(1)
    this.write(0x20, 3, flags, 0, 0)
    return packet
  }
}

class ScriptedServer {
  readonly server: Server
  readonly #waiting: ((peer: Peer) => void)[] = []
  readonly #arrived: Peer[] = []
  connections = 0

  constructor() {
    this.server = createServer((socket) => {
      this.connections++
      const peer = new Peer(socket)
      const waiting = this.#waiting.shift()
      if (waiting === undefined) this.#arrived.push(peer)
      else waiting(peer)
    })
  }

  next(): Promise<Peer> {
    const peer = this.#arrived.shift()
    return peer === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(peer)
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port
  }

  get url(): string {
    return `mqtt://127.0.0.1:${this.port}`
  }
}

const servers: Server[] = []
after(() => {
  for (const server of servers) server.close()
})

async function listen(): Promise<ScriptedServer> {
  const scripted = new ScriptedServer()
  servers.push(scripted.server)
  scripted.server.listen(0, '127.0.0.1')
  await once(scripted.server, 'listening')
  return scripted
}

const quick = { retryDelayMsMin: 1, retryDelayMsMax: 1 }

async function connected(
  options: Omit<ClientOptions, 'url'> = {},
): Promise<{ client: Client; peer: Peer; server: ScriptedServer }> {
  const server = await listen()
  const opening = connect(server.url, { clientId: 'c', reconnect: quick, ...options })
  const peer = await server.next()
  await peer.accept()
  return { client: await opening, peer, server }
}

function failsWith(code: ClientErrorCode, reasonCode?: number) {
  return (error: unknown) => {
    assert.ok(error instanceof ClientError, String(error))
    assert.equal(error.code, code, error.message)
    if (reasonCode !== undefined) assert.equal(error.reasonCode, reasonCode)
    return true
  }
}

/** Whether a promise has settled by now, all microtasks and one turn of the loop later. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  promise.then(
    () => {
      settled = true
    },
    () => {
      settled = true
    },
  )
  await new Promise((resolve) => setImmediate(resolve))
  return settled
}

describe('connect()', () => {
  test('names the reason of a refusal', async () => {
    const server = await listen()
    const opening = connect(server.url)
    const peer = await server.next()
    await peer.expect(1)
    peer.write(0x20, 3, 0, 0x87, 0)
    await assert.rejects(opening, (error: Error) => {
      assert.match(
        error.message,
        /^Cannot connect to mqtt:\/\/127\.0\.0\.1:\d+: the server refused, not authorized \(0x87\)$/,
      )
      return failsWith('CMQ_CONNECT_REFUSED', 0x87)(error)
    })
    assert.equal(await peer.read(), undefined)
  })

  test('names the return code of a 3.1.1 server', async () => {
    const server = await listen()
    const opening = connect(server.url, { version: 4 })
    const peer = await server.next()
    await peer.expect(1)
    peer.write(0x20, 2, 0, 4)
    await assert.rejects(opening, (error: Error) => {
      assert.match(error.message, /bad user name or password \(4\)$/)
      return failsWith('CMQ_CONNECT_REFUSED', 4)(error)
    })
  })

  test('is tried once: a closed port is an error', async () => {
    const server = await listen()
    const { url } = server
    server.server.close()
    await assert.rejects(connect(url), failsWith('CMQ_CONNECT_FAILED'))
  })

  test('refuses options that cannot be meant', async () => {
    for (const [url, options] of [
      ['http://localhost', {}],
      ['mqtt://localhost', { keepAlive: 70_000 }],
      ['mqtt://localhost', { receiveMaximum: 0 }],
      ['mqtt://localhost', { version: 4, sessionExpiryInterval: 1 }],
      ['mqtt://localhost', { version: 4, password: 'p' }],
      ['mqtt://localhost', { version: 4, clientId: '', cleanStart: false }],
      ['mqtt://localhost', { version: 3, clientId: 'x'.repeat(24) }],
    ] as const) {
      await assert.rejects(connect(url, options), failsWith('CMQ_OPTION'))
    }
  })

  test('gives up on a server that does not answer CONNECT', async () => {
    const server = await listen()
    await assert.rejects(connect(server.url, { connackTimeoutMs: 20 }), failsWith('CMQ_TIMEOUT'))
  })

  test('follows a Server Reference, and again up to redirectsMax', async () => {
    const [first, second] = [await listen(), await listen()]
    const opening = connect(first.url, { redirectsMax: 1 })
    const redirect = async (from: ScriptedServer, to: ScriptedServer): Promise<void> => {
      const peer = await from.next()
      await peer.expect(1)
      const reference = `127.0.0.1:${to.port}`
      peer.write(0x20, reference.length + 6, 0, 0x9c, reference.length + 3, 0x1c, 0, reference.length, reference)
    }
    await redirect(first, second)
    const peer = await second.next()
    await peer.accept()
    const client = await opening
    assert.equal(client.server, second.url)
    const reference = `127.0.0.1:${first.port}`
    peer.write(0xe0, reference.length + 5, 0x9d, reference.length + 3, 0x1c, 0, reference.length, reference)
    assert.equal((await client.closed)?.code, 'CMQ_REDIRECT_LIMIT')
  })

  test('answers the challenges of enhanced authentication', async () => {
    const server = await listen()
    const seen: number[] = []
    const opening = connect(server.url, {
      authentication: {
        method: 'M',
        begin: () => Uint8Array.of(1),
        respond: async (data) => {
          seen.push(...(data ?? []))
          return Uint8Array.of(3)
        },
      },
    })
    const peer = await server.next()
    await peer.expect(1)
    peer.write(0xf0, 10, 0x18, 8, 0x15, 0, 1, 'M', 0x16, 0, 1, 2)
    assert.deepEqual(await peer.expect(15), [0xf0, 10, 0x18, 8, 0x15, 0, 1, 77, 0x16, 0, 1, 3])
    peer.write(0x20, 3, 0, 0, 0)
    const client = await opening
    assert.deepEqual(seen, [2])
    await client.disconnect()
  })
})

describe('publish()', () => {
  test('resolves QoS 1 with PUBACK and QoS 2 with PUBCOMP', async () => {
    const { client, peer } = await connected()
    assert.deepEqual(await client.publish('t', 'x'), { reasonCode: 0 })
    assert.deepEqual(await peer.expect(3), [0x30, 5, 0, 1, 116, 0, 120])
    const once1 = client.publish('t', 'x', { qos: 1 })
    await peer.expect(3)
    assert.equal(await isSettled(once1), false)
    peer.write(0x40, 3, 0, 1, 0x10)
    assert.deepEqual(await once1, { reasonCode: 0x10 })
    const once2 = client.publish('t', 'x', { qos: 2 })
    await peer.expect(3)
    peer.write(0x50, 2, 0, 2)
    assert.deepEqual(await peer.expect(6), [0x62, 2, 0, 2])
    assert.equal(await isSettled(once2), false)
    peer.write(0x70, 2, 0, 2)
    assert.deepEqual(await once2, { reasonCode: 0 })
    await client.disconnect()
    await peer.expect(14)
  })

  test('rejects with the reason of a refusing PUBACK', async () => {
    const { client, peer } = await connected()
    const publication = client.publish('t', 'x', { qos: 1 })
    await peer.expect(3)
    peer.write(0x40, 3, 0, 1, 0x87)
    await assert.rejects(publication, failsWith('CMQ_PUBLISH_REFUSED', 0x87))
    await client.disconnect()
  })

  test('rejects what the queue has no room for', async () => {
    const { client } = await connected({ queueMessagesMax: 2 })
    const first = [client.publish('t', '', { qos: 1 }), client.publish('t', '', { qos: 1 })]
    await assert.rejects(client.publish('t', '', { qos: 1 }), failsWith('CMQ_QUEUE_FULL'))
    await client.disconnect({ drainTimeoutMs: 0 })
    for (const publication of first) await assert.rejects(publication, failsWith('CMQ_CLOSED'))
  })

  test('is bounded at QoS 0, too, when the server takes nothing, even within one turn of the loop', async () => {
    const { client, peer } = await connected({ queueBytesMax: 1024 * 1024, reconnect: false })
    peer.socket.pause()
    const publications: Promise<unknown>[] = []
    for (let i = 0; i < 3000; i++) publications.push(client.publish('t', new Uint8Array(10_000)))
    const results = Promise.allSettled(publications)
    await assert.rejects(publications.at(-1) as Promise<unknown>, failsWith('CMQ_QUEUE_FULL'))
    peer.socket.destroy()
    const full = (await results).filter(({ status }) => status === 'rejected').length
    assert.ok(full > 2000, `${full} of 3000 publications of 10,000 bytes were refused`)
    await client.closed
  })

  test('rejects topics, QoS and properties that cannot be sent', async () => {
    const { client } = await connected()
    for (const topic of ['', 'a/#', '+', 'a\0'])
      await assert.rejects(client.publish(topic, ''), failsWith('CMQ_OPTION'))
    await assert.rejects(client.publish('t', '', { qos: 3 as 2 }), failsWith('CMQ_OPTION'))
    await assert.rejects(client.publish('t', '', { properties: { topicAlias: 1 } }), failsWith('CMQ_OPTION'))
    await client.disconnect()
    await assert.rejects(client.publish('t', ''), failsWith('CMQ_CLOSED'))
  })

  test('sends again with DUP on the next connection, under the same identifier', async () => {
    const { client, peer, server } = await connected({ sessionExpiryInterval: 100 })
    const publication = client.publish('t', 'x', { qos: 1 })
    await peer.expect(3)
    peer.socket.destroy()
    const next = await server.next()
    const packet = await next.accept(1)
    assert.equal((packet[9] as number) & 2, 0, 'clean start is off, to go on with the session')
    assert.deepEqual(await next.expect(3), [0x3a, 7, 0, 1, 116, 0, 1, 0, 120])
    next.write(0x40, 2, 0, 1)
    await publication
    await client.disconnect()
  })

  test('waits for the next connection and keeps the order of the calls', async () => {
    const lost = Promise.withResolvers<void>()
    const { client, peer, server } = await connected({ notices: { disconnected: () => lost.resolve() } })
    peer.socket.destroy()
    await lost.promise
    const publications = ['1', '2', '3'].map((payload) => client.publish('t', payload))
    const next = await server.next()
    await next.accept()
    for (const payload of ['1', '2', '3'])
      assert.equal(String.fromCharCode((await next.expect(3)).at(-1) as number), payload)
    await Promise.all(publications)
    await client.disconnect()
  })

  test('rejects QoS 2 in flight when the server has lost the session', async () => {
    const { client, peer, server } = await connected()
    const publication = client.publish('t', 'x', { qos: 2 })
    await peer.expect(3)
    peer.socket.destroy()
    const rejection = assert.rejects(publication, failsWith('CMQ_SESSION_LOST'))
    const next = await server.next()
    await next.accept(0)
    await rejection
    await client.disconnect()
  })
})

/** Grants SUBSCRIBE and returns its subscription identifier (5.0: the property stands first). */
async function grant(peer: Peer): Promise<number> {
  const packet = await peer.expect(8)
  peer.write(0x90, 4, packet[2] as number, packet[3] as number, 0, packet.at(-1) as number)
  assert.deepEqual(packet.slice(4, 6), [2, 0x0b])
  return packet[6] as number
}

describe('subscribe()', () => {
  test('calls each handler for its own filter only, by subscription identifier (row S3)', async () => {
    const { client, peer } = await connected()
    const seen: string[] = []
    const first = client.subscribe('a/#', { qos: 1 }, ({ topic }) => void seen.push(`first ${topic}`))
    const one = await grant(peer)
    const second = client.subscribe('a/b', {}, ({ topic }) => void seen.push(`second ${topic}`))
    const two = await grant(peer)
    assert.equal((await first).qos, 1)
    assert.equal((await second).qos, 0)
    const done = client.messages('end')
    peer.write(0x30, 8, 0, 3, 'a/b', 2, 0x0b, one)
    peer.write(0x30, 8, 0, 3, 'a/b', 2, 0x0b, two)
    peer.write(0x30, 8, 0, 3, 'a/c', 2, 0x0b, one)
    peer.write(0x30, 6, 0, 3, 'end', 0)
    await done.next()
    assert.deepEqual(seen, ['first a/b', 'second a/b', 'first a/c'])
    await client.disconnect()
  })

  test('calls each handler for its own filter only, by topic, in 3.1.1', async () => {
    const server = await listen()
    const opening = connect(server.url, { version: 4 })
    const peer = await server.next()
    await peer.expect(1)
    peer.write(0x20, 2, 0, 0)
    const client = await opening
    const seen: string[] = []
    for (const filter of ['a/+', 'b/#']) {
      const subscription = client.subscribe(filter, {}, ({ topic }) => void seen.push(`${filter} ${topic}`))
      const packet = await peer.expect(8)
      peer.write(0x90, 3, packet[2] as number, packet[3] as number, 0)
      await subscription
    }
    const done = client.messages('end')
    for (const topic of ['a/1', 'b', 'c', 'end']) peer.write(0x30, topic.length + 2, 0, topic.length, topic)
    await done.next()
    assert.deepEqual(seen, ['a/+ a/1', 'b/# b'])
    await client.disconnect()
  })

  test('acknowledges when the promise of the handler has settled, with 0x83 if it rejects', async () => {
    const errors: unknown[] = []
    const { client, peer } = await connected({ notices: { error: (error) => errors.push(error) } })
    const handled: PromiseWithResolvers<void>[] = [Promise.withResolvers(), Promise.withResolvers()]
    const arrived: Message[] = []
    const subscription = client.subscribe('t', { qos: 1 }, (message) => {
      arrived.push(message)
      return (handled[arrived.length - 1] as PromiseWithResolvers<void>).promise
    })
    const id = await grant(peer)
    await subscription
    const both = client.messages()
    peer.write(0x32, 9, 0, 1, 't', 0, 1, 2, 0x0b, id, 65)
    peer.write(0x32, 9, 0, 1, 't', 0, 2, 2, 0x0b, id, 66)
    await both.next()
    await both.next()
    handled[1]?.reject(new Error('cannot use it'))
    handled[0]?.resolve()
    assert.deepEqual(await peer.expect(4), [0x40, 2, 0, 1])
    assert.deepEqual((await peer.expect(4)).slice(2, 5), [0, 2, 0x83])
    assert.equal((errors[0] as Error).message, 'cannot use it')
    await client.disconnect()
  })

  test('rejects with the reason of the server, and its handler is gone', async () => {
    const { client, peer } = await connected()
    const subscription = client.subscribe('t', {}, () => assert.fail('not subscribed'))
    const packet = await peer.expect(8)
    peer.write(0x90, 4, packet[2] as number, packet[3] as number, 0, 0x87)
    await assert.rejects(subscription, failsWith('CMQ_SUBSCRIBE_REFUSED', 0x87))
    const messages = client.messages()
    peer.write(0x30, 4, 0, 1, 't', 0)
    assert.equal((await messages.next()).value?.topic, 't')
    await client.disconnect()
  })

  test('subscribes again on a connection without session, and not on one with', async () => {
    const { client, peer, server } = await connected({ sessionExpiryInterval: 100 })
    const subscription = client.subscribe('t', { qos: 1 })
    await grant(peer)
    await subscription
    peer.socket.destroy()
    const second = await server.next()
    await second.accept(1)
    const publication = client.publish('x', '')
    await second.expect(3)
    await publication
    second.socket.destroy()
    const third = await server.next()
    await third.accept(0)
    await grant(third)
    await client.disconnect()
  })

  test('tells the server to end it when the last subscription of a filter is given up', async () => {
    const { client, peer } = await connected()
    const seen: number[] = []
    const first = client.subscribe('t', {}, () => void seen.push(1))
    await grant(peer)
    const second = client.subscribe('t', {}, () => void seen.push(2))
    await grant(peer)
    await (await first).unsubscribe()
    const ending = (await second).unsubscribe()
    const packet = await peer.expect(10)
    peer.write(0xb0, 4, packet[2] as number, packet[3] as number, 0, 0)
    await ending
    const messages = client.messages()
    peer.write(0x30, 4, 0, 1, 't', 0)
    await messages.next()
    assert.deepEqual(seen, [])
    await client.disconnect()
  })
})

describe('a lost connection', () => {
  test('is not opened again after a takeover', async () => {
    const { client, peer, server } = await connected()
    peer.write(0xe0, 2, 0x8e, 0)
    assert.equal((await client.closed)?.reasonCode, 0x8e)
    assert.equal(client.state, 'closed')
    assert.equal(server.connections, 1)
  })

  test('is given up after attemptsMax', async () => {
    const attempts: number[] = []
    const { client, peer, server } = await connected({
      reconnect: { ...quick, attemptsMax: 3 },
      notices: { reconnecting: ({ attempt }) => void attempts.push(attempt) },
    })
    server.server.close()
    peer.socket.destroy()
    assert.equal((await client.closed)?.code, 'CMQ_CONNECT_FAILED')
    assert.deepEqual(attempts, [1, 2, 3])
  })

  test('ends the loops over messages with the error', async () => {
    const { client, peer } = await connected({ reconnect: false })
    const messages = client.messages()
    peer.socket.destroy()
    await assert.rejects(messages.next(), failsWith('CMQ_CONNECTION_LOST'))
  })
})

describe('messages()', () => {
  test('stops reading when nobody takes them, and goes on', async () => {
    const { client, peer } = await connected({ iteratorMessagesMax: 4 })
    const messages = client.messages()
    const count = 20_000
    const payload = 'x'.repeat(100)
    for (let i = 0; i < count; i++) peer.write(0x30, 104, 0, 1, 't', 0, payload)
    for (let i = 0; i < count - 1; i++) await messages.next()
    await messages.next()
    assert.equal(client.dropped, 0)
    await client.disconnect()
  })

  test('acknowledges what was taken, and only that', async () => {
    const { client, peer } = await connected()
    const messages = client.messages()
    peer.write(0x32, 6, 0, 1, 't', 0, 1, 0)
    peer.write(0x32, 6, 0, 1, 't', 0, 2, 0)
    await messages.next()
    assert.deepEqual(await peer.expect(4), [0x40, 2, 0, 1])
    await client.disconnect()
    assert.equal(((await peer.read())?.[0] as number) >> 4, 14)
  })
})
