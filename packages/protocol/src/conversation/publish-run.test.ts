import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PublishRun } from './publish-run.ts'

/** Two QoS 1 packets on topic "t", payloads "ab" and "c". */
function run(): PublishRun {
  const run = new PublishRun()
  run.buf = Uint8Array.from([0xff, 0x32, 7, 0, 1, 0x74, 1, 2, 0x61, 0x62, 0x32, 6, 0, 1, 0x74, 0xff, 0xfe, 0x63])
  run.start = 1
  run.end = 18
  run.count = 2
  run.qos = 1
  run.heads.set([1, 10])
  run.ids.set([6, 15])
  run.payloads.set([8, 17])
  return run
}

test('a run tells ends, identifiers and payloads of its packets', () => {
  const two = run()
  assert.deepEqual([two.endOf(0), two.endOf(1)], [10, 18])
  assert.deepEqual([two.packetId(0), two.packetId(1)], [0x0102, 0xfffe])
  assert.deepEqual([two.payloadBytes(0), two.payloadBytes(1)], [2, 1])
  assert.deepEqual([...two.copyPayload(0)], [0x61, 0x62])
  assert.deepEqual([...two.copyPayload(1)], [0x63])
})

test('copyPayload() joins the pieces of a large packet and outlives the read buffer', () => {
  const large = run()
  large.count = 1
  large.end = 10
  large.buf = Buffer.from(large.buf)
  large.parts = [Uint8Array.of(1, 2, 3), Uint8Array.of(4)]
  large.partsBytes = 4
  const copy = large.copyPayload(0)
  large.buf.fill(0)
  assert.deepEqual([...copy], [0x61, 0x62, 1, 2, 3, 4])
  assert.equal(large.payloadBytes(0), 6)
})

test('clear() lets go of every buffer', () => {
  const cleared = run()
  cleared.parts = [Uint8Array.of(1)]
  cleared.clear()
  assert.deepEqual(
    [cleared.count, cleared.buf.length, cleared.topicBuf.length, cleared.parts, cleared.partsBytes],
    [0, 0, 0, undefined, 0],
  )
})

test('own() makes lent bytes last at their offsets, once for all runs of a read', () => {
  const lent = run()
  const { buf } = lent
  lent.topicBuf = buf
  assert.equal(lent.lent, false)
  lent.own()
  assert.equal(lent.buf, buf, 'bytes that last anyway are not copied')
  lent.lend(buf)
  assert.deepEqual([lent.lent, lent.lends(buf), lent.lends(new Uint8Array(1))], [true, true, false])
  lent.own()
  const { buf: owned } = lent
  buf.fill(0)
  assert.deepEqual([lent.lent, lent.topicBuf], [false, owned])
  assert.deepEqual([...lent.copyPayload(1)], [0x63])
  lent.buf = buf
  lent.own()
  assert.equal(lent.buf, owned)
  lent.giveBack()
  lent.buf = buf
  lent.own()
  assert.equal(lent.buf, buf)
})
