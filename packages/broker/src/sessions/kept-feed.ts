/**
 * Sends a kept session's queue to the connection it sits on, and reports what was settled.
 *
 * The queue itself is the machine's: entries are numbered there, and the numbers are the packet identifiers (architecture
 * section 3.3). This feed only walks it: `window.next` is the number sent next. QoS 0 messages are not numbered; one that
 * arrives while numbered ones wait keeps its place behind them.
 *
 *   machine queue   … 41 42 │ 43 44 45 …         QoS 0 line: (after 44) m, (after 45) m
 *                    sent   ▲ window.next
 */
import { encodePacket, PacketType, ReasonCode } from '@concordmq/protocol'
import {
  type AcknowledgeCommand,
  type Message,
  packetIdOf,
  type Session,
  type Settlement,
  SPAN_MAX,
} from '@concordmq/state'
import { wantsTimestamps } from '../delivery/broker-timestamps.ts'
import { Fifo } from '../delivery/fifo.ts'
import { bytesOf, type Form, withRemainingExpiry } from '../delivery/form.ts'
import { messageForm, type Now } from '../delivery/message-form.ts'
import { wantsPositions } from '../delivery/order-positions.ts'
import type { Outbox, OutboxLimits, Settled } from '../delivery/outbox.ts'
import type { ContentReader } from '../storage/content-reader.ts'
import type { Counters } from '../telemetry/counters.ts'

export interface KeptFeedOptions {
  readonly session: Session
  /** Its window begins at the session's oldest unsettled number. */
  readonly outbox: Outbox
  readonly v5: boolean
  /** Largest packet the client takes, bytes. */
  readonly packetBytesMax: number
  readonly limits: OutboxLimits
  readonly counters: Counters
  /** Whether the client may be sent a message now; counted if not. */
  readonly mayReceive: (topic: string) => boolean
  readonly now: () => Now
  /** What hooks make of a message on its way out, while there are such hooks; it answers undefined for a refusal. */
  readonly screen?: () => ((form: Form) => Form | undefined) | undefined
  /** Submits settlements to the order. */
  /** `kept` is called when they are on disk. */
  readonly acknowledge: (
    settlements: AcknowledgeCommand['settlements'],
    then: { readonly kept?: (() => void) | undefined; readonly applied?: () => void },
  ) => void
  readonly contents: ContentReader
  /** In a cluster, where what is settled here is settled in the machine only after a while; absent: at once. */
  readonly order?: {
    /** Settlements that the machine does not have: at this many nothing more is sent (`settlementLagMax`). */
    readonly lagMax: number
    /** Calls `flush` before long. */
    readonly later: (feed: KeptFeed) => void
  }
}

/** What has no expiry has this one. */
const NEVER = Number.MAX_SAFE_INTEGER
/** Entries settled by one command. */
export const SETTLEMENTS_MAX = 256

/** Settlements of one kind, one behind the other. */
type Gathered = { -readonly [Key in keyof Settlement]: Settlement[Key] }

interface Waiting {
  readonly form: Form
  readonly topic: string
  readonly after: number
}

export class KeptFeed {
  readonly #o: KeptFeedOptions
  /** QoS 0 that waits. */
  readonly #zero = new Fifo<Waiting>()
  #zeroBytes = 0
  #settlements: Gathered[] = []
  /** How many entries they settle. */
  #settled = 0
  #held = true
  /** A chunk is being read, for the number `#readFor`. */
  #reading = false
  #readFor = -1
  /** Settlements that the machine does not have yet; counted in a cluster. */
  #lag = 0

  constructor(options: KeptFeedOptions) {
    this.#o = options
  }

  /** Queue numbers below this one were sent. */
  get sentBelow(): number {
    return this.#o.outbox.window.next
  }

  /** Whether something waits for the window or the socket. */
  get owes(): boolean {
    return this.#zero.length > 0 || this.#o.outbox.window.next < this.#o.session.queue.next
  }

  /** Nothing is sent until `resume`: CONNACK or SUBACK goes first. A connection that is over stays held. */
  hold(): void {
    this.#held = true
  }

  resume(): void {
    this.#held = false
    this.pump()
  }

  /** Whether a QoS 0 message finds no room, and is dropped: known before it is encoded, since a flood must cost little. */
  dropsZero({ topic, payload }: Message): boolean {
    const { limits, outbox } = this.#o
    const waiting = this.#zero.length
    if (waiting === 0) return false
    const full =
      waiting >= limits.queueMessagesMax || this.#zeroBytes + topic.length + payload.length > limits.queueBytesMax
    return full && outbox.dropUnformed()
  }

  /** A QoS 0 message, encoded for this client, which may receive it. */
  giveZero(form: Form, topic: string): void {
    const { outbox, session, limits } = this.#o
    const waiting = this.#zero.length
    // What the socket does not take waits here, never in the outbox: nobody takes a kept session's messages from there.
    if (!this.#held && waiting === 0 && outbox.window.next >= session.queue.next && !outbox.output.congested) {
      outbox.give(form)
      return
    }
    if (waiting >= limits.queueMessagesMax || this.#zeroBytes + bytesOf(form) > limits.queueBytesMax) {
      outbox.drop(form, 0, form.count)
      return
    }
    this.#zero.push({ form, topic, after: session.queue.next })
    this.#zeroBytes += bytesOf(form)
    outbox.output.hold(bytesOf(form))
  }

  /** Bytes of QoS 0 that wait; what is numbered waits in the machine's queue. */
  get waitingBytes(): number {
    return this.#zeroBytes
  }

  /** Gives up all that waits here, which is QoS 0 only: too much is held in all. */
  shed(): void {
    this.#o.counters.publishDropped += this.#zero.length
    this.close()
  }

  /** The connection is over. */
  close(): void {
    this.#zero.clear()
    this.#o.outbox.output.letGo(this.#zeroBytes)
    this.#zeroBytes = 0
  }

  /** Sends what window and socket allow. */
  pump(): void {
    if (this.#held) return
    const { outbox, session } = this.#o
    const { window } = outbox
    const queue = session.queue
    while (!outbox.output.congested) {
      const zero = this.#zero.first
      if (zero !== undefined && zero.after <= window.next) {
        this.#sendZero(zero)
        if (outbox.output.full) outbox.output.flush()
        continue
      }
      const q = window.next
      // What is not on disk yet is sent when it is.
      if (q >= queue.sendableBelow || this.#lags(q)) break
      if (window.room() <= 0) {
        outbox.windowFull()
        break
      }
      if (!this.#sendRun(q)) this.#sendEntry(q)
      // Its message is still being read, or the outbox is closed and takes nothing.
      if (window.next === q) break
      if (outbox.output.full) outbox.output.flush()
    }
    if (this.#o.order === undefined) this.flush()
    else if (this.#settlements.length > 0) this.#o.order.later(this)
  }

  /** Whether other nodes know too little of what was settled: another one that goes on from there would send this anew. */
  #lags(q: number): boolean {
    const { order, session } = this.#o
    return order !== undefined && (this.#lag >= order.lagMax || q - session.queue.base >= SPAN_MAX)
  }

  /** Sends the first QoS 0 message that waits. */
  #sendZero({ form: waited, topic }: Waiting): void {
    const { outbox, now, mayReceive } = this.#o
    this.#zero.shift()
    this.#zeroBytes -= bytesOf(waited)
    outbox.output.letGo(bytesOf(waited))
    if (!mayReceive(topic)) return
    // [MQTT-3.3.2-5] what expired while it waited is not sent; [MQTT-3.3.2-6] the rest says what is left
    const form = waited.expiresAtMs < 0 ? waited : withRemainingExpiry(waited, now().ms)
    if (form === undefined) outbox.drop(waited, 0, waited.count)
    else outbox.give(form)
  }

  #sendEntry(q: number): void {
    if (this.#sendPlain(q)) return
    const { outbox, session, v5, counters } = this.#o
    const entry = session.queue.entry(q)
    if (entry === undefined) {
      // Settled before, or dropped by the machine: its number stays unused.
      outbox.window.settle(outbox.window.take(1, 1))
      return
    }
    if (entry.state === 'received') {
      outbox.window.receive(outbox.window.take(1, 2))
      counters.left(PacketType.pubrel)
      outbox.output.append(
        encodePacket({ type: PacketType.pubrel, packetId: packetIdOf(q), reasonCode: 0 }, v5 ? 5 : 4),
      )
      return
    }
    const dup = session.queue.mayHaveBeenSent(q)
    if (!dup && entry.expiresUs < NEVER && entry.expiresUs <= this.#o.now().us) {
      counters.publishDropped++
      this.#giveUp(q, 0)
      return
    }
    const placed = entry.placed ?? this.#o.contents.get(entry.chunk, entry.slot)
    if (placed === undefined) {
      this.#read(q, entry.chunk)
      return
    }
    // Asked here and not when it was queued: a right may have been withdrawn since.
    if (!this.#o.mayReceive(placed.message.topic)) {
      this.#giveUp(q, ReasonCode.notAuthorized)
      return
    }
    const { qos, retain, subscriptionIds } = entry.terms
    const { message } = placed
    const timestamps = v5 && wantsTimestamps(this.#o.session, message.topic)
    const positions = v5 && wantsPositions(this.#o.session, message.topic)
    const bare = message.properties === undefined && message.expirySeconds === undefined && subscriptionIds.length === 0
    if (bare && !timestamps && !positions && this.#o.screen?.() === undefined) {
      if (outbox.putPlain(message, { qos, retain, dup, v5 })) return
    }
    const now = this.#o.now()
    const whole = messageForm(placed, v5, { qos, retain, dup, subscriptionIds, timestamps, positions }, now)
    const screen = this.#o.screen?.()
    const form = screen === undefined ? whole : screen(whole)
    if (form === undefined) {
      // A hook refused it: given up, whatever may have been sent before.
      outbox.drop(whole, 0, 1)
      this.#giveUp(q, 0x87)
      return
    }
    if (bytesOf(form) > this.#o.packetBytesMax) {
      // [MQTT-3.1.2-25] too large for the client: done with, as if it had been sent
      outbox.drop(form, 0, 1)
      this.#giveUp(q, 0x95)
      return
    }
    outbox.put(form)
  }

  /** Entries of a run that are packets for this client already, as many as may be sent; false: `q` is none. */
  #sendRun(q: number): boolean {
    const { outbox, session, v5, order } = this.#o
    const { queue } = session
    if (queue.mayHaveBeenSent(q)) return false
    let max = Math.min(outbox.window.room(), queue.sendableBelow - q)
    const zero = this.#zero.first
    if (zero !== undefined) max = Math.min(max, zero.after - q)
    if (order !== undefined) max = Math.min(max, SPAN_MAX - (q - queue.base))
    const entries = queue.plainRun(q, max)
    if (entries === undefined) return false
    const { topic, properties, expirySeconds } = entries.head
    if (properties !== undefined || expirySeconds !== undefined || this.#o.screen?.() !== undefined) return false
    if (v5 && (wantsTimestamps(session, topic) || wantsPositions(session, topic))) return false
    if (!this.#o.mayReceive(topic)) {
      this.#giveUp(q, ReasonCode.notAuthorized)
      return true
    }
    return outbox.putPackets(entries, v5) > 0
  }

  /** Most entries: sent for the first time, of a message in memory that carries nothing but its payload. */
  #sendPlain(q: number): boolean {
    const { outbox, session, v5 } = this.#o
    const { queue } = session
    if (queue.mayHaveBeenSent(q)) return false
    const message = queue.plain(q)?.message
    if (message === undefined || message.properties !== undefined || message.expirySeconds !== undefined) return false
    if (this.#o.screen?.() !== undefined) return false
    if (v5 && (wantsTimestamps(session, message.topic) || wantsPositions(session, message.topic))) return false
    if (!this.#o.mayReceive(message.topic)) {
      this.#giveUp(q, ReasonCode.notAuthorized)
      return true
    }
    return outbox.putPlain(message, { qos: queue.qosOf(q), retain: false, dup: false, v5 })
  }

  /** The messages of a chunk come into memory; the line goes on then. */
  #read(q: number, chunk: number): void {
    if (this.#reading) return
    if (this.#readFor === q) {
      // It was read and is not there: what could be found there is in the store's own check.
      this.#o.contents.lost(chunk, q)
      this.#o.counters.publishDropped++
      this.#giveUp(q, 0x80)
      return
    }
    this.#reading = true
    this.#readFor = q
    this.#o.contents.read(chunk, () => {
      this.#reading = false
      this.pump()
    })
  }

  #giveUp(q: number, reasonCode: number): void {
    const { window } = this.#o.outbox
    window.settle(window.take(1, 1))
    this.#settle(q, 'givenUp', reasonCode)
  }

  #settle(q: number, outcome: 'acked' | 'completed' | 'givenUp', reasonCode: number): void {
    const last = this.#settlements.at(-1)
    // Most are acknowledged in order, and make one settlement together.
    if (last?.outcome === outcome && last.reasonCode === reasonCode && last.q + (last.count ?? 1) === q) {
      last.count = (last.count ?? 1) + 1
    } else this.#settlements.push({ q, outcome, reasonCode })
    this.#lag++
    if (++this.#settled >= SETTLEMENTS_MAX) this.flush()
  }

  puback(packetId: number, reasonCode: number): Settled {
    const { window } = this.#o.outbox
    const q = window.find(packetId)
    if (q < 0) return 'unknown'
    if (window.qosOf(q) !== 1) return 'mismatch'
    window.settle(q)
    this.#settle(q, 'acked', reasonCode)
    return 'settled'
  }

  /** *Received* is on disk before PUBREL leaves: `kept` is called then, if the outcome is `settled`. */
  pubrec(packetId: number, reasonCode: number, kept: () => void): Settled {
    const { window } = this.#o.outbox
    const q = window.find(packetId)
    if (q < 0) return 'unknown'
    if (window.qosOf(q) !== 2) return 'mismatch'
    if (reasonCode >= 0x80) {
      window.settle(q)
      this.#settle(q, 'givenUp', reasonCode)
      kept()
      return 'settled'
    }
    if (window.state(q) === 'sent') {
      window.receive(q)
      this.#settlements.push({ q, outcome: 'received' })
      this.flush(kept)
    } else kept()
    return 'settled'
  }

  pubcomp(packetId: number, reasonCode: number): Settled {
    const { window } = this.#o.outbox
    const q = window.find(packetId)
    if (q < 0) return 'unknown'
    // [MQTT-4.3.3-5] [MQTT3-4.3.3-1] without PUBREC the PUBLISH stays unacknowledged
    if (window.state(q) !== 'received') return 'mismatch'
    window.settle(q)
    this.#settle(q, 'completed', reasonCode)
    return 'settled'
  }

  /** Submits the settlements gathered so far. */
  flush(kept?: () => void): void {
    if (this.#settlements.length === 0) return
    const settlements = this.#settlements
    this.#settlements = []
    const settled = this.#settled
    this.#settled = 0
    if (this.#o.order === undefined) {
      this.#lag = 0
      this.#o.acknowledge(settlements, { kept })
      return
    }
    const applied = (): void => {
      this.#lag -= settled
      this.pump()
    }
    this.#o.acknowledge(settlements, { kept, applied })
  }
}
