import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { after, describe, it } from 'node:test'
import { WebSocket } from 'ws'
import type { ListenerHandle, ListenerOptions } from '../config/options.ts'
import type { ListenerDeps } from './deps.ts'
import { makeAuthority, recordingDeps, type TestIdentity } from './listener.testkit.ts'
import { openListener } from './listener.ts'

const handles: ListenerHandle[] = []
const sockets: Socket[] = []
const webSockets: WebSocket[] = []
after(async () => {
  for (const webSocket of webSockets) webSocket.terminate()
  for (const socket of sockets) socket.destroy()
  for (const handle of handles) await handle.close()
})

async function open(deps: ListenerDeps, options: ListenerOptions = { kind: 'ws', port: 0 }): Promise<ListenerHandle> {
  const handle = await openListener(options, deps)
  handles.push(handle)
  return handle
}

async function dial(port: number, path = '/mqtt', protocols: string[] = ['mqtt']): Promise<WebSocket> {
  const webSocket = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols, { perMessageDeflate: false })
  webSockets.push(webSocket)
  await once(webSocket, 'open')
  return webSocket
}

async function raw(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  sockets.push(socket)
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

/** Sends the text on a connection of its own; resolves with all that came back until it closed. */
async function exchange(port: number, text: string): Promise<string> {
  const socket = await raw(port)
  const parts: Buffer[] = []
  socket.on('data', (chunk: Buffer) => parts.push(chunk))
  socket.write(text)
  await once(socket, 'close')
  return Buffer.concat(parts).toString('latin1')
}

const upgrade = (path: string, headers: Record<string, string> = {}): string =>
  [
    `GET ${path} HTTP/1.1`,
    ...Object.entries({
      Host: 'localhost',
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
      'Sec-WebSocket-Protocol': 'mqtt',
      ...headers,
    }).map(([name, value]) => `${name}: ${value}`),
    '\r\n',
  ].join('\r\n')

describe('openListener() for ws', () => {
  it('accepts the paths /, /mqtt and /websocket, with a query too, and answers subprotocol mqtt', async () => {
    const deps = recordingDeps()
    const { port } = await open(deps)
    for (const path of ['/', '/mqtt', '/websocket', '/mqtt?token=x']) {
      const client = await dial(port, path, ['chat', 'mqttv3.1', 'mqtt'])
      assert.equal(client.protocol, 'mqtt') // [MQTT-6.0.0-4]
      const { transport } = await deps.next()
      assert.equal(transport.info.remoteAddress, '127.0.0.1')
      assert.equal(transport.info.encrypted, false)
      assert.equal(transport.info.listener, 'ws')
    }
  })

  it('answers mqttv3.1 to a client of MQTT 3.1 that offers only this', async () => {
    const deps = recordingDeps()
    const { port } = await open(deps)
    assert.equal((await dial(port, '/mqtt', ['mqttv3.1'])).protocol, 'mqttv3.1')
  })

  it('refuses a client that offers no MQTT subprotocol, or none, with 400 [MQTT-6.0.0-3]', async () => {
    const deps = recordingDeps()
    const { port } = await open(deps)
    const other = await exchange(port, upgrade('/mqtt', { 'Sec-WebSocket-Protocol': 'chat, MQTTX' }))
    assert.match(other, /^HTTP\/1\.1 400 Bad Request\r\n/)
    const none = await exchange(port, upgrade('/mqtt').replace('Sec-WebSocket-Protocol: mqtt\r\n', ''))
    assert.match(none, /^HTTP\/1\.1 400 Bad Request\r\n.*subprotocol mqtt/s)
    assert.equal(deps.accepted.length, 0)
  })

  it('refuses other paths with 404', async () => {
    const deps = recordingDeps()
    const { port } = await open(deps)
    assert.match(await exchange(port, upgrade('/admin')), /^HTTP\/1\.1 404 /)
    assert.match(await exchange(port, 'GET /admin HTTP/1.1\r\nHost: x\r\n\r\n'), /^HTTP\/1\.1 404 /)
  })

  it('refuses requests that are no WebSocket handshake with 400', async () => {
    const { port } = await open(recordingDeps())
    assert.match(await exchange(port, upgrade('/mqtt', { 'Sec-WebSocket-Version': '12' })), /^HTTP\/1\.1 400 /)
    assert.match(await exchange(port, upgrade('/mqtt', { 'Sec-WebSocket-Key': 'short' })), /^HTTP\/1\.1 400 /)
    assert.match(await exchange(port, upgrade('/mqtt', { Upgrade: 'h2c' })), /^HTTP\/1\.1 400 /)
    assert.match(await exchange(port, 'not http\r\n\r\n'), /^HTTP\/1\.1 400 /)
    assert.match(await exchange(port, 'GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n'), /^HTTP\/1\.1 426 /)
    assert.match(await exchange(port, 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n'), /^HTTP\/1\.1 405 /)
  })

  it('answers a plain GET / with 200 (row F23)', async () => {
    const { port } = await open(recordingDeps())
    const response = await fetch(`http://127.0.0.1:${port}/`)
    assert.equal(response.status, 200)
    assert.equal(await response.text(), 'MQTT over WebSocket\n')
  })

  it('says nothing to what it refuses when connect errors are silent, and still answers GET /', async () => {
    const { port } = await open(recordingDeps({ silent: () => true }))
    assert.equal(await exchange(port, upgrade('/admin')), '')
    assert.equal(await exchange(port, upgrade('/mqtt', { 'Sec-WebSocket-Protocol': 'chat' })), '')
    assert.equal(await exchange(port, upgrade('/mqtt', { 'Sec-WebSocket-Version': '12' })), '')
    assert.equal(await exchange(port, 'GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n'), '')
    assert.equal(await exchange(port, 'not http\r\n\r\n'), '')
    assert.match(await exchange(port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'), /^HTTP\/1\.1 200 /)
  })

  it('closes a client whose request head does not end in time', async () => {
    const deps = recordingDeps({ handshakeTimeoutMs: 40 })
    const { port } = await open(deps)
    assert.equal(
      await exchange(port, 'GET /mqtt HTTP/1.1\r\nHost: x\r\nX-Slow: ').then((text) => text.includes('101')),
      false,
    )
    await exchange(port, '')
    assert.equal(deps.accepted.length, 0)
    assert.equal(deps.admission.open, 0)
  })

  it('counts clients that still speak HTTP towards connectionsMax', async () => {
    const deps = recordingDeps({ connectionsMax: 1 })
    const { port } = await open(deps)
    await dial(port)
    assert.equal(await exchange(port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'), '')
  })

  it('takes no new connections after close, cuts those that speak HTTP, and leaves WebSockets alone', async () => {
    const deps = recordingDeps()
    const handle = await open(deps)
    const halfDone = exchange(handle.port, 'GET /mqtt HTTP/1.1\r\nHost: x\r\n')
    const client = await dial(handle.port)
    const { transport } = await deps.next()
    await handle.close()
    assert.equal(await halfDone, '')
    await assert.rejects(dial(handle.port), /ECONNREFUSED/)
    transport.write([Buffer.from('still here')], 1)
    const [data] = (await once(client, 'message')) as [Buffer]
    assert.equal(data.toString(), 'still here')
  })

  it('refuses an address in use with CMQ_ADDRESS_IN_USE', async () => {
    const { port } = await open(recordingDeps())
    await assert.rejects(openListener({ kind: 'ws', port }, recordingDeps()), { code: 'CMQ_ADDRESS_IN_USE' })
  })
})

describe('openListener() for wss', async () => {
  const authority = await makeAuthority('ConcordMQ test root')
  const server = await authority.issue('localhost')

  async function dialSecure(port: number, options: Partial<TestIdentity> = {}): Promise<WebSocket> {
    const webSocket = new WebSocket(`wss://localhost:${port}/mqtt`, ['mqtt'], { ca: authority.cert, ...options })
    webSockets.push(webSocket)
    await once(webSocket, 'open')
    return webSocket
  }

  it('carries MQTT bytes, knows the client certificate, and says drain', async () => {
    const deps = recordingDeps()
    const tls = { ...server, ca: authority.cert }
    const { port } = await open(deps, { kind: 'wss', port: 0, tls, name: 'browsers' })
    const client = await dialSecure(port, await authority.issue('page-1'))
    const { transport, sink } = await deps.next()
    assert.equal(transport.info.encrypted, true)
    assert.equal(transport.info.certificate?.commonName, 'page-1')
    client.send('in')
    const answered = once(client, 'message') as Promise<[Buffer]>
    transport.write([Buffer.from('a'), Buffer.from('b')], 2)
    assert.equal((await answered)[0].toString(), 'ab')
    await sink.until(({ drains }) => drains > 0)
    assert.equal(transport.pending, 0)
  })

  it('reloads its certificate, refuses strangers, and closes clients that stay in the handshake', async () => {
    const deps = recordingDeps({ handshakeTimeoutMs: 200 })
    const handle = await open(deps, { kind: 'wss', port: 0, tls: { ...server, ca: authority.cert } })
    await assert.rejects(dialSecure(handle.port))
    assert.equal(await exchange(handle.port, ''), '')
    await handle.reloadTls({ ...(await authority.issue('renewed')), ca: authority.cert })
    await dialSecure(handle.port, await authority.issue('page-2'))
    assert.equal((await deps.next()).transport.info.certificate?.commonName, 'page-2')
    await assert.rejects(handle.reloadTls({ cert: 'x', key: 'y', ca: authority.cert }), { code: 'CMQ_TLS_CERTIFICATE' })
  })

  it('refuses unusable material before it opens', async () => {
    const other = await authority.issue('other')
    await assert.rejects(
      openListener({ kind: 'wss', port: 0, tls: { cert: server.cert, key: other.key } }, recordingDeps()),
      { code: 'CMQ_TLS_KEY_MISMATCH' },
    )
  })
})

describe('WebSocketTransport', () => {
  it('takes packets across and within messages [MQTT-6.0.0-2]', async () => {
    const deps = recordingDeps()
    const { port } = await open(deps)
    const client = await dial(port)
    const { sink } = await deps.next()
    const bytes = Buffer.from('100c00044d5154540402003c0000c000', 'hex')
    client.send(bytes.subarray(0, 5))
    client.send(bytes.subarray(5, 5))
    client.send(bytes.subarray(5, 9), { fin: false })
    client.send(bytes.subarray(9), { fin: true })
    await sink.bytes(bytes.length)
    assert.deepEqual(sink.received, bytes)
  })

  it('sends each flush as one binary message', async () => {
    const deps = recordingDeps()
    const { port } = await open(deps)
    const client = await dial(port)
    const { transport } = await deps.next()
    const got: [Buffer, boolean][] = []
    client.on('message', (data: Buffer, isBinary) => got.push([data, isBinary]))
    const staging = Buffer.from('onetwo')
    transport.write([staging.subarray(0, 3), staging.subarray(3), Buffer.from('stale')], 2)
    transport.write([Buffer.from('three')], 1)
    staging.fill(0)
    transport.end()
    await once(client, 'close')
    assert.deepEqual(got, [
      [Buffer.from('onetwo'), true],
      [Buffer.from('three'), true],
    ])
  })

  it('closes with 1003 on a text frame [MQTT-6.0.0-1]', async () => {
    const deps = recordingDeps()
    const { port } = await open(deps)
    const client = await dial(port)
    const { sink } = await deps.next()
    client.send('{"text":true}')
    const [code] = await once(client, 'close')
    await sink.closedOnce()
    assert.equal(code, 1003)
    assert.equal(sink.length, 0)
    assert.match(String(sink.error), /text frame/)
  })

  it('refuses unmasked frames with 1002', async () => {
    const deps = recordingDeps()
    const { port } = await open(deps)
    const socket = await raw(port)
    socket.write(upgrade('/mqtt'))
    const { sink } = await deps.next()
    const parts: Buffer[] = []
    socket.on('data', (chunk: Buffer) => parts.push(chunk))
    socket.write(Buffer.from([0x82, 2, 0xc0, 0]))
    while (!Buffer.concat(parts).includes(Buffer.from([0x88, 2, 0x03, 0xea]))) await once(socket, 'data')
    socket.end()
    await sink.closedOnce()
    assert.equal(sink.length, 0)
    assert.match(String(sink.error), /MASK/)
  })

  it('refuses a message larger than a packet may be with 1009', async () => {
    const deps = recordingDeps({ packetBytesMax: 1_000 })
    const { port } = await open(deps)
    const client = await dial(port)
    const { sink } = await deps.next()
    client.send(Buffer.alloc(1_000 + 65_536 + 1))
    const [code] = await once(client, 'close')
    assert.equal(code, 1009)
    await sink.closedOnce()
    assert.equal(sink.length, 0)
  })

  it('answers pings, but not those of a client that never reads', async () => {
    const deps = recordingDeps()
    const { port } = await open(deps)
    const client = await dial(port)
    const { transport, sink } = await deps.next()
    client.ping('are you there')
    const [echo] = (await once(client, 'pong')) as [Buffer]
    assert.equal(echo.toString(), 'are you there')
    client.pause()
    transport.write([Buffer.alloc(32 * 1024 * 1024)], 1)
    client.ping()
    await sink.closedOnce()
    assert.match(String(sink.error), /pings/)
  })

  it('counts what the peer does not read as pending, says drain once it is handed over', async () => {
    const deps = recordingDeps()
    const { port } = await open(deps)
    const client = await dial(port)
    const { transport, sink } = await deps.next()
    transport.write([Buffer.from('small')], 1)
    assert.equal(transport.pending, 0)
    client.pause()
    transport.write([Buffer.alloc(32 * 1024 * 1024)], 1)
    assert.ok(transport.pending > 0)
    assert.equal(sink.drains, 0)
    client.resume()
    await sink.until(({ drains }) => drains > 0)
    assert.equal(transport.pending, 0)
  })

  it('keeps what arrives before the sink is set', async () => {
    const deps = recordingDeps()
    let early: import('../connections/transport.ts').Transport | undefined
    const { port } = await open({ ...deps, accept: (transport) => (early = transport) })
    const client = await dial(port)
    client.send(Buffer.from('one'))
    client.send(Buffer.from('two'))
    client.ping()
    while (early === undefined) await new Promise(setImmediate)
    for (let i = 0; i < 20; i++) await new Promise(setImmediate)
    deps.accept(early, undefined)
    const { sink } = await deps.next()
    await sink.bytes(6)
    assert.equal(sink.received.toString(), 'onetwo')
  })

  it('closes once when the peer closes, and once when it vanishes', async () => {
    const deps = recordingDeps()
    const { port } = await open(deps)
    for (const leave of [(client: WebSocket) => client.close(1000), (client: WebSocket) => client.terminate()]) {
      const client = await dial(port)
      const { transport, sink } = await deps.next()
      leave(client)
      await sink.closedOnce()
      transport.destroy()
      transport.end()
      transport.write([Buffer.from('x')], 1)
      assert.equal(sink.closes, 1)
      assert.equal(sink.error, undefined)
    }
  })

  it('destroys after the grace when the peer does not answer the close frame', async () => {
    const deps = recordingDeps()
    const { port } = await open(deps)
    const socket = await raw(port)
    socket.write(upgrade('/mqtt'))
    const { transport, sink } = await deps.next()
    transport.end(20)
    await sink.closedOnce()
    assert.equal(sink.closes, 1)
  })
})
