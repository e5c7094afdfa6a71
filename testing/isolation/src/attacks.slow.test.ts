/**
 * Attacks that end at the door: what the broker answers, and that it serves others as before. Those that go on inside are
 * the loads of this folder. `docs/internals/attacks.md` lists both with their outcome.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect as connectSocket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { connect as connectTls, type SecureVersion, type TLSSocket } from 'node:tls'
import { type BrokerProcess, startBroker } from '../../testkit/src/broker-process.ts'
import { connect, type Target } from '../../testkit/src/raw-client.ts'
import * as wire from '../../testkit/src/wire.ts'
import { measurePasswordTiming } from './password-timing.ts'

let directory: string
let broker: BrokerProcess

before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'concordmq-attacks-'))
  broker = await startBroker({ directory, flags: ['--allow-anonymous-login'], websocket: true, tls: true })
})
after(async () => {
  await broker.kill()
  rmSync(directory, { recursive: true })
})

/** After every attack somebody else is served, and the broker has found no fault in itself. */
async function stillServes(): Promise<void> {
  const client = await connect(broker.target, 5, { clientId: 'witness' })
  await client.subscribe('witness', 1)
  client.send(wire.publish(5, 'witness', 'here'))
  await client.receive({ topic: 'witness', payload: 'here' })
  await client.disconnect()
  assert.deepEqual(
    broker.complaints.filter((line) => line.includes('"ERROR"')),
    [],
  )
}

describe('TLS', () => {
  const handshake = (minVersion: SecureVersion, maxVersion: SecureVersion): Promise<TLSSocket> =>
    new Promise((resolve, reject) => {
      const socket = connectTls({
        ...(broker.tls as Target),
        rejectUnauthorized: false,
        minVersion,
        maxVersion,
        ciphers: 'ALL:@SECLEVEL=0',
      })
      socket.once('secureConnect', () => resolve(socket))
      socket.once('error', reject)
    })

  for (const version of ['TLSv1', 'TLSv1.1'] as const) {
    test(`${version} is refused`, async () => {
      await assert.rejects(handshake(version, version), /alert|version|EPROTO|disconnected|hang up|reset/iu)
      await stillServes()
    })
  }

  test('TLS 1.2 and 1.3 are taken', async () => {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const socket = await handshake(version, version)
      assert.equal(socket.getProtocol(), version)
      socket.destroy()
    }
  })

  test('a client that renegotiates again and again is cut off', { timeout: 20_000 }, async () => {
    const socket = await handshake('TLSv1.2', 'TLSv1.2')
    socket.on('error', () => {})
    let renegotiated = 0
    await new Promise<void>((resolve) => {
      socket.resume()
      socket.once('close', () => resolve())
      const again = (): void => {
        socket.renegotiate({ rejectUnauthorized: false }, (error) => {
          if (error !== null || socket.destroyed || renegotiated > 10) resolve()
          else {
            renegotiated++
            again()
          }
        })
      }
      socket.write(wire.connect(4, { clientId: 'renegotiator' }))
      again()
    })
    socket.destroy()
    assert.ok(renegotiated <= 4, `${renegotiated} renegotiations were let pass`)
    await stillServes()
  })
})

describe('WebSocket port', () => {
  const key = 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='
  const headers = [
    'Host: a',
    'Upgrade: websocket',
    'Connection: Upgrade',
    'Sec-WebSocket-Version: 13',
    key,
    'Sec-WebSocket-Protocol: mqtt',
  ]
  const request = (path: string, list: readonly string[] = headers): string =>
    `GET ${path} HTTP/1.1\r\n${list.join('\r\n')}\r\n\r\n`

  /** Sends bytes and gives everything that comes until the broker closes, or for so long. */
  function answerTo(
    bytes: Uint8Array | string,
    withinMs = 5_000,
  ): Promise<{ readonly text: string; readonly closed: boolean }> {
    return new Promise((resolve) => {
      const socket = connectSocket({ ...(broker.websocket as Target) })
      let text = ''
      const done = (closed: boolean): void => {
        clearTimeout(timer)
        socket.destroy()
        resolve({ text, closed })
      }
      const timer = setTimeout(done, withinMs, false)
      socket.on('data', (chunk) => {
        text += chunk.toString('latin1')
      })
      socket.on('error', () => {})
      socket.on('close', () => done(true))
      socket.write(bytes)
    })
  }

  const refused: readonly (readonly [string, string | Buffer, RegExp])[] = [
    ['headers of 200 KB', request('/mqtt', [...headers, `X: ${'x'.repeat(200_000)}`]), /^(HTTP\/1\.1 (431|400)|$)/u],
    [
      '10,000 headers',
      request('/mqtt', [...headers, ...Array.from({ length: 10_000 }, (_, i) => `X${i}: y`)]),
      /^(HTTP\/1\.1 (431|400)|$)/u,
    ],
    ['a request line without end', `GET /${'x'.repeat(200_000)}`, /^(HTTP\/1\.1 (431|414|400)|$)/u],
    ['a path that climbs', request('/mqtt/../../etc/passwd'), /^HTTP\/1\.1 4/u],
    ['an encoded path that climbs', request('/%2e%2e/%2e%2e/etc/passwd'), /^HTTP\/1\.1 4/u],
    ['a path with two slashes', request('//mqtt'), /^HTTP\/1\.1 4/u],
    ['a path with a zero byte', request('/mqtt%00/'), /^HTTP\/1\.1 4/u],
    [
      'a body that hides an upgrade',
      `POST /mqtt HTTP/1.1\r\nHost: a\r\nContent-Length: 300\r\n\r\n${request('/mqtt')}`,
      /^HTTP\/1\.1 4(?!.*101 Switching)/su,
    ],
    [
      'both lengths of a body',
      `POST /mqtt HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${request('/mqtt')}`,
      /^HTTP\/1\.1 4(?!.*101 Switching)/su,
    ],
    ['a header with a line feed in its name', request('/mqtt', [...headers, 'X\nY: z']), /^HTTP\/1\.1 400/u],
    [
      'no key',
      request(
        '/mqtt',
        headers.filter((header) => header !== key),
      ),
      /^HTTP\/1\.1 4/u,
    ],
    [
      'a key that is none',
      request(
        '/mqtt',
        headers.map((header) => (header === key ? 'Sec-WebSocket-Key: x' : header)),
      ),
      /^HTTP\/1\.1 4/u,
    ],
    [
      'an unknown version',
      request(
        '/mqtt',
        headers.map((header) => header.replace('13', '99')),
      ),
      /^HTTP\/1\.1 4/u,
    ],
    [
      'another protocol',
      request(
        '/mqtt',
        headers.map((header) => header.replace(/mqtt$/u, 'chat')),
      ),
      /^HTTP\/1\.1 4/u,
    ],
    ['no HTTP at all', Buffer.from('\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 'latin1'), /^(HTTP\/1\.1 4|$)/u],
  ]
  for (const [what, bytes, pattern] of refused) {
    test(`${what}: refused, and nothing is upgraded`, async () => {
      const { text, closed } = await answerTo(bytes)
      assert.ok(closed, `The connection stays open after ${JSON.stringify(text.slice(0, 100))}`)
      assert.match(text, pattern)
      assert.doesNotMatch(text, /101 Switching/u)
      await stillServes()
    })
  }

  const mask = Buffer.alloc(4)
  const hello = wire.connect(4, { clientId: 'framer' })
  const frames: readonly (readonly [string, Buffer])[] = [
    ['a frame without a mask', Buffer.concat([Buffer.from([0x82, hello.length]), hello])],
    ['a frame with reserved bits', Buffer.concat([Buffer.from([0xf2, 0x80 | hello.length]), mask, hello])],
    ['a text frame', Buffer.concat([Buffer.from([0x81, 0x80 | hello.length]), mask, hello])],
    ['a frame that promises 2^40 bytes', Buffer.concat([Buffer.from([0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0]), mask])],
    ['a frame that promises 2^63 bytes', Buffer.concat([Buffer.from([0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]), mask])],
    ['a ping of 1,000 bytes', Buffer.concat([Buffer.from([0x89, 0xfe, 3, 232]), mask, Buffer.alloc(1_000)])],
    ['a continuation of nothing', Buffer.concat([Buffer.from([0x80, 0x81]), mask, Buffer.alloc(1)])],
    ['an opcode that is none', Buffer.concat([Buffer.from([0x83, 0x81]), mask, Buffer.alloc(1)])],
  ]
  for (const [what, bytes] of frames) {
    test(`${what}: the connection is closed`, async () => {
      const { text, closed } = await answerTo(Buffer.concat([Buffer.from(request('/mqtt')), bytes]), 1_000)
      assert.match(text, /^HTTP\/1\.1 101/u)
      // A client that does not answer a close frame is given some seconds.
      assert.ok(closed || text.split('\r\n\r\n')[1]?.charCodeAt(0) === 0x88, 'The connection stays open')
      await stillServes()
    })
  }
})

test('a refusal takes as long for a user who does not exist as for one who does', { timeout: 60_000 }, async () => {
  const { knownMs, unknownMs, share } = await measurePasswordTiming({ count: 60, seed: 1 })
  // 0.5 is blindness. With 60 each a machine that runs other tests stays well inside; an unknown user who is refused
  // without a check would give 1.
  assert.ok(share > 0.25 && share < 0.75, `known ${knownMs} ms, unknown ${unknownMs} ms, share ${share}`)
})
