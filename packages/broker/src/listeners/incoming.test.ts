import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { after, describe, test } from 'node:test'
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls'
import { randomFrom } from '../../../../testing/testkit/src/random.ts'
import type { ListenerHandle, ListenerOptions } from '../config/options.ts'
import { makeAuthority, recordingDeps } from './listener.testkit.ts'
import { openListener } from './listener.ts'

const authority = await makeAuthority('ConcordMQ test root')
const server = await authority.issue('localhost')
const handles: ListenerHandle[] = []
const sockets: Socket[] = []
after(async () => {
  for (const socket of sockets) socket.destroy()
  for (const handle of handles) await handle.close()
})

const proxyProtocol = { from: ['127.0.0.1'] }
const line = 'PROXY TCP4 192.0.2.7 198.51.100.1 56324 1883\r\n'

async function open(options: ListenerOptions, deps: ReturnType<typeof recordingDeps>): Promise<number> {
  const handle = await openListener(options, deps)
  handles.push(handle)
  return handle.port
}

async function dial(port: number, localAddress = '127.0.0.1'): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', localAddress, noDelay: true })
  sockets.push(socket)
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

async function secured(socket: Socket, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const tls = connectTls({ socket, servername: 'localhost', ca: authority.cert, ...options })
  tls.on('error', () => {})
  await once(tls, 'secureConnect')
  return tls
}

function closing(socket: Socket): Promise<string> {
  const parts: Buffer[] = []
  socket.on('data', (chunk: Buffer) => parts.push(chunk))
  return new Promise((resolve) => socket.once('close', () => resolve(Buffer.concat(parts).toString())))
}

const upgrade =
  'GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n' +
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n'

/** A binary message of up to 125 bytes, masked with zeros. */
const frame = (text: string) => Buffer.concat([Buffer.from([0x82, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)])

describe('a connection from a listed proxy', () => {
  test('is that of the client in its header, whose bytes follow: TCP', async () => {
    const deps = recordingDeps()
    const socket = await dial(await open({ kind: 'tcp', port: 0, proxyProtocol }, deps))
    socket.write(`${line}first`)
    const { transport, sink } = await deps.next()
    await sink.bytes(5)
    assert.deepEqual([transport.info.remoteAddress, transport.info.remotePort], ['192.0.2.7', 56_324])
    socket.write(' second')
    await sink.bytes(12)
    assert.equal(sink.received.toString(), 'first second')
    transport.write([Buffer.from('answer')], 1)
    assert.equal(String((await once(socket, 'data'))[0]), 'answer')
  })

  test('may come byte by byte', async () => {
    const deps = recordingDeps()
    const socket = await dial(await open({ kind: 'tcp', port: 0, proxyProtocol }, deps))
    for (const byte of Buffer.from(`${line}x`)) {
      socket.write(Buffer.of(byte))
      await new Promise((resolve) => setImmediate(resolve))
    }
    const { transport, sink } = await deps.next()
    await sink.bytes(1)
    assert.equal(transport.info.remoteAddress, '192.0.2.7')
    assert.equal(sink.received.toString(), 'x')
  })

  test('is that of the client in its header: TLS, also where header and handshake come in one write', async () => {
    for (const together of [false, true]) {
      const deps = recordingDeps()
      const port = await open({ kind: 'tls', port: 0, tls: server, proxyProtocol }, deps)
      const socket = await dial(port)
      if (together) socket.cork()
      socket.write(line)
      const ready = secured(socket)
      if (together) setImmediate(() => socket.uncork())
      const tls = await ready
      tls.write('hello')
      const { transport, sink } = await deps.next()
      await sink.bytes(5)
      assert.deepEqual([transport.info.remoteAddress, transport.info.encrypted], ['192.0.2.7', true])
      transport.write([Buffer.from('answer')], 1)
      assert.equal(String((await once(tls, 'data'))[0]), 'answer')
    }
  })

  test('is that of the client in its header: WebSocket, header and request in one write or two', async () => {
    for (const together of [true, false]) {
      const deps = recordingDeps()
      const socket = await dial(await open({ kind: 'ws', port: 0, proxyProtocol }, deps))
      if (together) socket.write(line + upgrade)
      else {
        socket.write(line)
        await new Promise((resolve) => setImmediate(resolve))
        socket.write(upgrade)
      }
      const { transport, sink } = await deps.next()
      assert.equal(transport.info.remoteAddress, '192.0.2.7')
      await once(socket, 'data')
      socket.write(frame('hello'))
      await sink.bytes(5)
      assert.equal(sink.received.toString(), 'hello')
    }
  })

  test('is that of the client in its header: WebSocket over TLS', async () => {
    const deps = recordingDeps()
    const socket = await dial(await open({ kind: 'wss', port: 0, tls: server, proxyProtocol }, deps))
    socket.write(line)
    const tls = await secured(socket)
    tls.write(upgrade)
    const { transport, sink } = await deps.next()
    assert.deepEqual([transport.info.remoteAddress, transport.info.encrypted], ['192.0.2.7', true])
    await once(tls, 'data')
    tls.write(frame('hi'))
    await sink.bytes(2)
  })

  test("is the proxy's own for LOCAL and UNKNOWN", async () => {
    const deps = recordingDeps()
    const port = await open({ kind: 'tcp', port: 0, proxyProtocol }, deps)
    for (const header of [Buffer.from('PROXY UNKNOWN\r\n'), Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex')]) {
      const socket = await dial(port)
      socket.write(header)
      const { transport } = await deps.next()
      assert.equal(transport.info.remoteAddress, '127.0.0.1')
    }
  })

  test('is closed without a byte when the header is missing, malformed, too long or too late', async () => {
    const deps = recordingDeps({ handshakeTimeoutMs: 150 })
    const port = await open({ kind: 'tcp', port: 0, proxyProtocol }, deps)
    const tooLong = Buffer.concat([Buffer.from('0d0a0d0a000d0a515549540a2111ffff', 'hex'), Buffer.alloc(65_535)])
    for (const bytes of [
      '\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0',
      `PROXY ${'x'.repeat(5_000)}\r\n`,
      tooLong,
      '',
      'PROXY TCP4 ',
    ]) {
      const socket = await dial(port)
      const end = closing(socket)
      if (bytes.length > 0) socket.write(bytes)
      assert.equal(await end, '')
    }
    // A byte now and then does not buy time.
    const slow = await dial(port)
    const end = closing(slow)
    const began = performance.now()
    const timer = setInterval(() => slow.write('P'), 30)
    await end
    clearInterval(timer)
    assert.ok(performance.now() - began < 2_000)
    assert.equal(deps.accepted.length, 0)
    assert.equal(deps.counters.proxyHeaders, 6)
    assert.equal(deps.admission.open, 0)
  })

  test('that goes away within the header leaves nothing behind', async () => {
    const deps = recordingDeps()
    const port = await open({ kind: 'tcp', port: 0, proxyProtocol }, deps)
    const socket = await dial(port)
    socket.write('PROXY ')
    socket.destroy()
    while (deps.admission.open > 0 || deps.admission.halfOpen > 0) await new Promise((resolve) => setImmediate(resolve))
    assert.equal(deps.counters.proxyHeaders, 0)
  })

  test("counts for the client's address, not the proxy's", async () => {
    const deps = recordingDeps({ limits: { connectionsPerAddressMax: 1 }, silent: () => true })
    const port = await open({ kind: 'tcp', port: 0, proxyProtocol }, deps)
    const through = async (address: string) => {
      const socket = await dial(port)
      socket.write(`PROXY TCP4 ${address} 198.51.100.1 1 1883\r\n`)
      return socket
    }
    await through('192.0.2.1')
    await deps.next()
    await through('192.0.2.2')
    await deps.next()
    await closing(await through('192.0.2.1'))
    assert.equal(deps.counters.addressFull, 1)
    assert.equal(deps.accepted.length, 2)
  })
})

describe('a connection from anyone else', () => {
  test('is not looked at: what seems a header is the client’s own bytes', async () => {
    const deps = recordingDeps()
    const port = await open({ kind: 'tcp', port: 0, proxyProtocol: { from: ['192.0.2.0/24'] } }, deps)
    const socket = await dial(port)
    socket.write(line)
    const { transport, sink } = await deps.next()
    await sink.bytes(line.length)
    assert.equal(transport.info.remoteAddress, '127.0.0.1')
    assert.equal(sink.received.toString(), line)
  })

  test('is not looked at when nobody is listed', async () => {
    const deps = recordingDeps()
    const socket = await dial(await open({ kind: 'ws', port: 0 }, deps))
    const end = closing(socket)
    socket.write(line + upgrade)
    assert.match(await end, /^HTTP\/1.1 400 /)
    assert.equal(deps.accepted.length, 0)
  })
})

describe('a handshake that does not end', () => {
  const kinds = ['tls', 'ws', 'wss'] as const
  const optionsOf = (kind: (typeof kinds)[number]): ListenerOptions =>
    kind === 'ws' ? { kind, port: 0 } : { kind, port: 0, tls: server }

  test('is over after its time, however slowly its bytes come', async () => {
    for (const kind of kinds) {
      const deps = recordingDeps({ handshakeTimeoutMs: 200 })
      const socket = await dial(await open(optionsOf(kind), deps))
      const end = closing(socket)
      const began = performance.now()
      // The beginning of a ClientHello of 64 KiB, or of a request.
      const bytes =
        kind === 'ws' ? Buffer.from(upgrade.slice(0, 40)) : Buffer.from('16030100fa010000f603031234567890', 'hex')
      let sent = 0
      const timer = setInterval(() => sent < bytes.length && socket.write(bytes.subarray(sent, ++sent)), 20)
      await end
      clearInterval(timer)
      assert.ok(performance.now() - began < 3_000, kind)
      assert.equal(deps.accepted.length, 0)
      while (deps.admission.open > 0) await new Promise((resolve) => setImmediate(resolve))
    }
  })

  test('makes room for younger ones, and honest clients get through', async () => {
    for (const kind of kinds) {
      const deps = recordingDeps({ limits: { halfOpenPerAddressMax: 10 } })
      const port = await open(optionsOf(kind), deps)
      const silent: Socket[] = []
      for (let i = 0; i < 100; i++) {
        const socket = await dial(port)
        // Some of them in the middle of their handshake.
        if (i % 2 === 0) socket.write(kind === 'ws' ? 'GET / HTTP/1.1\r\n' : Buffer.from('16030100fa010000f6', 'hex'))
        silent.push(socket)
      }
      const healthy = await dial(port)
      const stream = kind === 'ws' ? healthy : await secured(healthy)
      if (kind !== 'tls') stream.write(upgrade)
      const { transport } = await deps.next()
      assert.equal(transport.info.remoteAddress, '127.0.0.1')
      assert.equal(deps.counters.halfOpen, 91)
      for (const socket of silent) socket.destroy()
      healthy.destroy()
      while (deps.admission.open > 0) await new Promise((resolve) => setImmediate(resolve))
      assert.equal(deps.admission.halfOpen, 0)
    }
  })
})

test('damaged headers from a proxy end their connections, and nothing else', async () => {
  const deps = recordingDeps({ handshakeTimeoutMs: 1_000 })
  const port = await open({ kind: 'tcp', port: 0, proxyProtocol }, deps)
  const { below } = randomFrom(20_261_128)
  const headers = [Buffer.from(line), Buffer.from('0d0a0d0a000d0a515549540a2111000cc0000207c6336401dc04075b', 'hex')]
  for (let i = 0; i < 300; i++) {
    const bytes = Buffer.concat([headers[i % 2] as Buffer, Buffer.from('rest')])
    for (let n = 0; n <= i % 3; n++) bytes[below(bytes.length)] = below(256)
    const socket = await dial(port)
    const cut = below(bytes.length)
    socket.write(bytes.subarray(0, cut))
    socket.end(bytes.subarray(cut))
  }
  const honest = await dial(port)
  honest.write('PROXY TCP4 192.0.2.9 198.51.100.1 4711 1883\r\nx')
  while (!deps.accepted.some(({ info }) => info.remotePort === 4_711))
    await new Promise((resolve) => setImmediate(resolve))
  for (const socket of sockets) socket.destroy()
  while (deps.admission.open > 0) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(deps.admission.halfOpen, 0)
})

describe('a refused connection', () => {
  test('reaches neither TLS nor HTTP', async () => {
    for (const kind of ['tls', 'ws', 'wss'] as const) {
      const deps = recordingDeps({ connectionsMax: 1 })
      const options = kind === 'ws' ? { kind, port: 0 } : { kind, port: 0, tls: server }
      const port = await open(options, deps)
      await dial(port)
      assert.equal(await closing(await dial(port)), '')
      assert.equal(deps.counters.connectionsFull, 1)
    }
  })
})
