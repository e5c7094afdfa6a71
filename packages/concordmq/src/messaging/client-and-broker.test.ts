/** Client, `pub` and `sub` against a real broker over every transport. Spawned programs are the ones a user starts. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type Broker, createBroker, type ListenerHandle, type ListenerOptions } from '@concordmq/broker'
import { type Client, connect, type Message } from '@concordmq/client'
import { makeCertificate } from '../identity/certificate.ts'
import { randomKey } from '../identity/secret-key.ts'

const program = new URL('../../bin/concordmq.js', import.meta.url).pathname
const directory = mkdtempSync(join(tmpdir(), 'concordmq-'))
const caFile = join(directory, 'ca.pem')
let broker: Broker
let certificate: string
const listeners = new Map<ListenerOptions['kind'], ListenerHandle>()

before(async () => {
  broker = await createBroker({ access: { allowAnonymous: true } })
  const { privateKey } = randomKey()
  certificate = await makeCertificate({
    privateKey,
    serverName: 'localhost',
    boundHosts: ['127.0.0.1'],
    now: new Date(),
  })
  writeFileSync(caFile, certificate)
  const tls = { cert: certificate, key: String(privateKey.export({ type: 'pkcs8', format: 'pem' })) }
  const host = '127.0.0.1'
  for (const options of [
    { kind: 'tcp', host, port: 0 },
    { kind: 'tls', host, port: 0, tls },
    { kind: 'ws', host, port: 0 },
    { kind: 'unix', path: join(directory, 'mqtt.sock') },
  ] as const) {
    listeners.set(options.kind, await broker.listen(options))
  }
})

after(async () => {
  await broker.close({ graceMs: 100 })
  rmSync(directory, { recursive: true })
})

const portOf = (kind: ListenerOptions['kind']): string => String(listeners.get(kind)?.port)
const urls: Record<string, () => string> = {
  'mqtt://': () => `mqtt://127.0.0.1:${portOf('tcp')}`,
  'mqtts://': () => `mqtts://localhost:${portOf('tls')}`,
  'ws://': () => `ws://127.0.0.1:${portOf('ws')}/mqtt`,
  'unix:': () => `unix:${join(directory, 'mqtt.sock')}`,
}

async function exchange(client: Client, topic: string): Promise<void> {
  const seen: number[] = []
  await client.subscribe(`${topic}/+`, { qos: 2 }, ({ payload }) => void seen.push(payload[0] as number))
  const publications = []
  for (let i = 0; i < 300; i++)
    publications.push(client.publish(`${topic}/x`, Uint8Array.of(i % 256), { qos: (i % 3) as 0 | 1 | 2 }))
  const last = client.messages(`${topic}/end`)
  publications.push(client.publish(`${topic}/end`, 'e', { qos: 2 }))
  await last.next()
  await Promise.all(publications)
  assert.deepEqual(
    seen.slice(0, 300),
    Array.from({ length: 300 }, (_, i) => i % 256),
  )
}

describe('connect()', () => {
  for (const version of [3, 4, 5] as const) {
    test(`exchanges messages of every QoS in order, version ${version}`, async () => {
      const client = await connect(urls['mqtt://']?.() ?? '', { version })
      await exchange(client, `v${version}`)
      await client.disconnect()
      assert.equal(await client.closed, undefined)
    })
  }

  for (const scheme of ['mqtts://', 'ws://', 'unix:']) {
    test(`exchanges messages over ${scheme}`, async () => {
      const client = await connect(urls[scheme]?.() ?? '', { tls: { ca: certificate } })
      await exchange(client, `over-${scheme.slice(0, 2)}`)
      await client.disconnect()
    })
  }

  test('refuses a server whose certificate it does not trust', async () => {
    await assert.rejects(connect(urls['mqtts://']?.() ?? ''), { code: 'CMQ_CONNECT_FAILED' })
  })

  test('goes on with a kept session however often the connection is cut: nothing is missing, nothing comes twice', async () => {
    const cut = await openCutter(Number(portOf('tcp')))
    const reconnect = { retryDelayMsMin: 1, retryDelayMsMax: 5 }
    const kept = { sessionExpiryInterval: 60, reconnect }
    const subscriber = await connect(cut.url, { ...kept, clientId: 'kept-sub' })
    const publisher = await connect(cut.url, { ...kept, clientId: 'kept-pub' })
    const messages = subscriber.messages('k')
    await subscriber.subscribe('k', { qos: 2 })
    const count = 400
    const publications: Promise<unknown>[] = []
    const seen: string[] = []
    for (let i = 0; i < count; i++) {
      publications.push(publisher.publish('k', String(i), { qos: 2 }))
      if (i % 10 === 9) seen.push(text(await messages.next()))
      if (i % 100 === 50) cut.now()
    }
    while (seen.length < count) seen.push(text(await messages.next()))
    await Promise.all(publications)
    assert.deepEqual(
      seen,
      Array.from({ length: count }, (_, i) => String(i)),
    )
    assert.ok(cut.connections > 4, `${cut.connections} connections`)
    await subscriber.disconnect()
    await publisher.disconnect()
    cut.close()
  })
})

function text({ value }: IteratorResult<Message, undefined>): string {
  return Buffer.from(value?.payload ?? []).toString()
}

/** A TCP relay whose connections can be cut in the middle of anything. */
async function openCutter(port: number) {
  const open = new Set<Socket>()
  let connections = 0
  const server = createServer((client) => {
    connections++
    const upstream = connectTcp({ host: '127.0.0.1', port })
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      open.add(from)
      from.on('error', () => {})
      from.on('close', () => {
        open.delete(from)
        to.destroy()
      })
      from.pipe(to)
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get connections() {
      return connections
    },
    now() {
      for (const socket of open) socket.destroy()
    },
    close() {
      server.close()
    },
  }
}

interface Run {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** Runs the program; `onLine` sees what it says on standard error, and may act on it. */
async function run(
  args: readonly string[],
  options: { input?: string; onError?: (text: string, stop: () => void) => void } = {},
): Promise<Run> {
  const child = spawn(process.execPath, [program, ...args], { env: { ...process.env, CONCORDMQ_PASSWORD: undefined } })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
    options.onError?.(text, () => child.kill('SIGINT'))
  })
  child.stdin.end(options.input ?? '')
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, out, err }
}

describe('pub and sub', () => {
  test('carry a message with its properties, once the subscription is there', async () => {
    const port = portOf('tcp')
    let publishing: Promise<Run> | undefined
    const flags = ['-p', port, '-h', '127.0.0.1', '-t', 'cli/#', '-q', '2', '-C', '1', '-d', '-F', '%t|%q|%C|%P|%p']
    const { code, out } = await run(['sub', ...flags], {
      onError: (text) => {
        if (!text.includes('Subscribed')) return
        const properties = ['-D', 'publish', 'content-type', 'text/plain', '-D', 'publish', 'user-property', 'k', 'v']
        publishing = run(['pub', '-p', port, '-h', '127.0.0.1', '-t', 'cli/a', '-m', '-5', '-q', '2', ...properties])
      },
    })
    assert.equal(out, 'cli/a|2|text/plain|k:v|-5\n')
    assert.equal(code, 0)
    assert.deepEqual(await publishing, { code: 0, out: '', err: '' })
  })

  test('publish every line of standard input, over TLS', async () => {
    const client = await connect(urls['mqtt://']?.() ?? '')
    const messages = client.messages()
    await client.subscribe('lines')
    const { code, err } = await run(
      ['pub', '-L', `mqtts://localhost:${portOf('tls')}/lines`, '--cafile', caFile, '-l', '-q', '1'],
      {
        input: 'one\ntwo\nthree',
      },
    )
    assert.deepEqual([code, err], [0, ''])
    for (const line of ['one', 'two', 'three']) {
      assert.equal(Buffer.from((await messages.next()).value?.payload ?? []).toString(), line)
    }
    await client.disconnect()
  })

  test('leave cleanly on SIGINT', async () => {
    const flags = ['sub', '-h', '127.0.0.1', '-p', portOf('tcp'), '-t', 'x', '-d']
    const { code } = await run(flags, { onError: (text, stop) => void (text.includes('Subscribed') && stop()) })
    assert.equal(code, 0)
  })

  test('end with 27 when the time of -W is over', async () => {
    const { code, err } = await run(['sub', '-h', '127.0.0.1', '-p', portOf('tcp'), '-t', 'x', '-W', '0.05'])
    assert.equal(code, 27)
    assert.match(err, /Timed out/)
  })

  test('end with the code of a refusing CONNACK and say why', async () => {
    // Somebody may log in, but not without a name.
    const record = '$argon2id$v=19$m=19456,t=2,p=1$Y29uY29yZG1xc2FsdDE2Yg$aS5S0lDwB8lJin8sFeLfvMgDsr9zBrPVVAMAqlmb4mI'
    const strict = await createBroker({ access: { users: new Map([['myagent', record]]) } })
    const { port } = await strict.listen({ kind: 'tcp', port: 0 })
    const refused = await run(['pub', '-h', '127.0.0.1', '-p', String(port), '-t', 'a', '-m', 'x'])
    const old = await run(['pub', '-h', '127.0.0.1', '-p', String(port), '-t', 'a', '-m', 'x', '-V', '311'])
    await strict.close({ graceMs: 100 })
    assert.equal(refused.code, 0x87)
    assert.match(refused.err, /the server refused, not authorized \(0x87\)\nGive a user name with -u/)
    assert.doesNotMatch(refused.err, /\n\s+at /)
    assert.equal(old.code, 5)
  })

  for (const [args, why] of [
    [['pub', '-m', 'x'], 'Cannot publish without a topic'],
    [['pub', '-t', 'a'], 'Cannot publish without a message'],
    [['pub', '-t', 'a', '-m', 'x', '-n'], 'more than one of'],
    [['pub', '-t', 'a', '-m', 'x', '-q', '3'], 'Cannot use -q "3"'],
    [['pub', '-t', 'a', '-m', 'x', '-V', '9'], 'Cannot use -V "9"'],
    [['pub', '-t', 'a', '-m', 'x', '-p', '0'], 'Cannot use -p "0"'],
    [['pub', '-t', 'a', '-m', 'x', '-h', 'a/b'], 'Cannot use -h "a/b"'],
    [['pub', '-t', 'a', '-m', 'x', '-L', 'http://h'], 'Cannot use a server URL'],
    [['pub', '-t', 'a', '-m', 'x', '--will-payload', 'x'], 'Cannot use a will without a topic'],
    [['sub'], 'Cannot subscribe without a topic filter'],
    [['sub', '-t', 'a', '-c'], 'Cannot keep a session'],
    [['sub', '-t', 'a', '-C', '0'], 'Cannot use -C "0"'],
    [['sub', '-t', 'a', '-V', '311', '-x', '5'], 'Cannot use -x in MQTT 3'],
    [['sub', '-t', 'a', '-F', '%y'], 'means nothing'],
  ] as const) {
    test(`refuse ${args.join(' ')}`, async () => {
      const { code, err, out } = await run(args)
      assert.equal(code, 64)
      assert.ok(err.includes(why), err)
      assert.equal(out, '')
    })
  }
})
