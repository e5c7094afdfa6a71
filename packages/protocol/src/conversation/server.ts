/**
 * The server's side of one network connection: bytes in, packets out, every rule of the standard that concerns one
 * connection alone. What concerns sessions, subscriptions and other clients is asked for through `ServerEffects`.
 *
 *            CONNECT            accept()
 *   waiting ────────▶ connecting ────────▶ connected ──▶ closed
 *                      │      ▲
 *                      ▼ AUTH │              any rule broken, refuse(), disconnect(), end() lead to closed
 *                   authenticating
 *
 * Built for the hot path: PUBLISH and its acknowledgements are parsed in place and handed on as numbers and ranges
 * (`PublishRun`); every other packet becomes an object. While the owner makes up its mind about a CONNECT, an AUTH or anything it
 * called `hold()` for, later bytes of this connection wait here; the owner stops reading its socket meanwhile, so the
 * backlog stays below what one read brings.
 */
import { joinBytes } from '../bytes.ts'
import { firstByteProblem, isOverlong, readRemainingLength } from '../framing/fixed-header.ts'
import { decodePacket } from '../packets/decode.ts'
import { encodePacket } from '../packets/encode.ts'
import {
  type AckPacket,
  type AuthPacket,
  type ConnectPacket,
  type DisconnectPacket,
  type Packet,
  PacketType,
  type ProtocolVersion,
  type SubscribePacket,
} from '../packets/types.ts'
import type { Properties } from '../properties/types.ts'
import { ReasonCode } from '../reason-codes.ts'
import { isRefusal, type Refusal, refuse } from '../refusal.ts'
import { connackCodeOf, disconnectCodeOf, returnCodeOf } from './closing-codes.ts'
import { connackProperties } from './connack-properties.ts'
import { connectProblem } from './connect-rules.ts'
import { PublishReader } from './publish-reader.ts'
import type { PublishRun } from './publish-run.ts'
import type { Acceptance, ServerEffects, ServerSettings } from './server-interface.ts'

type State = 'waiting' | 'connecting' | 'authenticating' | 'connected' | 'closed'

/** Packets above this size are gathered in pieces and, if they are PUBLISH, never joined. */
const PIECEWISE_BYTES = 16384
/** Pieces of a packet are joined when there are this many and they are small: each costs memory beyond its bytes. */
const PIECES_MAX = 256
const PIECE_BYTES_MIN = 1024
/** Nothing waits; never written to. */
const NO_CHUNKS: Uint8Array[] = []
const PINGRESP = new Uint8Array([0xd0, 0])

/** Where a fixed header ended, filled by `readRemainingLength`. */
const header = { value: 0, next: 0 }

export class ServerConversation {
  /** Level of the CONNECT; 4 before there was one. */
  version: ProtocolVersion = 4
  /** The keep alive in force, seconds; 0: none. */
  keepAliveSeconds = 0
  /** When the last bytes came (the owner's monotonic milliseconds). */
  lastReceivedMs: number
  /** Client's Receive Maximum (5.0), else 65,535. */
  clientReceiveMaximum = 65535
  /** Client's Maximum Packet Size (5.0), else the largest there is. */
  clientPacketBytesMax = 268_435_460
  /** Client's Topic Alias Maximum (5.0), else 0. */
  clientTopicAliasMaximum = 0
  /** Whether Reason String and User Properties may go on acknowledgements [MQTT-3.1.2-29]. */
  problemInformation = true

  #state: State = 'waiting'
  #held = false
  readonly #settings: ServerSettings
  readonly #effects: ServerEffects
  readonly #run: PublishRun
  #backlog: Uint8Array[] = NO_CHUNKS
  #parts: Uint8Array[] = NO_CHUNKS
  #partsHave = 0
  #partsTotal = 0
  /** Made with the first PUBLISH. */
  #reader: PublishReader | undefined
  #authenticationMethod: string | undefined
  #responseInformation = false
  #requestedKeepAlive = 0
  #reAuthenticating = false

  constructor(settings: ServerSettings, effects: ServerEffects, run: PublishRun, nowMs: number) {
    this.#settings = settings
    this.#effects = effects
    this.#run = run
    this.lastReceivedMs = nowMs
  }

  get connected(): boolean {
    return this.#state === 'connected'
  }

  get closed(): boolean {
    return this.#state === 'closed'
  }

  /** Whether packets are taken now. */
  get reading(): boolean {
    return this.#state === 'connected' && !this.#held
  }

  /** The topic of the last run, as bytes that do not change. The owner sets it to its interned copy (or leaves it). */
  get lastTopic(): Uint8Array | undefined {
    return this.#reader?.lastTopic
  }

  set lastTopic(topic: Uint8Array) {
    if (this.#reader !== undefined) this.#reader.lastTopic = topic
  }

  /** Whether bytes wait for a decision; the owner stops reading meanwhile. */
  get holding(): boolean {
    return this.#held
  }

  /** When the client must have said something, in the owner's milliseconds; undefined: never. */
  get deadlineMs(): number | undefined {
    // [MQTT-3.1.2-22] one and a half times the keep alive
    return this.#state === 'connected' && this.keepAliveSeconds > 0
      ? this.lastReceivedMs + this.keepAliveSeconds * 1500
      : undefined
  }

  /** The deadline may have passed. */
  tick(nowMs: number): void {
    const deadline = this.deadlineMs
    if (deadline === undefined || nowMs < deadline) return
    this.#effects.refused(
      refuse(ReasonCode.keepAliveTimeout, 'MQTT-3.1.2-22', 'nothing within 1.5 times the keep alive'),
    )
    this.disconnect(ReasonCode.keepAliveTimeout)
  }

  /** Bytes arrived. The chunk is this conversation's for good. */
  receive(chunk: Uint8Array, nowMs: number): void {
    if (this.#waits(nowMs)) this.#postpone(chunk)
    else this.#take(chunk)
  }

  /**
   * Bytes arrived in memory that is used again when this returns: what must last is copied. Not copied is a packet at the end that
   * is not whole and has at most `carriedBytesMax` bytes: returns how many of them there are. The owner gives them again, in
   * front of what comes behind them.
   */
  receiveLent(chunk: Uint8Array, nowMs: number, carriedBytesMax = 0): number {
    if (this.#waits(nowMs)) {
      this.#postpone(new Uint8Array(chunk))
      return 0
    }
    const run = this.#run
    run.lend(chunk, carriedBytesMax)
    this.#take(chunk)
    const { carriedBytes } = run
    run.carriedBytes = 0
    return this.#state === 'closed' ? 0 : carriedBytes
  }

  /** Whether what arrives now waits, or is for nobody any more. */
  #waits(nowMs: number): boolean {
    this.lastReceivedMs = nowMs
    return this.#held || this.#run.inUse || this.#state === 'closed'
  }

  #postpone(chunk: Uint8Array): void {
    if (this.#state === 'closed') return
    if (this.#backlog === NO_CHUNKS) this.#backlog = []
    this.#backlog.push(chunk)
    if (this.#run.inUse) this.#run.after.push(this)
  }

  #take(chunk: Uint8Array): void {
    const run = this.#run
    run.inUse = true
    try {
      this.#consume(chunk)
    } finally {
      run.inUse = false
      run.giveBack()
    }
    if (this.#backlog.length > 0 || run.after.length > 0) this.#goOn()
  }

  /** Later bytes wait until `release`. */
  hold(): void {
    this.#held = true
  }

  /** Goes on with what waited. */
  release(): void {
    this.#held = false
    if (this.#run.inUse) this.#run.after.push(this)
    else this.#goOn()
  }

  /** Answers a CONNECT with success. */
  accept(acceptance: Acceptance): void {
    if (this.#state !== 'connecting' && this.#state !== 'authenticating') return
    this.#state = 'connected'
    const properties =
      this.version === 5
        ? connackProperties(this.#settings, acceptance, {
            keepAliveSeconds: this.keepAliveSeconds === this.#requestedKeepAlive ? undefined : this.keepAliveSeconds,
            responseInformation: this.#responseInformation || this.#settings.alwaysReturnResponse === true,
          })
        : undefined
    this.send({
      type: PacketType.connack,
      // [MQTT3-3.2.2-1] MQTT 3.1 has no Session Present flag: the byte is reserved
      sessionPresent: this.version === 3 ? false : acceptance.sessionPresent,
      reasonCode: ReasonCode.success,
      ...(properties !== undefined && { properties }),
    })
    this.release()
  }

  /** Answers a CONNECT with a refusal and closes. `silent`: without a byte. */
  refuse(reasonCode: number, options: { readonly serverReference?: string; readonly silent?: boolean } = {}): void {
    if (this.#state === 'closed') return
    if (this.#state === 'connected') {
      this.disconnect(reasonCode, options)
      return
    }
    const decided = this.#state !== 'waiting'
    this.#end()
    if (decided && !options.silent && this.#settings.silent?.() !== true) {
      this.#effects.send(
        encodePacket(
          {
            type: PacketType.connack,
            // [MQTT-3.2.2-6] [MQTT3-3.2.2-4] a refusal says no session
            sessionPresent: false,
            reasonCode:
              this.version !== 5
                ? returnCodeOf(reasonCode, this.version, this.#settings.refusedLoginCode?.())
                : connackCodeOf(reasonCode),
            ...(this.version === 5 &&
              options.serverReference !== undefined && { properties: { serverReference: options.serverReference } }),
          },
          this.version,
        ),
      )
    }
    this.#effects.close()
  }

  /** Asks the client for the next step of enhanced authentication (AUTH 0x18). */
  challenge(data: Uint8Array | undefined): void {
    if (this.#state === 'connecting' || this.#state === 'authenticating') this.#state = 'authenticating'
    else if (this.#state !== 'connected') return
    this.#sendAuth(ReasonCode.continueAuthentication, data)
    this.release()
  }

  /** Ends a re-authentication well (AUTH 0x00). */
  reAuthenticated(data: Uint8Array | undefined): void {
    if (this.#state !== 'connected') return
    this.#reAuthenticating = false
    this.#sendAuth(ReasonCode.success, data)
    this.release()
  }

  /** Encodes and sends; 5.0: without its optional texts where the client wants none or has no room for them. */
  send(packet: Packet): void {
    let bytes = encodePacket(packet, this.version)
    if (this.version === 5 && 'properties' in packet && packet.properties !== undefined) {
      const wanted =
        this.problemInformation ||
        packet.type === PacketType.connack ||
        packet.type === PacketType.disconnect ||
        packet.type === PacketType.publish
      // [MQTT-3.1.2-29] no Reason String or User Property unless wanted; [MQTT-3.4.2-2] … none that makes the packet too large
      if ((!wanted || bytes.length > this.clientPacketBytesMax) && packet.type !== PacketType.publish) {
        const { reasonString: _reason, userProperties: _user, ...kept } = packet.properties
        bytes = encodePacket({ ...packet, properties: kept } as Packet, this.version)
      }
    }
    // [MQTT-3.1.2-24] nothing larger than the client takes
    if (bytes.length > this.clientPacketBytesMax) {
      // Without its CONNACK a client would wait for ever.
      if (packet.type === PacketType.connack) {
        this.#end()
        this.#effects.close()
      } else if (packet.type === PacketType.suback || packet.type === PacketType.unsuback) {
        // So would it for these: every code is a must, and none can be left out.
        this.disconnect(ReasonCode.packetTooLarge)
      }
      return
    }
    this.#effects.send(bytes)
  }

  /** A QoS 1 or 2 exchange that the client began is over: `count` fewer against our Receive Maximum. */
  settledIn(count: number): void {
    this.#reader?.settled(count)
  }

  /** Says why (5.0) and closes. */
  disconnect(reasonCode: number, options: { readonly serverReference?: string; readonly reason?: string } = {}): void {
    if (this.#state === 'closed') return
    const told = this.#state === 'connected' && this.version === 5
    this.#end()
    if (told) {
      const properties: Properties = {
        ...(options.reason !== undefined && { reasonString: options.reason }),
        ...(options.serverReference !== undefined && { serverReference: options.serverReference }),
      }
      this.send({ type: PacketType.disconnect, reasonCode: disconnectCodeOf(reasonCode), properties })
    }
    this.#effects.close()
  }

  /** The network connection is gone. */
  end(): void {
    this.#end()
  }

  #end(): void {
    this.#state = 'closed'
    this.#held = false
    this.#backlog = NO_CHUNKS
    this.#parts = NO_CHUNKS
    this.#reader = undefined
  }

  /** A rule was broken: 5.0 clients are told, all are closed. */
  #refuse(refusal: Refusal): void {
    this.#effects.refused(refusal)
    this.disconnect(refusal.reasonCode, { reason: refusal.detail })
  }

  #sendAuth(reasonCode: number, data: Uint8Array | undefined): void {
    this.send({
      type: PacketType.auth,
      reasonCode,
      properties: {
        // [MQTT-4.12.0-5] the same method throughout
        ...(this.#authenticationMethod !== undefined && { authenticationMethod: this.#authenticationMethod }),
        ...(data !== undefined && { authenticationData: data }),
      },
    })
  }

  // ---------------------------------------------------------------- bytes to packets

  /** What waited here, then what arrived for others while the run was in use. */
  #goOn(): void {
    const run = this.#run
    this.consumeBacklog()
    for (let next = run.after.shift(); next !== undefined; next = run.after.shift()) next.consumeBacklog()
  }

  /** Takes what arrived while the run was in use. Called by the conversation that used it. */
  consumeBacklog(): void {
    const run = this.#run
    run.inUse = true
    try {
      while (this.#backlog.length > 0 && !this.#held && this.#state !== 'closed') {
        this.#consume(this.#backlog.shift() as Uint8Array)
      }
    } finally {
      run.inUse = false
    }
  }

  #consume(chunk: Uint8Array): void {
    let from = 0
    if (this.#partsHave > 0) {
      from = this.#gather(chunk)
      if (from < 0) return
      if (this.#state === 'closed') return
      if (this.#held) {
        if (from < chunk.length) this.#putBack(chunk, from)
        return
      }
    }
    this.#parse(chunk, from)
  }

  /** Adds to the packet that is in pieces. Returns where the rest of the chunk begins, or -1 if all of it was taken. */
  #gather(chunk: Uint8Array): number {
    if (this.#partsTotal === 0) {
      // The fixed header itself is cut: at most four bytes wait.
      const first = this.#parts[0] as Uint8Array
      const head = joinBytes([first, chunk.subarray(0, 5)])
      const found = readRemainingLength(head, 1, head.length, header)
      if (found === 'incomplete') {
        this.#parts = [head]
        this.#partsHave = head.length
        return -1
      }
      if (found === 'malformed') {
        this.#refuse(tooLong)
        return -1
      }
      if (this.version === 5 && isOverlong(header.value, header.next - 1)) {
        this.#refuse(overlong(header.value, header.next - 1))
        return -1
      }
      this.#partsTotal = header.next + header.value
      if (!this.#sizeAllowed(this.#partsTotal)) return -1
    }
    const missing = this.#partsTotal - this.#partsHave
    if (chunk.length < missing) {
      this.#parts.push(this.#lasting(chunk, 0, chunk.length))
      this.#partsHave += chunk.length
      const count = this.#parts.length
      if (count >= PIECES_MAX && this.#partsHave < count * PIECE_BYTES_MIN) this.#parts = [joinBytes(this.#parts)]
      return -1
    }
    const parts = this.#parts
    const isPiecewise =
      this.#partsTotal > PIECEWISE_BYTES &&
      ((parts[0] as Uint8Array)[0] as number) >> 4 === PacketType.publish &&
      this.#state === 'connected'
    parts.push(isPiecewise ? this.#lasting(chunk, 0, missing) : chunk.subarray(0, missing))
    this.#parts = NO_CHUNKS
    this.#partsHave = 0
    this.#partsTotal = 0
    if (isPiecewise) {
      this.#reader ??= new PublishReader(this.#settings, this.#effects, this.#run, this)
      if (this.#reader.addInPieces(parts)) {
        this.#refuseProblem()
        return missing
      }
    }
    const whole = joinBytes(parts)
    this.#parse(whole, 0)
    return missing
  }

  #sizeAllowed(bytes: number): boolean {
    const max = this.#packetBytesMax
    if (bytes <= max) return true
    this.#refuse(refuse(ReasonCode.packetTooLarge, 'MQTT-3.2.2-15', `packet of ${bytes} bytes, maximum is ${max}`))
    return false
  }

  /** Less from those that nobody knows yet. */
  get #packetBytesMax(): number {
    const { packetBytesMax, connectBytesMax = packetBytesMax } = this.#settings
    return this.#state === 'waiting' && connectBytesMax < packetBytesMax ? connectBytesMax : packetBytesMax
  }

  /** What follows waits for the owner's decision. */
  #putBack(chunk: Uint8Array, from: number): void {
    const rest = this.#lasting(chunk, from, chunk.length)
    if (this.#backlog === NO_CHUNKS) this.#backlog = [rest]
    else this.#backlog.unshift(rest)
  }

  #keep(chunk: Uint8Array, from: number, total: number): void {
    const run = this.#run
    if (run.carriedBytesMax > 0 && run.lends(chunk) && total <= run.carriedBytesMax) {
      run.carriedBytes = chunk.length - from
      return
    }
    this.#parts = [this.#lasting(chunk, from, chunk.length)]
    this.#partsHave = chunk.length - from
    this.#partsTotal = total
  }

  /** Bytes of a chunk that may be kept. */
  #lasting(chunk: Uint8Array, from: number, to: number): Uint8Array {
    // Not `slice`: on a Buffer that is a view.
    if (this.#run.lends(chunk)) return new Uint8Array(chunk.subarray(from, to))
    return from === 0 && to === chunk.length ? chunk : chunk.subarray(from, to)
  }

  /** All whole packets from `from` on; what is left of the chunk is kept. */
  #parse(buf: Uint8Array, from: number): void {
    const run = this.#run
    const end = buf.length
    let p = from
    let bytesMax = this.#packetBytesMax
    run.count = 0
    while (end - p >= 2) {
      const first = buf[p] as number
      let length = buf[p + 1] as number
      let body = p + 2
      if (length >= 0x80) {
        const found = readRemainingLength(buf, p + 1, end, header)
        if (found === 'incomplete') break
        if (found === 'malformed') {
          this.#endRun(p)
          if (this.#state !== 'closed' && this.#headerAllowed(first)) this.#refuse(tooLong)
          return
        }
        length = header.value
        body = header.next
        if (this.version === 5 && isOverlong(length, body - p - 1)) {
          this.#endRun(p)
          if (this.#state !== 'closed' && this.#headerAllowed(first)) this.#refuse(overlong(length, body - p - 1))
          return
        }
      }
      const next = body + length
      if (next - p > bytesMax) {
        this.#endRun(p)
        if (this.#state !== 'closed' && this.#headerAllowed(first)) this.#sizeAllowed(next - p)
        return
      }
      if (next > end) {
        this.#endRun(p)
        if (this.#state !== 'closed') {
          if (this.#headerAllowed(first)) this.#keep(buf, p, next - p)
        }
        return
      }
      if (first >> 4 === PacketType.publish && this.#state === 'connected') {
        this.#reader ??= new PublishReader(this.#settings, this.#effects, run, this)
        if (!this.#reader.add(buf, p, first, body, next)) {
          this.#stopped(buf)
          return
        }
      } else {
        if (run.count > 0) {
          this.#endRun(p)
          if (this.#state !== 'connected') return
          if (this.#held) {
            this.#putBack(buf, p)
            return
          }
        }
        this.#packet(buf, p, first, body, next)
        if (this.#state === 'closed') return
        bytesMax = this.#packetBytesMax
        if (this.#held) {
          if (next < end) this.#putBack(buf, next)
          return
        }
      }
      p = next
    }
    if (run.count > 0) {
      this.#endRun(p)
      if (this.#state !== 'connected') return
    }
    if (this.#held) {
      if (p < end) this.#putBack(buf, p)
      return
    }
    if (p < end && this.#headerAllowed(buf[p] as number)) this.#keep(buf, p, 0)
  }

  /** A first byte that no packet has, or the wrong first packet, is refused before the rest of it is awaited. */
  #headerAllowed(first: number): boolean {
    if (this.#state === 'waiting' && first !== PacketType.connect << 4) {
      this.#refuse(refuse(ReasonCode.protocolError, 'MQTT-3.1.0-1', 'the first packet is not CONNECT'))
      return false
    }
    const problem = firstByteProblem(first, this.version)
    if (problem === undefined) return true
    this.#refuse(problem)
    return false
  }

  /** Hands the run on; whatever broke a rule with it ends the conversation. */
  #endRun(end: number): void {
    if (this.#run.count === 0) return
    this.#reader?.end(end)
    this.#refuseProblem()
  }

  /** What stopped the reader: a broken rule, or a decision that the rest must wait for. */
  #stopped(buf: Uint8Array): void {
    if (this.#refuseProblem()) return
    const at = this.#reader?.stoppedAt ?? buf.length
    if (this.#held && at < buf.length) this.#putBack(buf, at)
  }

  /** True if there was one, or the conversation is over. */
  #refuseProblem(): boolean {
    const problem = this.#reader?.problem
    if (this.#state === 'closed') return true
    if (problem === undefined) return false
    this.#refuse(problem)
    return true
  }

  // ---------------------------------------------------------------- packets other than PUBLISH

  #packet(buf: Uint8Array, at: number, first: number, body: number, next: number): void {
    const state = this.#state
    const type = first >> 4
    if (state === 'connected' && next - body === 2 && type >= PacketType.puback && type <= PacketType.pubcomp) {
      const id = ((buf[body] as number) << 8) | (buf[body + 1] as number)
      if (id !== 0 && first === (type === PacketType.pubrel ? 0x62 : type << 4)) {
        this.#acknowledge(type, id, 0)
        return
      }
    }
    if (state === 'waiting' && first !== PacketType.connect << 4) {
      // [MQTT-3.1.0-1] [MQTT3-3.1.0-1]
      this.#refuse(refuse(ReasonCode.protocolError, 'MQTT-3.1.0-1', 'the first packet is not CONNECT'))
      return
    }
    const packet = decodePacket(first, buf, body, next, this.version)
    if (isRefusal(packet)) {
      if (state === 'waiting') this.#refuseConnect(packet)
      else this.#refuse(packet)
      return
    }
    if (state === 'waiting') {
      const connect = packet as ConnectPacket
      // Only now is it known whether the fewest bytes were a must.
      if (connect.version === 5 && isOverlong(next - body, body - at - 1)) {
        this.#refuseConnect({ ...overlong(next - body, body - at - 1), level: 5 })
      } else this.#connect(connect)
      return
    }
    if (state === 'authenticating' && packet.type !== PacketType.auth && packet.type !== PacketType.disconnect) {
      // [MQTT-3.1.2-30] only AUTH or DISCONNECT until CONNACK
      this.#refuse(refuse(ReasonCode.protocolError, 'MQTT-3.1.2-30', 'only AUTH or DISCONNECT may come before CONNACK'))
      return
    }
    this.#dispatch(packet)
  }

  #acknowledge(type: number, packetId: number, reasonCode: number): void {
    const effects = this.#effects
    if (type === PacketType.puback) effects.puback(packetId, reasonCode)
    else if (type === PacketType.pubrel) effects.pubrel(packetId, reasonCode)
    else if (type === PacketType.pubrec) effects.pubrec(packetId, reasonCode)
    else effects.pubcomp(packetId, reasonCode)
  }

  #dispatch(packet: Packet): void {
    switch (packet.type) {
      case PacketType.puback:
      case PacketType.pubrec:
      case PacketType.pubrel:
      case PacketType.pubcomp:
        this.#acknowledge(packet.type, (packet as AckPacket).packetId, (packet as AckPacket).reasonCode)
        return
      case PacketType.subscribe:
        this.#subscribe(packet)
        return
      case PacketType.unsubscribe:
        this.#effects.unsubscribe(packet)
        return
      case PacketType.pingreq:
        this.#effects.pingreq()
        // [MQTT-3.12.4-1] [MQTT3-3.12.4-1]
        if (this.#state === 'connected') this.#effects.send(PINGRESP)
        return
      case PacketType.disconnect:
        this.#disconnected(packet)
        return
      case PacketType.auth:
        this.#auth(packet)
        return
      case PacketType.connect:
        // [MQTT-3.1.0-2] [MQTT3-3.1.0-2]
        this.#refuse(refuse(ReasonCode.protocolError, 'MQTT-3.1.0-2', 'a second CONNECT'))
        return
      default:
        this.#refuse(refuse(ReasonCode.protocolError, '4.13.1', 'a packet that only a server sends'))
    }
  }

  #connect(packet: ConnectPacket): void {
    const s = this.#settings
    this.version = packet.version
    this.#requestedKeepAlive = packet.keepAlive
    this.keepAliveSeconds =
      s.keepAliveMax > 0 && (packet.keepAlive === 0 || packet.keepAlive > s.keepAliveMax)
        ? s.keepAliveMax
        : packet.keepAlive
    this.#state = 'connecting'
    const p = packet.properties
    if (p !== undefined) {
      if (p.receiveMaximum !== undefined) this.clientReceiveMaximum = p.receiveMaximum
      if (p.maximumPacketSize !== undefined) this.clientPacketBytesMax = p.maximumPacketSize
      if (p.topicAliasMaximum !== undefined) this.clientTopicAliasMaximum = p.topicAliasMaximum
      this.problemInformation = p.requestProblemInformation !== 0
      this.#responseInformation = p.requestResponseInformation === 1
      this.#authenticationMethod = p.authenticationMethod
    }
    const problem = connectProblem(packet, s)
    if (problem !== undefined) {
      this.#effects.refused(problem)
      this.refuse(problem.reasonCode)
      return
    }
    this.#held = true
    this.#effects.connect(packet)
  }

  /** A CONNECT that cannot be read: 5.0 may be told, so may 3.x about its level [MQTT-3.1.2-2] [MQTT3-3.1.2-2]. */
  #refuseConnect(refusal: Refusal): void {
    this.#effects.refused(refusal)
    if (refusal.reasonCode === ReasonCode.unsupportedProtocolVersion) {
      this.#state = 'connecting'
      this.version = refusal.level !== undefined && refusal.level >= 5 ? 5 : 4
      this.refuse(ReasonCode.unsupportedProtocolVersion)
      return
    }
    if (refusal.level === 5) {
      this.version = 5
      this.#state = 'connecting'
      this.refuse(refusal.reasonCode)
      return
    }
    this.#end()
    this.#effects.close()
  }

  #subscribe(packet: SubscribePacket): void {
    if (packet.properties?.subscriptionIdentifiers !== undefined && !this.#settings.subscriptionIdentifierAvailable) {
      this.#refuse(
        refuse(
          ReasonCode.subscriptionIdentifiersNotSupported,
          '3.2.2.3.12',
          'subscription identifiers are not available',
        ),
      )
      return
    }
    this.#effects.subscribe(packet)
  }

  #disconnected(packet: DisconnectPacket): void {
    if (
      this.version === 5 &&
      packet.properties?.sessionExpiryInterval !== undefined &&
      packet.properties.sessionExpiryInterval > 0 &&
      !this.sessionExpiryAllowed
    ) {
      // [MQTT-3.14.2-2] a session that was to end with the connection stays that way
      this.#refuse(refuse(ReasonCode.protocolError, '3.14.2.2.2', 'session expiry on DISCONNECT after 0 on CONNECT'))
      return
    }
    this.#end()
    this.#effects.disconnected(packet)
    this.#effects.close()
  }

  /** Whether DISCONNECT may set a session expiry: CONNECT asked for one above 0. Set by the owner. */
  sessionExpiryAllowed = false

  #auth(packet: AuthPacket): void {
    const method = packet.properties?.authenticationMethod
    if (this.version !== 5) {
      this.#refuse(refuse(ReasonCode.protocolError, '4.13.1', 'AUTH before MQTT 5.0'))
      return
    }
    if (this.#authenticationMethod === undefined || method !== this.#authenticationMethod) {
      // [MQTT-4.12.0-5] [MQTT-4.12.1-1] the method of the CONNECT throughout
      this.#refuse(
        refuse(ReasonCode.protocolError, 'MQTT-4.12.0-5', 'AUTH with another method than CONNECT, or after none'),
      )
      return
    }
    if (this.#state === 'connected') {
      const starts = packet.reasonCode === ReasonCode.reAuthenticate
      // The server alone says success.
      if (starts === this.#reAuthenticating || packet.reasonCode === ReasonCode.success) {
        this.#refuse(refuse(ReasonCode.protocolError, '4.12.1', 'AUTH out of turn'))
        return
      }
      this.#reAuthenticating = true
    } else if (packet.reasonCode !== ReasonCode.continueAuthentication) {
      this.#refuse(refuse(ReasonCode.protocolError, 'MQTT-4.12.0-3', 'AUTH with a reason other than continue'))
      return
    }
    this.#held = true
    this.#effects.authenticate(packet)
  }
}

const tooLong = refuse(ReasonCode.malformedPacket, 'MQTT-1.5.5-1', 'remaining length has more than four bytes')

function overlong(value: number, bytes: number): Refusal {
  return refuse(ReasonCode.malformedPacket, 'MQTT-1.5.5-1', `remaining length ${value} is written in ${bytes} bytes`)
}
