/**
 * The numbers of what a session sends at QoS 1 and 2, and which of them are settled (architecture section 3.3).
 *
 *        base            next
 *          │               │
 *   settled│ ■ ■ □ ■ □ □ ■ │ not sent          ■ in flight, □ settled out of order
 *          └── states ─────┘
 *
 * What is sent gets q = 0, 1, 2, …; its packet identifier is (q mod 65535) + 1. Nothing is sent while q - base ≥ 65535, so
 * an identifier is never in use twice, and every replica knows every identifier without being told. States lie in a ring
 * of bytes that grows by doubling, up to 64 KiB.
 *
 * Kept sessions and transient ones run this same code. It is on the hot path: plain numbers, no allocation per message.
 */
import type { QoS } from '@concordmq/protocol'

/** Identifiers 1..65535 are all in use when this many numbers are unsettled. */
export const SPAN_MAX = 65535
const RING_MIN = 64
const NO_STATES = new Uint8Array(0)

const FREE = 0
const SENT_QOS1 = 1
const SENT_QOS2 = 2
const RECEIVED = 3

/** State of a number in flight. */
export type SendState = 'sent' | 'received' | 'settled'

/** The packet identifier of queue number `q` (an integer ≥ 0): 1..65535. */
export function packetIdOf(q: number): number {
  return (q % SPAN_MAX) + 1
}

export class OutboundWindow {
  /** Oldest number not settled; equals `next` when nothing is in flight. */
  base: number
  /** The number that the next message sent gets. */
  next: number
  /** How many numbers are sent and not settled. */
  inflight = 0
  /** 1..65535: how many may be. */
  receiveMaximum: number
  #states = NO_STATES

  constructor(receiveMaximum: number, firstNumber = 0) {
    this.receiveMaximum = receiveMaximum
    this.base = firstNumber
    this.next = firstNumber
  }

  /** How many more messages may be sent now. */
  room(): number {
    const byWindow = this.receiveMaximum - this.inflight
    const bySpan = SPAN_MAX - (this.next - this.base)
    return byWindow < bySpan ? byWindow : bySpan
  }

  /** Takes `count` numbers for messages sent now, all at `qos`; at most `room()`. Returns the first. */
  take(count: number, qos: QoS): number {
    const first = this.next
    const span = first + count - this.base
    if (span > this.#states.length) this.#grow(span)
    const states = this.#states
    const mask = states.length - 1
    const state = qos === 2 ? SENT_QOS2 : SENT_QOS1
    for (let i = 0; i < count; i++) states[(first + i) & mask] = state
    this.next = first + count
    this.inflight += count
    return first
  }

  /** The number in flight under a packet identifier, or -1. */
  find(packetId: number): number {
    const span = this.next - this.base
    if (span === 0) return -1
    let ahead = packetId - 1 - (this.base % SPAN_MAX)
    if (ahead < 0) ahead += SPAN_MAX
    if (ahead >= span) return -1
    const q = this.base + ahead
    return this.#states[q & (this.#states.length - 1)] === FREE ? -1 : q
  }

  /** State of `q`; numbers not sent count as settled. */
  state(q: number): SendState {
    if (q < this.base || q >= this.next) return 'settled'
    const state = this.#states[q & (this.#states.length - 1)]
    return state === FREE ? 'settled' : state === RECEIVED ? 'received' : 'sent'
  }

  /** QoS under which `q`, which is in flight, was sent. */
  qosOf(q: number): 1 | 2 {
    return this.#states[q & (this.#states.length - 1)] === SENT_QOS1 ? 1 : 2
  }

  /** PUBREC arrived for `q`, which is in flight at QoS 2: only PUBREL and PUBCOMP are left. */
  receive(q: number): void {
    this.#states[q & (this.#states.length - 1)] = RECEIVED
  }

  /** `q` is done with: PUBACK, PUBCOMP, a refusing PUBREC, or given up. True if it was in flight. */
  settle(q: number): boolean {
    if (q < this.base || q >= this.next) return false
    const states = this.#states
    const mask = states.length - 1
    if (states[q & mask] === FREE) return false
    states[q & mask] = FREE
    this.inflight--
    if (q === this.base) {
      let base = q + 1
      const next = this.next
      while (base < next && states[base & mask] === FREE) base++
      this.base = base
    }
    return true
  }

  #grow(span: number): void {
    let size = this.#states.length === 0 ? RING_MIN : this.#states.length
    while (size < span) size *= 2
    const grown = new Uint8Array(size)
    const old = this.#states
    if (old.length > 0) {
      for (let q = this.base; q < this.next; q++) grown[q & (size - 1)] = old[q & (old.length - 1)] as number
    }
    this.#states = grown
  }
}
