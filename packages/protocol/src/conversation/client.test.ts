import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { Framer } from '../framing/framer.ts'
import { decodePacket } from '../packets/decode.ts'
import { encodePacket } from '../packets/encode.ts'
import { type Packet, PacketType, type ProtocolVersion, type QoS } from '../packets/types.ts'
import type { Properties } from '../properties/types.ts'
import { isRefusal } from '../refusal.ts'
import { utf8Encode } from '../utf8.ts'
import { ClientConversation } from './client.ts'
import type { ClientConnectOptions, ClientConversationLimits, ClientEnd } from './client-effects.ts'
import { CLIENT_CONVERSATION_LIMITS } from './client-effects.ts'
import { CLIENT_SESSION_LIMITS, ClientSession } from './client-session.ts'

type Told = readonly [effect: string, ...details: unknown[]]

/** A conversation with a scripted server: packets go in as bytes, what comes out is decoded again. */
class Script {
  readonly told: Told[] = []
  readonly session: ClientSession
  readonly conversation: ClientConversation
  readonly version: ProtocolVersion
  now = 1000
  end: ClientEnd | undefined
  #sent: Packet[] = []
  readonly #framer = new Framer({ packetBytesMax: 1 << 28 })

  constructor(
    options: Partial<ClientConnectOptions> = {},
    session = new ClientSession(),
    limits: Partial<ClientConversationLimits> = {},
  ) {
    this.session = session
    this.version = options.version ?? 5
    this.conversation = new ClientConversation(
      session,
      { version: 5, clientId: 'c', cleanStart: true, keepAlive: 0, ...options },
      {
        send: (bytes) => {
          const refusal = this.#framer.push(bytes, (firstByte, buf, start, end) => {
            const packet = decodePacket(firstByte, buf, start, end, this.version)
            assert.ok(!isRefusal(packet), `the client sent what nobody can read: ${JSON.stringify(packet)}`)
            this.#sent.push(packet)
          })
          assert.equal(refusal, undefined)
        },
        connected: ({ sessionPresent }) => this.told.push(['connected', sessionPresent]),
        message: ({ topic, payload, qos, dup }) => this.told.push(['message', topic, [...payload], qos, dup]),
        published: (operation, reasonCode) => this.told.push(['published', operation, reasonCode]),
        uncertain: (operation) => this.told.push(['uncertain', operation]),
        answered: (operation, reasonCodes) => this.told.push(['answered', operation, [...reasonCodes]]),
        refused: (operation, { reasonCode }) => this.told.push(['refused', operation, reasonCode]),
        authentication: ({ reasonCode, properties }) =>
          this.told.push(['authentication', reasonCode, properties?.authenticationData?.[0]]),
        closed: (end) => {
          this.end = end
        },
      },
      { ...CLIENT_CONVERSATION_LIMITS, ...limits },
    )
    this.conversation.connect(this.now)
  }

  /** What the client has sent since the last call. */
  sent(): Packet[] {
    const sent = this.#sent
    this.#sent = []
    return sent
  }

  /** Types and identifiers of what was sent: `PUBLISH 1 dup`. */
  log(): string[] {
    return this.sent().map((packet) => {
      const name = Object.entries(PacketType).find(([, type]) => type === packet.type)?.[0] ?? '?'
      const id = 'packetId' in packet && packet.packetId !== undefined ? ` ${packet.packetId}` : ''
      const code = 'reasonCode' in packet && packet.reasonCode !== 0 ? ` 0x${packet.reasonCode.toString(16)}` : ''
      return `${name.toUpperCase()}${id}${code}${'dup' in packet && packet.dup ? ' dup' : ''}`
    })
  }

  /** The server sends packets, in one chunk. */
  server(...packets: Packet[]): this {
    this.bytes(packets.flatMap((packet) => [...encodePacket(packet, this.version)]))
    return this
  }

  bytes(bytes: readonly number[]): void {
    this.conversation.receive(Uint8Array.from(bytes), this.now)
  }

  /** CONNACK, and what the driver does then. */
  accepted(properties?: Properties, sessionPresent = false): this {
    this.server({ type: PacketType.connack, sessionPresent, reasonCode: 0, ...(properties && { properties }) })
    this.sent()
    this.conversation.resume(this.now)
    return this
  }

  publish(operation: number, qos: QoS, topic = 't', options: { payload?: string; retain?: boolean } = {}): void {
    const { payload = '', retain = false } = options
    const refusal = this.conversation.publish(operation, { topic, payload: utf8Encode(payload), qos, retain }, this.now)
    if (refusal !== undefined) this.told.push(['noRoom', operation, refusal.statement])
  }

  subscribe(operation: number, filter: string, properties?: Properties): void {
    const request = { filter, qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
    this.conversation.subscribe(operation, [request], properties, this.now)
  }

  deliver(qos: QoS, packetId?: number, options: Partial<Extract<Packet, { type: 3 }>> = {}): this {
    const packet = {
      type: PacketType.publish,
      topic: 't',
      payload: Uint8Array.of(7),
      qos,
      retain: false,
      dup: false,
      ...options,
    } as const
    return this.server(packetId === undefined ? packet : { ...packet, packetId })
  }

  at(ms: number): this {
    this.now = 1000 + ms
    this.conversation.tick(this.now)
    return this
  }
}

const ack = (type: 4 | 5 | 6 | 7, packetId: number, reasonCode = 0): Packet => ({ type, packetId, reasonCode })

function closedFor(script: Script, reasonCode: number): void {
  assert.equal(script.end?.kind, 'protocolError')
  assert.equal(script.end.refusal.reasonCode, reasonCode, script.end.refusal.detail)
}

describe('connect()', () => {
  for (const version of [3, 4, 5] as const) {
    test(`sends CONNECT first, and connects with CONNACK, version ${version}`, () => {
      const script = new Script({ version, username: 'u', password: Uint8Array.of(1), keepAlive: 10 })
      const [packet, ...rest] = script.sent()
      assert.equal(packet?.type, PacketType.connect)
      assert.equal(packet.version, version)
      assert.equal(packet.username, 'u')
      assert.deepEqual(rest, [])
      script.accepted()
      assert.deepEqual(script.told, [['connected', false]])
    })
  }

  test('reports the refusal of a 3.1.1 server with its return code', () => {
    const script = new Script({ version: 4 }).server({ type: PacketType.connack, sessionPresent: false, reasonCode: 5 })
    assert.deepEqual(script.end, { kind: 'refused', reasonCode: 5 })
  })

  test('surfaces the Server Reference of a refusing CONNACK', () => {
    const properties = { serverReference: 'other:1884' }
    const script = new Script().server({
      type: PacketType.connack,
      sessionPresent: false,
      reasonCode: 0x9c,
      properties,
    })
    assert.deepEqual(script.end, { kind: 'refused', reasonCode: 0x9c, properties })
  })

  test('gives up when CONNACK does not come in time', () => {
    const script = new Script({}, undefined, { connackTimeoutMs: 500 })
    assert.equal(script.conversation.deadlineMs, 1500)
    script.at(499)
    assert.equal(script.end, undefined)
    script.at(500)
    assert.deepEqual(script.end, { kind: 'timeout', waitedFor: 'CONNACK' })
  })

  test('refuses a session that is present after a clean start [MQTT-3.2.2-2]', () => {
    closedFor(new Script().accepted(undefined, true), 0x82)
  })

  test('refuses any packet before CONNACK [MQTT-3.2.0-1]', () => {
    const script = new Script()
    script.sent()
    script.deliver(0)
    closedFor(script, 0x82)
    assert.deepEqual(script.log(), ['DISCONNECT 0x82'])
  })

  test('refuses a second CONNACK', () => {
    closedFor(new Script().accepted().accepted(), 0x82)
  })

  for (const type of [PacketType.pingreq, PacketType.connect, PacketType.subscribe, PacketType.unsubscribe] as const) {
    test(`refuses packet type ${type}, which only a client may send`, () => {
      const script = new Script().accepted()
      const subscriptions = [
        { filter: 'a', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 },
      ] as const
      if (type === PacketType.pingreq) script.server({ type })
      else if (type === PacketType.subscribe) script.server({ type, packetId: 1, subscriptions })
      else if (type === PacketType.unsubscribe) script.server({ type, packetId: 1, filters: ['a'] })
      else script.server({ type, version: 5, clientId: '', cleanStart: true, keepAlive: 0 })
      closedFor(script, 0x82)
    })
  }

  test('closes without DISCONNECT on a violation before 5.0, for that would mean a clean end', () => {
    const script = new Script({ version: 4 }).accepted()
    script.server({ type: PacketType.pingreq })
    assert.equal(script.end?.kind, 'protocolError')
    assert.deepEqual(script.log(), [])
  })

  test('ignores what comes behind a violation in the same chunk', () => {
    const script = new Script().accepted()
    const payload = Uint8Array.of()
    script.server(
      { type: PacketType.pingreq },
      { type: PacketType.publish, topic: 't', payload, qos: 0, retain: false, dup: false },
    )
    assert.deepEqual(script.told, [['connected', false]])
  })
})

describe('keep alive', () => {
  test('sends PINGREQ after three quarters of it in silence [MQTT-3.1.2-20]', () => {
    const script = new Script({ keepAlive: 10 }).accepted()
    assert.equal(script.conversation.deadlineMs, 1000 + 7500)
    script.at(7499)
    assert.deepEqual(script.log(), [])
    script.at(7500)
    assert.deepEqual(script.log(), ['PINGREQ'])
  })

  test('is what the server says [MQTT-3.1.2-21] [MQTT-3.2.2-21]', () => {
    const script = new Script({ keepAlive: 100 }).accepted({ serverKeepAlive: 4 })
    assert.equal(script.conversation.deadlineMs, 1000 + 3000)
    assert.equal(new Script({ keepAlive: 100 }).accepted({ serverKeepAlive: 0 }).conversation.deadlineMs, undefined)
  })

  test('of 0 switches it off', () => {
    assert.equal(new Script({ keepAlive: 0 }).accepted().conversation.deadlineMs, undefined)
  })

  test('sends PINGREQ to a silent server while the client only publishes', () => {
    const script = new Script({ keepAlive: 10 }).accepted()
    for (const ms of [2000, 4000, 6000, 7400]) {
      script.at(ms)
      script.publish(ms, 0)
    }
    script.sent()
    script.at(7500)
    assert.deepEqual(script.log(), ['PINGREQ'])
  })

  test('gives up when neither PINGRESP nor anything else comes', () => {
    const script = new Script({ keepAlive: 10 }, undefined, { pingTimeoutMs: 2000 }).accepted()
    script.at(7500).at(9499)
    assert.equal(script.end, undefined)
    script.at(9500)
    assert.deepEqual(script.end, { kind: 'timeout', waitedFor: 'PINGRESP' })
  })

  test('goes on after PINGRESP', () => {
    const script = new Script({ keepAlive: 10 }, undefined, { pingTimeoutMs: 2000 }).accepted()
    script.at(7500)
    script.now = 1000 + 8000
    script.server({ type: PacketType.pingresp }).at(14_999)
    assert.equal(script.end, undefined)
    script.sent()
    script.at(15_000)
    assert.deepEqual(script.log(), ['PINGREQ'])
  })

  test('blames nobody for silence while the driver does not read', () => {
    const script = new Script({ keepAlive: 10 }, undefined, { pingTimeoutMs: 2000 }).accepted()
    script.at(7500)
    script.conversation.pauseReading()
    script.at(14_000)
    assert.equal(script.end, undefined)
    script.now = 1000 + 15_000
    script.conversation.resumeReading(script.now)
    assert.equal(script.end, undefined)
    script.at(17_000)
    assert.deepEqual(script.end, { kind: 'timeout', waitedFor: 'PINGRESP' })
  })
})

describe('publish()', () => {
  for (const version of [3, 4, 5] as const) {
    test(`completes QoS 0 at once, 1 with PUBACK, 2 with PUBCOMP, version ${version}`, () => {
      const script = new Script({ version }).accepted()
      script.publish(10, 0)
      script.publish(11, 1)
      script.publish(12, 2)
      assert.deepEqual(script.log(), ['PUBLISH', 'PUBLISH 1', 'PUBLISH 2'])
      script.server(ack(4, 1), ack(5, 2))
      assert.deepEqual(script.log(), ['PUBREL 2'])
      script.server(ack(7, 2))
      const done = [
        ['published', 10, 0],
        ['published', 11, 0],
        ['published', 12, 0],
      ]
      assert.deepEqual(script.told.slice(1), done)
      assert.equal(script.session.publications, 0)
      assert.equal(script.session.bytes, 0)
    })
  }

  test('ends with the reason code of a refusing PUBACK or PUBREC', () => {
    const script = new Script().accepted()
    script.publish(1, 1)
    script.publish(2, 2)
    script.sent()
    script.server(ack(4, 1, 0x87), ack(5, 2, 0x97))
    assert.deepEqual(script.told.slice(1), [
      ['published', 1, 0x87],
      ['published', 2, 0x97],
    ])
    assert.deepEqual(script.log(), [])
  })

  test('holds back what is over the Receive Maximum of the server, in order [MQTT-3.3.4-7]', () => {
    const script = new Script().accepted({ receiveMaximum: 2 })
    for (const operation of [1, 2, 3]) script.publish(operation, 1)
    script.publish(4, 0)
    assert.deepEqual(script.log(), ['PUBLISH 1', 'PUBLISH 2'])
    script.server(ack(4, 2))
    assert.deepEqual(script.log(), ['PUBLISH 3', 'PUBLISH'])
  })

  test('counts a QoS 2 message against Receive Maximum until PUBCOMP', () => {
    const script = new Script().accepted({ receiveMaximum: 1 })
    script.publish(1, 2)
    script.publish(2, 1)
    script.server(ack(5, 1))
    assert.deepEqual(script.log(), ['PUBLISH 1', 'PUBREL 1'])
    script.server(ack(7, 1))
    assert.deepEqual(script.log(), ['PUBLISH 2'])
  })

  test('refuses what the queue has no room for, by count and by bytes', () => {
    const session = new ClientSession({ ...CLIENT_SESSION_LIMITS, queueMessagesMax: 2, queueBytesMax: 10 })
    const script = new Script({}, session)
    script.publish(1, 0, 't', { payload: '123456789' })
    script.publish(2, 0, 't')
    script.accepted()
    script.publish(3, 1)
    script.publish(4, 1)
    script.publish(5, 0)
    assert.deepEqual(script.told, [
      ['noRoom', 2, 'queueBytesMax'],
      ['connected', false],
      ['published', 1, 0],
      ['noRoom', 5, 'queueMessagesMax'],
    ])
  })

  test('waits while the network takes no more', () => {
    const script = new Script().accepted()
    script.conversation.pause()
    script.publish(1, 0)
    assert.deepEqual(script.log(), [])
    script.conversation.resume(script.now)
    assert.deepEqual(script.log(), ['PUBLISH'])
  })

  test('gives up what the server has said it would refuse [MQTT-3.2.2-11] [MQTT-3.2.2-14] [MQTT-3.2.2-15]', () => {
    const script = new Script().accepted({ maximumQoS: 1, retainAvailable: 0, maximumPacketSize: 20 })
    script.publish(1, 2)
    script.publish(2, 0, 't', { retain: true })
    script.publish(3, 1, 't', { payload: 'x'.repeat(13) })
    script.publish(4, 1, 't', { payload: 'x'.repeat(12) })
    assert.deepEqual(script.log(), ['PUBLISH 3'])
    assert.deepEqual(script.told.slice(1), [
      ['refused', 1, 0x9b],
      ['refused', 2, 0x9a],
      ['refused', 3, 0x95],
    ])
    assert.equal(script.session.publications, 1)
  })

  test('gives up what cannot be encoded, without ending the connection', () => {
    const script = new Script().accepted()
    script.publish(1, 1, 'a/#')
    script.publish(2, 1)
    assert.deepEqual(script.told.slice(1), [['refused', 1, 0x82]])
    assert.equal(script.end, undefined)
    assert.deepEqual(script.log(), ['PUBLISH 2'])
  })

  test('uses topic aliases as far as both sides allow, the oldest one again', () => {
    const script = new Script().accepted({ topicAliasMaximum: 2 })
    for (const topic of ['aaaa', 'aaaa', 'bbbb', 'cccc', 'aaaa']) script.publish(1, 0, topic)
    const seen = script
      .sent()
      .map((packet) => packet.type === PacketType.publish && [packet.topic, packet.properties?.topicAlias])
    assert.deepEqual(seen, [
      ['aaaa', 1],
      ['', 1],
      ['bbbb', 2],
      ['cccc', 1],
      ['aaaa', 2],
    ])
  })

  test('uses no topic alias that the server has not allowed [MQTT-3.2.2-17] [MQTT-3.2.2-18]', () => {
    const script = new Script().accepted()
    script.publish(1, 0, 'aaaa')
    script.publish(2, 0, 'aaaa')
    for (const packet of script.sent())
      assert.equal(packet.type === PacketType.publish && packet.properties?.topicAlias, undefined)
  })

  test('answers PUBREC of an unknown identifier with PUBREL 0x92, and ignores PUBACK and PUBCOMP of one', () => {
    const script = new Script().accepted()
    script.server(ack(5, 9), ack(4, 9), ack(7, 9))
    assert.deepEqual(script.log(), ['PUBREL 9 0x92'])
    assert.equal(script.end, undefined)
  })

  for (const version of [3, 4] as const) {
    test(`version ${version}: answers unknown identifiers without a reason code, which only 5.0 has`, () => {
      const script = new Script({ version }).accepted().server(ack(5, 9), ack(6, 10))
      assert.deepEqual(script.log(), ['PUBREL 9', 'PUBCOMP 10'])
      assert.equal(script.end, undefined)
    })
  }

  for (const [qos, type] of [
    [1, 5],
    [1, 7],
    [2, 4],
    [2, 7],
  ] as const) {
    test(`refuses packet type ${type} for a message sent at QoS ${qos}`, () => {
      const script = new Script().accepted()
      script.publish(1, qos)
      closedFor(script.server(ack(type, 1)), 0x82)
    })
  }
})

describe('a new connection', () => {
  function lostInFlight(): ClientSession {
    const script = new Script().accepted()
    script.publish(1, 1)
    script.publish(2, 2)
    script.publish(3, 2)
    script.server(ack(5, 2))
    script.conversation.connectionLost()
    assert.deepEqual(script.end, { kind: 'lost' })
    return script.session
  }

  test('sends again what is in flight, with DUP, in order, PUBREL where PUBREC had come [MQTT-4.4.0-1]', () => {
    const script = new Script({ cleanStart: false }, lostInFlight())
    script.sent()
    script.server({ type: PacketType.connack, sessionPresent: true, reasonCode: 0 })
    assert.deepEqual(script.log(), ['PUBLISH 1 dup', 'PUBREL 2', 'PUBLISH 3 dup'])
    script.server(ack(4, 1), ack(7, 2), ack(5, 3), ack(7, 3))
    assert.equal(script.session.publications, 0)
  })

  test('takes PUBCOMP 0x92 for the end of a handshake whose first PUBCOMP was lost (section 3.7.2.1)', () => {
    const script = new Script({ cleanStart: false }, lostInFlight())
    script.server({ type: PacketType.connack, sessionPresent: true, reasonCode: 0 })
    script.server({ type: PacketType.pubcomp, packetId: 2, reasonCode: 0x92 })
    const published = script.told.filter(([what]) => what === 'published')
    assert.deepEqual(published, [['published', 2, 0]])
  })

  test('holds back what it sends again when the new Receive Maximum is smaller', () => {
    const script = new Script({ cleanStart: false }, lostInFlight())
    script.sent()
    const properties = { receiveMaximum: 1 }
    script.server({ type: PacketType.connack, sessionPresent: true, reasonCode: 0, properties })
    script.conversation.resume(script.now)
    script.publish(4, 1)
    // PUBREL is no PUBLISH: it needs no room, but its message counts until PUBCOMP.
    assert.deepEqual(script.log(), ['PUBLISH 1 dup', 'PUBREL 2'])
    script.server(ack(4, 1))
    assert.deepEqual(script.log(), [])
    script.server(ack(7, 2))
    assert.deepEqual(script.log(), ['PUBLISH 3 dup'])
    script.server(ack(5, 3), ack(7, 3))
    assert.deepEqual(script.log(), ['PUBREL 3', 'PUBLISH 4'])
  })

  test('does not send again what a server has acknowledged before its turn', () => {
    const script = new Script({ cleanStart: false }, lostInFlight()).accepted({ receiveMaximum: 1 }, true)
    script.server(ack(5, 3), ack(7, 3), ack(7, 2), ack(4, 1))
    assert.deepEqual(script.log(), ['PUBREL 3'])
    assert.equal(script.session.publications, 0)
    script.publish(4, 1)
    script.publish(5, 1)
    assert.deepEqual(script.log(), ['PUBLISH 4'])
  })

  test('without a session publishes QoS 1 anew and leaves QoS 2 to the program [MQTT-3.2.2-5]', () => {
    const script = new Script({ cleanStart: false }, lostInFlight()).accepted(undefined, false)
    // 2: PUBREC had come, the message is the server's. 3: nobody knows.
    assert.deepEqual(script.told, [
      ['connected', false],
      ['published', 2, 0],
      ['uncertain', 3],
    ])
    assert.deepEqual(script.log(), ['PUBLISH 4'])
  })

  test('asks again for subscriptions that were not answered', () => {
    const first = new Script().accepted()
    first.subscribe(1, 'a')
    first.subscribe(2, 'b')
    first.server({ type: PacketType.suback, packetId: 1, reasonCodes: [1] })
    first.conversation.connectionLost()
    const second = new Script({}, first.session).accepted()
    const [packet, ...rest] = second.sent()
    assert.equal(packet?.type === PacketType.subscribe && packet.subscriptions[0]?.filter, 'b')
    assert.deepEqual(rest, [])
  })

  test('hands a QoS 2 message over once, however often it is sent', () => {
    const first = new Script().accepted().deliver(2, 5)
    first.conversation.connectionLost()
    const second = new Script({ cleanStart: false }, first.session).accepted(undefined, true)
    second.deliver(2, 5, { dup: true })
    assert.deepEqual(second.told, [['connected', true]])
    assert.deepEqual(second.log(), ['PUBREC 5'])
    second.server(ack(6, 5))
    assert.deepEqual(second.log(), ['PUBCOMP 5'])
    second.deliver(2, 5)
    assert.equal(second.told.length, 2)
  })
})

describe('messages from the server', () => {
  test('are answered when the program is done with them, in order of arrival [MQTT-4.6.0-2] [MQTT-4.6.0-3]', () => {
    const script = new Script().accepted().deliver(1, 1).deliver(2, 2).deliver(1, 3).deliver(0)
    assert.equal(script.told.length, 5)
    script.conversation.acknowledge(3, 0, script.now)
    script.conversation.acknowledge(2, 0, script.now)
    assert.deepEqual(script.log(), [])
    script.conversation.acknowledge(1, 0, script.now)
    assert.deepEqual(script.log(), ['PUBACK 1', 'PUBREC 2', 'PUBACK 3'])
    script.server(ack(6, 2))
    assert.deepEqual(script.log(), ['PUBCOMP 2'])
  })

  test('carry a copy of the payload, since the read buffer is used again', () => {
    const script = new Script().accepted()
    const bytes = encodePacket(
      { type: PacketType.publish, topic: 't', payload: Uint8Array.of(7), qos: 0, retain: false, dup: false },
      5,
    )
    const kept: Uint8Array[] = []
    script.told.push = ((told: Told) => kept.push(Uint8Array.from(told[2] as number[]))) as typeof script.told.push
    script.conversation.receive(bytes, script.now)
    bytes.fill(0)
    assert.deepEqual(kept, [Uint8Array.of(7)])
  })

  test('are refused with 0x80 or above in 5.0; the identifier is free again [MQTT-4.3.3-10]', () => {
    const script = new Script().accepted().deliver(2, 1)
    script.conversation.acknowledge(1, 0x83, script.now)
    assert.deepEqual(script.log(), ['PUBREC 1 0x83'])
    script.deliver(2, 1)
    assert.equal(script.told.filter(([effect]) => effect === 'message').length, 2)
  })

  test('PUBREL of an unknown identifier gets PUBCOMP 0x92', () => {
    assert.deepEqual(new Script().accepted().server(ack(6, 4)).log(), ['PUBCOMP 4 0x92'])
  })

  test('over our Receive Maximum end the connection with 0x93 [MQTT-3.3.4-9]', () => {
    const script = new Script({ properties: { receiveMaximum: 2 } }).accepted().deliver(1, 1).deliver(2, 2).deliver(0)
    assert.equal(script.end, undefined)
    script.deliver(1, 3)
    closedFor(script, 0x93)
    assert.deepEqual(script.log(), ['DISCONNECT 0x93'])
  })

  test('at QoS 2 count against our Receive Maximum until PUBCOMP', () => {
    const script = new Script({ properties: { receiveMaximum: 1 } }).accepted().deliver(2, 1)
    script.conversation.acknowledge(1, 0, script.now)
    script.server(ack(6, 1)).deliver(1, 2)
    assert.equal(script.end, undefined)
    script.deliver(2, 3)
    closedFor(script, 0x93)
  })

  test('over our Maximum Packet Size end the connection with 0x95 [MQTT-3.1.2-24]', () => {
    const script = new Script({ properties: { maximumPacketSize: 20 } }).accepted()
    script.deliver(0, undefined, { payload: new Uint8Array(14) })
    assert.equal(script.end, undefined)
    script.deliver(0, undefined, { payload: new Uint8Array(15) })
    closedFor(script, 0x95)
    assert.deepEqual(script.log(), ['DISCONNECT 0x95'])
  })

  test('may use topic aliases up to our maximum', () => {
    const script = new Script({ properties: { topicAliasMaximum: 1 } }).accepted()
    script.deliver(0, undefined, { topic: 'long', properties: { topicAlias: 1 } })
    script.deliver(0, undefined, { topic: '', properties: { topicAlias: 1 } })
    assert.deepEqual(
      script.told.slice(1).map(([, topic]) => topic),
      ['long', 'long'],
    )
    script.deliver(0, undefined, { topic: 'more', properties: { topicAlias: 2 } })
    closedFor(script, 0x94)
    assert.deepEqual(script.log(), ['DISCONNECT 0x94'])
  })

  test('with an alias that was never assigned end the connection with 0x82', () => {
    const script = new Script({ properties: { topicAliasMaximum: 1 } }).accepted()
    closedFor(script.deliver(0, undefined, { topic: '', properties: { topicAlias: 1 } }), 0x82)
  })

  test('under an identifier in use end the connection in 5.0 and are ignored before', () => {
    closedFor(new Script().accepted().deliver(1, 1).deliver(1, 1), 0x82)
    const old = new Script({ version: 4 }).accepted().deliver(1, 1).deliver(1, 1, { dup: true })
    assert.equal(old.end, undefined)
    assert.equal(old.told.length, 2)
  })

  test('come with problem information in PUBACK although none was wanted: 0x82', () => {
    const script = new Script({ properties: { requestProblemInformation: 0 } }).accepted()
    script.publish(1, 1)
    closedFor(
      script.server({ type: PacketType.puback, packetId: 1, reasonCode: 0, properties: { reasonString: 'r' } }),
      0x82,
    )
  })
})

describe('subscribe() and unsubscribe()', () => {
  test('end with the reason codes of SUBACK and UNSUBACK', () => {
    const script = new Script().accepted()
    script.subscribe(1, 'a')
    script.conversation.unsubscribe(2, ['a'], undefined, script.now)
    script.server(
      { type: PacketType.suback, packetId: 1, reasonCodes: [0x87] },
      { type: PacketType.unsuback, packetId: 2, reasonCodes: [0x11] },
    )
    assert.deepEqual(script.told.slice(1), [
      ['answered', 1, [0x87]],
      ['answered', 2, [0x11]],
    ])
  })

  test('refuse a SUBACK with the wrong number of codes [MQTT-3.8.4-6]', () => {
    const script = new Script().accepted()
    script.subscribe(1, 'a')
    closedFor(script.server({ type: PacketType.suback, packetId: 1, reasonCodes: [0, 0] }), 0x82)
  })

  test('refuse UNSUBACK as an answer to SUBSCRIBE', () => {
    const script = new Script().accepted()
    script.subscribe(1, 'a')
    closedFor(script.server({ type: PacketType.unsuback, packetId: 1, reasonCodes: [0] }), 0x82)
  })

  test('are given up where the server has said that it knows no such thing', () => {
    const script = new Script().accepted({
      wildcardSubscriptionAvailable: 0,
      sharedSubscriptionAvailable: 0,
      subscriptionIdentifierAvailable: 0,
    })
    script.subscribe(1, 'a/+')
    script.subscribe(2, '$share/g/a')
    script.subscribe(3, 'a', { subscriptionIdentifiers: [1] })
    assert.deepEqual(script.told.slice(1), [
      ['refused', 1, 0xa2],
      ['refused', 2, 0x9e],
      ['refused', 3, 0xa1],
    ])
    assert.deepEqual(script.log(), [])
  })
})

describe('enhanced authentication', () => {
  const properties = { authenticationMethod: 'M' }
  const auth = (reasonCode: number, data = 1, method = 'M'): Packet => ({
    type: PacketType.auth,
    reasonCode,
    properties: { authenticationMethod: method, authenticationData: Uint8Array.of(data) },
  })

  test('answers the challenges of the server before CONNACK', () => {
    const script = new Script({ properties })
    script.sent()
    script.server(auth(0x18, 42))
    assert.deepEqual(script.told, [['authentication', 0x18, 42]])
    assert.equal(script.conversation.authenticate(Uint8Array.of(43), script.now), true)
    const [answer] = script.sent()
    assert.equal(answer?.type === PacketType.auth && answer.reasonCode, 0x18)
    assert.deepEqual(answer?.type === PacketType.auth && answer.properties?.authenticationData, Uint8Array.of(43))
    script.accepted(properties)
    assert.equal(script.told.length, 2)
  })

  test('begins again with 0x19 and ends with 0x00 [MQTT-4.12.1-1]', () => {
    const script = new Script({ properties }).accepted(properties)
    script.conversation.authenticate(Uint8Array.of(1), script.now)
    assert.deepEqual(script.log(), ['AUTH 0x19'])
    script.server(auth(0x18))
    script.conversation.authenticate(Uint8Array.of(2), script.now)
    assert.deepEqual(script.log(), ['AUTH 0x18'])
    script.server(auth(0))
    script.conversation.authenticate(Uint8Array.of(3), script.now)
    assert.deepEqual(script.log(), ['AUTH 0x19'])
  })

  test('refuses AUTH without a method in CONNECT [MQTT-4.12.0-6]', () => {
    closedFor(new Script().server(auth(0x18)), 0x82)
  })

  test('refuses another method [MQTT-4.12.0-5]', () => {
    closedFor(new Script({ properties }).server(auth(0x18, 1, 'N')), 0x82)
    closedFor(new Script({ properties }).accepted({ authenticationMethod: 'N' }), 0x82)
  })

  test('refuses AUTH that nobody has asked for', () => {
    closedFor(new Script({ properties }).accepted().server(auth(0x18)), 0x82)
    closedFor(new Script({ properties }).server(auth(0)), 0x82)
  })

  test('says no where there is no method', () => {
    assert.equal(new Script().accepted().conversation.authenticate(undefined, 0), false)
  })
})

describe('the end', () => {
  test('comes with DISCONNECT as the last packet', () => {
    const script = new Script().accepted()
    script.conversation.disconnect(4, { sessionExpiryInterval: 1 }, script.now)
    assert.deepEqual(script.log(), ['DISCONNECT 0x4'])
    assert.deepEqual(script.end, { kind: 'left' })
    script.publish(1, 0)
    script.deliver(0)
    script.conversation.disconnect(0, undefined, script.now)
    assert.deepEqual(script.log(), [])
  })

  test('surfaces reason and Server Reference of the DISCONNECT of a server', () => {
    const properties = { serverReference: 'b' }
    const script = new Script().accepted().server({ type: PacketType.disconnect, reasonCode: 0x9d, properties })
    assert.deepEqual(script.end, { kind: 'disconnected', reasonCode: 0x9d, properties })
  })

  test('is a protocol error when a 3.1.1 server sends DISCONNECT', () => {
    closedFor(new Script({ version: 4 }).accepted().server({ type: PacketType.disconnect, reasonCode: 0 }), 0x82)
  })
})

test('receive() never throws and stays closed, whatever bytes a server sends', () => {
  const versions = fc.constantFrom<ProtocolVersion>(3, 4, 5)
  // First bytes and short lengths that make real packets likely.
  const packet = fc
    .tuple(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ maxLength: 20 }))
    .map(([first, body]) => [first, body.length, ...body])
  fc.assert(
    fc.property(versions, fc.boolean(), fc.array(packet, { maxLength: 20 }), (version, connected, packets) => {
      const script = new Script({ version })
      if (connected) script.accepted()
      script.publish(1, 1)
      script.publish(2, 2)
      for (const bytes of packets) {
        script.bytes(bytes)
        const isClosed = script.end !== undefined
        script.sent()
        if (isClosed) {
          script.bytes([0xd0, 0])
          assert.deepEqual(script.log(), [])
        }
      }
    }),
    { numRuns: 500 },
  )
})

test('takePacketId() gives no identifier that is in use, and none when all are [MQTT-2.2.1-3]', () => {
  const script = new Script({}, new ClientSession({ ...CLIENT_SESSION_LIMITS, queueMessagesMax: 70_000 })).accepted()
  for (let i = 0; i < 65_536; i++)
    script.session.enqueue(i, { topic: 't', payload: new Uint8Array(0), qos: 1, retain: false })
  script.conversation.wake(script.now)
  const ids = new Set(script.sent().map((packet) => (packet.type === PacketType.publish ? packet.packetId : 0)))
  assert.equal(ids.size, 65_535)
  assert.equal(script.session.takePacketId(), 0)
  script.server(ack(4, 777))
  assert.deepEqual(script.log(), ['PUBLISH 777'])
})
