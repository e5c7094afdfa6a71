import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodePacket, PublishRun, type QoS } from '@concordmq/protocol'
import { BundleWriter, eachItem, readPackets } from './bundle.ts'

const TOPIC = 'sensors/kitchen'

/** A run as a conversation shows it: PUBLISH packets of one topic, behind something else in the read buffer. */
function packetsOf(payloads: readonly string[], qos: QoS, version: 4 | 5): PublishRun {
  const run = new PublishRun()
  const parts: Uint8Array[] = [new Uint8Array(3)]
  let at = 3
  for (const [i, payload] of payloads.entries()) {
    const packet = encodePacket(
      {
        type: 3,
        topic: TOPIC,
        payload: new TextEncoder().encode(payload),
        ...{ qos, retain: false, dup: false },
        ...(qos > 0 && { packetId: i + 300 }),
      },
      version,
    )
    run.heads[i] = at
    run.payloads[i] = at + packet.length - payload.length
    run.ids[i] = (run.payloads[i] as number) - (version === 5 ? 1 : 0) - 2
    at += packet.length
    parts.push(packet)
  }
  const bytes = new Uint8Array(at)
  let to = 0
  for (const part of parts) {
    bytes.set(part, to)
    to += part.length
  }
  run.buf = run.topicBuf = bytes
  run.start = 3
  run.end = at
  run.count = payloads.length
  run.qos = qos
  run.version = version
  run.topicStart = (run.heads[0] as number) + bytes.subarray(run.heads[0]).indexOf(0x73)
  run.topicEnd = run.topicStart + TOPIC.length
  return run
}

function bundleOf(run: PublishRun, options: { readonly packets?: boolean }): Uint8Array {
  const writer = new BundleWriter(options)
  writer.begin(7, 1)
  writer.run(run, { counter: 5, publisher: 'küche', receipts: run.qos === 2 })
  return writer.take()
}

function itemOf(bytes: Uint8Array): { readonly start: number; readonly end: number; readonly isPackets: boolean } {
  const items: { readonly start: number; readonly end: number; readonly isPackets: boolean }[] = []
  assert.equal(
    eachItem(bytes, (item) => items.push(item), { packets: true }),
    true,
  )
  assert.equal(items.length, 1)
  return items[0] as (typeof items)[0]
}

test('a run of packets is read as it was written, whatever its QoS and version', () => {
  const payloads = ['', 'a', 'x'.repeat(127), 'y'.repeat(20_000)]
  for (const qos of [0, 1, 2] as const) {
    for (const version of [4, 5] as const) {
      const bytes = bundleOf(packetsOf(payloads, qos, version), { packets: true })
      const { start, end, isPackets } = itemOf(bytes)
      assert.equal(isPackets, true)
      const read = new PublishRun()
      const told = readPackets(bytes, start, end, read)
      assert.deepEqual(told, { counter: 5, receipts: qos === 2, publisher: 'küche', topic: TOPIC })
      assert.deepEqual([read.count, read.qos, read.version], [payloads.length, qos, version])
      assert.equal(read.topicBuf, read.buf, 'its bytes are those of packets')
      for (const [i, payload] of payloads.entries()) {
        assert.equal(new TextDecoder().decode(read.copyPayload(i)), payload)
        if (qos > 0) assert.equal(read.packetId(i), i + 300)
      }
    }
  }
})

test('a run whose packets say more than topic, identifier and payload is written without them', () => {
  const run = packetsOf(['a'], 0, 5)
  for (const more of [
    { retain: true },
    { dup: true },
    { hasProperties: true },
    { topicBuf: new Uint8Array(20), topicStart: 0, topicEnd: 20 },
  ]) {
    const other = Object.assign(packetsOf(['a'], 0, 5), more)
    assert.equal(itemOf(bundleOf(other, { packets: true })).isPackets, false)
  }
  assert.equal(itemOf(bundleOf(run, {})).isPackets, false)
})

test('a bundle from another process may hold no packets', () => {
  const bytes = bundleOf(packetsOf(['a'], 0, 4), { packets: true })
  assert.equal(
    eachItem(bytes, () => assert.fail('it is no item there')),
    false,
  )
})

test('a run of packets that leads out of its item is malformed', () => {
  const bytes = bundleOf(packetsOf(['abc', 'def'], 1, 4), { packets: true })
  const { start, end } = itemOf(bytes)
  const read = new PublishRun()
  for (let cut = start; cut < end; cut++) assert.equal(typeof readPackets(bytes, start, cut, read), 'string')
})
