/** Large messages, which lie in slabs between the two sockets: each client gets what was sent to it, whoever is slow. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import { after, test } from 'node:test'
import { type Random, randomFrom } from '../../../testing/testkit/src/random.ts'
import * as wire from '../../../testing/testkit/src/wire.ts'
import { createBroker } from './broker.ts'

const broker = await createBroker({ access: { allowAnonymous: true }, sys: { intervalSeconds: 0 } })
const { port } = await broker.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })
const sockets: Socket[] = []
after(async () => {
  for (const socket of sockets) socket.destroy()
  await broker.close({ graceMs: 0 })
})

const CONNACK_BYTES = 4
const SUBACK_BYTES = 5

/** A client that is logged in, and subscribed if a filter is given. */
async function client(clientId: string, filter?: string): Promise<Socket> {
  const socket = createConnection({ host: '127.0.0.1', port, noDelay: true })
  sockets.push(socket)
  await once(socket, 'connect')
  socket.write(wire.connect(4, { clientId }))
  if (filter !== undefined) socket.write(wire.subscribe(4, 1, [[filter, 0]]))
  await read(socket, CONNACK_BYTES + (filter === undefined ? 0 : SUBACK_BYTES))
  return socket
}

/** The next `bytes` bytes; afterwards the socket is not read. */
async function read(socket: Socket, bytes: number): Promise<Buffer> {
  const parts: Buffer[] = []
  for (let missing = bytes; missing > 0; ) {
    const part = socket.read(Math.min(missing, socket.readableLength || missing)) as Buffer | null
    if (part === null) await once(socket, 'readable')
    else {
      parts.push(part)
      missing -= part.length
    }
  }
  return Buffer.concat(parts)
}

function messages(random: Random, topic: string, sizes: readonly number[], count: number): Buffer {
  const packets: Uint8Array[] = []
  for (let i = 0; i < count; i++) {
    const payload = Buffer.alloc(random.pick(sizes), random.below(256))
    payload.writeUInt32BE(i)
    packets.push(wire.publish(4, topic, payload))
  }
  return Buffer.concat(packets)
}

/** Writes in pieces that end anywhere. */
async function write(socket: Socket, random: Random, bytes: Buffer): Promise<void> {
  for (let from = 0; from < bytes.length; ) {
    const to = from + 1 + random.below(150_000)
    if (!socket.write(bytes.subarray(from, to))) await once(socket, 'drain')
    from = to
  }
}

const SIZES = [20, 3_000, 20_000, 65_536, 70_000, 200_000, 290_000]

test('several streams of messages of all sizes arrive as they were sent', async () => {
  await Promise.all(
    ['a', 'b', 'c'].map(async (topic, i) => {
      const random = randomFrom(100 + i)
      const subscribers = await Promise.all([client(`${topic}1`, topic), client(`${topic}2`, topic)])
      const publisher = await client(topic)
      const sent = messages(random, topic, SIZES, 100)
      const [one, other] = await Promise.all([
        ...subscribers.map((subscriber) => read(subscriber, sent.length)),
        write(publisher, random, sent),
      ])
      assert.ok(sent.equals(one as Buffer), topic)
      assert.ok(sent.equals(other as Buffer), topic)
    }),
  )
})

test('what a client has not read stays as it is while others send', async () => {
  const random = randomFrom(7)
  const slow = await client('slow', 'held')
  const fast = await client('fast', 'busy')
  const publisher = await client('publisher')
  const held = messages(random, 'held', [20_000, 65_536, 70_000], 60)
  await write(publisher, random, held)
  for (let i = 0; i < 10; i++) {
    const busy = messages(random, 'busy', SIZES, 20)
    const [got] = await Promise.all([read(fast, busy.length), write(publisher, random, busy)])
    assert.ok(busy.equals(got))
  }
  assert.ok(held.equals(await read(slow, held.length)))
})

test('a client that leaves while its bytes wait takes none of another with it', async () => {
  const random = randomFrom(8)
  const publisher = await client('leaver-publisher')
  for (let i = 0; i < 5; i++) {
    const leaver = await client(`leaver${i}`, 'left')
    const stays = await client(`stays${i}`, 'kept')
    await write(publisher, random, messages(random, 'left', [65_536, 200_000], 20))
    leaver.destroy()
    const kept = messages(random, 'kept', SIZES, 30)
    const [got] = await Promise.all([read(stays, kept.length), write(publisher, random, kept)])
    assert.ok(kept.equals(got))
  }
})
