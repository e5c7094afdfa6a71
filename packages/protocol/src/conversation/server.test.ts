import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { catalogue } from '../../../../testing/catalogue/src/catalogue.ts'
import { hold } from '../../../../testing/catalogue/src/hold.ts'
import { fromHex } from '../../../../testing/catalogue/src/notation.ts'
import { anyPacket, anyVersion } from '../../../../testing/catalogue/src/packet-arbitraries.ts'
import { joinBytes } from '../bytes.ts'
import { Framer } from '../framing/framer.ts'
import { decodePacket } from '../packets/decode.ts'
import { encodePacket } from '../packets/encode.ts'
import { type ConnectPacket, type Packet, PacketType, type ProtocolVersion } from '../packets/types.ts'
import { decodeProperties } from '../properties/codec.ts'
import type { Properties } from '../properties/types.ts'
import { isRefusal, type Refusal } from '../refusal.ts'
import { utf8Decode, utf8Encode } from '../utf8.ts'
import { returnCodeOf } from './closing-codes.ts'
import { PublishRun, RUN_PACKETS_MAX } from './publish-run.ts'
import { ServerConversation } from './server.ts'
import type { ServerEffects, ServerSettings } from './server-interface.ts'

const defaults: ServerSettings = {
  packetBytesMax: 1 << 20,
  receiveMaximum: 65_535,
  topicAliasMaximum: 10,
  keepAliveMax: 0,
  maximumQoS: 2,
  retainAvailable: true,
  wildcardSubscriptionAvailable: true,
  subscriptionIdentifierAvailable: true,
  sharedSubscriptionAvailable: true,
}

interface SeenRun {
  readonly count: number
  readonly qos: number
  readonly sameTopic: boolean
  readonly pieces: number
}

/** A server's conversation whose effects are written down, one line for each message or packet, whatever the runs. */
class Talk implements ServerEffects {
  readonly conversation: ServerConversation
  readonly run: PublishRun
  readonly lines: string[] = []
  readonly runs: SeenRun[] = []
  readonly payloads: Uint8Array[] = []
  readonly sent: Packet[] = []
  refusal: Refusal | undefined
  closed = false
  /** What to do at a CONNECT; accept unless a test says otherwise. */
  onConnect: (packet: ConnectPacket) => void = () => this.conversation.accept({ sessionPresent: false })
  onAuth: () => void = () => {}
  onPublish: (run: PublishRun) => void = () => {}
  readonly #framer = new Framer({ packetBytesMax: 1 << 28 })

  constructor(settings: Partial<ServerSettings> = {}, run = new PublishRun()) {
    this.run = run
    this.conversation = new ServerConversation({ ...defaults, ...settings }, this, run, 0)
  }

  /** Encodes and hands over, in one piece. */
  take(...packets: readonly (Packet | Uint8Array)[]): this {
    const [first] = packets
    const isConnect = first !== undefined && 'type' in first && first.type === PacketType.connect
    if (isConnect && !this.conversation.connected) this.conversation.version = first.version
    return this.takeBytes(joinBytes(packets.map((packet) => this.encode(packet))))
  }

  /** The same in memory that is overwritten afterwards. */
  takeLent(bytes: Uint8Array): this {
    const memory = new Uint8Array(bytes)
    this.conversation.receiveLent(memory, 0)
    memory.fill(0xdb)
    return this
  }

  takeBytes(bytes: Uint8Array, nowMs = 0): this {
    this.conversation.receive(bytes, nowMs)
    return this
  }

  encode(packet: Packet | Uint8Array): Uint8Array {
    if (packet instanceof Uint8Array) return packet
    return encodePacket(packet, packet.type === PacketType.connect ? packet.version : this.conversation.version)
  }

  connect(packet: Partial<ConnectPacket> = {}): void {
    this.lines.push('connect')
    this.onConnect(packet as ConnectPacket)
  }
  authenticate(packet: { readonly reasonCode: number; readonly properties?: Properties }): void {
    this.lines.push(`auth ${packet.reasonCode} ${String(packet.properties?.authenticationData)}`)
    this.onAuth()
  }
  publish(run: PublishRun): void {
    this.runs.push({
      count: run.count,
      qos: run.qos,
      sameTopic: run.sameTopic,
      pieces: run.parts?.length ?? 0,
    })
    const topic = utf8Decode(run.topicBuf, run.topicStart, run.topicEnd)
    for (let i = 0; i < run.count; i++) {
      const payload = run.copyPayload(i)
      assert.equal(payload.length, run.payloadBytes(i))
      this.payloads.push(payload)
      const flags = `${run.retain ? 'r' : ''}${run.dup ? 'd' : ''}`
      const id = run.qos > 0 ? run.packetId(i) : 0
      const { propertiesStart, propertiesEnd } = run.scan
      const properties = run.hasProperties
        ? JSON.stringify(decodeProperties(run.buf, propertiesStart, propertiesEnd, 'publish'))
        : ''
      this.lines.push(`publish ${topic} ${run.qos}${flags} #${id} ${digest(payload)} ${properties}`)
    }
    this.conversation.lastTopic = new Uint8Array(run.topicBuf.subarray(run.topicStart, run.topicEnd))
    this.onPublish(run)
  }
  puback(id: number, code: number): void {
    this.lines.push(`puback ${id} ${code}`)
  }
  pubrec(id: number, code: number): void {
    this.lines.push(`pubrec ${id} ${code}`)
  }
  pubrel(id: number, code: number): void {
    this.lines.push(`pubrel ${id} ${code}`)
  }
  pubcomp(id: number, code: number): void {
    this.lines.push(`pubcomp ${id} ${code}`)
  }
  subscribe(packet: Packet): void {
    this.lines.push(`subscribe ${JSON.stringify(packet)}`)
  }
  unsubscribe(packet: Packet): void {
    this.lines.push(`unsubscribe ${JSON.stringify(packet)}`)
  }
  pingreq(): void {
    this.lines.push('pingreq')
  }
  disconnected(packet: Packet): void {
    this.lines.push(`disconnected ${JSON.stringify(packet)}`)
  }
  refused(refusal: Refusal): void {
    this.refusal = refusal
    this.lines.push(`refused ${refusal.reasonCode} ${refusal.statement}`)
  }
  send(bytes: Uint8Array): void {
    assert.equal(this.closed, false, 'bytes after close')
    const refusal = this.#framer.push(bytes, (firstByte, buf, start, end) => {
      const packet = decodePacket(firstByte, buf, start, end, this.conversation.version)
      assert.ok(!isRefusal(packet), `the server sent what nobody can read: ${JSON.stringify(packet)}`)
      this.sent.push(packet)
      this.lines.push(`send ${JSON.stringify(packet)}`)
    })
    assert.equal(refusal, undefined)
  }
  close(): void {
    assert.equal(this.closed, false, 'close twice')
    this.closed = true
    this.lines.push('close')
  }
}

function connect(version: ProtocolVersion, more: Partial<ConnectPacket> = {}): ConnectPacket {
  return { type: PacketType.connect, version, clientId: 'c', cleanStart: true, keepAlive: 0, ...more }
}

interface PublishFields {
  readonly qos?: 0 | 1 | 2
  readonly id?: number
  readonly retain?: boolean
  readonly dup?: boolean
  readonly payload?: Uint8Array | string
  readonly properties?: Properties
}

function publish(topic: string, fields: PublishFields = {}): Packet {
  const { qos = 0, id = 1, retain = false, dup = false, payload = 'x', properties } = fields
  return {
    type: PacketType.publish,
    topic,
    payload: typeof payload === 'string' ? utf8Encode(payload) : payload,
    qos,
    retain,
    dup,
    ...(qos > 0 && { packetId: id }),
    ...(properties !== undefined && { properties }),
  }
}

const pingreq: Packet = { type: PacketType.pingreq }

function digest(bytes: Uint8Array): string {
  let hash = 0x811c9dc5
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
  return `${bytes.length}:${hash}`
}

/** A conversation after CONNECT. */
function connected(
  version: ProtocolVersion = 5,
  settings: Partial<ServerSettings> = {},
  more: Partial<ConnectPacket> = {},
): Talk {
  const talk = new Talk(settings).take(connect(version, more))
  assert.equal(talk.conversation.connected, true)
  talk.lines.length = 0
  talk.sent.length = 0
  return talk
}

/** The conversation ended as the version has it: 5.0 with DISCONNECT and the reason, before that without a byte. */
function assertRefused(talk: Talk, reasonCode: number, statement?: string): void {
  assert.equal(talk.closed, true)
  assert.equal(talk.conversation.closed, true)
  assert.equal(talk.refusal?.reasonCode, reasonCode)
  if (statement !== undefined) assert.equal(talk.refusal?.statement, statement)
  if (talk.conversation.version < 5) assert.deepEqual(talk.sent, [])
  else
    assert.deepEqual(
      [talk.sent.length, talk.sent[0]?.type, codeOf(talk.sent[0])],
      [1, PacketType.disconnect, reasonCode],
    )
}

function codeOf(packet: Packet | undefined): number | undefined {
  return packet !== undefined && 'reasonCode' in packet ? packet.reasonCode : undefined
}

describe('CONNECT', () => {
  for (const version of [3, 4, 5] as const) {
    test(`level ${version}: accept() answers with CONNACK, and what stood behind CONNECT goes on`, () => {
      const talk = new Talk().take(connect(version), publish('a'), pingreq)
      assert.equal(talk.conversation.version, version)
      assert.deepEqual(
        talk.lines.map((line) => line.split(' ')[0]),
        ['connect', 'send', 'publish', 'pingreq', 'send'],
      )
      assert.equal(codeOf(talk.sent[0]), 0)
    })

    test(`level ${version}: a second CONNECT ends the connection [MQTT-3.1.0-2] [MQTT3-3.1.0-2]`, () => {
      assertRefused(connected(version).take(connect(version)), 0x82, 'MQTT-3.1.0-2')
    })
  }

  test('the first packet must be CONNECT, and anything else is refused at its first byte [MQTT-3.1.0-1]', () => {
    for (const bytes of [[0xc0, 0], [0xc0], [0x30, 200], [0x10 | 1, 12]]) {
      const talk = new Talk().takeBytes(Uint8Array.from(bytes))
      assert.deepEqual([talk.closed, talk.sent], [true, []])
    }
  })

  test('a second CONNECT of an unknown level is a protocol error like any other second CONNECT', () => {
    const bytes = encodePacket(connect(5), 5)
    bytes[8] = 6
    const talk = connected(5).take(bytes)
    assert.equal(talk.closed, true)
    assert.equal(codeOf(talk.sent[0]), 0x82)
  })

  test('an unknown level is answered in the nearest version [MQTT-3.1.2-2] [MQTT3-3.1.2-2]', () => {
    const six = encodePacket(connect(5), 5)
    six[8] = 6
    const later = new Talk().take(six)
    assert.deepEqual([later.conversation.version, codeOf(later.sent[0]), later.closed], [5, 0x84, true])
    const two = encodePacket(connect(4), 4)
    two[8] = 2
    const earlier = new Talk().take(two)
    assert.deepEqual([earlier.conversation.version, codeOf(earlier.sent[0]), earlier.closed], [4, 1, true])
  })

  test('a malformed CONNECT gets CONNACK with the reason in 5.0, and nothing before', () => {
    const five = encodePacket(connect(5), 5)
    five[9] = 0x01
    const talk = new Talk().take(five)
    assert.deepEqual([talk.lines.at(-1), talk.sent[0]?.type, codeOf(talk.sent[0])], ['close', PacketType.connack, 0x81])
    const four = encodePacket(connect(4), 4)
    four[9] = 0x01
    assert.deepEqual(new Talk().take(four).lines.slice(1), ['close'])
  })

  test('a CONNECT of 5.0 whose remaining length is not in the fewest bytes is malformed [MQTT-1.5.5-1]', () => {
    const bytes = encodePacket(connect(5), 5)
    const padded = Uint8Array.from([0x10, (bytes[1] as number) | 0x80, 0, ...bytes.subarray(2)])
    const talk = new Talk().takeBytes(padded)
    assert.deepEqual([talk.refusal?.statement, codeOf(talk.sent[0]), talk.closed], ['MQTT-1.5.5-1', 0x81, true])
    const four = encodePacket(connect(4), 4)
    const allowed = new Talk().takeBytes(Uint8Array.from([0x10, (four[1] as number) | 0x80, 0, ...four.subarray(2)]))
    assert.equal(allowed.conversation.connected, true)
  })

  test('an empty client identifier needs clean session before 5.0 [MQTT3-3.1.3-8], and 3.1 has none', () => {
    assert.equal(codeOf(new Talk().take(connect(4, { clientId: '', cleanStart: false })).sent[0]), 2)
    assert.equal(codeOf(new Talk().take(connect(3, { clientId: '' })).sent[0]), 2)
    assert.equal(codeOf(new Talk().take(connect(4, { clientId: '' })).sent[0]), 0)
    assert.equal(codeOf(new Talk().take(connect(5, { clientId: '', cleanStart: false })).sent[0]), 0)
  })

  test('a will that the server does not offer is refused [MQTT-3.2.2-12] [MQTT-3.2.2-13]', () => {
    const will = { topic: 'w', payload: utf8Encode('x'), qos: 2 as const, retain: true }
    assert.equal(codeOf(new Talk({ maximumQoS: 1 }).take(connect(5, { will })).sent[0]), 0x9b)
    assert.equal(codeOf(new Talk({ retainAvailable: false }).take(connect(5, { will })).sent[0]), 0x9a)
    assert.equal(codeOf(new Talk().take(connect(5, { will })).sent[0]), 0)
  })

  test('CONNACK of 5.0 says what differs from the defaults, and only that', () => {
    const plain = new Talk({ topicAliasMaximum: 0 }).take(connect(5))
    assert.deepEqual(plain.sent[0], {
      type: PacketType.connack,
      sessionPresent: false,
      reasonCode: 0,
      properties: { maximumPacketSize: 1 << 20 },
    })
    const narrow = new Talk({
      receiveMaximum: 7,
      maximumQoS: 1,
      retainAvailable: false,
      wildcardSubscriptionAvailable: false,
      subscriptionIdentifierAvailable: false,
      sharedSubscriptionAvailable: false,
      responseInformation: 'answers/',
    })
    narrow.onConnect = () =>
      narrow.conversation.accept({
        sessionPresent: true,
        assignedClientIdentifier: 'given',
        sessionExpiryInterval: 9,
      })
    narrow.take(connect(5, { properties: { requestResponseInformation: 1 } }))
    assert.deepEqual(narrow.sent[0], {
      type: PacketType.connack,
      sessionPresent: true,
      reasonCode: 0,
      properties: {
        sessionExpiryInterval: 9,
        receiveMaximum: 7,
        maximumQoS: 1,
        retainAvailable: 0,
        maximumPacketSize: 1 << 20,
        assignedClientIdentifier: 'given',
        topicAliasMaximum: 10,
        wildcardSubscriptionAvailable: 0,
        subscriptionIdentifierAvailable: 0,
        sharedSubscriptionAvailable: 0,
        responseInformation: 'answers/',
      },
    })
  })

  test('session present reaches 3.1.1 and 5.0, and not 3.1, which has no such flag', () => {
    for (const version of [3, 4, 5] as const) {
      const talk = new Talk()
      talk.onConnect = () => talk.conversation.accept({ sessionPresent: true })
      talk.take(connect(version))
      const connack = talk.sent[0]
      assert.ok(connack?.type === PacketType.connack)
      assert.equal(connack.sessionPresent, version !== 3)
    }
  })

  test('refuse() maps the reason to the version [MQTT-3.2.2-7] [MQTT3-3.2.2-5], or is silent', () => {
    for (const [version, code] of [
      [5, 0x87],
      [4, 5],
      [3, 5],
    ] as const) {
      const talk = new Talk()
      talk.onConnect = () => talk.conversation.refuse(0x87)
      talk.take(connect(version), pingreq)
      assert.deepEqual([codeOf(talk.sent[0]), talk.sent.length, talk.closed], [code, 1, true])
      assert.deepEqual(talk.lines.at(-1), 'close')
    }
    const reference = new Talk()
    reference.onConnect = () => reference.conversation.refuse(0x9d, { serverReference: 'other:1883' })
    reference.take(connect(5))
    const connack = reference.sent[0]
    assert.ok(connack?.type === PacketType.connack)
    assert.equal(connack.properties?.serverReference, 'other:1883')
    for (const silent of [new Talk({ silent: () => true }), new Talk()]) {
      silent.onConnect = () => silent.conversation.refuse(0x86, { silent: silent.lines !== undefined })
      silent.take(connect(5))
      assert.deepEqual([silent.sent, silent.closed], [[], true])
    }
  })

  test('a reason that CONNACK or DISCONNECT cannot carry becomes one that it can', () => {
    const talk = new Talk()
    talk.onConnect = () => talk.conversation.refuse(0x8e)
    talk.take(connect(5))
    assert.equal(codeOf(talk.sent[0]), 0x80)
    const later = connected(5)
    later.conversation.refuse(0x86)
    assert.equal(codeOf(later.sent[0]), 0x87)
    const odd = connected(5)
    odd.conversation.disconnect(0x84)
    assert.equal(codeOf(odd.sent[0]), 0x82)
  })

  test('returnCodeOf() says what 3.1 and 3.1.1 can say: a refused login is 4 in the one, 4 or 5 in the other', () => {
    const reasons = [0x84, 0x85, 0x86, 0x8c, 0x87, 0x8a, 0x97, 0x88]
    const codesOf = (version: 3 | 4) => reasons.map((reason) => returnCodeOf(reason, version))
    assert.deepEqual(codesOf(3), [1, 2, 4, 4, 5, 5, 3, 3])
    assert.deepEqual(codesOf(4), [1, 2, 4, 4, 5, 5, 3, 3])
    assert.equal(returnCodeOf(0x86, 4, 5), 5)
    assert.equal(returnCodeOf(0x86, 3, 5), 4)
  })

  test('a client that has no room for its CONNACK is closed instead of left waiting', () => {
    const talk = new Talk().take(connect(5, { properties: { maximumPacketSize: 4 } }))
    assert.deepEqual([talk.sent, talk.closed, talk.conversation.closed], [[], true, true])
  })
})

describe('keep alive', () => {
  test('one and a half times the keep alive without a byte ends the connection [MQTT-3.1.2-22]', () => {
    for (const version of [4, 5] as const) {
      const talk = connected(version, {}, { keepAlive: 10 })
      talk.takeBytes(encodePacket(pingreq, version), 5_000)
      talk.sent.length = 0
      assert.equal(talk.conversation.deadlineMs, 20_000)
      talk.conversation.tick(19_999)
      assert.equal(talk.closed, false)
      talk.conversation.tick(20_000)
      assertRefused(talk, 0x8d, 'MQTT-3.1.2-22')
    }
  })

  test('keep alive 0 has no deadline', () => {
    const talk = connected(4)
    assert.equal(talk.conversation.deadlineMs, undefined)
    talk.conversation.tick(1e12)
    assert.equal(talk.closed, false)
  })

  test("the server's maximum takes the place of a longer keep alive or none, and 5.0 is told [MQTT-3.1.2-21]", () => {
    for (const [asked, inForce, told] of [
      [0, 60, 60],
      [61, 60, 60],
      [60, 60, undefined],
      [5, 5, undefined],
    ] as const) {
      const talk = new Talk({ keepAliveMax: 60 }).take(connect(5, { keepAlive: asked }))
      const connack = talk.sent[0]
      assert.ok(connack?.type === PacketType.connack)
      assert.deepEqual([talk.conversation.keepAliveSeconds, connack.properties?.serverKeepAlive], [inForce, told])
    }
  })
})

describe('runs of PUBLISH', () => {
  const runsOf = (talk: Talk) => talk.runs.map(({ count, qos }) => `${count}x${qos}`).join(' ')

  for (const version of [4, 5] as const) {
    test(`level ${version}: packets of one topic and QoS make one run; another topic or QoS ends it`, () => {
      const talk = connected(version).take(
        publish('a'),
        publish('a', { payload: 'other length' }),
        publish('a'),
        publish('b'),
        publish('b', { qos: 1, id: 1 }),
        publish('b', { qos: 1, id: 2 }),
        publish('b', { qos: 2, id: 3 }),
      )
      assert.equal(runsOf(talk), '3x0 1x0 2x1 1x2')
      assert.equal(talk.lines.length, 7)
      assert.deepEqual(
        talk.runs.map(({ sameTopic }) => sameTopic),
        [false, false, true, true],
      )
    })

    test(`level ${version}: RETAIN and DUP make a run of their own`, () => {
      const talk = connected(version).take(
        publish('a', { qos: 1, id: 1 }),
        publish('a', { qos: 1, id: 2, dup: true }),
        publish('a', { qos: 1, id: 3, dup: true }),
        publish('a', { qos: 1, id: 4, retain: true }),
        publish('a', { qos: 1, id: 5 }),
        publish('a', { qos: 1, id: 6 }),
      )
      assert.equal(runsOf(talk), '1x1 1x1 1x1 1x1 2x1')
      assert.deepEqual(
        talk.lines.map((line) => line.split(' ')[2]),
        ['1', '1d', '1d', '1r', '1', '1'],
      )
    })
  }

  test('properties make a run of their own and are where the scan says', () => {
    const properties = { contentType: 't', messageExpiryInterval: 7 }
    const talk = connected().take(publish('a'), publish('a', { properties }), publish('a'))
    assert.equal(runsOf(talk), '1x0 1x0 1x0')
    assert.match(talk.lines[1] as string, /"messageExpiryInterval":7/)
    assert.deepEqual([talk.run.count, talk.run.buf.length, talk.run.topicBuf.length], [0, 0, 0])
  })

  test('other packets end a run, and everything keeps its order', () => {
    const talk = connected(4).take(publish('a'), publish('a'), pingreq, publish('a'), {
      type: PacketType.puback,
      packetId: 9,
      reasonCode: 0,
    })
    assert.deepEqual(
      talk.lines.map((line) => line.split(' ')[0]),
      ['publish', 'publish', 'pingreq', 'send', 'publish', 'puback'],
    )
  })

  test('a run has a maximum; the rest makes the next one', () => {
    const one = encodePacket(publish('a', { payload: '' }), 4)
    const talk = connected(4).takeBytes(joinBytes(new Array(RUN_PACKETS_MAX + 3).fill(one)))
    assert.deepEqual(
      talk.runs.map(({ count }) => count),
      [RUN_PACKETS_MAX, 3],
    )
  })

  test('a run across a bad packet is handed on before the refusal', () => {
    const bad = Uint8Array.from([0x36, 5, 0, 1, 0x61, 0, 1])
    const talk = connected(5).take(publish('a'), publish('a'), bad)
    assert.equal(talk.lines.filter((line) => line.startsWith('publish')).length, 2)
    assert.equal(talk.refusal?.statement, 'MQTT-3.3.1-4')
  })

  test('packet identifier 0 is refused in a run as well [MQTT-2.2.1-3]', () => {
    const bytes = encodePacket(publish('a', { qos: 1, id: 1 }), 5)
    bytes[6] = 0
    assertRefused(connected(5).take(publish('a', { qos: 1, id: 1 }), bytes), 0x82, 'MQTT-2.2.1-3')
  })

  test('a packet shorter than its topic says is refused, also behind packets of a run', () => {
    for (const cut of [
      [0x30, 0],
      [0x30, 1, 0],
      [0x30, 2, 0, 1],
      [0x32, 4, 0, 1, 0x61, 0],
    ]) {
      const talk = connected(4).take(publish('a'), publish('a'), Uint8Array.from(cut), publish('a'), publish('a'))
      assert.equal(talk.payloads.length, 2)
      assertRefused(talk, 0x81)
    }
  })

  test('what the server does not offer is refused [MQTT-3.2.2-11] [MQTT-3.2.2-14] [MQTT-3.3.4-6]', () => {
    assertRefused(connected(5, { maximumQoS: 0 }).take(publish('a'), publish('a', { qos: 1 })), 0x9b)
    // Earlier clients cannot know: their handshake is kept.
    const earlier = connected(4, { maximumQoS: 1 }).take(publish('a', { qos: 2, id: 2 }))
    assert.deepEqual([earlier.closed, earlier.payloads.length], [false, 1])
    assertRefused(connected(5, { retainAvailable: false }).take(publish('a', { retain: true })), 0x9a)
    assertRefused(connected(5).take(publish('a', { properties: { subscriptionIdentifiers: [3] } })), 0x82)
  })

  test('a maximum of QoS holds for a topic that was just used', () => {
    const talk = connected(5, { maximumQoS: 1 }).take(publish('a', { qos: 1 }))
    assertRefused(talk.take(publish('a', { qos: 2, id: 2 })), 0x9b)
  })
})

describe('large packets', () => {
  const payload = Uint8Array.from({ length: 100_000 }, (_, i) => (i * 7 + (i >> 8)) & 255)

  for (const version of [4, 5] as const) {
    test(`level ${version}: a large PUBLISH is handed on in its pieces, never joined, with the same content`, () => {
      const talk = connected(version)
      const bytes = talk.encode(publish('big', { qos: 1, id: 77, payload }))
      const pieces: Uint8Array[] = []
      for (let at = 0; at < bytes.length; at += 30_000) pieces.push(bytes.slice(at, at + 30_000))
      let same = false
      talk.onPublish = (run) => {
        same = run.buf === pieces[0] && run.parts?.every((part, i) => part === pieces[i + 1]) === true
      }
      for (const piece of pieces) talk.takeBytes(piece)
      assert.equal(same, true)
      assert.deepEqual(talk.runs, [{ count: 1, qos: 1, sameTopic: false, pieces: 3 }])
      assert.deepEqual(talk.payloads[0], payload)
      assert.match(talk.lines[0] as string, /#77/)
      talk.take(publish('big', { payload: 'small' }))
      assert.equal(talk.runs[1]?.pieces, 0)
    })
  }

  test('a large PUBLISH in lent memory is kept piece by piece', () => {
    const payload = Uint8Array.from({ length: 100_000 }, (_, i) => i)
    const talk = connected(4)
    const bytes = talk.encode(publish('big', { payload }))
    talk.onPublish = (run) => assert.equal(run.lent, false)
    talk.takeLent(bytes.slice(0, 40_000)).takeLent(bytes.slice(40_000, 90_000)).takeLent(bytes.slice(90_000))
    assert.deepEqual(talk.payloads, [payload])
  })

  test('a large PUBLISH that is given again when it is whole is in one piece, and still lent', () => {
    const payload = Uint8Array.from({ length: 100_000 }, (_, i) => i)
    const talk = connected(4)
    const bytes = talk.encode(publish('big', { payload }))
    talk.onPublish = (run) => assert.equal(run.lent, true)
    assert.equal(talk.conversation.receiveLent(bytes.slice(0, 60_000), 0, 100_100), 60_000)
    assert.equal(talk.conversation.receiveLent(bytes, 0, 100_100), 0)
    assert.deepEqual(talk.payloads, [payload])
    assert.equal(talk.runs[0]?.pieces, 0)
    assert.equal(talk.conversation.receiveLent(bytes.slice(0, 60_000), 0, 100_000), 0, 'larger than what is carried')
  })

  test('a large PUBLISH whose header is cut is joined and has the same content', () => {
    for (const cut of [1, 2, 3, 4, 5, 6, 8, 10, 12]) {
      const talk = connected(5)
      const properties = { contentType: 'abc' }
      const bytes = talk.encode(publish('t', { qos: 2, id: 3, payload, properties }))
      talk.takeBytes(bytes.slice(0, cut)).takeBytes(bytes.slice(cut, 50_000)).takeBytes(bytes.slice(50_000))
      assert.deepEqual(talk.payloads, [payload], `cut at ${cut}`)
    }
  })

  test('pieces of a few bytes are joined now and then, so that each byte costs about a byte', () => {
    const talk = connected(4)
    const bytes = talk.encode(publish('t', { payload: payload.subarray(0, 20_000) }))
    for (let at = 0; at < bytes.length; at++) talk.takeBytes(bytes.slice(at, at + 1))
    assert.ok((talk.runs[0]?.pieces as number) < 256, `${talk.runs[0]?.pieces} pieces`)
    assert.deepEqual(talk.payloads[0], payload.subarray(0, 20_000))
  })

  test('a packet over the maximum is refused at its header, before a byte of it is kept [MQTT-3.2.2-15]', () => {
    for (const version of [4, 5] as const) {
      const talk = connected(version, { packetBytesMax: 64 })
      talk.take(publish('a', { payload: 'x'.repeat(40) }))
      talk.takeBytes(Uint8Array.from([0x30, 63]))
      assertRefused(talk, 0x95, 'MQTT-3.2.2-15')
      const cut = connected(version, { packetBytesMax: 64 }).takeBytes(Uint8Array.of(0x30))
      cut.takeBytes(Uint8Array.of(0xff, 0xff, 0x7f))
      assertRefused(cut, 0x95)
    }
    const exact = connected(4, { packetBytesMax: 64 }).take(publish('a', { payload: 'x'.repeat(59) }))
    assert.equal(exact.payloads.length, 1)
  })

  test('a bad first byte is refused before its packet is awaited', () => {
    assertRefused(connected(5).takeBytes(Uint8Array.of(0x00)), 0x81)
    assertRefused(connected(5).takeBytes(Uint8Array.of(0x36, 100)), 0x81, 'MQTT-3.3.1-4')
    assertRefused(connected(4).takeBytes(Uint8Array.of(0xf0, 10)), 0x81)
  })
})

describe('remaining length', () => {
  const padded = Uint8Array.from([0xc0, 0x80, 0x00])

  test('of more bytes than needed is malformed in 5.0, in one piece or cut [MQTT-1.5.5-1]', () => {
    assertRefused(connected(5).takeBytes(padded), 0x81, 'MQTT-1.5.5-1')
    for (const cut of [1, 2]) {
      assertRefused(connected(5).takeBytes(padded.slice(0, cut)).takeBytes(padded.slice(cut)), 0x81, 'MQTT-1.5.5-1')
    }
  })

  test('of more bytes than needed is taken before 5.0, whose standard does not forbid it', () => {
    const talk = connected(4).takeBytes(padded)
    assert.deepEqual([talk.closed, talk.lines[0]], [false, 'pingreq'])
    const cut = connected(4).takeBytes(padded.slice(0, 1)).takeBytes(padded.slice(1))
    assert.deepEqual([cut.closed, cut.lines[0]], [false, 'pingreq'])
  })

  test('of five bytes is malformed in every version, in one piece or cut', () => {
    const five = Uint8Array.from([0x30, 0x80, 0x80, 0x80, 0x80, 0x01])
    for (const version of [3, 4, 5] as const) {
      assertRefused(connected(version).takeBytes(five), 0x81)
      assertRefused(connected(version).takeBytes(five.slice(0, 3)).takeBytes(five.slice(3)), 0x81)
    }
  })
})

describe('topic aliases', () => {
  const alias = (topic: string, topicAlias: number): Packet => publish(topic, { properties: { topicAlias } })

  test('an alias stands for the topic it was last given, for this connection', () => {
    const talk = connected().take(
      alias('a', 1),
      alias('', 1),
      alias('b', 1),
      alias('', 1),
      alias('c', 10),
      publish('a'),
    )
    assert.deepEqual(
      talk.lines.map((line) => line.split(' ')[1]),
      ['a', 'a', 'b', 'b', 'c', 'a'],
    )
    assert.deepEqual(
      talk.runs.map(({ sameTopic }) => sameTopic),
      [false, true, false, true, false, false],
    )
  })

  test('an alias above the maximum is refused [MQTT-3.3.2-9], one never given a topic too', () => {
    assertRefused(connected().take(alias('a', 11)), 0x94, 'MQTT-3.3.2-9')
    assertRefused(connected(5, { topicAliasMaximum: 0 }).take(alias('a', 1)), 0x94)
    assertRefused(connected().take(alias('', 2)), 0x82)
  })

  test('an alias keeps a copy of its topic, not the read buffer, whatever kind of array that is', () => {
    const talk = connected()
    const read = Buffer.from(joinBytes([talk.encode(alias('first', 1)), new Uint8Array(0)]))
    talk.takeBytes(read)
    read.fill(0)
    talk.take(alias('', 1))
    assert.match(talk.lines[1] as string, /publish first /)
  })
})

describe('receive maximum', () => {
  test('one message too many unacknowledged ends the connection with 0x93 [MQTT-3.3.4-7]', () => {
    const talk = connected(5, { receiveMaximum: 2 })
    talk.take(publish('a', { qos: 1, id: 1 }), publish('b', { qos: 2, id: 2 }))
    assert.equal(talk.closed, false)
    talk.take(publish('a', { qos: 1, id: 3 }))
    assertRefused(talk, 0x93, 'MQTT-3.3.4-7')
    assert.equal(talk.payloads.length, 2)
  })

  test('what was settled, what was sent again, QoS 0, and clients before 5.0 do not count', () => {
    const talk = connected(5, { receiveMaximum: 1 })
    for (let id = 1; id < 5; id++) {
      talk.take(publish('a', { qos: 1, id }), publish('a'), publish('a', { qos: 1, id, dup: true }))
      talk.conversation.settledIn(1)
    }
    assert.equal(talk.closed, false)
    const four = connected(4, { receiveMaximum: 1 })
    four.take(publish('a', { qos: 1, id: 1 }), publish('a', { qos: 1, id: 2 }), publish('a', { qos: 2, id: 3 }))
    assert.equal(four.closed, false)
  })
})

describe('other packets', () => {
  test('acknowledgements arrive as numbers, short or with a reason', () => {
    const talk = connected(5).take(
      { type: PacketType.puback, packetId: 1, reasonCode: 0 },
      { type: PacketType.pubrec, packetId: 2, reasonCode: 0x87 },
      { type: PacketType.pubrel, packetId: 3, reasonCode: 0x92, properties: { reasonString: 'why' } },
      { type: PacketType.pubcomp, packetId: 65_535, reasonCode: 0 },
    )
    assert.deepEqual(talk.lines, ['puback 1 0', 'pubrec 2 135', 'pubrel 3 146', 'pubcomp 65535 0'])
  })

  test('acknowledgements with identifier 0 or wrong flags are refused [MQTT-2.1.3-1]', () => {
    assertRefused(connected(4).takeBytes(Uint8Array.of(0x40, 2, 0, 0)), 0x82)
    assertRefused(connected(4).takeBytes(Uint8Array.of(0x41, 2, 0, 1)), 0x81)
    assertRefused(connected(5).takeBytes(Uint8Array.of(0x60, 2, 0, 1)), 0x81)
  })

  test('PINGREQ is answered [MQTT-3.12.4-1]', () => {
    const talk = connected(3).take(pingreq)
    assert.deepEqual(talk.lines, ['pingreq', 'send {"type":13}'])
  })

  test('a packet that only a server sends is refused', () => {
    for (const packet of [
      { type: PacketType.connack, sessionPresent: false, reasonCode: 0 },
      { type: PacketType.suback, packetId: 1, reasonCodes: [0] },
      { type: PacketType.pingresp },
    ] as const) {
      assertRefused(connected(5).take(packet), 0x82)
      assertRefused(connected(4).take(packet), 0x82)
    }
  })

  test('subscription identifiers are refused where they are not offered', () => {
    const subscribe: Packet = {
      type: PacketType.subscribe,
      packetId: 1,
      subscriptions: [{ filter: 'a', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 }],
      properties: { subscriptionIdentifiers: [5] },
    }
    assertRefused(connected(5, { subscriptionIdentifierAvailable: false }).take(subscribe), 0xa1)
    assert.match(connected(5).take(subscribe).lines[0] as string, /^subscribe .*"subscriptionIdentifiers":\[5\]/)
  })

  test('DISCONNECT ends the conversation, and nothing behind it counts [MQTT-3.14.4-1]', () => {
    for (const version of [3, 4, 5] as const) {
      const talk = connected(version).take({ type: PacketType.disconnect, reasonCode: 0 }, publish('a'), pingreq)
      assert.deepEqual(
        talk.lines.map((line) => line.split(' ')[0]),
        ['disconnected', 'close'],
      )
      talk.take(publish('a'))
      assert.equal(talk.lines.length, 2)
    }
  })

  test('DISCONNECT may not set an expiry after a CONNECT without one [MQTT-3.14.2-2]', () => {
    const bye: Packet = { type: PacketType.disconnect, reasonCode: 0, properties: { sessionExpiryInterval: 5 } }
    assertRefused(connected(5).take(bye), 0x82)
    const allowed = connected(5)
    allowed.conversation.sessionExpiryAllowed = true
    assert.match(allowed.take(bye).lines[0] as string, /^disconnected/)
    const zero: Packet = { type: PacketType.disconnect, reasonCode: 0, properties: { sessionExpiryInterval: 0 } }
    assert.match(connected(5).take(zero).lines[0] as string, /^disconnected/)
  })
})

describe('sending', () => {
  const suback: Packet = {
    type: PacketType.suback,
    packetId: 1,
    reasonCodes: [0],
    properties: { reasonString: 'a long reason indeed', userProperties: [['a', 'b']] },
  }

  test('reason strings and user properties go only to clients that want them [MQTT-3.1.2-29]', () => {
    const wants = connected(5)
    wants.conversation.send(suback)
    assert.deepEqual(wants.sent[0], suback)
    const declines = connected(5, {}, { properties: { requestProblemInformation: 0 } })
    declines.conversation.send(suback)
    assert.ok(
      declines.sent[0] !== undefined &&
        !('properties' in declines.sent[0] && declines.sent[0].properties?.reasonString),
    )
  })

  test('a packet larger than the client takes loses its texts, or is not sent [MQTT-3.1.2-24]', () => {
    const talk = connected(5, {}, { properties: { maximumPacketSize: 20 } })
    talk.conversation.send(suback)
    assert.equal(talk.sent.length, 1)
    talk.conversation.send({ type: PacketType.puback, packetId: 1, reasonCode: 0 })
    assert.equal(talk.sent.length, 2)
    // A SUBACK cannot lose its codes, and a client would wait for it for ever.
    talk.conversation.send({ type: PacketType.suback, packetId: 1, reasonCodes: new Array(20).fill(0) })
    assert.deepEqual(
      talk.sent.slice(2).map((packet) => [packet.type, 'reasonCode' in packet && packet.reasonCode]),
      [[PacketType.disconnect, 0x95]],
    )
    assert.equal(talk.conversation.closed, true)
  })

  test('disconnect() says why in 5.0 and closes without a byte before; once', () => {
    const five = connected(5)
    five.conversation.disconnect(0x8b, { reason: 'tea time', serverReference: 'elsewhere' })
    five.conversation.disconnect(0x8b)
    assert.deepEqual(five.sent, [
      {
        type: PacketType.disconnect,
        reasonCode: 0x8b,
        properties: { reasonString: 'tea time', serverReference: 'elsewhere' },
      },
    ])
    const four = connected(4)
    four.conversation.disconnect(0x8b)
    assert.deepEqual(four.lines, ['close'])
  })

  test('end() is quiet: the network connection is gone', () => {
    const talk = connected(5)
    talk.conversation.end()
    talk.take(publish('a'))
    talk.conversation.disconnect(0x80)
    talk.conversation.tick(1e9)
    assert.deepEqual(talk.lines, [])
  })
})

describe('waiting for a decision', () => {
  test('what comes after CONNECT waits for the answer, in order', () => {
    const talk = new Talk()
    talk.onConnect = () => {}
    talk.take(connect(4), publish('a', { payload: '1' }))
    talk.take(publish('a', { payload: '22' }))
    talk.take(pingreq)
    assert.deepEqual([talk.conversation.holding, talk.lines], [true, ['connect']])
    talk.conversation.accept({ sessionPresent: false })
    assert.deepEqual(
      talk.lines.map((line) => line.split(' ')[0]),
      ['connect', 'send', 'publish', 'publish', 'pingreq', 'send'],
    )
    assert.deepEqual(
      talk.payloads.map(({ length }) => length),
      [1, 2],
    )
  })

  test('a refused CONNECT forgets what waited behind it', () => {
    const talk = new Talk()
    talk.onConnect = () => {}
    talk.take(connect(4), publish('a'))
    talk.conversation.refuse(0x87)
    assert.equal(talk.payloads.length, 0)
  })

  test('hold() from within a publish stops behind that run, release() goes on, however the bytes were cut', () => {
    const talk = connected(4)
    const bytes = joinBytes([
      talk.encode(publish('a', { payload: '1' })),
      talk.encode(publish('b', { payload: '22' })),
      talk.encode(publish('c', { payload: '333' })),
    ])
    talk.onPublish = () => talk.conversation.hold()
    talk.takeBytes(bytes.slice(0, -2))
    talk.takeBytes(bytes.slice(-2))
    const seen: number[] = [talk.payloads.length]
    while (talk.conversation.holding) {
      talk.conversation.release()
      seen.push(talk.payloads.length)
    }
    assert.deepEqual(seen, [1, 2, 3, 3])
    assert.deepEqual(
      talk.payloads.map(({ length }) => length),
      [1, 2, 3],
    )
  })

  test('bytes that an effect brings about, for this or another conversation, wait for the run in hand', () => {
    const run = new PublishRun()
    const one = new Talk({}, run).take(connect(4))
    const other = new Talk({}, run).take(connect(4))
    one.onPublish = () => {
      one.onPublish = () => {}
      other.take(publish('x', { payload: 'from within' }), publish('x'))
      one.take(publish('y'))
      assert.equal(run.count, 2, 'the run in hand is whole')
    }
    one.take(publish('a'), publish('a'), publish('b'))
    const topics = (talk: Talk) =>
      talk.lines.filter((line) => line.startsWith('publish')).map((line) => line.split(' ')[1])
    assert.deepEqual(topics(one), ['a', 'a', 'b', 'y'])
    assert.deepEqual(topics(other), ['x', 'x'])
  })

  test('an effect that throws leaves the run usable for everybody', () => {
    const run = new PublishRun()
    const one = new Talk({}, run).take(connect(4))
    const other = new Talk({}, run).take(connect(4))
    one.onPublish = () => {
      throw new Error('a fault of ours')
    }
    assert.throws(() => one.take(publish('a')), /a fault of ours/)
    other.take(publish('x'))
    assert.equal(other.payloads.length, 1)
  })
})

describe('enhanced authentication', () => {
  const properties = { authenticationMethod: 'M', authenticationData: Uint8Array.of(1) }
  const step = (reasonCode: number, more: Properties = {}): Packet => ({
    type: PacketType.auth,
    reasonCode,
    properties: { ...properties, ...more },
  })

  /** CONNECT with a method, one challenge sent. */
  function challenged(): Talk {
    const talk = new Talk()
    talk.onConnect = () => {}
    talk.take(connect(5, { properties }))
    talk.conversation.challenge(Uint8Array.of(9))
    talk.lines.length = 0
    return talk
  }

  test('goes from CONNECT over AUTH to CONNACK, with the same method throughout [MQTT-4.12.0-5]', () => {
    const talk = challenged()
    assert.deepEqual(talk.sent[0], {
      type: PacketType.auth,
      reasonCode: 0x18,
      properties: { authenticationMethod: 'M', authenticationData: Uint8Array.of(9) },
    })
    talk.take(step(0x18), pingreq)
    assert.deepEqual([talk.lines, talk.conversation.holding], [['auth 24 1'], true])
    talk.conversation.accept({ sessionPresent: false, authenticationMethod: 'M', authenticationData: Uint8Array.of(3) })
    const connack = talk.sent[1]
    assert.ok(connack?.type === PacketType.connack)
    assert.equal(connack.properties?.authenticationMethod, 'M')
    assert.equal(talk.lines.at(-1), 'send {"type":13}')
  })

  test('only AUTH and DISCONNECT may come before CONNACK [MQTT-3.1.2-30]', () => {
    const talk = challenged().take(publish('a'))
    assert.deepEqual([talk.refusal?.statement, talk.closed, talk.payloads], ['MQTT-3.1.2-30', true, []])
    assert.equal(challenged().take({ type: PacketType.disconnect, reasonCode: 0 }).lines.at(-1), 'close')
  })

  test('another method, or an AUTH out of turn, is a protocol error', () => {
    for (const packet of [step(0x18, { authenticationMethod: 'N' }), step(0x19), step(0)]) {
      const talk = challenged().take(packet)
      assert.deepEqual([talk.refusal?.reasonCode, talk.closed], [0x82, true])
    }
    assertRefused(connected(5).take(step(0x19)), 0x82)
    assert.equal(connected(4).takeBytes(encodePacket(step(0x19), 5)).closed, true)
  })

  test('re-authentication begins with 0x19, goes on with 0x18, and others wait meanwhile', () => {
    const talk = connected(5, {}, { properties })
    talk.take(step(0x19), pingreq)
    assert.deepEqual(talk.lines, ['auth 25 1'])
    talk.conversation.challenge(Uint8Array.of(5))
    assert.equal(talk.lines.at(-1), 'send {"type":13}')
    talk.take(step(0x18))
    talk.conversation.reAuthenticated(undefined)
    assert.equal(codeOf(talk.sent.at(-1)), 0)
    talk.take(step(0x19))
    assert.equal(talk.closed, false)
    talk.conversation.refuse(0x87)
    assert.equal(codeOf(talk.sent.at(-1)), 0x87)
    assert.equal(talk.sent.at(-1)?.type, PacketType.disconnect)
  })

  test('re-authentication cannot begin with 0x18, begin twice, or be declared done by the client', () => {
    assertRefused(connected(5, {}, { properties }).take(step(0x18)), 0x82)
    assertRefused(connected(5, {}, { properties }).take(step(0x00)), 0x82)
    for (const next of [step(0x19), step(0x00)]) {
      const talk = connected(5, {}, { properties }).take(step(0x19))
      talk.conversation.challenge(undefined)
      talk.sent.length = 0
      assertRefused(talk.take(next), 0x82)
    }
  })
})

describe('properties of any stream', () => {
  const stream = fc.tuple(anyVersion, fc.scheduler()).chain(([version]) =>
    fc.record({
      version: fc.constant(version),
      packets: fc.array(anyPacket(version), { maxLength: 12 }),
      // Runs of equal topics are what the hot path is about, and rare among random packets.
      repeat: fc.integer({ min: 0, max: 5 }),
      cuts: fc.array(fc.nat(), { maxLength: 30 }),
    }),
  )

  function script(version: ProtocolVersion, packets: readonly Packet[], repeat: number): Uint8Array {
    const parts = [encodePacket(connect(version), version)]
    for (const packet of packets) {
      const bytes = encodePacket(packet, packet.type === PacketType.connect ? packet.version : version)
      const times = packet.type === PacketType.publish ? repeat + 1 : 1
      for (let i = 0; i < times; i++) parts.push(bytes)
    }
    return joinBytes(parts)
  }

  function effectsOf(
    bytes: Uint8Array,
    cuts: readonly number[],
    take: (talk: Talk, piece: Uint8Array) => void = (talk, piece) => talk.takeBytes(piece),
  ): string[] {
    const talk = new Talk({ packetBytesMax: 1 << 24 })
    const borders = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b)
    let from = 0
    for (const to of [...borders, bytes.length]) {
      take(talk, bytes.slice(from, to))
      from = to
    }
    return talk.lines
  }

  test('the same bytes have the same effects, however they are cut', () => {
    hold(
      fc.property(stream, ({ version, packets, repeat, cuts }) => {
        const bytes = script(version, packets, repeat)
        assert.deepEqual(effectsOf(bytes, cuts), effectsOf(bytes, []))
      }),
      300,
    )
  })

  test('the same bytes have the same effects in memory that is overwritten after each read', () => {
    const lent = (talk: Talk, piece: Uint8Array): void => void talk.takeLent(piece)
    // What is held back is kept, too: every publish stops the reading once.
    const held = (talk: Talk, piece: Uint8Array): void => {
      talk.onPublish = () => talk.conversation.hold()
      talk.takeLent(piece)
      while (talk.conversation.holding) talk.conversation.release()
    }
    hold(
      fc.property(stream, ({ version, packets, repeat, cuts }) => {
        const bytes = script(version, packets, repeat)
        assert.deepEqual(effectsOf(bytes, cuts, lent), effectsOf(bytes, []))
        assert.deepEqual(effectsOf(bytes, cuts, held), effectsOf(bytes, []))
      }),
      200,
    )
  })

  test('the same bytes have the same effects where a packet that is not whole is given again', () => {
    for (const carriedBytesMax of [10, 1 << 20]) {
      const rests = new WeakMap<Talk, Uint8Array>()
      const carried = (talk: Talk, piece: Uint8Array): void => {
        const memory = joinBytes([rests.get(talk) ?? new Uint8Array(0), piece])
        const left = talk.conversation.receiveLent(memory, 0, carriedBytesMax)
        rests.set(talk, memory.slice(memory.length - left))
        memory.fill(0xdb)
      }
      const held = (talk: Talk, piece: Uint8Array): void => {
        talk.onPublish = () => talk.conversation.hold()
        carried(talk, piece)
        while (talk.conversation.holding) talk.conversation.release()
      }
      hold(
        fc.property(stream, ({ version, packets, repeat, cuts }) => {
          const bytes = script(version, packets, repeat)
          assert.deepEqual(effectsOf(bytes, cuts, carried), effectsOf(bytes, []))
          assert.deepEqual(effectsOf(bytes, cuts, held), effectsOf(bytes, []))
        }),
        200,
      )
    }
  })

  test('the same bytes have the same effects byte by byte', () => {
    hold(
      fc.property(stream, ({ version, packets, repeat }) => {
        const bytes = script(version, packets, repeat).subarray(0, 3000)
        const each = Array.from({ length: bytes.length }, (_, i) => i)
        assert.deepEqual(effectsOf(bytes, each), effectsOf(bytes, []))
      }),
      60,
    )
  })

  test('every packet of the catalogue, good or bad, damaged or not, is taken or refused, never thrown at', () => {
    const samples = catalogue.map(({ version, bytes }) => ({ version, bytes: fromHex(bytes) }))
    const damage = fc.record({ at: fc.nat(), how: fc.constantFrom('set', 'cut', 'insert'), value: fc.nat(255) })
    const entry = fc.record({ sample: fc.constantFrom(...samples), damages: fc.array(damage, { maxLength: 3 }) })
    const damaged = fc.record({
      version: anyVersion,
      entries: fc.array(entry, { minLength: 1, maxLength: 4 }),
      first: fc.boolean(),
      cuts: fc.array(fc.nat(), { maxLength: 6 }),
    })
    hold(
      fc.property(damaged, ({ version, entries, first, cuts }) => {
        const parts = entries.map(({ sample, damages }) => {
          let bytes = [...sample.bytes]
          for (const { at, how, value } of damages) {
            const i = bytes.length === 0 ? 0 : at % bytes.length
            if (how === 'set') bytes[i] = value
            else if (how === 'cut') bytes = bytes.slice(0, i)
            else bytes.splice(i, 0, value)
          }
          return Uint8Array.from(bytes)
        })
        const bytes = joinBytes(first ? parts : [encodePacket(connect(version), version), ...parts])
        assert.deepEqual(effectsOf(bytes, cuts), effectsOf(bytes, []))
      }),
      3000,
    )
  })
})
