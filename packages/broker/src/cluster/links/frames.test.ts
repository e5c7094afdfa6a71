import assert from 'node:assert/strict'
import { test } from 'node:test'
import { randomFrom } from '../../../../../testing/testkit/src/random.ts'
import { bodyOf, encodeFrame, FRAME_HEAD_BYTES, FrameReader, FrameType, Priority, priorityOf } from './frames.ts'

const frameOf = (type: number, bytes: number): Uint8Array => encodeFrame(type, new Uint8Array(bytes).fill(type))

test('FrameReader gives the frames that were written, however they were cut', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const { below } = randomFrom(seed)
    const frames = Array.from({ length: 40 }, () => frameOf(1 + below(16), [0, 1, 7, 300, 5000][below(5)] ?? 0))
    const stream = Buffer.concat(frames)
    const reader = new FrameReader(8192)
    const got: string[] = []
    for (let at = 0; at < stream.length; ) {
      const end = Math.min(stream.length, at + 1 + below(below(2) === 0 ? 6 : 3000))
      const fault = reader.push(Uint8Array.from(stream.subarray(at, end)), (frame) => {
        got.push(Buffer.from(frame).toString('hex'))
        return true
      })
      assert.equal(fault, undefined)
      assert.ok(reader.heldBytes <= 8192)
      at = end
    }
    assert.deepEqual(
      got,
      frames.map((frame) => Buffer.from(frame).toString('hex')),
      `seed ${seed}`,
    )
    assert.equal(reader.heldBytes, 0)
  }
})

test('FrameReader refuses a frame above the maximum by its head, before its body comes', () => {
  for (const cut of [1, 3, FRAME_HEAD_BYTES]) {
    const reader = new FrameReader(100)
    const head = frameOf(3, 200).subarray(0, FRAME_HEAD_BYTES)
    const fault = reader.push(head.subarray(0, cut), () => true) ?? reader.push(head.subarray(cut), () => true)
    assert.equal(fault, 'frame too long')
  }
})

test('FrameReader refuses a type that does not exist', () => {
  for (const type of [0, 32, 0x47, 255])
    assert.equal(
      new FrameReader(100).push(
        frameOf(3, 0).map((byte, i) => (i === 0 ? type : byte)),
        () => true,
      ),
      'unknown frame type',
    )
})

test('FrameReader stops when it is told to', () => {
  const reader = new FrameReader(100)
  let taken = 0
  reader.push(Buffer.concat([frameOf(1, 1), frameOf(1, 1)]), () => ++taken < 1)
  assert.equal(taken, 1)
})

test('blocks go before control, and control before bulk', () => {
  assert.equal(priorityOf(frameOf(FrameType.block, 1)), Priority.blocks)
  assert.equal(priorityOf(frameOf(2, 1)), Priority.control)
  assert.equal(priorityOf(frameOf(FrameType.snap, 1)), Priority.bulk)
  assert.equal(bodyOf(frameOf(2, 3)).length, 3)
})
