/**
 * The client's side of one network connection, from CONNECT to its end, in MQTT 3.1, 3.1.1 and 5.0.
 *
 *   idle ──connect()──▶ connecting ──CONNACK──▶ connected ──▶ closed
 *                        │ ▲  AUTH (5.0)           │  publish, subscribe, PINGREQ, AUTH
 *                        └─┘                       │
 *                        └───────── refusal, time-out, disconnect() ──▶ closed
 *
 * A pure machine: bytes, calls and the time come in, effects go out, nothing waits and nothing a server sends throws. What
 * outlives the connection is in the `ClientSession`; a new connection gets a new conversation over the same session.
 * Absent: reconnecting, resolving of names, choosing a server, handlers. They belong to the driver.
 */
import { ProtocolEncodeError } from '../encode-error.ts'
import { Framer } from '../framing/framer.ts'
import { decodePacket } from '../packets/decode.ts'
import { encodePacket } from '../packets/encode.ts'
import {
  type AckPacket,
  type AuthPacket,
  type ConnackPacket,
  type ConnectPacket,
  type DisconnectPacket,
  type Packet,
  PacketType,
  type PublishPacket,
  type SubackPacket,
  type SubscriptionRequest,
  type UnsubackPacket,
} from '../packets/types.ts'
import type { Properties } from '../properties/types.ts'
import { ReasonCode } from '../reason-codes.ts'
import { isRefusal, type Refusal, refuse } from '../refusal.ts'
import {
  CLIENT_CONVERSATION_LIMITS,
  type ClientConnectOptions,
  type ClientConversationLimits,
  type ClientEffects,
  type ClientEnd,
} from './client-effects.ts'
import { ClientInbound } from './client-inbound.ts'
import type { ClientRequest, ClientSession, Outgoing, OutgoingMessage } from './client-session.ts'
import { forbidsPublish, forbidsSubscribe, type ServerLimits, serverLimits } from './server-limits.ts'
import { OutboundAliases } from './topic-aliases.ts'

/** Reason codes that a client may put into DISCONNECT (5.0, table 3-10). Others are sent as a protocol error. */
const CLIENT_MAY_SAY: ReadonlySet<number> = new Set([
  0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
])

type Phase = 'idle' | 'connecting' | 'connected' | 'closed'

export class ClientConversation {
  readonly #options: ClientConnectOptions
  readonly #limits: ClientConversationLimits
  readonly #session: ClientSession
  readonly #effects: ClientEffects
  readonly #framer: Framer
  readonly #inbound: ClientInbound
  #server: ServerLimits
  #aliases = new OutboundAliases(0)
  #phase: Phase = 'idle'
  #keepAliveMs: number
  #nowMs = 0
  #connectedByMs = 0
  #lastSentMs = 0
  #lastReceivedMs = 0
  #pingSentMs: number | undefined
  #reading = true
  #writing = false
  /** In flight from an earlier connection and not sent on this one yet, in order. */
  #resend: Outgoing[] = []
  #resent = 0
  /** In flight on this connection: counts against the server's Receive Maximum. */
  #unacknowledged = 0
  #reauthenticating = false

  constructor(
    session: ClientSession,
    options: ClientConnectOptions,
    effects: ClientEffects,
    limits: ClientConversationLimits = CLIENT_CONVERSATION_LIMITS,
  ) {
    const { properties, version } = options
    this.#session = session
    this.#options = options
    this.#effects = effects
    this.#limits = limits
    this.#keepAliveMs = options.keepAlive * 1000
    const packetBytesMax = properties?.maximumPacketSize ?? limits.packetBytesMax
    this.#framer = new Framer({ packetBytesMax, side: 'client' })
    this.#framer.version = version
    this.#inbound = new ClientInbound(session, {
      receiveMaximum: properties?.receiveMaximum ?? 65535,
      topicAliasMaximum: properties?.topicAliasMaximum ?? 0,
      strict: version === 5,
    })
    this.#server = serverLimits(undefined)
  }

  /** What the server accepts; the defaults of the standard until CONNACK. */
  get server(): ServerLimits {
    return this.#server
  }

  /** When to call `tick` next; undefined: nothing is awaited. */
  get deadlineMs(): number | undefined {
    if (this.#phase === 'connecting') return this.#connectedByMs
    if (this.#phase !== 'connected') return undefined
    const pingAtMs = this.#pingAtMs()
    if (this.#pingSentMs === undefined || !this.#reading) return pingAtMs
    const givenUpAtMs = this.#lifeSignMs() + this.#limits.pingTimeoutMs
    return pingAtMs === undefined ? givenUpAtMs : Math.min(pingAtMs, givenUpAtMs)
  }

  /** The network connection is open: sends CONNECT [MQTT-3.1.0-1]. */
  connect(nowMs: number): void {
    if (this.#phase !== 'idle') return
    this.#nowMs = nowMs
    this.#phase = 'connecting'
    this.#connectedByMs = nowMs + this.#limits.connackTimeoutMs
    this.#lastReceivedMs = nowMs
    const { properties, version, ...rest } = this.#options
    const packet: ConnectPacket = { type: PacketType.connect, version, ...rest }
    this.#send(version === 5 && properties !== undefined ? { ...packet, properties } : packet)
  }

  /** Bytes arrived. */
  receive(chunk: Uint8Array, nowMs: number): void {
    if (this.#phase === 'closed') return
    this.#nowMs = nowMs
    this.#lastReceivedMs = nowMs
    const refusal = this.#framer.push(chunk, (firstByte, buf, bodyStart, bodyEnd) => {
      if (!this.#open()) return
      const packet = decodePacket(firstByte, buf, bodyStart, bodyEnd, this.#options.version)
      const refused = isRefusal(packet) ? packet : this.#handle(packet)
      if (refused !== undefined) this.#violation(refused)
    })
    if (refusal !== undefined && this.#open()) this.#violation(refusal)
  }

  /** The network connection has ended, or could not go on. */
  connectionLost(): void {
    this.#close({ kind: 'lost' })
  }

  /** The deadline has passed. */
  tick(nowMs: number): void {
    this.#nowMs = nowMs
    if (this.#phase === 'connecting' && nowMs >= this.#connectedByMs) {
      this.#close({ kind: 'timeout', waitedFor: 'CONNACK' })
    }
    if (this.#phase !== 'connected') return
    if (this.#pingSentMs !== undefined && this.#reading && nowMs >= this.#lifeSignMs() + this.#limits.pingTimeoutMs) {
      this.#close({ kind: 'timeout', waitedFor: 'PINGRESP' })
      return
    }
    const pingAtMs = this.#pingAtMs()
    if (pingAtMs !== undefined && nowMs >= pingAtMs) {
      this.#pingSentMs = nowMs
      this.#send({ type: PacketType.pingreq })
    }
  }

  /** Lets queued publications and requests leave: after `connected`, and when the network takes more after `pause()`. */
  resume(nowMs: number): void {
    this.#nowMs = nowMs
    this.#writing = true
    this.#drain()
  }

  /** The network takes no more for now: publications wait in the session's queue, which is bounded. */
  pause(): void {
    this.#writing = false
  }

  /** The driver stops reading, for a program that is slow: silence is not the server's fault then. */
  pauseReading(): void {
    this.#reading = false
  }

  resumeReading(nowMs: number): void {
    this.#reading = true
    this.#lastReceivedMs = nowMs
  }

  /** The session has new publications or requests: sends what may be sent. */
  wake(nowMs: number): void {
    this.#nowMs = nowMs
    this.#drain()
  }

  /** Queues a publication and sends it as soon as it may leave; a refusal means the session has no room. */
  publish(operation: number, message: OutgoingMessage, nowMs: number): Refusal | undefined {
    const refusal = this.#session.enqueue(operation, message)
    if (refusal === undefined) this.wake(nowMs)
    return refusal
  }

  subscribe(
    operation: number,
    subscriptions: readonly SubscriptionRequest[],
    properties: Properties | undefined,
    nowMs: number,
  ): Refusal | undefined {
    return this.#request(withProperties({ kind: 'subscribe', operation, subscriptions } as const, properties), nowMs)
  }

  unsubscribe(
    operation: number,
    filters: readonly string[],
    properties: Properties | undefined,
    nowMs: number,
  ): Refusal | undefined {
    return this.#request(withProperties({ kind: 'unsubscribe', operation, filters } as const, properties), nowMs)
  }

  /** The program is done with a message of QoS 1 or 2. 5.0 carries the reason code; from 0x80 on it is a refusal. */
  acknowledge(packetId: number, reasonCode: number, nowMs: number): void {
    if (this.#phase !== 'connected') return
    this.#nowMs = nowMs
    if (this.#inbound.acknowledge(packetId, this.#options.version === 5 ? reasonCode : 0)) this.#answer()
  }

  /**
   * Answers the server's AUTH (0x18), or, with no exchange going on, begins a re-authentication (0x19) [MQTT-4.12.1-1]. The
   * method is that of CONNECT [MQTT-4.12.0-5]. False if this connection has no authentication method.
   */
  authenticate(data: Uint8Array | undefined, nowMs: number): boolean {
    const method = this.#options.properties?.authenticationMethod
    if (method === undefined || this.#options.version !== 5 || !this.#open()) return false
    this.#nowMs = nowMs
    const begins = this.#phase === 'connected' && !this.#reauthenticating
    if (begins) this.#reauthenticating = true
    const reasonCode = begins ? ReasonCode.reAuthenticate : ReasonCode.continueAuthentication
    const properties: Properties = { authenticationMethod: method, ...(data && { authenticationData: data }) }
    this.#send({ type: PacketType.auth, reasonCode, properties })
    return true
  }

  /** Leaves: DISCONNECT is the last packet [MQTT-3.14.4-1, -2]. Reason code and properties are for 5.0. */
  disconnect(reasonCode: number, properties: Properties | undefined, nowMs: number): void {
    if (!this.#open()) return
    this.#nowMs = nowMs
    this.#sayGoodbye(reasonCode, properties)
    this.#close({ kind: 'left' })
  }

  #handle(packet: Packet): Refusal | undefined {
    if (this.#phase === 'connecting') {
      if (packet.type === PacketType.connack) return this.#onConnack(packet)
      if (packet.type === PacketType.auth) return this.#onAuth(packet)
      // [MQTT-3.2.0-1] CONNACK comes before anything but AUTH; [MQTT-3.14.0-1] DISCONNECT only after a CONNACK below 0x80.
      return refuse(ReasonCode.protocolError, 'MQTT-3.2.0-1', `packet type ${packet.type} before CONNACK`)
    }
    const problem = this.#unaskedProblemInformation(packet)
    if (problem !== undefined) return problem
    switch (packet.type) {
      case PacketType.publish:
        return this.#onPublish(packet)
      case PacketType.puback:
      case PacketType.pubrec:
      case PacketType.pubcomp:
        return this.#onAcknowledgement(packet)
      case PacketType.pubrel:
        this.#sendAck(this.#inbound.release(packet.packetId))
        return undefined
      case PacketType.suback:
      case PacketType.unsuback:
        return this.#onAnswer(packet)
      case PacketType.pingresp:
        this.#pingSentMs = undefined
        return undefined
      case PacketType.disconnect:
        return this.#onDisconnect(packet)
      case PacketType.auth:
        return this.#onAuth(packet)
      default:
        return refuse(ReasonCode.protocolError, 'section 2.1.2', `packet type ${packet.type} is not for a client`)
    }
  }

  #onConnack(packet: ConnackPacket): Refusal | undefined {
    const { properties, reasonCode, sessionPresent } = packet
    const { cleanStart, version } = this.#options
    if (reasonCode !== 0) {
      // [MQTT-3.2.2-6] A refusal has no session.
      if (sessionPresent)
        return refuse(ReasonCode.protocolError, 'MQTT-3.2.2-6', `session present and code ${reasonCode}`)
      this.#close(withProperties({ kind: 'refused', reasonCode } as const, properties))
      return undefined
    }
    // [MQTT-3.2.2-2] A clean start has no session. With clean start 0 a present session is welcome even if this session
    // object is empty: a program that was restarted under the same client identifier wants its messages. By the letter of
    // [MQTT-3.2.2-4] it would have to close.
    if (sessionPresent && cleanStart)
      return refuse(ReasonCode.protocolError, 'MQTT-3.2.2-2', 'session present after a clean start')
    const method = this.#options.properties?.authenticationMethod
    if (version === 5 && properties?.authenticationMethod !== undefined && properties.authenticationMethod !== method) {
      return refuse(ReasonCode.protocolError, 'MQTT-4.12.0-5', 'CONNACK names another authentication method')
    }
    this.#phase = 'connected'
    this.#server = serverLimits(properties)
    this.#aliases = new OutboundAliases(Math.min(this.#server.topicAliasMaximum, this.#limits.topicAliasMax))
    // [MQTT-3.1.2-21] [MQTT-3.2.2-21] The server's keep alive replaces ours.
    if (properties?.serverKeepAlive !== undefined) this.#keepAliveMs = properties.serverKeepAlive * 1000
    const uncertain = sessionPresent ? [] : this.#session.sessionLost()
    this.#effects.connected(packet)
    for (const outgoing of uncertain) {
      // After PUBREC the message is the server's; only the end of the handshake is missing.
      if (outgoing.received) this.#effects.published(outgoing.operation, ReasonCode.success, undefined)
      else this.#effects.uncertain(outgoing.operation)
      this.#session.settle(outgoing)
    }
    // [MQTT-4.4.0-1] What is in flight is sent again, in the original order [MQTT-4.6.0-1].
    this.#resend = [...this.#session.inflight.values()]
    this.#sendAgain()
    return undefined
  }

  #onPublish(packet: PublishPacket): Refusal | undefined {
    const message = this.#inbound.publish(packet)
    if (isRefusal(message)) return message
    if (message !== undefined) this.#effects.message(message)
    else this.#answer()
    return undefined
  }

  #onAcknowledgement(packet: AckPacket): Refusal | undefined {
    const { packetId, properties, reasonCode, type } = packet
    const outgoing = this.#session.inflight.get(packetId)
    if (outgoing === undefined) {
      // Left over from before a reconnect. PUBREC wants its PUBREL all the same, or the server keeps the identifier.
      if (type === PacketType.pubrec && reasonCode < 0x80) {
        this.#sendAck({ type: PacketType.pubrel, packetId, reasonCode: ReasonCode.packetIdentifierNotFound })
      }
      return undefined
    }
    const expected = outgoing.message.qos === 1 ? PacketType.puback : PacketType.pubrec
    if (type !== expected && !(type === PacketType.pubcomp && outgoing.received)) {
      const detail = `packet type ${type} for identifier ${packetId}, sent at QoS ${outgoing.message.qos}`
      return refuse(ReasonCode.protocolError, 'section 4.3', detail)
    }
    if (type === PacketType.pubrec && reasonCode < 0x80) {
      outgoing.received = true
      this.#send({ type: PacketType.pubrel, packetId, reasonCode: ReasonCode.success })
      return undefined
    }
    this.#session.settle(outgoing)
    // An answer to what was sent on an earlier connection only: there is no need to send it again.
    const early = this.#resend.indexOf(outgoing, this.#resent)
    if (early < 0) this.#unacknowledged--
    else this.#resend.splice(early, 1)
    // Section 3.7.2.1: 0x92 is no error in recovery. The server had PUBREL before, and its PUBCOMP was lost.
    const isOver = type === PacketType.pubcomp && reasonCode === ReasonCode.packetIdentifierNotFound
    this.#effects.published(outgoing.operation, isOver ? ReasonCode.success : reasonCode, properties)
    this.#drain()
    return undefined
  }

  #onAnswer(packet: SubackPacket | UnsubackPacket): Refusal | undefined {
    const { packetId, properties, reasonCodes, type } = packet
    const request = this.#session.unanswered.get(packetId)
    if (request === undefined) return undefined
    const isSuback = type === PacketType.suback
    if (isSuback !== (request.kind === 'subscribe')) {
      return refuse(ReasonCode.protocolError, 'section 3.9', `packet type ${type} for identifier ${packetId}`)
    }
    const asked = request.kind === 'subscribe' ? request.subscriptions.length : request.filters.length
    // [MQTT-3.8.4-6] [MQTT-3.11.3-1] One code for each filter; UNSUBACK has none before 5.0.
    if (reasonCodes.length !== asked && (isSuback || this.#options.version === 5)) {
      const detail = `${reasonCodes.length} reason codes for ${asked} topic filters`
      return refuse(ReasonCode.protocolError, isSuback ? 'MQTT-3.8.4-6' : 'section 3.11.3', detail)
    }
    this.#session.unanswered.delete(packetId)
    this.#effects.answered(request.operation, reasonCodes, properties)
    this.#drain()
    return undefined
  }

  #onAuth(packet: AuthPacket): Refusal | undefined {
    const method = this.#options.properties?.authenticationMethod
    // [MQTT-4.12.0-6] Without a method in CONNECT the server must not send AUTH.
    if (method === undefined)
      return refuse(ReasonCode.protocolError, 'MQTT-4.12.0-6', 'AUTH without an authentication method')
    if (packet.properties?.authenticationMethod !== method) {
      return refuse(ReasonCode.protocolError, 'MQTT-4.12.0-5', 'AUTH names another authentication method')
    }
    const goesOn = packet.reasonCode === ReasonCode.continueAuthentication
    const expected =
      this.#phase === 'connecting' ? goesOn : this.#reauthenticating && (goesOn || packet.reasonCode === 0)
    if (!expected) {
      return refuse(
        ReasonCode.protocolError,
        'section 4.12',
        `AUTH with reason code ${packet.reasonCode} was not expected`,
      )
    }
    if (!goesOn) this.#reauthenticating = false
    this.#effects.authentication(packet)
    return undefined
  }

  #onDisconnect(packet: DisconnectPacket): Refusal | undefined {
    if (this.#options.version !== 5) return refuse(ReasonCode.protocolError, 'MQTT3-3.14', 'DISCONNECT from a server')
    this.#close(withProperties({ kind: 'disconnected', reasonCode: packet.reasonCode } as const, packet.properties))
    return undefined
  }

  /** Section 3.1.2.11.7: who asked for no problem information gets none but in CONNACK, PUBLISH and DISCONNECT. */
  #unaskedProblemInformation(packet: Packet): Refusal | undefined {
    if (this.#options.properties?.requestProblemInformation !== 0) return undefined
    if (packet.type === PacketType.publish || packet.type === PacketType.disconnect || !('properties' in packet))
      return undefined
    const { properties } = packet
    if (properties?.reasonString === undefined && properties?.userProperties === undefined) return undefined
    return refuse(ReasonCode.protocolError, 'section 3.1.2.11.7', `problem information in packet type ${packet.type}`)
  }

  #request(request: ClientRequest, nowMs: number): Refusal | undefined {
    const refusal = this.#session.enqueueRequest(request)
    if (refusal === undefined) this.wake(nowMs)
    return refusal
  }

  /** Sends PUBREL and PUBLISH of an earlier connection again, as far as the server's Receive Maximum allows. */
  #sendAgain(): boolean {
    while (this.#resent < this.#resend.length) {
      const outgoing = this.#resend[this.#resent] as Outgoing
      if (!outgoing.received && this.#unacknowledged >= this.#server.receiveMaximum) return false
      this.#resent++
      if (!outgoing.received) this.#sendPublish(outgoing, true)
      else {
        this.#unacknowledged++
        this.#send({ type: PacketType.pubrel, packetId: outgoing.packetId, reasonCode: ReasonCode.success })
      }
    }
    if (this.#resent > 0) {
      this.#resend = []
      this.#resent = 0
    }
    return true
  }

  #drain(): void {
    if (this.#phase !== 'connected' || !this.#sendAgain()) return
    this.#sendRequests()
    const session = this.#session
    while (this.#writing) {
      const outgoing = session.peek()
      if (outgoing === undefined) return
      if (outgoing.message.qos > 0) {
        // [MQTT-3.3.4-7] Not more than the server's Receive Maximum; what is behind waits too, so that the order stays.
        if (this.#unacknowledged >= this.#server.receiveMaximum) return
        const packetId = session.takePacketId()
        if (packetId === 0) return
        outgoing.packetId = packetId
      }
      session.shift()
      this.#sendPublish(outgoing, false)
    }
  }

  #sendRequests(): void {
    const session = this.#session
    while (this.#writing) {
      const request = session.peekRequest()
      if (request === undefined) return
      const packetId = session.takePacketId()
      if (packetId === 0) return
      session.shiftRequest()
      const refusal = this.#sendRequest(request, packetId)
      if (refusal !== undefined) this.#effects.refused(request.operation, refusal)
    }
  }

  #sendRequest(request: ClientRequest, packetId: number): Refusal | undefined {
    const { properties } = request
    const forbidden =
      request.kind === 'subscribe' ? forbidsSubscribe(this.#server, request.subscriptions, properties) : undefined
    if (forbidden !== undefined) return forbidden
    const packet: Packet =
      request.kind === 'subscribe'
        ? { type: PacketType.subscribe, packetId, subscriptions: request.subscriptions }
        : { type: PacketType.unsubscribe, packetId, filters: request.filters }
    const bytes = this.#encode(this.#options.version === 5 ? withProperties(packet, properties) : packet)
    if (isRefusal(bytes)) return bytes
    this.#session.unanswered.set(packetId, request)
    this.#write(bytes)
    return undefined
  }

  #sendPublish(outgoing: Outgoing, dup: boolean): void {
    const { message, operation, packetId } = outgoing
    const bytes = forbidsPublish(this.#server, message) ?? this.#encodePublish(outgoing, dup)
    if (isRefusal(bytes)) {
      this.#session.settle(outgoing)
      this.#effects.refused(operation, bytes)
      return
    }
    if (message.qos > 0) {
      this.#session.inflight.set(packetId, outgoing)
      this.#unacknowledged++
    }
    this.#write(bytes)
    if (message.qos > 0) return
    this.#session.settle(outgoing)
    this.#effects.published(operation, ReasonCode.success, undefined)
  }

  #encodePublish(outgoing: Outgoing, dup: boolean): Uint8Array | Refusal {
    const { message, packetId } = outgoing
    const { payload, qos, retain, topic } = message
    const alias = this.#aliases.assign(topic)
    const wireTopic = alias > 0 ? '' : topic
    // [MQTT-3.3.1-2] DUP is 0 at QoS 0; [MQTT-3.3.1-1] and 1 when sent again.
    const plain: PublishPacket = {
      type: PacketType.publish,
      topic: wireTopic,
      payload,
      qos,
      retain,
      dup: dup && qos > 0,
    }
    const numbered: PublishPacket = qos > 0 ? { ...plain, packetId } : plain
    const properties = alias === 0 ? message.properties : { ...message.properties, topicAlias: Math.abs(alias) }
    const bytes = this.#encode(this.#options.version === 5 ? withProperties(numbered, properties) : numbered)
    if (alias < 0 && isRefusal(bytes)) this.#aliases.forget(topic)
    return bytes
  }

  #answer(): void {
    for (let next = this.#inbound.nextAnswer(); next !== undefined; next = this.#inbound.nextAnswer()) this.#send(next)
  }

  /** [MQTT-3.2.2-15] Nothing larger than the server's Maximum Packet Size is sent. */
  #encode(packet: Packet): Uint8Array | Refusal {
    const bytes = this.#tryEncode(packet)
    if (isRefusal(bytes)) return bytes
    const { maximumPacketSize } = this.#server
    if (bytes.length <= maximumPacketSize) return bytes
    const detail = `packet of ${bytes.length} bytes, the server takes ${maximumPacketSize}`
    return refuse(ReasonCode.packetTooLarge, 'MQTT-3.2.2-15', detail)
  }

  /** A mistake in what the program gave must not end in the middle of what the server sent: it comes back as a refusal. */
  #tryEncode(packet: Packet): Uint8Array | Refusal {
    try {
      return encodePacket(packet, this.#options.version)
    } catch (error) {
      if (!(error instanceof ProtocolEncodeError)) throw error
      return refuse(ReasonCode.protocolError, 'section 1.5', error.message)
    }
  }

  #send(packet: Packet): void {
    this.#write(encodePacket(packet, this.#options.version))
  }

  /** Before 5.0 acknowledgements have no reason code. */
  #sendAck({ type, packetId, reasonCode }: AckPacket): void {
    this.#send({ type, packetId, reasonCode: this.#options.version === 5 ? reasonCode : 0 })
  }

  #write(bytes: Uint8Array): void {
    this.#lastSentMs = this.#nowMs
    this.#effects.send(bytes)
  }

  #violation(refusal: Refusal): void {
    // [MQTT-4.13.1-1] In 5.0 the server is told; before, the connection just ends, for DISCONNECT would mean a clean end.
    if (this.#options.version === 5) {
      this.#sayGoodbye(
        CLIENT_MAY_SAY.has(refusal.reasonCode) ? refusal.reasonCode : ReasonCode.protocolError,
        undefined,
      )
    }
    this.#close({ kind: 'protocolError', refusal })
  }

  #sayGoodbye(reasonCode: number, properties: Properties | undefined): void {
    const packet: DisconnectPacket = {
      type: PacketType.disconnect,
      reasonCode: this.#options.version === 5 ? reasonCode : 0,
    }
    this.#send(this.#options.version === 5 ? withProperties(packet, properties) : packet)
  }

  #close(end: ClientEnd): void {
    if (!this.#open()) return
    this.#phase = 'closed'
    this.#session.connectionEnded()
    this.#effects.closed(end)
  }

  #open(): boolean {
    return this.#phase === 'connecting' || this.#phase === 'connected'
  }

  #lifeSignMs(): number {
    return Math.max(this.#pingSentMs ?? 0, this.#lastReceivedMs)
  }

  /**
   * When the next PINGREQ is due: after three quarters of the keep alive without a packet to the server [MQTT-3.1.2-20], so
   * that it arrives in time; or without one from it, so that a dead server is noticed by a program that only publishes.
   */
  #pingAtMs(): number | undefined {
    if (this.#keepAliveMs === 0) return undefined
    const silenceMs = this.#keepAliveMs - Math.floor(this.#keepAliveMs / 4)
    if (this.#pingSentMs !== undefined) return this.#lastSentMs + silenceMs
    return Math.min(this.#lastSentMs, this.#lastReceivedMs) + silenceMs
  }
}

function withProperties<T extends object>(
  value: T,
  properties: Properties | undefined,
): T & { properties?: Properties } {
  return properties === undefined ? value : { ...value, properties }
}
