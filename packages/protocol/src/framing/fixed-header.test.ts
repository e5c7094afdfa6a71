import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  firstByteProblem,
  isOverlong,
  readRemainingLength,
  remainingLengthBytes,
  remainingLengthMax,
  writeRemainingLength,
} from './fixed-header.ts'

const borders: readonly (readonly [value: number, bytes: number])[] = [
  [0, 1],
  [127, 1],
  [128, 2],
  [16_383, 2],
  [16_384, 3],
  [2_097_151, 3],
  [2_097_152, 4],
  [remainingLengthMax, 4],
]

test('a remaining length comes back from the fewest bytes, at every border [MQTT-1.5.5-1]', () => {
  for (const [value, bytes] of borders) {
    const buf = new Uint8Array(6).fill(0xff)
    assert.equal(writeRemainingLength(buf, 1, value), 1 + bytes)
    assert.equal(remainingLengthBytes(value), bytes)
    const out = { value: -1, next: -1 }
    assert.equal(readRemainingLength(buf, 1, buf.length, out), 'ok')
    assert.deepEqual(out, { value, next: 1 + bytes })
    assert.equal(isOverlong(value, bytes), false)
    for (let end = 1; end < 1 + bytes; end++) assert.equal(readRemainingLength(buf, 1, end, out), 'incomplete')
  }
})

test('readRemainingLength() refuses a fifth byte as soon as the fourth announces it', () => {
  const out = { value: 0, next: 0 }
  assert.equal(readRemainingLength(Uint8Array.of(0x80, 0x80, 0x80, 0x80), 0, 4, out), 'malformed')
  assert.equal(readRemainingLength(Uint8Array.of(0xff, 0xff, 0xff), 0, 3, out), 'incomplete')
})

test('isOverlong() sees a number in more bytes than it needs', () => {
  const out = { value: 0, next: 0 }
  assert.equal(readRemainingLength(Uint8Array.of(0x80, 0x80, 0x00), 0, 3, out), 'ok')
  assert.deepEqual(out, { value: 0, next: 3 })
  assert.equal(isOverlong(out.value, 3), true)
})

test('firstByteProblem() takes exactly the flags of the standard in 3.1.1 and 5.0 [MQTT-2.1.3-1] [MQTT3-2.2.2-1]', () => {
  // PUBLISH: all but QoS 3, and DUP only above QoS 0.
  const publish = [0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x3a, 0x3b, 0x3c, 0x3d]
  const others = [0x10, 0x20, 0x40, 0x50, 0x62, 0x70, 0x82, 0x90, 0xa2, 0xb0, 0xc0, 0xd0, 0xe0]
  const allowed = {
    3: [...publish, ...others, 0x6a, 0x8a, 0xaa],
    4: [...publish, ...others],
    5: [...publish, ...others, 0xf0],
  }
  for (const version of [3, 4, 5] as const) {
    const taken = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => !firstByteProblem(byte, version))
    assert.deepEqual(
      taken,
      allowed[version].toSorted((a, b) => a - b),
    )
  }
  const anyVersion = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => !firstByteProblem(byte))
  assert.deepEqual(
    anyVersion,
    [...allowed[3], 0xf0].toSorted((a, b) => a - b),
  )
})
