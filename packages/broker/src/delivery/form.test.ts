import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test } from 'node:test'
import {
  decodePublish,
  encodePacket,
  encodePublish,
  isRefusal,
  type ProtocolVersion,
  type PublishPacket,
  PublishRun,
  type QoS,
  ServerConversation,
  type ServerEffects,
} from '@concordmq/protocol'
import fc from 'fast-check'
import { hold } from '../../../../testing/catalogue/src/hold.ts'
import { packetArbitraries } from '../../../../testing/catalogue/src/packet-arbitraries.ts'
import { bytesOf, encodeRun, endOf, type Form, keep, RunForms, withRemainingExpiry } from './form.ts'
import { messageForm, secondsLeft } from './message-form.ts'

/** Calls `visit` with each run that a connection makes of the packets, sent in chunks of at most `chunkBytes`. */
function runs(
  version: ProtocolVersion,
  packets: readonly PublishPacket[],
  visit: (run: PublishRun, buffer: Buffer) => void,
  chunkBytes = Number.POSITIVE_INFINITY,
): void {
  let chunk = Buffer.alloc(0)
  const ignored = () => {}
  const effects: ServerEffects = {
    connect: () => conversation.accept({ sessionPresent: false }),
    publish: (run) => visit(run, chunk),
    authenticate: ignored,
    puback: ignored,
    pubrec: ignored,
    pubrel: ignored,
    pubcomp: ignored,
    subscribe: ignored,
    unsubscribe: ignored,
    pingreq: ignored,
    disconnected: ignored,
    refused: (refusal) => assert.fail(refusal.detail),
    send: ignored,
    close: ignored,
  }
  const settings = {
    packetBytesMax: 1 << 24,
    receiveMaximum: 65_535,
    topicAliasMaximum: 65_535,
    keepAliveMax: 0,
    maximumQoS: 2,
    retainAvailable: true,
    wildcardSubscriptionAvailable: true,
    subscriptionIdentifierAvailable: true,
    sharedSubscriptionAvailable: true,
  } as const
  const conversation = new ServerConversation(settings, effects, new PublishRun(), 0)
  conversation.receive(encodePacket({ type: 1, version, clientId: 'c', cleanStart: true, keepAlive: 0 }, version), 0)
  const bytes = Buffer.concat(packets.map((packet) => encodePublish(packet, version)))
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    // As the socket gives them: Buffers, and each its own.
    chunk = Buffer.from(bytes.subarray(at, at + chunkBytes))
    conversation.receive(chunk, 0)
  }
}

/** The messages of a form, as a client reads them; identifiers are those of the template. */
function messages(form: Form, v5: boolean): PublishPacket[] {
  return Array.from({ length: form.count }, (_, i) => {
    const start = i === 0 ? form.start : (form.heads[i] as number)
    assert.equal(form.heads[i], start)
    const bytes = Buffer.concat([form.buf.subarray(start, endOf(form, i)), ...(form.parts ?? [])])
    if (form.qos > 0) bytes.writeUInt16BE(77, (form.ids[i] as number) - start)
    let body = 1
    while ((bytes[body++] as number) >= 0x80);
    const packet = decodePublish(bytes[0] as number, bytes, body, bytes.length, v5 ? 5 : 4)
    assert.ok(!isRefusal(packet), JSON.stringify(packet))
    return packet
  })
}

/** What a subscriber is to get of a publisher's packet. */
function delivered(packet: PublishPacket, topic: string, from: ProtocolVersion, v5: boolean, qos: QoS): PublishPacket {
  const { topicAlias: _, ...properties } = packet.properties ?? {}
  return {
    type: 3,
    topic,
    payload: Buffer.from(packet.payload),
    qos,
    retain: false,
    dup: false,
    ...(qos > 0 && { packetId: 77 }),
    ...(v5 && from === 5 && Object.keys(properties).length > 0 && { properties }),
  }
}

function comparable(packet: PublishPacket): unknown {
  const { payload, properties, ...rest } = packet
  const { correlationData, ...others } = properties ?? {}
  return {
    ...rest,
    payload: Buffer.from(payload).toString('hex'),
    properties: {
      ...others,
      ...(correlationData && { correlationData: Buffer.from(correlationData).toString('hex') }),
    },
  }
}

const stream = fc.constantFrom<ProtocolVersion>(3, 4, 5).chain((version) =>
  fc.record({
    version: fc.constant(version),
    packets: fc.array(packetArbitraries(version)['PUBLISH'] as fc.Arbitrary<PublishPacket>, {
      minLength: 1,
      maxLength: 6,
    }),
    repeat: fc.integer({ min: 1, max: 4 }),
    chunkBytes: fc.constantFrom(30_000, 9_000, Number.POSITIVE_INFINITY),
  }),
)

test('a run in any form says what its packets said: other generation, lower QoS, no DUP, RETAIN or alias of the publisher', () => {
  hold(
    fc.property(stream, ({ version, packets, repeat, chunkBytes }) => {
      // Subscription identifiers are a server's, and an alias must have a topic first.
      const known = new Map<number, string>()
      const sent: { packet: PublishPacket; topic: string }[] = []
      for (const packet of packets) {
        const { subscriptionIdentifiers: _, ...properties } = packet.properties ?? {}
        const alias = properties.topicAlias
        const topic = packet.topic !== '' ? packet.topic : known.get(alias as number)
        if (topic === undefined) continue
        if (alias !== undefined) known.set(alias, topic)
        const clean = { ...packet, ...(packet.properties && { properties }) }
        for (let i = 0; i < repeat; i++) sent.push({ packet: clean, topic })
      }
      let at = 0
      const forms = new RunForms()
      runs(
        version,
        sent.map(({ packet }) => packet),
        (run) => {
          const own = sent.slice(at, at + run.count)
          at += run.count
          forms.begin(run, 1_000)
          for (const v5 of [false, true]) {
            for (const qos of [0, 1, 2] as const) {
              if (qos > run.qos) continue
              const form = forms.form(v5, qos)
              assert.equal(forms.form(v5, qos), form)
              const expected = own.map(({ packet, topic }) => delivered(packet, topic, version, v5, qos))
              assert.deepEqual(messages(form, v5).map(comparable), expected.map(comparable))
              const total = expected.reduce((sum, packet) => sum + encodePublish(packet, v5 ? 5 : 4).length, 0)
              assert.equal(bytesOf(form), total)
            }
          }
          forms.end()
        },
        chunkBytes,
      )
      assert.equal(at, sent.length)
    }),
    150,
  )
})

const plain: PublishPacket = {
  type: 3,
  topic: 'a/b',
  payload: Buffer.from('x'),
  qos: 1,
  retain: false,
  dup: false,
  packetId: 9,
}

test('a run that came in as its subscriber wants it is its own form: nothing is encoded', () => {
  runs(4, [plain, plain], (run, chunk) => {
    const forms = new RunForms()
    forms.begin(run, 0)
    assert.equal(forms.form(false, 1).buf, chunk)
    assert.notEqual(forms.form(true, 1).buf, chunk)
    assert.notEqual(forms.form(false, 0).buf, chunk)
  })
})

test('encodeRun() adds subscription identifiers, sets an alias or replaces the topic by it', () => {
  const properties = { contentType: 't', topicAlias: 3, messageExpiryInterval: 5 }
  const packet = { ...plain, properties }
  const terms = { nowMs: 1_000, retain: true, subscriptionIds: [1, 200, 268_435_455], alias: 7, aliasOnly: false }
  runs(5, [packet], (run) => {
    const [set] = messages(encodeRun(run, true, 1, terms), true)
    assert.equal(set?.topic, 'a/b')
    assert.deepEqual(
      [set?.retain, set?.properties],
      [
        true,
        { contentType: 't', messageExpiryInterval: 5, topicAlias: 7, subscriptionIdentifiers: [1, 200, 268_435_455] },
      ],
    )
    const form = encodeRun(run, true, 0, { ...terms, aliasOnly: true })
    const [only] = messages(form, true)
    assert.deepEqual([only?.topic, only?.properties?.topicAlias, only?.packetId], ['', 7, undefined])
    assert.equal(form.expiresAtMs, 6_000)
  })
})

test('keep() makes bytes and offsets that outlive the run and do not hold on to a large read buffer', () => {
  const many = Array.from({ length: 50 }, (_, i) => ({ ...plain, topic: i === 25 ? 'kept' : 'other', packetId: i + 1 }))
  const kept: Form[] = []
  const seen: Form[] = []
  runs(4, many, (run, chunk) => {
    const forms = new RunForms()
    forms.begin(run, 0)
    const form = forms.form(false, 1)
    const copy = keep(form)
    assert.equal(keep(form), copy, 'once for all subscribers')
    assert.equal(keep(copy), copy)
    kept.push(copy)
    seen.push(form)
    if (form.count === 1) {
      assert.notEqual(copy.buf.buffer, chunk.buffer, 'a copy, not a view')
      assert.equal(copy.buf.length, copy.end - copy.start)
    }
    forms.end()
    run.heads.fill(0)
    run.ids.fill(0)
  })
  assert.deepEqual(
    kept.flatMap((form) => messages(form, false)).map(({ topic }) => topic),
    many.map(({ topic }) => topic),
  )
})

test('withRemainingExpiry() writes what is left into bytes of its own, or nothing is left [MQTT-3.3.2-5] [MQTT-3.3.2-6]', () => {
  for (const alias of [undefined, 4]) {
    const properties = {
      ...(alias !== undefined && { topicAlias: alias }),
      messageExpiryInterval: 100,
      contentType: 'c',
    }
    runs(5, [{ ...plain, properties }], (run) => {
      const forms = new RunForms()
      forms.begin(run, 5_000)
      for (const qos of [0, 1] as const) {
        const form = keep(forms.form(true, qos))
        const later = withRemainingExpiry(form, 5_000 + 30_500)
        assert.ok(later !== undefined)
        assert.equal(messages(later, true)[0]?.properties?.messageExpiryInterval, 70)
        assert.equal(messages(form, true)[0]?.properties?.messageExpiryInterval, 100, 'others still use the form')
        assert.equal(
          messages(withRemainingExpiry(form, 104_999) as Form, true)[0]?.properties?.messageExpiryInterval,
          1,
        )
        assert.equal(withRemainingExpiry(form, 105_000), undefined)
      }
      const old = keep(forms.form(false, 1))
      assert.deepEqual(messages(withRemainingExpiry(old, 50_000) as Form, false)[0]?.topic, 'a/b')
      assert.equal(withRemainingExpiry(old, 105_000), undefined)
    })
  }
  runs(4, [plain], (run) => {
    const forms = new RunForms()
    forms.begin(run, 0)
    const form = forms.form(false, 1)
    assert.equal(withRemainingExpiry(form, 1e12), form)
  })
})

test('messageForm() encodes a kept message for a client, with the seconds it has left', () => {
  const message = {
    topic: 'm',
    payload: Buffer.from('p'),
    qos: 2,
    retain: true,
    properties: { payloadFormatIndicator: 1 },
    expirySeconds: 10,
    publisher: 'x',
  } as const
  const placed = { message, position: 1, index: 0, timeUs: 1_000_000 }
  const terms = { qos: 1, retain: true, dup: true, subscriptionIds: [4] } as const
  const now = { us: 4_500_000, ms: 77 }
  const form = messageForm(placed, true, terms, now)
  const [five] = messages(form, true)
  assert.deepEqual(comparable(five as PublishPacket), {
    type: 3,
    topic: 'm',
    payload: '70',
    qos: 1,
    retain: true,
    dup: true,
    packetId: 77,
    properties: { payloadFormatIndicator: 1, messageExpiryInterval: 7, subscriptionIdentifiers: [4] },
  })
  assert.equal(messages(withRemainingExpiry(form, 77 + 5_000) as Form, true)[0]?.properties?.messageExpiryInterval, 2)
  const [four] = messages(messageForm(placed, false, { ...terms, qos: 0, dup: false }, now), false)
  assert.deepEqual([four?.qos, four?.properties, four?.packetId], [0, undefined, undefined])
  assert.deepEqual([secondsLeft(placed, 11_000_000), secondsLeft(placed, 10_999_999)], [0, 1])
  assert.equal(secondsLeft({ ...placed, message: { ...message, expirySeconds: 0xffff_ffff } }, 0), 4_294_967_296)
})
