import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls'
import type { ListenerHandle, ListenerOptions } from '../config/options.ts'
import type { ListenerDeps } from './deps.ts'
import { makeAuthority, recordingDeps } from './listener.testkit.ts'
import { openListener } from './listener.ts'

const authority = await makeAuthority('ConcordMQ test root')
const stranger = await makeAuthority('Somebody else')
const server = await authority.issue('localhost')
const folder = await mkdtemp(join(tmpdir(), 'concordmq-listener-'))
const handles: ListenerHandle[] = []
const sockets: { destroy(): void }[] = []
after(async () => {
  for (const socket of sockets) socket.destroy()
  for (const handle of handles) await handle.close()
  await rm(folder, { recursive: true })
})

async function open(options: ListenerOptions, deps: ListenerDeps): Promise<ListenerHandle> {
  const handle = await openListener(options, deps)
  handles.push(handle)
  return handle
}

async function dial(to: { port: number; host?: string } | { path: string }): Promise<Socket> {
  const socket = connect(to)
  sockets.push(socket)
  await once(socket, 'connect')
  return socket
}

async function dialTls(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connectTls({ port, host: '127.0.0.1', servername: 'localhost', ca: authority.cert, ...options })
  sockets.push(socket)
  await once(socket, 'secureConnect')
  return socket
}

/** Resolves when the socket closes, with what it had received; errors count as closed. */
function closing(socket: Socket): Promise<Buffer> {
  const parts: Buffer[] = []
  socket.on('data', (chunk: Buffer) => parts.push(chunk))
  socket.on('error', () => {})
  return new Promise((resolve) => socket.once('close', () => resolve(Buffer.concat(parts))))
}

describe('openListener() for tcp', () => {
  it('accepts connections on IPv4 with the address of the client', async () => {
    const deps = recordingDeps()
    const handle = await open({ kind: 'tcp', host: '127.0.0.1', port: 0, name: 'plain' }, deps)
    assert.equal(handle.address, `127.0.0.1:${handle.port}`)
    const client = await dial({ port: handle.port, host: '127.0.0.1' })
    const { transport, sink } = await deps.next()
    assert.deepEqual(transport.info, {
      listener: 'plain',
      remoteAddress: '127.0.0.1',
      remotePort: client.localPort,
      encrypted: false,
    })
    client.write('hello')
    await sink.bytes(5)
    transport.write([Buffer.from('world')], 1)
    const [answer] = (await once(client, 'data')) as [Buffer]
    assert.equal(answer.toString(), 'world')
  })

  it('accepts connections on IPv6, written with or without brackets', async () => {
    for (const host of ['::1', '[::1]']) {
      const deps = recordingDeps()
      const handle = await open({ kind: 'tcp', host, port: 0 }, deps)
      assert.equal(handle.address, `[::1]:${handle.port}`)
      await dial({ port: handle.port, host: '::1' })
      assert.equal((await deps.next()).transport.info.remoteAddress, '::1')
    }
  })

  it('shows IPv4 clients of a dual-stack listener by their IPv4 address', async () => {
    const deps = recordingDeps()
    const handle = await open({ kind: 'tcp', host: '::', port: 0 }, deps)
    await dial({ port: handle.port, host: '127.0.0.1' })
    assert.equal((await deps.next()).transport.info.remoteAddress, '127.0.0.1')
  })

  it('refuses an address in use with CMQ_ADDRESS_IN_USE, naming it', async () => {
    const first = await open({ kind: 'tcp', port: 0 }, recordingDeps())
    await assert.rejects(openListener({ kind: 'tcp', port: first.port }, recordingDeps()), (error: Error) => {
      assert.equal((error as Error & { code: string }).code, 'CMQ_ADDRESS_IN_USE')
      assert.match(error.message, new RegExp(`127\\.0\\.0\\.1:${first.port}.*choose another address`))
      return true
    })
  })

  it('refuses an address of another machine and an unknown host with CMQ_ADDRESS_UNAVAILABLE', async () => {
    // 192.0.2.0/24 is reserved for documents, so no machine has it.
    await assert.rejects(openListener({ kind: 'tcp', host: '192.0.2.1', port: 0 }, recordingDeps()), {
      code: 'CMQ_ADDRESS_UNAVAILABLE',
    })
    await assert.rejects(openListener({ kind: 'tcp', host: 'no-such-host.invalid', port: 0 }, recordingDeps()), {
      code: 'CMQ_ADDRESS_UNAVAILABLE',
    })
  })

  it('closes connections above connectionsMax at once, logs one line, and takes new ones when there is room', async () => {
    const deps = recordingDeps({ connectionsMax: 2 })
    const handle = await open({ kind: 'tcp', port: 0 }, deps)
    const first = await dial({ port: handle.port })
    await dial({ port: handle.port })
    const { transport } = await deps.next()
    await deps.next()
    for (let i = 0; i < 3; i++) assert.equal((await closing(await dial({ port: handle.port }))).length, 0)
    assert.equal(deps.accepted.length, 2)
    assert.equal(deps.counters.connectionsFull, 3)
    assert.equal(deps.logger.lines.filter(({ level }) => level === 'warn').length, 1)
    const gone = closing(first)
    transport.destroy()
    await gone
    await dial({ port: handle.port })
    await deps.next()
    assert.equal(deps.admission.open, 2)
  })

  it('takes no new connections after close, and leaves the existing ones alone', async () => {
    const deps = recordingDeps()
    const handle = await open({ kind: 'tcp', port: 0 }, deps)
    const client = await dial({ port: handle.port })
    const { transport } = await deps.next()
    await handle.close()
    await handle.close()
    await assert.rejects(once(connect(handle.port, '127.0.0.1'), 'connect'), { code: 'ECONNREFUSED' })
    transport.write([Buffer.from('still here')], 1)
    const [data] = (await once(client, 'data')) as [Buffer]
    assert.equal(data.toString(), 'still here')
    client.destroy()
  })

  it('refuses reloadTls with CMQ_TLS_RELOAD', async () => {
    const handle = await open({ kind: 'tcp', port: 0 }, recordingDeps())
    await assert.rejects(handle.reloadTls(server), { code: 'CMQ_TLS_RELOAD' })
  })
})

describe('openListener() for tls', () => {
  it('accepts TLS 1.3 and 1.2 and marks the connection encrypted', async () => {
    const deps = recordingDeps()
    const { port } = await open({ kind: 'tls', port: 0, tls: server }, deps)
    const newest = await dialTls(port)
    assert.equal(newest.getProtocol(), 'TLSv1.3')
    const { transport, sink } = await deps.next()
    assert.equal(transport.info.encrypted, true)
    assert.equal(transport.info.certificate, undefined)
    newest.write('over tls')
    await sink.bytes(8)
    const staging = Buffer.from('encrypted at write')
    transport.write([staging.subarray(0, 9), staging.subarray(9)], 2)
    const [echo] = (await once(newest, 'data')) as [Buffer]
    assert.equal(echo.toString(), 'encrypted at write')
    await sink.until(({ drains }) => drains > 0)
    assert.equal(transport.pending, 0)
    const older = await dialTls(port, { maxVersion: 'TLSv1.2' })
    assert.equal(older.getProtocol(), 'TLSv1.2')
  })

  it('refuses TLS 1.1 and plain text without a connection reaching the broker', async () => {
    const deps = recordingDeps()
    const { port } = await open({ kind: 'tls', port: 0, tls: server }, deps)
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
    await assert.rejects(dialTls(port, old), /protocol version|EPROTO|alert/i)
    const plain = await dial({ port })
    const gone = closing(plain)
    plain.write(Buffer.from('100c00044d5154540402003c0000', 'hex'))
    await gone
    assert.equal(deps.accepted.length, 0)
  })

  it('closes a client that does not finish the handshake in time', async () => {
    const deps = recordingDeps({ handshakeTimeoutMs: 30 })
    const { port } = await open({ kind: 'tls', port: 0, tls: server }, deps)
    await closing(await dial({ port }))
    assert.equal(deps.accepted.length, 0)
    assert.ok(deps.logger.lines.some(({ fields }) => fields.event === 'tls.refused'))
  })

  it('cuts half-done handshakes when it closes', async () => {
    const deps = recordingDeps()
    const handle = await open({ kind: 'tls', port: 0, tls: server }, deps)
    const idle = await dial({ port: handle.port })
    const gone = closing(idle)
    // A finished handshake on a later connection shows that the idle one has been accepted.
    await dialTls(handle.port)
    await handle.close()
    await gone
  })

  it('shows a verified client certificate', async () => {
    const deps = recordingDeps()
    const { port } = await open({ kind: 'tls', port: 0, tls: { ...server, ca: authority.cert } }, deps)
    const client = await authority.issue('sensor-7')
    await dialTls(port, client)
    const { transport } = await deps.next()
    assert.equal(transport.info.certificate?.commonName, 'sensor-7')
    assert.equal(transport.info.certificate?.subject, 'CN=sensor-7')
    assert.match(transport.info.certificate?.fingerprint256 ?? '', /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/)
  })

  it('refuses a client without certificate, and one of a stranger, when certificates are required', async () => {
    const deps = recordingDeps()
    const { port } = await open({ kind: 'tls', port: 0, tls: { ...server, ca: authority.cert } }, deps)
    for (const identity of [{}, await stranger.issue('sensor-7')]) {
      // In TLS 1.3 the client believes itself connected before the server has looked at its certificate.
      const socket = connectTls({ port, host: '127.0.0.1', servername: 'localhost', ca: authority.cert, ...identity })
      await closing(socket)
    }
    assert.equal(deps.accepted.length, 0)
  })

  it('accepts both without their certificate when certificates are optional', async () => {
    const deps = recordingDeps()
    const tls = { ...server, ca: authority.cert, requireClientCertificate: false }
    const { port } = await open({ kind: 'tls', port: 0, tls }, deps)
    for (const identity of [{}, await stranger.issue('sensor-7')]) {
      await dialTls(port, identity)
      assert.equal((await deps.next()).transport.info.certificate, undefined)
    }
  })

  it('reloadTls serves the new certificate to new clients and keeps the old ones connected', async () => {
    const deps = recordingDeps()
    const handle = await open({ kind: 'tls', port: 0, tls: server }, deps)
    const before = await dialTls(handle.port)
    const { transport } = await deps.next()
    await handle.reloadTls(await authority.issue('renewed'))
    const afterwards = await dialTls(handle.port)
    assert.equal(before.getPeerCertificate().subject.CN, 'localhost')
    assert.equal(afterwards.getPeerCertificate().subject.CN, 'renewed')
    transport.write([Buffer.from('unbroken')], 1)
    const [data] = (await once(before, 'data')) as [Buffer]
    assert.equal(data.toString(), 'unbroken')
  })

  it('reloadTls rejects unusable material and goes on with the old one', async () => {
    const handle = await open({ kind: 'tls', port: 0, tls: server }, recordingDeps())
    const other = await authority.issue('other')
    await assert.rejects(handle.reloadTls({ cert: other.cert, key: server.key }), { code: 'CMQ_TLS_KEY_MISMATCH' })
    await assert.rejects(handle.reloadTls({ cert: 'nothing', key: other.key }), { code: 'CMQ_TLS_CERTIFICATE' })
    await assert.rejects(handle.reloadTls({ ...other, ca: authority.cert }), { code: 'CMQ_TLS_RELOAD' })
    assert.equal((await dialTls(handle.port)).getPeerCertificate().subject.CN, 'localhost')
    await handle.close()
    await assert.rejects(handle.reloadTls(other), { code: 'CMQ_LISTENER_CLOSED' })
  })

  it('refuses unusable material before it opens, saying which text and why', async () => {
    const other = await authority.issue('other')
    const cases = [
      { tls: { cert: '', key: server.key }, code: 'CMQ_TLS_CERTIFICATE', says: /tls\.cert .*no PEM certificate/ },
      { tls: { cert: server.key, key: server.key }, code: 'CMQ_TLS_CERTIFICATE', says: /no PEM certificate/ },
      {
        tls: {
          cert: `${server.cert}\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`,
          key: server.key,
        },
        code: 'CMQ_TLS_CERTIFICATE',
        says: /certificate 2 of 2/,
      },
      {
        tls: { cert: `${server.cert}\n-----BEGIN CERTIFICATE-----\nAAAA`, key: server.key },
        code: 'CMQ_TLS_CERTIFICATE',
        says: /something else than whole/,
      },
      { tls: { cert: server.cert, key: 'no key' }, code: 'CMQ_TLS_KEY', says: /tls\.key/ },
      { tls: { cert: server.cert, key: other.key }, code: 'CMQ_TLS_KEY_MISMATCH', says: /CN=localhost/ },
      { tls: { ...server, ca: 'no root' }, code: 'CMQ_TLS_CA', says: /tls\.ca/ },
      { tls: { ...server, requireClientCertificate: true }, code: 'CMQ_TLS_CA', says: /without tls\.ca/ },
    ]
    for (const { tls, code, says } of cases) {
      await assert.rejects(
        openListener({ kind: 'tls', port: 0, name: 'secure', tls }, recordingDeps()),
        (error: Error) => {
          assert.equal((error as Error & { code: string }).code, code)
          assert.match(error.message, says)
          assert.ok(!error.message.includes(server.key.slice(40, 80)), 'no key material in errors')
          return true
        },
      )
    }
  })

  it('opens with an expired certificate and warns', async () => {
    const deps = recordingDeps()
    const day = 86_400_000
    const validity = { notBefore: new Date(Date.now() - 3 * day), notAfter: new Date(Date.now() - day) }
    await open({ kind: 'tls', port: 0, tls: await authority.issue('late', validity) }, deps)
    assert.deepEqual(
      deps.logger.lines.map(({ level, message }) => [level, message]),
      [['warn', 'The certificate of listener "tls" is expired: clients will refuse it']],
    )
  })
})

describe('openListener() for unix', () => {
  it('accepts connections, restricts the file to owner and group, and removes it on close', async () => {
    const path = join(folder, 'mqtt.sock')
    const deps = recordingDeps()
    const handle = await open({ kind: 'unix', path }, deps)
    assert.equal(handle.address, path)
    assert.equal((await stat(path)).mode & 0o777, 0o660)
    const client = await dial({ path })
    const { transport, sink } = await deps.next()
    assert.equal(transport.info.remoteAddress, path)
    client.write('local')
    await sink.bytes(5)
    await handle.close()
    assert.deepEqual(await readdir(folder), [])
  })

  it('refuses a socket on which somebody answers, and leaves it', async () => {
    const path = join(folder, 'taken.sock')
    const deps = recordingDeps()
    const first = await open({ kind: 'unix', path }, deps)
    await assert.rejects(openListener({ kind: 'unix', path }, recordingDeps()), { code: 'CMQ_ADDRESS_IN_USE' })
    await dial({ path })
    await first.close()
  })

  it('replaces the socket of a process that died', async () => {
    const path = join(folder, 'stale.sock')
    const linger = createServer()
    await once(linger.listen(path), 'listening')
    const kept = join(folder, 'kept.sock')
    // Closing removes the file by its name; another name for it survives, like the file of a killed process.
    const { link } = await import('node:fs/promises')
    await link(path, kept)
    linger.close()
    await once(linger, 'close')
    const deps = recordingDeps()
    const handle = await open({ kind: 'unix', path: kept }, deps)
    await dial({ path: kept })
    await deps.next()
    await handle.close()
  })

  it('refuses a path where a file of another kind lies, and leaves the file', async () => {
    const path = join(folder, 'notes.txt')
    await writeFile(path, 'precious')
    await assert.rejects(openListener({ kind: 'unix', path }, recordingDeps()), { code: 'CMQ_ADDRESS_IN_USE' })
    assert.equal((await stat(path)).size, 8)
  })

  it('refuses a missing folder and a path too long', async () => {
    const missing = join(folder, 'nowhere', 'mqtt.sock')
    await assert.rejects(openListener({ kind: 'unix', path: missing }, recordingDeps()), /Cannot listen on .*nowhere/)
    const long = join(folder, 'x'.repeat(120))
    await assert.rejects(openListener({ kind: 'unix', path: long }, recordingDeps()), /at most 103 bytes/)
  })
})
