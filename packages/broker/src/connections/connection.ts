/**
 * The driver of one client's network connection: bytes from the transport into the conversation, its effects to whoever
 * handles them, answers and deliveries out. It decides nothing about MQTT; the conversation knows the rules of one
 * connection, the handler everything beyond it.
 *
 *   transport ──data──▶ conversation ──effects──▶ handler (pipeline)
 *       ▲                                            │
 *       └── output ◀── outbox or kept feed ◀─────────┘
 *
 * What an idle or merely publishing connection does not need (outbox, window) is made at first use: memory per idle
 * connection is a figure this project holds.
 */
import type { Buffer } from 'node:buffer'
import {
  type AckPacket,
  type AuthPacket,
  type ConnectPacket,
  type DisconnectPacket,
  decodePacket,
  isRefusal,
  OutboundAliases,
  type Packet,
  PacketType,
  type PublishRun,
  ReasonCode,
  type Refusal,
  type RemainingLength,
  readRemainingLength,
  ServerConversation,
  type ServerEffects,
  type ServerSettings,
  type SubscribePacket,
  type UnsubscribePacket,
} from '@concordmq/protocol'
import { type ConnectionId, OutboundWindow, type Receipts } from '@concordmq/state'
import type { Grants, PermissionClient } from '../access/permissions.ts'
import type { Holder } from '../delivery/backlog.ts'
import type { Form } from '../delivery/form.ts'
import { Outbox, type OutboxLimits, type OutboxOwner, type Settled } from '../delivery/outbox.ts'
import { CONGESTED_BYTES, type FlushQueue, Output } from '../delivery/output.ts'
import type { Pressure, Publisher } from '../delivery/pressure.ts'
import { messageAt, screenMessage } from '../delivery/screening.ts'
import { packetOf } from '../hooks/hook-message.ts'
import type { HookPoints } from '../hooks/hook-points.ts'
import type { ClientInfo } from '../model/client-info.ts'
import type { Route } from '../routing/route-table.ts'
import type { KeptFeed } from '../sessions/kept-feed.ts'
import type { Counters } from '../telemetry/counters.ts'
import type { Logger } from '../telemetry/logger.ts'
import { AnswerLine, type RunAnswer } from './answer-line.ts'
import type { Arrival } from './arrival.ts'
import type { ClientRate } from './client-rate.ts'
import type { DeadlineWheel, Watched } from './deadline-wheel.ts'
import { PUBREL } from './first-bytes.ts'
import type { ReadMemory } from './read-memory.ts'
import type { Transport, TransportSink } from './transport.ts'

/** What all connections of a broker share. */
export interface ConnectionShared {
  readonly settings: ServerSettings
  readonly handler: ConnectionHandler
  readonly counters: Counters
  readonly logger: Logger
  readonly flushQueue: FlushQueue
  readonly wheel: DeadlineWheel
  readonly readMemory: ReadMemory
  readonly pressure: Pressure
  readonly run: PublishRun
  readonly outboxLimits: OutboxLimits
  /** 1..65535. */
  readonly inflightMax: number
  readonly connectTimeoutMs: number
  readonly nowMs: () => number
  readonly hooks: HookPoints
}

/** Who handles what a client asks for. */
export interface ConnectionHandler {
  connect(connection: Connection, packet: ConnectPacket): void
  authenticate(connection: Connection, packet: AuthPacket): void
  publishRun(connection: Connection, run: PublishRun): void
  pubrel(connection: Connection, packetId: number): void
  subscribeRequest(connection: Connection, packet: SubscribePacket): void
  unsubscribeRequest(connection: Connection, packet: UnsubscribePacket): void
  /** A shared group's queue entry, sent to a transient session, was settled. */
  sharedSettled(
    connection: Connection,
    q: number,
    outcome: 'acked' | 'received' | 'completed' | 'givenUp',
    reasonCode: number,
  ): void
  /** The session's connection is over. `packet`: the client's DISCONNECT, if it sent one. Once, and only after `entered`. */
  left(connection: Connection, packet: DisconnectPacket | undefined, reasonCode: number): void
  /** The order ended the session's connection; in place of `left`. */
  expelled(connection: Connection): void
  /** The transport is closed. Once for every connection. */
  gone(connection: Connection): void
}

/** Set when the CONNECT has been accepted. */
export interface Entered {
  readonly clientId: string
  readonly principal: string
  readonly id: ConnectionId
  readonly kept: boolean
  readonly grants: Grants | undefined
  readonly willTopic: string | undefined
  /** Milliseconds until the login ends; undefined: never. */
  readonly endsInMs: number | undefined
}

/** An answer of the guard about the topic that a client publishes to. */
export interface Asked {
  readonly route: Route<Connection>
  readonly epoch: number
  readonly mayPublish: boolean
}

export class Connection
  implements TransportSink, ServerEffects, Watched, Publisher, OutboxOwner, PermissionClient, Holder, Holder
{
  readonly transport: Transport
  /** What the limits know of it; a test's connection has none. */
  readonly arrival: Arrival | undefined
  readonly conversation: ServerConversation
  readonly output: Output
  clientId = ''
  principal = ''
  id: ConnectionId | undefined
  kept = false
  connectedAtMs = 0
  grants: Grants | undefined
  rights: unknown
  /** The route of the last publish. */
  lastRoute: Route<Connection> | undefined
  /** The last answer of the guard; undefined: nobody was asked. */
  asked: Asked | undefined
  /** Topic of its will; undefined: it has none. */
  willTopic: string | undefined
  /** Receipts of a transient session's QoS 2 publishes. */
  receipts: Receipts | undefined
  /** Sends a kept session's queue. */
  feed: KeptFeed | undefined
  /** How fast it may send; undefined: as fast as it can. */
  rate: ClientRate | undefined
  wheelSlot = -1
  pressure = 0
  /** Unique among the connections of this broker. */
  number = 0
  #client: ClientInfo | undefined
  readonly #shared: ConnectionShared
  readonly #acceptedMs: number
  #outbox: Outbox | undefined
  #aliases: OutboundAliases | undefined
  #line: AnswerLine | undefined
  #left = false
  #closed = false
  /** Submissions that have no place yet. */
  #unordered = 0
  #whenOrdered: (() => void) | undefined
  #paused = false
  /** Answers it had not read when it was last looked at, because of which it is not read; 0: it is. */
  #unread = 0
  /** Until when it is not read because of its rate; 0: it is. */
  #slowUntilMs = 0
  #closeReason: number = ReasonCode.unspecifiedError
  /** When the login ends, monotonic ms; undefined: never. */
  #endsMs: number | undefined

  constructor(transport: Transport, shared: ConnectionShared, arrival?: Arrival) {
    const now = shared.nowMs()
    this.transport = transport
    this.arrival = arrival
    this.#shared = shared
    this.#acceptedMs = now
    this.output = new Output(transport, shared.flushQueue, this)
    this.conversation = new ServerConversation(shared.settings, this, shared.run, now)
    shared.wheel.watch(this)
    transport.sink = this
  }

  /** What was in force when this connection was accepted, and stays so for it. */
  get settings(): ServerSettings {
    return this.#shared.settings
  }

  get packetBytesMax(): number {
    return this.#shared.settings.packetBytesMax
  }

  get inflightMax(): number {
    return this.#shared.inflightMax
  }

  get v5(): boolean {
    return this.conversation.version === 5
  }

  get remoteAddress(): string {
    return this.transport.info.remoteAddress
  }

  /** Where messages for this client go. */
  get outbox(): Outbox {
    this.#outbox ??= this.makeOutbox(0)
    return this.#outbox
  }

  get hasOutbox(): boolean {
    return this.#outbox !== undefined
  }

  /** Makes the outbox with a window that begins at `firstNumber`. */
  makeOutbox(firstNumber: number): Outbox {
    const shared = this.#shared
    const { clientReceiveMaximum, clientPacketBytesMax } = this.conversation
    const window = new OutboundWindow(Math.min(clientReceiveMaximum, shared.inflightMax), firstNumber)
    this.output.onEased = () => this.drain()
    this.#outbox = new Outbox(
      this.output,
      window,
      clientPacketBytesMax,
      shared.outboxLimits,
      shared.counters,
      this,
      shared.hooks,
    )
    return this.#outbox
  }

  /** The CONNECT was accepted: from now on `left` will be called. */
  enter(entered: Entered): void {
    this.clientId = entered.clientId
    this.principal = entered.principal
    this.grants = entered.grants
    this.willTopic = entered.willTopic
    if (entered.endsInMs !== undefined) this.#endsMs = this.#shared.nowMs() + entered.endsInMs
    this.id = entered.id
    this.kept = entered.kept
    this.connectedAtMs = Date.now()
    this.#client = undefined
  }

  /** The CONNECT was accepted after the connection was over. */
  leaveLate(): void {
    this.#leave(undefined)
  }

  /** The client as hooks and inspection see it. Made when first asked for. */
  get client(): ClientInfo {
    this.#client ??= this.described(this.clientId, this.principal)
    return this.#client
  }

  /** The same under a name that it has not yet been given. */
  described(clientId: string, username: string): ClientInfo {
    const { listener, remoteAddress, encrypted } = this.transport.info
    return {
      connection: this.number,
      clientId,
      username,
      version: this.conversation.version,
      listener,
      remoteAddress,
      encrypted,
      kept: this.kept,
      connectedAtMs: this.connectedAtMs,
      keepAliveSeconds: this.conversation.keepAliveSeconds,
    }
  }

  // ---------------------------------------------------------------- transport

  data(chunk: Uint8Array): void {
    this.#shared.readMemory.took(chunk.length)
    const now = this.#arrived(chunk.length)
    try {
      this.conversation.receive(chunk, now)
      this.#pump(now)
    } catch (error) {
      this.fault(error)
    }
    this.#slow(now)
  }

  lent(chunk: Uint8Array, carriedBytesMax: number): number {
    const shared = this.#shared
    const now = shared.nowMs()
    let carried = 0
    try {
      carried = this.conversation.receiveLent(chunk, now, carriedBytesMax)
      this.#pump(now)
    } catch (error) {
      this.fault(error)
    }
    shared.readMemory.took(chunk.length)
    this.#arrived(chunk.length - carried)
    this.#slow(now)
    return carried
  }

  #arrived(bytes: number): number {
    const shared = this.#shared
    shared.counters.bytesReceived += bytes
    const now = shared.nowMs()
    this.rate?.spendBytes(bytes, now)
    return now
  }

  /** What may keep a connection from being read, after each read. */
  #slow(now: number): void {
    if (this.rate !== undefined) this.#keepRate(this.rate, now)
    if (this.output.pending > UNREAD_BYTES_MAX) this.#choke()
    if (this.conversation.holding) this.#updateReading()
  }

  drain(): void {
    this.output.drained()
    if (this.#unread > 0) {
      this.#unread = 0
      this.resumeReading()
    }
    try {
      this.#pump(this.#shared.nowMs())
    } catch (error) {
      this.fault(error)
    }
  }

  /** A client that does not read its answers is not read either: each packet it sends would add to them. */
  #choke(): void {
    this.#unread = this.output.pending
    this.#updateReading()
  }

  /** A client that sends faster than it may is not read for as long as it owes, or is disconnected. */
  #keepRate(rate: ClientRate, nowMs: number): void {
    if (rate.policy === 'drop' || this.conversation.closed) return
    const owedMs = rate.owedMs(nowMs)
    if (owedMs === 0) return
    if (rate.policy === 'disconnect') {
      this.exceedRate()
      return
    }
    if (this.#slowUntilMs === 0) this.#shared.counters.limits.rateSlowed++
    this.#slowUntilMs = nowMs + owedMs
    this.#shared.wheel.watch(this)
    this.#updateReading()
  }

  /** Disconnects a client that sends faster than it may. */
  exceedRate(): void {
    this.#shared.counters.limits.rateDisconnected++
    this.refused({
      refused: true,
      reasonCode: ReasonCode.messageRateTooHigh,
      statement: '4.13.2',
      detail: 'more messages or bytes a second than allowed',
    })
    this.conversation.disconnect(ReasonCode.messageRateTooHigh)
  }

  /** Sends what waits, as far as window and socket go. */
  #pump(nowMs: number): void {
    if (this.conversation.closed) return
    if (this.feed !== undefined) this.feed.pump()
    else if (this.#outbox !== undefined && this.#outbox.waiting > 0) this.#outbox.pump(nowMs)
    if (this.#outbox !== undefined) this.#ease(this.#outbox)
  }

  /** Nothing that a client sends should get here; if it does, it costs this client its connection and no other. */
  fault(error: unknown): void {
    this.#shared.logger.error(
      {
        event: 'connection.fault',
        clientId: this.clientId,
        error: error instanceof Error ? (error.stack ?? error.message) : String(error),
      },
      'Network connection closed because of a fault in the broker',
    )
    this.#closeReason = ReasonCode.implementationSpecificError
    try {
      this.conversation.disconnect(ReasonCode.implementationSpecificError)
    } catch {
      this.transport.destroy()
    }
  }

  closed(error: Error | undefined): void {
    if (this.#closed) return
    this.#closed = true
    const shared = this.#shared
    shared.wheel.remove(this)
    if (error !== undefined && shared.logger.debugEnabled) {
      shared.logger.debug(
        { event: 'connection.error', clientId: this.clientId, error: error.message },
        'Network connection failed',
      )
    }
    this.#leave(undefined)
    this.conversation.end()
    this.#closeOutbox()
    this.output.close()
    shared.flushQueue.backlog?.forget(this)
    shared.pressure.forget(this)
    this.lastRoute = undefined
    this.asked = undefined
    shared.handler.gone(this)
  }

  #closeOutbox(): void {
    this.feed?.close()
    if (this.#outbox === undefined) return
    this.#outbox.close()
    this.#shared.pressure.release(this.#outbox)
  }

  pauseReading(): void {
    this.#updateReading()
  }

  resumeReading(): void {
    // Time in which nothing was read is not silence of the client.
    this.conversation.lastReceivedMs = this.#shared.nowMs()
    this.#updateReading()
  }

  #updateReading(): void {
    const pause = this.pressure > 0 || this.conversation.holding || this.#slowUntilMs > 0 || this.#unread > 0
    if (pause === this.#paused) return
    this.#paused = pause
    if (pause) this.transport.pause()
    else this.transport.resume()
  }

  #ease(outbox: Outbox): void {
    if ((outbox.slow || outbox.congestedSinceMs > 0) && !outbox.pressing && (!outbox.slow || outbox.open)) {
      this.#shared.pressure.release(outbox)
    }
  }

  // ---------------------------------------------------------------- deadlines

  get deadlineMs(): number | undefined {
    if (this.#closed) return undefined
    if (this.conversation.connected) {
      const { deadlineMs } = this.conversation
      const due = Math.min(this.#slowUntilMs || Infinity, this.#endsMs ?? Infinity, deadlineMs ?? Infinity)
      return due === Infinity ? undefined : due
    }
    return this.#acceptedMs + this.#shared.connectTimeoutMs
  }

  due(nowMs: number): void {
    if (this.conversation.connected) {
      if (this.#endsMs !== undefined && nowMs >= this.#endsMs) {
        this.#expire()
        return
      }
      if (this.#slowUntilMs > 0 && nowMs >= this.#slowUntilMs) {
        this.#slowUntilMs = 0
        this.resumeReading()
      }
      // Time in which nothing is read is not silence of the client, unless it is the one that does not read.
      const idle = this.#unread > 0 && this.output.pending >= this.#unread
      if (this.#paused && !idle) {
        this.conversation.lastReceivedMs = nowMs
        if (this.#unread > 0) this.#unread = this.output.pending
      } else this.conversation.tick(nowMs)
      return
    }
    if (nowMs < this.#acceptedMs + this.#shared.connectTimeoutMs) return
    const reasonCode = ReasonCode.maximumConnectTime
    this.refused({ refused: true, reasonCode, statement: 'MQTT-3.1.0-1', detail: 'no CONNECT in time' })
    this.conversation.end()
    this.transport.destroy()
  }

  /** What the client logged in with is no longer valid. */
  #expire(): void {
    const { logger } = this.#shared
    if (logger.debugEnabled) {
      logger.debug({ event: 'login.expired', clientId: this.clientId }, 'Client disconnected: its login has expired')
    }
    this.#closeReason = ReasonCode.notAuthorized
    this.conversation.disconnect(ReasonCode.notAuthorized, { reason: 'the token has expired' })
  }

  // ---------------------------------------------------------------- what the conversation asks for

  connect(packet: ConnectPacket): void {
    if (this.#shared.hooks.packets) this.#client = this.described(packet.clientId, packet.username ?? '')
    if (this.#shared.hooks.packets && !this.admits(packet)) return
    this.#client = undefined
    this.#shared.handler.connect(this, packet)
  }

  authenticate(packet: AuthPacket): void {
    if (this.#shared.hooks.packets && !this.admits(packet)) return
    this.#shared.handler.authenticate(this, packet)
    this.processed(packet)
  }

  publish(run: PublishRun): void {
    this.#shared.handler.publishRun(this, run)
  }

  puback(packetId: number, reasonCode: number): void {
    const { counters, hooks } = this.#shared
    counters.arrived(PacketType.puback)
    if (hooks.packets && !this.admits({ type: PacketType.puback, packetId, reasonCode })) return
    const settled = this.feed?.puback(packetId, reasonCode) ?? this.#outbox?.puback(packetId, reasonCode) ?? 'unknown'
    this.#check(settled)
    if (hooks.lists.acknowledged !== undefined && settled === 'settled')
      hooks.observe('acknowledged', this.client, packetId, 1)
    if (hooks.packets) this.processed({ type: PacketType.puback, packetId, reasonCode })
  }

  pubrec(packetId: number, reasonCode: number): void {
    const { counters, hooks } = this.#shared
    counters.arrived(PacketType.pubrec)
    if (hooks.packets && !this.admits({ type: PacketType.pubrec, packetId, reasonCode })) return
    this.#pubrec(packetId, reasonCode)
    if (hooks.packets) this.processed({ type: PacketType.pubrec, packetId, reasonCode })
  }

  #pubrec(packetId: number, reasonCode: number): void {
    const { feed } = this
    let settled = 'unknown' as Settled
    if (feed !== undefined) {
      // PUBREL promises that the PUBLISH is never sent again: it leaves when that is kept.
      this.answerWhen((ready) => {
        settled = feed.pubrec(packetId, reasonCode, () => ready(reasonCode >= 0x80 ? 0 : PUBREL, packetId, 0))
        if (settled !== 'settled') ready(0, packetId, 0)
      })
      if (settled === 'settled') return
    } else if (this.#outbox !== undefined) settled = this.#outbox.pubrec(packetId, reasonCode)
    this.#check(settled)
    if (reasonCode >= 0x80 && settled === 'settled') {
      this.#shared.hooks.observe('qosDropped', this.clientId, 'refused')
    }
    if (settled === 'mismatch' || reasonCode >= 0x80) return
    // [MQTT-4.3.3-4] PUBREL with the same identifier; one that is not in use is answered, so that the client can end it
    this.acknowledge(PUBREL, packetId, settled === 'unknown' ? ReasonCode.packetIdentifierNotFound : 0)
  }

  pubrel(packetId: number, reasonCode = 0): void {
    const { counters, hooks, handler } = this.#shared
    counters.arrived(PacketType.pubrel)
    if (hooks.packets && !this.admits({ type: PacketType.pubrel, packetId, reasonCode })) return
    handler.pubrel(this, packetId)
    if (hooks.packets) this.processed({ type: PacketType.pubrel, packetId, reasonCode })
  }

  pubcomp(packetId: number, reasonCode: number): void {
    const { counters, hooks } = this.#shared
    counters.arrived(PacketType.pubcomp)
    if (hooks.packets && !this.admits({ type: PacketType.pubcomp, packetId, reasonCode })) return
    const settled = this.feed?.pubcomp(packetId, reasonCode) ?? this.#outbox?.pubcomp(packetId, reasonCode) ?? 'unknown'
    this.#check(settled)
    if (hooks.lists.acknowledged !== undefined && settled === 'settled')
      hooks.observe('acknowledged', this.client, packetId, 2)
    if (hooks.packets) this.processed({ type: PacketType.pubcomp, packetId, reasonCode })
  }

  #check(settled: Settled): void {
    if (settled !== 'mismatch') return
    this.refused({
      refused: true,
      reasonCode: ReasonCode.protocolError,
      statement: '4.3',
      detail: 'an acknowledgement that is not the next one of this exchange',
    })
    this.conversation.disconnect(ReasonCode.protocolError)
  }

  subscribe(packet: SubscribePacket): void {
    this.#shared.counters.arrived(PacketType.subscribe)
    if (this.#shared.hooks.packets && !this.admits(packet)) return
    this.#shared.handler.subscribeRequest(this, packet)
  }

  unsubscribe(packet: UnsubscribePacket): void {
    this.#shared.counters.arrived(PacketType.unsubscribe)
    if (this.#shared.hooks.packets && !this.admits(packet)) return
    this.#shared.handler.unsubscribeRequest(this, packet)
  }

  pingreq(): void {
    const { counters, hooks } = this.#shared
    counters.arrived(PacketType.pingreq)
    if (!hooks.packets || !this.admits(PINGREQ)) return
    this.processed(PINGREQ)
  }

  disconnected(packet: DisconnectPacket): void {
    this.#shared.counters.arrived(PacketType.disconnect)
    // The conversation is over: a refusal has nothing left to close.
    if (this.#shared.hooks.packets) this.admits(packet)
    this.#leave(packet)
    this.processed(packet)
  }

  /** Tells and asks hooks about a packet that came in; false: it is not to be handled, and the connection closes. */
  admits(packet: Packet): boolean {
    const { hooks } = this.#shared
    hooks.observe('packetReceived', this.client, packet)
    const decision = hooks.decideNow('admitPacket', [this.client, packet], ReasonCode.notAuthorized)
    // A hook may have disconnected the client itself.
    if (decision <= 0) return !this.conversation.closed || packet.type === PacketType.disconnect
    this.#closeReason = decision
    this.conversation.refuse(decision)
    return false
  }

  /** What a packet asked for has been done. */
  processed(packet: Packet): void {
    const { hooks } = this.#shared
    if (hooks.packets) hooks.observe('packetProcessed', this.client, packet)
  }

  /** What hooks make of one message for this client, while there are such hooks. */
  get screening(): ((form: Form) => Form | undefined) | undefined {
    return this.#shared.hooks.outgoing ? (form) => this.screen(form, 0) : undefined
  }

  screen(form: Form, i: number): Form | undefined {
    const { hooks } = this.#shared
    return screenMessage(hooks, { client: this.client, v5: this.v5, selected: hooks.selected }, form, i)
  }

  sent(form: Form, i: number, packetId: number): void {
    const { hooks } = this.#shared
    const message = { ...messageAt(form, i, this.v5), packetId }
    hooks.observe('delivered', this.client, message)
    if (hooks.lists.packetSent !== undefined) hooks.observe('packetSent', this.client, packetOf(message))
  }

  dropped(form: Form, from: number, to: number): void {
    const { hooks } = this.#shared
    for (let i = from; i < to; i++) hooks.observe('publishDropped', this.client, messageAt(form, i, this.v5))
  }

  exhausted(): void {
    this.#shared.hooks.observe('packetIdsExhausted', this.client)
  }

  /** A packet that is no PUBLISH was written. */
  #tellSent(packet: Packet): void {
    this.#shared.hooks.observe('packetSent', this.client, packet)
  }

  refused(refusal: Refusal): void {
    this.#closeReason = refusal.reasonCode
    const { logger } = this.#shared
    if (!logger.debugEnabled) return
    logger.debug(
      {
        event: 'connection.refused',
        clientId: this.clientId,
        remoteAddress: this.transport.info.remoteAddress,
        reasonCode: refusal.reasonCode,
        statement: refusal.statement,
      },
      `Client broke a rule: ${refusal.detail}`,
    )
  }

  send(bytes: Uint8Array): void {
    this.#shared.counters.left((bytes[0] as number) >> 4)
    this.output.append(bytes)
    if (this.#shared.hooks.lists.packetSent !== undefined) this.#tellSentBytes(bytes)
  }

  #tellSentBytes(bytes: Uint8Array): void {
    readRemainingLength(bytes, 1, bytes.length, header)
    const packet = decodePacket(bytes[0] as number, bytes, header.next, bytes.length, this.conversation.version)
    if (!isRefusal(packet)) this.#tellSent(packet)
  }

  /** Sends what is pending, then closes. */
  close(): void {
    this.#leave(undefined)
    this.conversation.end()
    this.#closeOutbox()
    this.output.flush()
    this.transport.end()
  }

  // ---------------------------------------------------------------- what others ask of the connection

  /** PUBACK, PUBREC, PUBREL or PUBCOMP; before 5.0 it has no reason. */
  acknowledge(firstByte: number, packetId: number, reasonCode = 0): void {
    if (this.#line !== undefined && this.#line.length > 0) this.#line.push(firstByte, packetId, reasonCode)
    else this.#acknowledge(firstByte, packetId, reasonCode)
  }

  /**
   * Begins what is to be acknowledged, perhaps later: `ready` is called once, and what it is given leaves behind the
   * acknowledgements of earlier requests. 0 in the place of the first byte: there is nothing to send.
   */
  answerWhen(begin: (ready: (firstByte: number, packetId: number, reasonCode: number) => void) => void): void {
    let ticket = -1
    let answered = false
    begin((firstByte, packetId, reasonCode) => {
      answered = true
      this.answer(ticket, firstByte, packetId, reasonCode)
    })
    if (!answered) ticket = this.reserveAnswer()
  }

  /** Takes the place of an answer behind those that wait. */
  reserveAnswer(): number {
    return this.#answers().reserve()
  }

  /** The answer at a place that was reserved, or -1: behind those that wait. 0 for the first byte: there is nothing to send. */
  answer(ticket: number, firstByte: number, packetId: number, reasonCode: number): void {
    if (ticket < 0) {
      if (firstByte !== 0) this.acknowledge(firstByte, packetId, reasonCode)
    } else if (firstByte === 0) this.#line?.giveUp(ticket)
    else this.#line?.fill(ticket, firstByte, packetId, reasonCode)
  }

  /** The same for the PUBACKs or PUBRECs of a run, which become ready together. */
  answerRunWhen(run: PublishRun, begin: (ready: (answer: RunAnswer) => void) => void): void {
    const packetIds = new Uint16Array(run.count)
    for (let i = 0; i < packetIds.length; i++) packetIds[i] = run.packetId(i)
    const line = this.#answers()
    const ticket = line.reserveRun(packetIds)
    begin((answer) => line.fillRun(ticket, answer))
  }

  #answers(): AnswerLine {
    this.#line ??= new AnswerLine({
      send: (firstByte, packetId, reasonCode) => this.#acknowledge(firstByte, packetId, reasonCode),
      sendRun: (firstByte, packetIds, reasonCode) => this.#acknowledgeAll(firstByte, packetIds, reasonCode),
    })
    return this.#line
  }

  #acknowledge(firstByte: number, packetId: number, reasonCode: number): void {
    const { output } = this
    const bytes = reasonCode !== 0 && this.v5 ? 5 : 4
    const at = output.room(bytes)
    const chunk = output.chunk as Buffer
    chunk[at] = firstByte
    chunk[at + 1] = bytes - 2
    chunk[at + 2] = packetId >> 8
    chunk[at + 3] = packetId & 255
    if (bytes === 5) chunk[at + 4] = reasonCode
    this.#shared.counters.left(firstByte >> 4)
    if (this.#shared.hooks.lists.packetSent !== undefined) {
      this.#tellSent({
        type: (firstByte >> 4) as AckPacket['type'],
        packetId,
        reasonCode: bytes === 5 ? reasonCode : 0,
      })
    }
  }

  /** Acknowledges every packet of a run, in request order [MQTT-4.6.0-2] [MQTT-4.6.0-3]. */
  acknowledgeRun(run: PublishRun, firstByte: number, reasonCode: number): void {
    const { output } = this
    const { count, buf, ids } = run
    if (this.#line !== undefined && this.#line.length > 0) {
      this.answerRunWhen(run, (ready) => ready({ firstByte, reasonCode, taken: count, refusal: undefined }))
      return
    }
    const bytes = reasonCode === 0 || !this.v5 ? 4 : 5
    let at = output.room(count * bytes)
    const chunk = output.chunk as Buffer
    for (let i = 0; i < count; i++) {
      const id = ids[i] as number
      chunk[at] = firstByte
      chunk[at + 1] = bytes - 2
      chunk[at + 2] = buf[id] as number
      chunk[at + 3] = buf[id + 1] as number
      if (bytes === 5) chunk[at + 4] = reasonCode
      at += bytes
    }
    this.#shared.counters.left(firstByte >> 4, count)
    if (this.#shared.hooks.lists.packetSent === undefined) return
    const type = (firstByte >> 4) as AckPacket['type']
    for (let i = 0; i < count; i++) {
      this.#tellSent({ type, packetId: run.packetId(i), reasonCode: bytes === 5 ? reasonCode : 0 })
    }
  }

  #acknowledgeAll(firstByte: number, packetIds: Uint16Array, reasonCode: number): void {
    const { output } = this
    const bytes = reasonCode === 0 || !this.v5 ? 4 : 5
    let at = output.room(packetIds.length * bytes)
    const chunk = output.chunk as Buffer
    for (const packetId of packetIds) {
      chunk[at] = firstByte
      chunk[at + 1] = bytes - 2
      chunk[at + 2] = packetId >> 8
      chunk[at + 3] = packetId & 255
      if (bytes === 5) chunk[at + 4] = reasonCode
      at += bytes
    }
    this.#shared.counters.left(firstByte >> 4, packetIds.length)
    if (this.#shared.hooks.lists.packetSent === undefined) return
    const type = (firstByte >> 4) as AckPacket['type']
    for (const packetId of packetIds) this.#tellSent({ type, packetId, reasonCode: bytes === 5 ? reasonCode : 0 })
  }

  /** Topic aliases towards this client; undefined if it takes none. */
  get aliases(): OutboundAliases | undefined {
    const max = this.conversation.clientTopicAliasMaximum
    // What a hook may rewrite has its whole topic.
    if (this.#shared.hooks.outgoing || this.#shared.hooks.watchesSent) return undefined
    if (max > 0) this.#aliases ??= new OutboundAliases(Math.min(max, ALIASES_MAX))
    return this.#aliases
  }

  /** Another connection took the session over, or an operator ended it: the order knows already. */
  expel(reasonCode: number): void {
    if (!this.#left) this.#shared.handler.expelled(this)
    this.#left = true
    if (this.conversation.connected) this.conversation.disconnect(reasonCode)
    else {
      // Its CONNACK still waits for the disk.
      this.conversation.end()
      this.transport.destroy()
    }
  }

  expelUnkept(): void {
    this.#closeReason = ReasonCode.quotaExceeded
    this.conversation.disconnect(ReasonCode.quotaExceeded)
  }

  /** The broker ends the connection, for the client's will as if it were lost. */
  disconnect(reasonCode: number, told: { readonly reason?: string; readonly serverReference?: string } = {}): void {
    this.#closeReason = reasonCode
    this.conversation.disconnect(reasonCode, told)
  }

  /** Whether something for this client waits to be sent or acknowledged. */
  get owed(): boolean {
    if (this.output.pending > 0) return true
    if (this.#outbox === undefined) return false
    return this.#outbox.waiting > 0 || this.#outbox.window.inflight > 0 || this.feed?.owes === true
  }

  /** A rule keeps the client's address out from now on: it is told (5.0) if it is logged in, and closed. */
  banish(): void {
    this.#closeReason = ReasonCode.administrativeAction
    if (this.conversation.connected) this.conversation.disconnect(ReasonCode.administrativeAction)
    else {
      this.conversation.end()
      this.transport.destroy()
    }
  }

  /** The broker closes: the client is told (5.0), and its will is published as for a lost connection. */
  shutDown(): void {
    this.#closeReason = ReasonCode.serverShuttingDown
    if (this.conversation.connected) this.conversation.disconnect(ReasonCode.serverShuttingDown)
    else {
      this.conversation.end()
      this.transport.destroy()
    }
  }

  // ---------------------------------------------------------------- the order

  /** Something of this client was submitted to the order. */
  submitted(): void {
    this.#unordered++
  }

  /** One of these has its place. */
  ordered(): void {
    if (--this.#unordered > 0) return
    const next = this.#whenOrdered
    this.#whenOrdered = undefined
    next?.()
  }

  /**
   * Calls back when all that was submitted has its place, perhaps at once; until then nothing more of this client is read. What it
   * subscribes to for itself takes effect behind what it published before.
   */
  afterOrdered(next: () => void): void {
    if (this.#unordered === 0) {
      next()
      return
    }
    if (!this.stop()) return
    this.#whenOrdered = () => {
      if (this.conversation.closed) return
      next()
      this.goOn()
    }
  }

  // ---------------------------------------------------------------- what it holds

  get heldBytes(): number {
    return this.output.pending + (this.#outbox?.waitingBytes ?? 0) + (this.feed?.waitingBytes ?? 0)
  }

  /** All connections together hold too much, and this one among the most. */
  shed(): void {
    const before = this.heldBytes
    this.feed?.shed()
    this.#outbox?.shed()
    // What the socket has not taken cannot be taken back: then the connection goes.
    if (this.heldBytes > before / 2) this.overflow()
  }

  /** The line is full and the policy is to close. */
  overflow(): void {
    this.#shared.logger.warn(
      { event: 'delivery.overflow', clientId: this.clientId },
      'Client reads too slowly: its queue is full and it is disconnected',
    )
    this.#closeReason = ReasonCode.quotaExceeded
    this.#shared.counters.limits.queueDisconnected++
    // Not from within a delivery to many: the connection leaves at the end of the turn.
    queueMicrotask(() => {
      if (this.#closed) return
      this.conversation.disconnect(ReasonCode.quotaExceeded)
      // A client that reads still learns why; one that does not would keep its buffers for the whole grace.
      if (this.output.pending > 0) this.transport.destroy()
    })
  }

  sharedSettled(q: number, outcome: 'acked' | 'received' | 'completed' | 'givenUp', reasonCode: number): void {
    this.#shared.handler.sharedSettled(this, q, outcome, reasonCode)
  }

  /** Its later packets wait until `goOn`. False: they wait for something else already, or there will be none. */
  stop(): boolean {
    const { conversation } = this
    if (conversation.holding || conversation.closed) return false
    conversation.hold()
    return true
  }

  goOn(): void {
    if (this.#closed) return
    try {
      this.conversation.release()
      this.answered()
    } catch (error) {
      this.fault(error)
    }
  }

  /** The owner answered what the conversation waited for: reading goes on. */
  answered(): void {
    this.#shared.wheel.watch(this)
    // Acknowledgements may have waited with the rest.
    this.#pump(this.#shared.nowMs())
    this.#updateReading()
  }

  #leave(packet: DisconnectPacket | undefined): void {
    if (this.#left || this.id === undefined) return
    this.#left = true
    this.#shared.handler.left(this, packet, this.#closeReason)
  }
}

const PINGREQ = { type: PacketType.pingreq } as const
const header: RemainingLength = { value: 0, next: 0 }
/**
 * Answers not taken by the system above which a client is not read. More than `CONGESTED_BYTES`, where deliveries stop: a
 * subscriber that is slow may go on publishing.
 */
const UNREAD_BYTES_MAX = 4 * CONGESTED_BYTES

/** Aliases used towards one client: a bound on what it makes the broker remember. */
const ALIASES_MAX = 64
