/**
 * What one connection is sent, in one line: straight to its output while the client keeps up, else into a bounded queue.
 *
 *   give(form) ──▶ line empty, window open, socket takes it? ──yes──▶ output
 *                                   │ no                                 ▲
 *                                   └──▶ line (count, bytes bounded) ────┘ pump(), after acknowledgements and drains
 *
 * Order is that of `give`: a QoS 0 message waits behind QoS 1 and 2 that the window holds back. What does not fit into the
 * line is dropped, or the connection is closed, as the policy says; nobody else notices. The packet identifiers and the
 * window are those of `OutboundWindow`, the code that kept sessions run too.
 */
import type { Buffer } from 'node:buffer'
import { type QoS, utf8Length, utf8Write } from '@concordmq/protocol'
import { type Message, type OutboundWindow, type PackedMessage, packetIdOf, type RunEntries } from '@concordmq/state'
import type { HookPoints } from '../hooks/hook-points.ts'
import type { Counters } from '../telemetry/counters.ts'
import { Fifo } from './fifo.ts'
import { bytesOf, endOf, type Form, keep, withRemainingExpiry } from './form.ts'
import type { Output } from './output.ts'

export type QueueFullPolicy = 'dropQoS0' | 'dropOldest' | 'disconnect'

export interface OutboxLimits {
  readonly queueMessagesMax: number
  readonly queueBytesMax: number
  readonly queueFull: QueueFullPolicy
}

/** How a subscriber used the time that its publishers waited. */
export interface Waited {
  owedMs: number
  atMs: number
  /** Bytes that its socket had taken when they began to wait. */
  taken: number
}

/** Whoever owns the connection. */
export interface OutboxOwner {
  /** The line is full and the policy is to close the connection (0x97). Called once. */
  overflow(): void
  /** The last message of a shared group's entry `q` was settled or dropped. */
  sharedSettled(q: number, outcome: 'acked' | 'received' | 'completed' | 'givenUp', reasonCode: number): void
  /** What hooks make of message `i` of a form; undefined: the client does not get it. Asked while `hooks.outgoing`. */
  screen?(form: Form, i: number): Form | undefined
  /** Message `i` was written, under the packet identifier if it has one. Told while `hooks.watchesSent`. */
  sent?(form: Form, i: number, packetId: number): void
  /** Messages `from` to `to` were not sent and will not be. Told while `hooks.watchesDropped`. */
  dropped?(form: Form, from: number, to: number): void
  /** A message waits for the window. Told while somebody asks for it. */
  exhausted?(): void
}

/** Result of an acknowledgement: `unknown`, nothing is in flight under that identifier; `mismatch`, the wrong kind. */
export type Settled = 'settled' | 'unknown' | 'mismatch'

const PUBLISH = 3
/** Messages larger than this are not copied: their header is, the rest goes by reference. */
export const REFER_BYTES_MIN = 2048
const BULK_BYTES_MAX = 65536
/** Body of a packet that `putPlain` writes: its length takes two bytes at most. */
const PLAIN_BYTES_MAX = 2048
/** Packets that `putPackets` copies together: two pieces in a chunk of output. */
const PACKETS_BYTES_MAX = 32_768
/** Up to so many bytes a loop is faster than a view. */
const BY_HAND_BYTES_MAX = 128
/** Share of the line that makes publishers wait, see `pressing`. */
const PRESSING_BYTES = 1 << 20
const NO_SHARED = -1
const NOT_AUTHORIZED = 0x87

interface Segment {
  readonly form: Form
  /** First message not sent yet. */
  next: number
  readonly shared: number
}

/** Messages that are encoded only when they can leave: what a subscription finds retained may be very much. */
export interface LazyForms {
  readonly count: number
  /** Message `i`, encoded now; undefined: it has expired. */
  form(i: number): Form | undefined
  /** What most of them need, who carry nothing but a topic and a payload. */
  readonly plain: PlainTerms | undefined
}

export interface PlainTerms {
  readonly qosMax: QoS
  readonly v5: boolean
  /** Message `i` if it can go as it is, retained; undefined: see `form`. */
  message(i: number): Message | PackedMessage | undefined
}

interface Series {
  readonly lazy: LazyForms
  /** First message not sent yet. */
  next: number
}

export class Outbox {
  readonly output: Output
  readonly window: OutboundWindow
  /** The connection is slow: publishers no longer wait for it. See `pressure.ts`. */
  slow = false
  /** When it became congested, monotonic ms; 0: it is not. */
  congestedSinceMs = 0
  /** What its publishers waited for it beyond what it took meanwhile, see `pressure.ts`. */
  waited: Waited | undefined
  readonly #packetBytesMax: number
  readonly #limits: OutboxLimits
  readonly #counters: Counters
  readonly #owner: OutboxOwner
  readonly #line = new Fifo<Segment | Series>()
  #lineMessages = 0
  /** Messages of the series in the line; they cost references, and count under no limit. */
  #seriesLeft = 0
  #lineBytes = 0
  #shared: Map<number, number> | undefined
  #overflowed = false
  #exhausted = false
  readonly #hooks: HookPoints | undefined

  /** `hooks`: absent where nobody can add any. */
  constructor(
    output: Output,
    window: OutboundWindow,
    packetBytesMax: number,
    limits: OutboxLimits,
    counters: Counters,
    owner: OutboxOwner,
    hooks?: HookPoints,
  ) {
    this.#hooks = hooks
    this.output = output
    this.window = window
    this.#packetBytesMax = packetBytesMax
    this.#limits = limits
    this.#counters = counters
    this.#owner = owner
  }

  /** Messages that wait in the line. */
  get waiting(): number {
    return this.#lineMessages + this.#seriesLeft
  }

  get waitingBytes(): number {
    return this.#lineBytes
  }

  /** Whether a message given now would leave at once. */
  get open(): boolean {
    return this.waiting === 0 && !this.output.congested
  }

  /** Whether publishers should wait for this client: its socket, or a long line, holds messages back. */
  get pressing(): boolean {
    return this.output.congested || this.#lineBytes > PRESSING_BYTES
  }

  /** Sends the messages of a form, or queues them. The form may be used again by the caller at once. */
  give(form: Form, shared: number = NO_SHARED): void {
    if (this.#hooks?.outgoing === true) this.#screen(form, shared)
    else this.put(form, shared)
  }

  /** The same for what hooks have seen. */
  put(form: Form, shared: number = NO_SHARED): void {
    if (this.#overflowed) return
    if (this.waiting > 0 || this.output.congested) {
      this.#enqueue(form, 0, shared)
      return
    }
    const reached = this.#send(form, 0, shared)
    if (reached < form.count) this.#enqueue(form, reached, shared)
  }

  #screen(form: Form, shared: number): void {
    for (let i = 0; i < form.count; i++) {
      const screened = this.#owner.screen?.(form, i)
      if (screened !== undefined) this.put(screened, shared)
      else {
        this.drop(form, i, i + 1)
        if (shared !== NO_SHARED) this.#owner.sharedSettled(shared, 'givenUp', NOT_AUTHORIZED)
      }
    }
  }

  /** Drops one message before it was encoded; false: somebody watches what is dropped, so it must be. */
  dropUnformed(): boolean {
    if (this.#hooks?.watchesDropped === true) return false
    this.#counters.publishDropped++
    return true
  }

  /** The client will not get messages `from` to `to`. */
  drop(form: Form, from: number, to: number): void {
    this.#counters.publishDropped += to - from
    if (this.#hooks?.watchesDropped === true) this.#owner.dropped?.(form, from, to)
  }

  /** Sends the messages of a series in line, each encoded when its turn has come. `nowMs` is monotonic. */
  giveSeries(lazy: LazyForms, nowMs: number): void {
    if (this.#overflowed || lazy.count === 0) return
    this.#line.push({ lazy, next: 0 })
    this.#seriesLeft += lazy.count
    this.pump(nowMs)
  }

  /** Sends from the line what window and socket allow. `nowMs` is monotonic. */
  pump(nowMs: number): void {
    while (this.#line.length > 0 && !this.output.congested) {
      const segment = this.#line.first as Segment | Series
      if ('lazy' in segment) {
        if (!this.#pumpSeries(segment)) return
        continue
      }
      let form: Form | undefined = segment.form
      if (form.expiresAtMs >= 0) {
        if (form.qos > 0 && this.window.room() <= 0) return
        form = withRemainingExpiry(form, nowMs)
        if (form === undefined) {
          this.drop(segment.form, segment.next, segment.form.count)
          this.#giveUp(segment, 0)
          this.#shift(segment, segment.form.count)
          continue
        }
      }
      const from = segment.next
      const reached = this.#send(form, from, segment.shared)
      this.#shift(segment, reached)
      if (reached < form.count) return
      if (this.output.full) this.output.flush()
    }
  }

  /** False when window or socket allow no more; true when the series has left. */
  #pumpSeries(series: Series): boolean {
    const { lazy } = series
    const plain = this.#hooks?.outgoing === true ? undefined : lazy.plain
    while (series.next < lazy.count) {
      if (this.output.congested) return false
      if (plain === undefined || !this.#sendPlain(plain, series.next)) {
        const whole = lazy.form(series.next)
        if (whole !== undefined && whole.qos > 0 && this.window.room() <= 0) {
          // Hooks are asked once, when the message can leave.
          this.windowFull()
          return false
        }
        const screens = this.#hooks?.outgoing === true && whole !== undefined
        const form = screens ? this.#owner.screen?.(whole, 0) : whole
        if (screens && form === undefined) this.drop(whole, 0, 1)
        if (form !== undefined && this.#send(form, 0, NO_SHARED) < form.count) return false
      }
      series.next++
      this.#seriesLeft--
      if (this.output.full) this.output.flush()
    }
    this.#line.shift()
    return true
  }

  #sendPlain(plain: PlainTerms, i: number): boolean {
    const message = plain.message(i)
    if (message === undefined) return false
    const qos = message.qos < plain.qosMax ? message.qos : plain.qosMax
    if (qos > 0 && this.window.room() <= 0) return false
    if ('bytes' in message) return this.#putPacked(message, qos, plain.v5)
    return this.putPlain(message, { qos, retain: true, dup: false, v5: plain.v5 })
  }

  /** A message waits for the window: told once until there is room again. */
  windowFull(): void {
    if (this.#exhausted) return
    this.#exhausted = true
    this.#owner.exhausted?.()
  }

  puback(packetId: number, reasonCode: number): Settled {
    const q = this.window.find(packetId)
    if (q < 0) return 'unknown'
    if (this.window.qosOf(q) !== 1) return 'mismatch'
    this.window.settle(q)
    if (this.#shared !== undefined) this.#settleShared(q, 'acked', reasonCode)
    return 'settled'
  }

  /** PUBREC: true answer means PUBREL is due; a refusing PUBREC ends the exchange [MQTT-4.3.3-4]. */
  pubrec(packetId: number, reasonCode: number): Settled {
    const q = this.window.find(packetId)
    if (q < 0) return 'unknown'
    if (this.window.qosOf(q) !== 2) return 'mismatch'
    if (reasonCode >= 0x80) {
      this.window.settle(q)
      if (this.#shared !== undefined) this.#settleShared(q, 'givenUp', reasonCode)
      return 'settled'
    }
    this.window.receive(q)
    if (this.#shared !== undefined) {
      const shared = this.#shared.get(q)
      if (shared !== undefined) this.#owner.sharedSettled(shared, 'received', reasonCode)
    }
    return 'settled'
  }

  pubcomp(packetId: number, reasonCode: number): Settled {
    const q = this.window.find(packetId)
    if (q < 0) return 'unknown'
    // [MQTT-4.3.3-5] [MQTT3-4.3.3-1] without PUBREC the PUBLISH stays unacknowledged
    if (this.window.state(q) !== 'received') return 'mismatch'
    this.window.settle(q)
    if (this.#shared !== undefined) this.#settleShared(q, 'completed', reasonCode)
    return 'settled'
  }

  /** Forgets everything: the connection is gone. */
  close(): void {
    this.#overflowed = true
    this.#line.retain((waiting) => {
      if (!('lazy' in waiting)) this.#letGo(waiting.form)
      return false
    })
    this.#seriesLeft = 0
    this.#lineMessages = 0
    this.#lineBytes = 0
    this.#shared = undefined
  }

  // ---------------------------------------------------------------- sending

  /** Sends messages `from`… of the form as far as the window goes. Returns the first one not sent. */
  #send(form: Form, from: number, shared: number): number {
    const bytes = bytesOf(form)
    // [MQTT-3.1.2-24] [MQTT-3.1.2-25] what is larger than the client takes is dropped as if it had been sent
    if (bytes > this.#packetBytesMax) return this.#sendFitting(form, from, shared)
    return this.#sendRange(form, from, form.count, shared)
  }

  #sendFitting(form: Form, from: number, shared: number): number {
    for (let i = from; i < form.count; i++) {
      const bytes = endOf(form, i) - (i === 0 ? form.start : (form.heads[i] as number)) + form.partsBytes
      if (bytes > this.#packetBytesMax) {
        this.drop(form, i, i + 1)
        if (shared !== NO_SHARED) this.#owner.sharedSettled(shared, 'givenUp', 0x95)
        continue
      }
      if (this.#sendRange(form, i, i + 1, shared) === i) return i
    }
    return form.count
  }

  #sendRange(form: Form, from: number, to: number, shared: number): number {
    const output = this.output
    if (form.qos === 0) {
      const whole = from === 0 && to === form.count
      const start = from === 0 ? form.start : (form.heads[from] as number)
      if (whole) {
        form.slice ??= form.buf.subarray(form.start, form.end)
        this.#add(form, form.slice)
      } else this.#add(form, form.buf.subarray(start, endOf(form, to - 1)))
      if (form.parts !== undefined) for (const part of form.parts) output.refer(part)
      this.#sent(to - from)
      if (this.#hooks?.watchesSent === true) this.#tellSent(form, from, to, 0)
      return to
    }
    const room = this.window.room()
    const count = to - from < room ? to - from : room
    if (count <= 0) {
      this.windowFull()
      return from
    }
    this.#exhausted = false
    const first = this.window.take(count, form.qos)
    if (shared !== NO_SHARED) {
      this.#shared ??= new Map()
      this.#shared.set(first, shared)
    }
    const start = from === 0 ? form.start : (form.heads[from] as number)
    const bytes = endOf(form, from + count - 1) - start
    if (form.parts !== undefined || bytes > count * REFER_BYTES_MIN) this.#sendLarge(form, from, count, first)
    else if (bytes <= BULK_BYTES_MAX) this.#sendBulk(form, from, count, first, start, bytes)
    else {
      for (let i = from; i < from + count; i++) {
        const at = i === 0 ? form.start : (form.heads[i] as number)
        this.#sendBulk(form, i, 1, first + i - from, at, endOf(form, i) - at)
      }
    }
    this.#sent(count)
    if (this.#hooks?.watchesSent === true) this.#tellSent(form, from, from + count, first)
    return from + count
  }

  /**
   * Sends one small message without properties straight into the output: most of what a kept session is sent, or is retained.
   * At QoS 1 and 2 the window must have room. False: it is not of that kind, and nothing was done. Half the CPU of a form.
   */
  putPlain(
    { topic, payload }: Message,
    {
      qos,
      retain,
      dup,
      v5,
    }: { readonly qos: QoS; readonly retain: boolean; readonly dup: boolean; readonly v5: boolean },
  ): boolean {
    const topicBytes = utf8Length(topic)
    let at = this.#beginPlain(0x30 | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0), topicBytes + payload.length, v5)
    if (at < 0) return false
    const chunk = this.output.chunk as Buffer
    chunk[at++] = topicBytes >> 8
    chunk[at++] = topicBytes & 255
    at = this.#betweenPlain(utf8Write(topic, chunk, at), qos, v5)
    if (payload.length > 24) chunk.set(payload, at)
    else for (let i = 0; i < payload.length; i++) chunk[at + i] = payload[i] as number
    this.#sent(1)
    return true
  }

  /** The same for a retained message that lies as it is sent. */
  #putPacked({ bytes, topicAt, payloadAt, end }: PackedMessage, qos: QoS, v5: boolean): boolean {
    let at = this.#beginPlain(0x31 | (qos << 1), end - topicAt - 2, v5)
    if (at < 0) return false
    const chunk = this.output.chunk as Buffer
    for (let from = topicAt; from < payloadAt; from++) chunk[at++] = bytes[from] as number
    at = this.#betweenPlain(at, qos, v5)
    if (end - payloadAt > BY_HAND_BYTES_MAX) chunk.set(bytes.subarray(payloadAt, end), at)
    else for (let from = payloadAt; from < end; from++) chunk[at++] = bytes[from] as number
    this.#sent(1)
    return true
  }

  /** Writes the header of a packet whose topic and payload have `bytes`; returns where the topic begins, or -1: it is refused. */
  #beginPlain(first: number, bytes: number, v5: boolean): number {
    const body = bytes + ((first & 6) !== 0 ? 4 : 2) + (v5 ? 1 : 0)
    if (body > PLAIN_BYTES_MAX || body + 3 > this.#packetBytesMax || this.#overflowed) return -1
    if (this.#hooks?.watchesSent === true) return -1
    const { output } = this
    let at = output.room(body + (body < 128 ? 2 : 3))
    const chunk = output.chunk as Buffer
    chunk[at++] = first
    if (body >= 128) chunk[at++] = (body & 127) | 128
    chunk[at++] = body < 128 ? body : body >> 7
    return at
  }

  /** Writes what is between topic and payload; returns where that begins. */
  #betweenPlain(topicEnd: number, qos: QoS, v5: boolean): number {
    const chunk = this.output.chunk as Buffer
    let at = topicEnd
    if (qos > 0) {
      const id = packetIdOf(this.window.take(1, qos))
      chunk[at++] = id >> 8
      chunk[at++] = id & 255
    }
    if (v5) chunk[at++] = 0
    return at
  }

  /**
   * Sends messages of a run that are packets for such a client already, in the order of their numbers: one copy, then their packet
   * identifiers. As many as one piece of output takes, and `window.room()` at most; how many. 0: they must be sent one by one.
   */
  putPackets({ payloads, first, count, qos }: RunEntries, v5: boolean): number {
    const { packets, bytes, starts, ends } = payloads
    if (packets === undefined || packets.qos !== qos || packets.v5 !== v5 || this.#overflowed) return 0
    if (this.#hooks?.watchesSent === true) return 0
    const start = first === 0 ? 0 : (ends[first - 1] as number)
    let taken = 0
    for (let end = start; taken < count; taken++) {
      const next = ends[first + taken] as number
      if (next - end > this.#packetBytesMax || next - start > PACKETS_BYTES_MAX) break
      end = next
    }
    if (taken === 0) return 0
    const at = this.output.room((ends[first + taken - 1] as number) - start)
    const chunk = this.output.chunk as Buffer
    chunk.set(bytes.subarray(start, ends[first + taken - 1]), at)
    let id = packetIdOf(this.window.take(taken, qos))
    const shift = at - start - (v5 ? 3 : 2)
    for (let i = first; i < first + taken; i++) {
      const o = (starts[i] as number) + shift
      chunk[o] = id >> 8
      chunk[o + 1] = id & 255
      id = id === 65535 ? 1 : id + 1
    }
    this.#sent(taken)
    return taken
  }

  #tellSent(form: Form, from: number, to: number, firstQ: number): void {
    for (let i = from; i < to; i++) this.#owner.sent?.(form, i, form.qos === 0 ? 0 : packetIdOf(firstQ + i - from))
  }

  #sent(count: number): void {
    const counters = this.#counters
    counters.publishSent += count
    counters.left(PUBLISH, count)
  }

  /** One copy, then the identifiers are patched. Patching instead of encoding each message halves the CPU per delivery. */
  #sendBulk(form: Form, from: number, count: number, firstQ: number, start: number, bytes: number): void {
    const output = this.output
    const at = output.room(bytes)
    const chunk = output.chunk as Buffer
    const buf = form.buf
    if (bytes > 64) chunk.set(buf.subarray(start, start + bytes), at)
    else for (let i = 0; i < bytes; i++) chunk[at + i] = buf[start + i] as number
    const shift = at - start
    const ids = form.ids
    let id = packetIdOf(firstQ)
    for (let i = from; i < from + count; i++) {
      const o = (ids[i] as number) + shift
      chunk[o] = id >> 8
      chunk[o + 1] = id & 255
      id = id === 65535 ? 1 : id + 1
    }
  }

  /** Bytes of a form, by reference where they last and are worth it. */
  #add(form: Form, bytes: Uint8Array): void {
    if (form.lent) this.output.borrow(bytes)
    else this.output.append(bytes)
  }

  /** Headers by copy, payloads by reference. */
  #sendLarge(form: Form, from: number, count: number, firstQ: number): void {
    const output = this.output
    let id = packetIdOf(firstQ)
    for (let i = from; i < from + count; i++) {
      const head = i === 0 ? form.start : (form.heads[i] as number)
      const idAt = form.ids[i] as number
      const bytes = idAt + 2 - head
      const at = output.room(bytes)
      const chunk = output.chunk as Buffer
      for (let k = 0; k < bytes; k++) chunk[at + k] = form.buf[head + k] as number
      chunk[at + bytes - 2] = id >> 8
      chunk[at + bytes - 1] = id & 255
      const rest = form.buf.subarray(idAt + 2, endOf(form, i))
      if (rest.length > 0) this.#add(form, rest)
      if (form.parts !== undefined) for (const part of form.parts) output.refer(part)
      id = id === 65535 ? 1 : id + 1
    }
  }

  // ---------------------------------------------------------------- the line

  #enqueue(form: Form, first: number, shared: number): void {
    const limits = this.#limits
    let from = first
    if (limits.queueFull === 'dropOldest' && form.count - from > limits.queueMessagesMax) {
      from = form.count - limits.queueMessagesMax
      this.drop(form, first, from)
    }
    const messages = form.count - from
    const bytes = bytesOf(form)
    while (this.#lineMessages + messages > limits.queueMessagesMax || this.#lineBytes + bytes > limits.queueBytesMax) {
      if (limits.queueFull === 'dropQoS0' && form.qos === 0) {
        this.drop(form, from, form.count)
        return
      }
      if (limits.queueFull === 'dropQoS0' && this.#dropZeros()) continue
      if (limits.queueFull !== 'dropOldest') {
        this.#overflowed = true
        this.#owner.overflow()
        return
      }
      const oldest = this.#line.first
      if (oldest === undefined) {
        // Larger than the whole line may be.
        this.drop(form, from, form.count)
        if (shared !== NO_SHARED) this.#owner.sharedSettled(shared, 'givenUp', 0x97)
        return
      }
      this.#dropFirst(oldest)
    }
    const kept = keep(form)
    this.#line.push({ form: kept, next: from, shared })
    this.#lineMessages += messages
    this.#lineBytes += bytes
    // What waits in several lines lies in memory once.
    this.output.hold(kept.waiting++ === 0 ? bytes : 0)
  }

  /** It waits in this line no more. */
  #letGo(form: Form): void {
    if (--form.waiting === 0) this.output.letGo(bytesOf(form))
  }

  /** Gives up all that waits and may be dropped: with `dropQoS0` messages of QoS 0, with `dropOldest` any. */
  shed(): void {
    if (this.#limits.queueFull === 'dropQoS0') this.#dropZeros()
    else if (this.#limits.queueFull === 'dropOldest') this.#dropAll()
  }

  #dropAll(): void {
    for (let oldest = this.#line.first; oldest !== undefined; oldest = this.#line.first) this.#dropFirst(oldest)
  }

  /** The first of the line is given up. */
  #dropFirst(oldest: Segment | Series): void {
    if ('lazy' in oldest) {
      this.#counters.publishDropped += oldest.lazy.count - oldest.next
      this.#seriesLeft -= oldest.lazy.count - oldest.next
      this.#line.shift()
      return
    }
    this.drop(oldest.form, oldest.next, oldest.form.count)
    this.#giveUp(oldest, 0x97)
    this.#shift(oldest, oldest.form.count)
  }

  /** Makes room for QoS 1 and 2 by dropping all QoS 0 that waits. False if there was none. */
  #dropZeros(): boolean {
    const before = this.#lineMessages
    this.#line.retain((waiting) => {
      if ('lazy' in waiting || waiting.form.qos > 0) return true
      const messages = waiting.form.count - waiting.next
      this.#lineMessages -= messages
      this.#lineBytes -= bytesOf(waiting.form)
      this.#letGo(waiting.form)
      this.drop(waiting.form, waiting.next, waiting.form.count)
      return false
    })
    return this.#lineMessages < before
  }

  /** Messages before `reached` have left the line. */
  #shift(segment: Segment, reached: number): void {
    this.#lineMessages -= reached - segment.next
    segment.next = reached
    if (reached < segment.form.count) return
    this.#lineBytes -= bytesOf(segment.form)
    this.#letGo(segment.form)
    this.#line.shift()
  }

  #giveUp(segment: Segment, reasonCode: number): void {
    if (segment.shared !== NO_SHARED) this.#owner.sharedSettled(segment.shared, 'givenUp', reasonCode)
  }

  #settleShared(q: number, outcome: 'acked' | 'completed' | 'givenUp', reasonCode: number): void {
    const shared = this.#shared?.get(q)
    if (shared === undefined) return
    this.#shared?.delete(q)
    this.#owner.sharedSettled(shared, outcome, reasonCode)
  }
}
