/** MQTT over WebSocket. Section 6 of both standards. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { RawClient } from '../../testkit/src/raw-client.ts'
import { upgrade } from '../../testkit/src/raw-websocket.ts'
import type { Version } from '../../testkit/src/wire.ts'
import * as wire from '../../testkit/src/wire.ts'
import { outside, unique, useBroker } from './target.ts'

const target = useBroker('ws')
const skip = outside !== false && process.env['CONCORDMQ_TARGET_WS'] === undefined ? outside : false

async function start(version: Version) {
  const { status, headers, stream } = await upgrade(target, ['mqtt'])
  assert.equal(status, 101)
  return { client: new RawClient(stream, version), stream, headers }
}

describe('WebSocket', { concurrency: 8, skip }, () => {
  for (const version of [3, 4, 5] as const) {
    test(`version ${version}: packets may share frames and be spread over frames [MQTT-6.0.0-2] [MQTT3-6.0.0-2] [MQTT-4.2-1] [MQTT3-7.1.1-1]`, async () => {
      const { client, stream } = await start(version)
      using _client = client
      const topic = unique('t')
      const packets = Buffer.concat([
        wire.connect(version, { clientId: unique('c') }),
        wire.subscribe(version, 1, [[topic, 1]]),
        wire.publish(version, topic, 'x'.repeat(300)),
        wire.pingreq,
      ])
      for (let at = 0; at < packets.length; at += 7) stream.frame(2, packets.subarray(at, at + 7))
      await client.expectPacket('CONNACK', { reason: 0 })
      await client.expectPacket('SUBACK', { id: 1 })
      const rest = [await client.next(), await client.next()].map((packet) => packet?.type)
      assert.deepEqual(new Set(rest), new Set(['PINGRESP', 'PUBLISH']))
      stream.frame(2, Buffer.concat([wire.publish(version, topic, 'a'), wire.publish(version, topic, 'b')]))
      await client.receive({ payload: 'a' })
      await client.receive({ payload: 'b' })
      // An empty frame is a frame.
      stream.frame(2, Buffer.alloc(0))
      await client.ping()
    })

    test(`version ${version}: the broker sends binary frames only [MQTT-6.0.0-1] [MQTT3-6.0.0-1]`, async () => {
      const { client, stream } = await start(version)
      using _client = client
      client.send(wire.connect(version, { clientId: unique('c') }))
      await client.expectPacket('CONNACK', { reason: 0 })
      await client.ping()
      assert.deepEqual([...new Set(stream.opcodes)], [2])
    })

    test(`version ${version}: a text frame closes the connection, before CONNECT and after [MQTT-6.0.0-1] [MQTT3-6.0.0-1]`, async () => {
      const early = await start(version)
      using _early = early.client
      early.stream.frame(1, wire.connect(version, { clientId: unique('c') }))
      await early.client.expectClosed()
      const late = await start(version)
      using _late = late.client
      late.client.send(wire.connect(version, { clientId: unique('c') }))
      await late.client.expectPacket('CONNACK', { reason: 0 })
      late.stream.frame(1, wire.pingreq)
      const answer = await late.client.next()
      // 5.0 may say why; a PINGRESP would show that the text was read.
      if (answer !== undefined) assert.equal(answer.type, 'DISCONNECT')
    })
  }

  test('the broker selects the subprotocol mqtt among those offered [MQTT-6.0.0-4] [MQTT3-6.0.0-4]', async () => {
    for (const offered of [['mqtt'], ['other', 'mqtt'], ['mqtt', 'other']]) {
      const { status, headers, stream } = await upgrade(target, offered)
      assert.equal(status, 101)
      assert.equal(headers.get('sec-websocket-protocol'), 'mqtt')
      stream.destroy()
    }
  })

  test('the broker selects no other subprotocol [MQTT-6.0.0-4] [MQTT3-6.0.0-4]', async () => {
    for (const offered of [['other'], []]) {
      const answer = await upgrade(target, offered).catch(() => undefined)
      const selected = answer?.headers.get('sec-websocket-protocol')
      assert.ok(answer?.status !== 101 || selected === undefined, `selected ${selected}`)
      answer?.stream.destroy()
    }
  })
})
