import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { hold } from '../../../../testing/catalogue/src/hold.ts'
import { writeRemainingLength } from './fixed-header.ts'
import { Framer } from './framer.ts'

function packet(firstByte: number, bodyBytes: number): Uint8Array {
  const buf = new Uint8Array(5 + bodyBytes)
  buf[0] = firstByte
  const start = writeRemainingLength(buf, 1, bodyBytes)
  for (let i = 0; i < bodyBytes; i++) buf[start + i] = i & 0xff
  return buf.subarray(0, start + bodyBytes)
}

function collect(framer: Framer, chunks: readonly Uint8Array[]) {
  const packets: { readonly firstByte: number; readonly body: Uint8Array }[] = []
  for (const chunk of chunks) {
    const refusal = framer.push(chunk, (firstByte, buf, start, end) => {
      packets.push({ firstByte, body: Uint8Array.from(buf.subarray(start, end)) })
    })
    if (refusal !== undefined) return { packets, refusal }
  }
  return { packets, refusal: undefined }
}

test('Framer gives the same packets whatever the borders of the chunks', () => {
  const sizes = fc.array(fc.oneof(fc.nat(5), fc.nat(300), fc.constantFrom(127, 128, 16_383, 16_384)), {
    minLength: 1,
    maxLength: 6,
  })
  const cuts = fc.array(fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 6000 })), {
    minLength: 1,
    maxLength: 30,
  })
  hold(
    fc.property(sizes, cuts, (bodies, steps) => {
      const packets = bodies.map((size, i) => packet(i % 2 === 0 ? 0x30 : 0xc0, size))
      const stream = Uint8Array.from(packets.flatMap((p) => [...p]))
      const chunks: Uint8Array[] = []
      for (let at = 0, i = 0; at < stream.length; i++) {
        const step = steps[i % steps.length] as number
        chunks.push(stream.slice(at, at + step))
        at += step
      }
      const framer = new Framer({ packetBytesMax: 100_000 })
      const result = collect(framer, chunks)
      assert.equal(result.refusal, undefined)
      assert.deepEqual(
        result.packets.map(({ firstByte, body }) => [firstByte, body]),
        packets.map((p, i) => [p[0], p.subarray(p.length - (bodies[i] as number))]),
      )
      assert.equal(framer.bytesHeld, 0)
    }),
    150,
  )
})

test('Framer hands a whole packet on in place, and one that straddles a border in a buffer of its own', () => {
  const chunk = packet(0x30, 10)
  const framer = new Framer({ packetBytesMax: 100 })
  framer.push(chunk, (_, buf) => assert.equal(buf, chunk))
  let joined: Uint8Array | undefined
  const keep = (_: number, buf: Uint8Array, start: number, end: number) => {
    joined = buf.subarray(start, end)
  }
  framer.push(chunk.slice(0, 4), keep)
  framer.push(chunk.slice(4), keep)
  const before = Uint8Array.from(joined as Uint8Array)
  framer.push(packet(0x30, 9).slice(0, 4), keep)
  framer.push(packet(0x30, 9).slice(4, 6), keep)
  assert.deepEqual(joined, before)
})

test('Framer takes a packet of exactly the maximum and refuses one byte more before it is there [MQTT-3.2.2-15]', () => {
  const exact = new Framer({ packetBytesMax: 12 })
  assert.equal(collect(exact, [packet(0x30, 10)]).packets.length, 1)
  for (const cut of [2, 5]) {
    const { packets, refusal } = collect(new Framer({ packetBytesMax: 12 }), [packet(0x30, 11).slice(0, cut)])
    assert.deepEqual(packets, [])
    assert.deepEqual([refusal?.reasonCode, refusal?.statement], [0x95, 'MQTT-3.2.2-15'])
  }
  const client = collect(new Framer({ packetBytesMax: 12, side: 'client' }), [packet(0x30, 11).slice(0, 2)])
  assert.equal(client.refusal?.statement, 'MQTT-3.1.2-24')
})

test('Framer refuses a bad first byte at once, before any length', () => {
  for (const [byte, statement] of [
    [0x00, 'MQTT3-2.2.1'],
    [0x36, 'MQTT3-3.3.1-4'],
    [0xc1, 'MQTT3-2.2.2-2'],
  ] as const) {
    const { refusal } = collect(new Framer({ packetBytesMax: 100 }), [Uint8Array.of(byte)])
    assert.deepEqual([refusal?.reasonCode, refusal?.statement], [0x81, statement])
  }
})

test('Framer refuses an overlong length in 5.0 alone [MQTT-1.5.5-1], also one byte at a time', () => {
  const bytes = [0xc0, 0x80, 0x00].map((byte) => Uint8Array.of(byte))
  for (const version of [undefined, 3, 4, 5] as const) {
    const framer = new Framer({ packetBytesMax: 100 })
    framer.version = version
    assert.equal(collect(framer, bytes).refusal?.statement, version === 5 ? 'MQTT-1.5.5-1' : undefined)
  }
})

test('Framer keeps refusing after a refusal and hands nothing on', () => {
  const framer = new Framer({ packetBytesMax: 100 })
  const { packets, refusal } = collect(framer, [Uint8Array.of(0xc0, 0x00, 0x0f, 0xc0, 0x00)])
  assert.equal(packets.length, 1)
  assert.notEqual(refusal, undefined)
  const later = collect(framer, [Uint8Array.of(0xc0, 0x00)])
  assert.deepEqual(later, { packets: [], refusal })
})

test('Framer keeps no more than has arrived of a packet, however large it says it is', () => {
  const framer = new Framer({ packetBytesMax: 268_435_460 })
  const before = process.memoryUsage().arrayBuffers
  framer.push(Uint8Array.of(0x30, 0xff, 0xff, 0xff, 0x7f, 1, 2, 3), () => assert.fail('not complete'))
  assert.equal(framer.bytesHeld, 3)
  assert.ok(process.memoryUsage().arrayBuffers - before < 1_000_000)
})
