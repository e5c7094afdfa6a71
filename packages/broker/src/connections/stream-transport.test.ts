import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { type Duplex, duplexPair, PassThrough } from 'node:stream'
import { after, describe, it } from 'node:test'
import { RecordingSink } from '../listeners/listener.testkit.ts'
import { StreamTransport } from './stream-transport.ts'

const info = { listener: 'test', remoteAddress: '127.0.0.1', remotePort: 1, encrypted: false }

const server = createServer({ noDelay: true })
await once(server.listen(0, '127.0.0.1'), 'listening')
const port = (server.address() as AddressInfo).port
const clients: Socket[] = []
after(() => {
  for (const client of clients) client.destroy()
  server.close()
})

async function tcpPair(
  options: { readonly allowHalfOpen?: boolean } = {},
): Promise<{ client: Socket; accepted: Socket }> {
  const incoming = once(server, 'connection') as Promise<[Socket]>
  const client = connect({ port, host: '127.0.0.1', allowHalfOpen: options.allowHalfOpen ?? false })
  clients.push(client)
  const [[accepted]] = await Promise.all([incoming, once(client, 'connect')])
  return { client, accepted }
}

function withSink(stream: Duplex): { transport: StreamTransport; sink: RecordingSink } {
  const transport = new StreamTransport(stream, info)
  const sink = new RecordingSink()
  transport.sink = sink
  return { transport, sink }
}

function read(stream: Duplex, bytes: number): Promise<Buffer> {
  const parts: Buffer[] = []
  let length = 0
  return new Promise((resolve) => {
    const onData = (chunk: Buffer): void => {
      parts.push(chunk)
      length += chunk.length
      if (length < bytes) return
      stream.removeListener('data', onData)
      resolve(Buffer.concat(parts))
    }
    stream.on('data', onData)
  })
}

/** Lets everything that can happen without new input happen. */
async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise(setImmediate)
}

describe('StreamTransport over TCP', () => {
  it('hands data on, also what arrived before the sink was set', async () => {
    const { client, accepted } = await tcpPair()
    const transport = new StreamTransport(accepted, info)
    client.write('early')
    await once(accepted, 'readable')
    const sink = new RecordingSink()
    transport.sink = sink
    await sink.bytes(5)
    client.write(' late')
    await sink.bytes(10)
    assert.equal(sink.received.toString(), 'early late')
  })

  it('has nothing pending right after a write the kernel took whole', async () => {
    const { client, accepted } = await tcpPair()
    const { transport, sink } = withSink(accepted)
    const staging = Buffer.from('one.two.three')
    transport.write([staging.subarray(0, 4), staging.subarray(4, 8), staging.subarray(8)], 3)
    assert.equal(transport.pending, 0)
    staging.fill(0)
    assert.equal((await read(client, 13)).toString(), 'one.two.three')
    assert.equal(sink.drains, 0, 'no drain is owed for what never was pending')
  })

  it('writes only the first count chunks', async () => {
    const { client, accepted } = await tcpPair()
    const { transport } = withSink(accepted)
    transport.write([Buffer.from('a'), Buffer.from('b'), Buffer.from('stale')], 2)
    transport.write([Buffer.from('c'), Buffer.from('stale')], 1)
    assert.equal((await read(client, 3)).toString(), 'abc')
  })

  it('counts what the peer does not read as pending and says drain once all is handed over', async () => {
    const { client, accepted } = await tcpPair()
    const { transport, sink } = withSink(accepted)
    client.pause()
    const big = Buffer.alloc(32 * 1024 * 1024, 1)
    transport.write([big], 1)
    transport.write([Buffer.from('tail')], 1)
    assert.ok(transport.pending >= big.length)
    assert.equal(sink.drains, 0)
    client.resume()
    const [all] = await Promise.all([read(client, big.length + 4), sink.until(({ drains }) => drains > 0)])
    assert.equal(transport.pending, 0)
    assert.equal(all.subarray(-4).toString(), 'tail')
  })

  it('says drain for less than the high-water mark too', async () => {
    const { client, accepted } = await tcpPair()
    const { transport, sink } = withSink(accepted)
    client.pause()
    const block = Buffer.alloc(1024)
    let written = 0
    // Fills the buffers of the system with small writes until one stays behind, far below 64 KiB.
    while (transport.pending === 0) {
      transport.write([block], 1)
      written += block.length
    }
    assert.ok(transport.pending < accepted.writableHighWaterMark)
    client.resume()
    await Promise.all([read(client, written), sink.until(({ drains }) => drains > 0)])
    assert.equal(transport.pending, 0)
  })

  it('closes when the peer closes its half, after what is pending is sent', async () => {
    const { client, accepted } = await tcpPair({ allowHalfOpen: true })
    const { transport, sink } = withSink(accepted)
    client.write('x')
    await sink.bytes(1)
    transport.write([Buffer.from('answer')], 1)
    client.end()
    const [answer] = await Promise.all([read(client, 6), once(client, 'end'), sink.closedOnce()])
    assert.equal(answer.toString(), 'answer')
    assert.equal(sink.closes, 1)
    assert.equal(sink.error, undefined)
  })

  it('ends after the pending bytes, and throws away what still arrives', async () => {
    const { client, accepted } = await tcpPair({ allowHalfOpen: true })
    const { transport, sink } = withSink(accepted)
    transport.write([Buffer.from('last words')], 1)
    transport.end()
    client.write('too late')
    const [words] = await Promise.all([read(client, 10), once(client, 'end')])
    client.end()
    await sink.closedOnce()
    assert.equal(words.toString(), 'last words')
    assert.equal(sink.received.length, 0)
    transport.write([Buffer.from('never')], 1)
    assert.equal(sink.closes, 1)
  })

  it('destroys after the grace when the peer neither reads nor closes', async () => {
    const { client, accepted } = await tcpPair({ allowHalfOpen: true })
    const { transport, sink } = withSink(accepted)
    client.pause()
    transport.write([Buffer.alloc(32 * 1024 * 1024)], 1)
    transport.end(20)
    await sink.closedOnce()
    assert.equal(sink.closes, 1)
    assert.equal(accepted.destroyed, true)
  })

  it('reports a reset with its error, once', async () => {
    const { client, accepted } = await tcpPair()
    const { sink } = withSink(accepted)
    client.resetAndDestroy()
    await sink.closedOnce()
    assert.match(String(sink.error), /ECONNRESET/)
    assert.equal(sink.closes, 1)
  })

  it('says closed once after destroy, and nothing after it', async () => {
    const { accepted } = await tcpPair()
    const { transport, sink } = withSink(accepted)
    transport.destroy()
    transport.destroy()
    transport.end()
    transport.write([Buffer.from('x')], 1)
    await sink.closedOnce()
    await turns(3)
    assert.equal(sink.closes, 1)
    assert.equal(sink.error, undefined)
  })

  it('stops reading while paused, so that the peer is slowed', async () => {
    const { client, accepted } = await tcpPair()
    const { transport, sink } = withSink(accepted)
    client.write('first')
    await sink.bytes(5)
    transport.pause()
    const big = Buffer.alloc(32 * 1024 * 1024)
    const sent = new Promise((resolve) => client.write(big, resolve))
    await turns(100)
    assert.equal(sink.received.length, 5)
    assert.ok(client.writableLength > 0, 'the rest waits in the peer')
    transport.resume()
    await Promise.all([sent, sink.bytes(5 + big.length)])
  })

  it('notices while paused that the peer is gone, after what it had sent', async () => {
    const { client, accepted } = await tcpPair()
    const { transport, sink } = withSink(accepted)
    client.write('first')
    await sink.bytes(5)
    transport.pause()
    client.write(' second')
    client.end()
    await once(accepted, 'end')
    assert.equal(sink.length, 5)
    assert.equal(sink.closes, 0)
    transport.resume()
    await sink.closedOnce()
    assert.equal(sink.received.toString(), 'first second')
  })

  it('hands over in order what came while it was paused, and pauses again at once', async () => {
    const { client, accepted } = await tcpPair()
    const { transport, sink } = withSink(accepted)
    client.write('a')
    await sink.bytes(1)
    transport.pause()
    for (const letter of 'bcd') {
      client.write(letter)
      while (accepted.bytesRead < 2 + 'bcd'.indexOf(letter)) await new Promise(setImmediate)
    }
    sink.onData = () => transport.pause()
    for (const count of [2, 3, 4]) {
      transport.resume()
      await sink.bytes(count)
      await turns(3)
      assert.equal(sink.received.toString(), 'abcd'.slice(0, count))
    }
    sink.onData = () => {}
    client.write('e')
    transport.resume()
    await sink.bytes(5)
    assert.equal(sink.received.toString(), 'abcde')
  })

  it('lends a read of a plain socket, and what a sink does not copy is gone', async () => {
    const { client, accepted } = await tcpPair()
    const other = await tcpPair()
    const seen: Uint8Array[] = []
    const { sink } = withSink(accepted)
    sink.lent = (chunk) => {
      seen.push(chunk)
      sink.data(new Uint8Array(chunk))
      return 0
    }
    client.write('mine')
    await sink.bytes(4)
    const { sink: otherSink } = withSink(other.accepted)
    other.client.write('theirs')
    await otherSink.bytes(6)
    assert.deepEqual([Buffer.from(seen[0] as Uint8Array).toString(), sink.received.toString()], ['thei', 'mine'])
  })

  it('tells a sink that comes too late that the connection is closed', async () => {
    const { client, accepted } = await tcpPair()
    const transport = new StreamTransport(accepted, info)
    accepted.resume()
    client.destroy()
    await once(accepted, 'close')
    const sink = new RecordingSink()
    transport.sink = sink
    await sink.closedOnce()
    assert.equal(sink.closes, 1)
  })
})

describe('StreamTransport over any Duplex', () => {
  it('copies what it writes, because such a stream may keep the chunk', async () => {
    const through = new PassThrough()
    const transport = new StreamTransport(through, info)
    const staging = Buffer.from('kept')
    transport.write([staging], 1)
    staging.fill(0)
    assert.equal(String(through.read()), 'kept')
  })

  it('copies what it reads, because the other side may write into it again', async () => {
    const [ours, theirs] = duplexPair()
    const { sink } = withSink(ours)
    const reused = Buffer.from('payload')
    theirs.write(reused)
    await sink.bytes(7)
    reused.fill(0)
    assert.equal(Buffer.from(sink.chunks[0] ?? []).toString(), 'payload')
  })

  it('carries bytes both ways, says drain, and closes with the other side', async () => {
    const [ours, theirs] = duplexPair()
    const { transport, sink } = withSink(ours)
    theirs.write('ping')
    await sink.bytes(4)
    transport.write([Buffer.from('po'), Buffer.from('ng')], 2)
    assert.equal((await read(theirs, 4)).toString(), 'pong')
    await sink.until(({ drains }) => drains > 0)
    assert.equal(transport.pending, 0)
    theirs.end()
    theirs.resume()
    await sink.closedOnce()
    assert.equal(sink.closes, 1)
  })

  it('says closed even for a stream that does not announce its end', async () => {
    const silent = new PassThrough({ emitClose: false })
    const { transport, sink } = withSink(silent)
    transport.destroy()
    await sink.closedOnce()
    assert.equal(sink.closes, 1)
  })
})
