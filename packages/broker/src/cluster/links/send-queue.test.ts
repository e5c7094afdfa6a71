import assert from 'node:assert/strict'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import { encodeFrame, FrameType } from './frames.ts'
import { SendQueue } from './send-queue.ts'

const MIB = 1024 * 1024

/** A stream that takes nothing until told. */
function slowStream(): { readonly stream: Duplex; readonly written: number[]; readonly take: () => void } {
  const written: number[] = []
  let done: (() => void) | undefined
  const stream = new Duplex({
    read() {},
    write(chunk: Uint8Array, _encoding, callback) {
      written.push(...typesOf(chunk))
      done = callback
    },
  })
  return { stream, written, take: () => done?.() }
}

function typesOf(chunk: Uint8Array): number[] {
  const types: number[] = []
  for (let at = 0; at < chunk.length; ) {
    types.push(chunk[at] as number)
    at += 5 + new DataView(chunk.buffer, chunk.byteOffset).getUint32(at + 1)
  }
  return types
}

test('blocks leave before control, control before what is relayed, that before bulk', () => {
  const { stream, written } = slowStream()
  const queue = new SendQueue(stream, () => assert.fail('there is room'))
  const order = [FrameType.blocks, FrameType.relay, FrameType.taken, FrameType.block]
  for (const type of order) queue.push(encodeFrame(type, new Uint8Array(10)))
  queue.flush()
  assert.deepEqual(written, [...order].reverse())
})

test('what is relayed and bulk take turns when both wait', async () => {
  const { stream, written, take } = slowStream()
  const queue = new SendQueue(stream, () => assert.fail('there is room'))
  for (let i = 0; i < 40; i++) queue.push(encodeFrame(FrameType.relay, new Uint8Array(MIB / 8)))
  for (let i = 0; i < 40; i++) queue.push(encodeFrame(FrameType.blocks, new Uint8Array(MIB / 8)))
  queue.flush()
  while (written.length < 32) {
    take()
    await new Promise((resolve) => setImmediate(resolve))
    queue.flush()
  }
  const bulk = written.slice(0, 32).filter((type) => type === FrameType.blocks).length
  assert.ok(bulk >= 10 && bulk <= 22, `${bulk} of 32`)
})

test('a line without room ends the link, except that of bulk, which drops', () => {
  const { stream } = slowStream()
  let ended = 0
  const queue = new SendQueue(stream, () => ended++)
  for (let i = 0; i < 17; i++) queue.push(encodeFrame(FrameType.blocks, new Uint8Array(MIB)))
  assert.deepEqual([ended, queue.dropped > 0], [0, true])
  for (let i = 0; i < 9; i++) queue.push(encodeFrame(FrameType.relay, new Uint8Array(MIB)))
  assert.ok(ended > 0)
})
