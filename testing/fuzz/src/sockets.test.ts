import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { connect as connectSocket, createServer } from 'node:net'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type Broker, createBroker } from '@concordmq/broker'
import type { Target } from '../../testkit/src/raw-client.ts'
import { makeCase } from './socket-case.ts'
import { checkFlat, fuzzSockets } from './sockets.ts'

test('socket fuzz: 3,000 connections that break rules cost healthy clients nothing and leave nothing behind', {
  timeout: 90_000,
}, async () => {
  const { cases, delivered, before, after } = await fuzzSockets({ seed: 1, cases: 3000 })
  assert.equal(cases, 3000)
  assert.ok(delivered > 100 && before !== undefined && after !== undefined)
})

test('socket fuzz: a seed always stands for the same case, and every kind comes up', () => {
  assert.deepEqual(makeCase(8123), makeCase(8123))
  const cases = Array.from({ length: 500 }, (_, seed) => makeCase(seed))
  const seen = (part: (one: (typeof cases)[number]) => string): string => [...new Set(cases.map(part))].sort().join(' ')
  assert.equal(
    seen(({ kind }) => kind),
    'damaged damagedConnect noise valid',
  )
  assert.equal(
    seen(({ ending }) => ending),
    'destroy end reset',
  )
  assert.equal(
    seen(({ transport }) => transport),
    'tcp ws',
  )
})

describe('a broker that breaks a promise is found', () => {
  test('malformed bytes to one client', async () => {
    // A reserved packet type behind what the broker sends, on all connections after those of the healthy clients.
    const spoil = (bytes: Buffer, connection: number): Buffer =>
      connection < 4 ? bytes : Buffer.concat([bytes, Buffer.from([0, 0])])
    await assert.rejects(throughProxy({ spoil }), {
      message: /Repeat: node testing\/fuzz\/src\/sockets\.ts --seed \d+ --cases \d+$/u,
    })
  })

  test('a message that does not reach a healthy client', async () => {
    await assert.rejects(throughProxy({ spoil: withoutOneHealthyMessage() }), (error: Error) => {
      assert.match(String(error.cause), /payload of/u)
      return true
    })
  })

  test('a heap or handles that grow', () => {
    const flat = { heapBytes: 20e6, handles: 7 }
    checkFlat(flat, { heapBytes: 21e6, handles: 7 })
    assert.throws(() => checkFlat(flat, { heapBytes: 60e6, handles: 7 }), /heap grew/u)
    assert.throws(() => checkFlat(flat, { heapBytes: 20e6, handles: 8 }), /handles/u)
  })
})

test('socket fuzz: bad usage exits with 64', () => {
  const program = fileURLToPath(new URL('./sockets.ts', import.meta.url))
  for (const args of [
    ['--cases', '0'],
    ['--target', 'nowhere'],
    ['--colour', 'red'],
  ]) {
    assert.equal(spawnSync(process.execPath, [program, ...args]).status, 64, args.join(' '))
  }
})

/** Fuzzes a good broker through a proxy that changes what the broker sends. */
async function throughProxy({
  spoil,
}: {
  readonly spoil: (bytes: Buffer, connection: number) => Buffer
}): Promise<void> {
  const broker: Broker = await createBroker({ access: { allowAnonymous: true }, sys: { intervalSeconds: 0 } })
  const listener = await broker.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })
  let connections = 0
  const proxy = createServer((client) => {
    const number = connections++
    const server = connectSocket({ host: '127.0.0.1', port: listener.port })
    client.on('error', () => server.destroy())
    server.on('error', () => client.destroy())
    client.pipe(server)
    server.on('data', (bytes) => client.write(spoil(bytes, number)))
    server.on('close', () => client.destroy())
  })
  try {
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    const target: Target = { host: '127.0.0.1', port: (proxy.address() as { port: number }).port }
    await fuzzSockets({ seed: 1, cases: 400, target })
  } finally {
    proxy.close()
    await broker.close({ graceMs: 0 })
  }
}

/** Takes the first PUBLISH of a healthy topic with number 8 out of the stream. */
function withoutOneHealthyMessage(): (bytes: Buffer) => Buffer {
  let taken = false
  return (bytes) => {
    const at = taken ? -1 : bytes.indexOf('healthy')
    // 3.1.1 at QoS 1: first byte, remaining length, topic, identifier, and one digit.
    if (at < 4 || bytes[at - 4] !== 0x32) return bytes
    const end = at - 2 + (bytes[at - 3] as number)
    taken = true
    return Buffer.concat([bytes.subarray(0, at - 4), bytes.subarray(end)])
  }
}
