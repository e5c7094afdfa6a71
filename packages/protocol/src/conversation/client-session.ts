/**
 * What a client has to remember from one network connection to the next (5.0, section 4.1): messages sent and not yet
 * acknowledged, identifiers of QoS 2 messages received and not yet released, and what still waits to be sent.
 *
 *   publish() ─▶ queue ─▶ inflight ─▶ acknowledged          subscribe() ─▶ waiting ─▶ unanswered ─▶ answered
 *                ▲ bounded  │ sent again with DUP 1                        ▲ bounded    │ asked again
 *                └──────────┘ after a connection with no session           └────────────┘ after any lost connection
 *
 * A `ClientConversation` drives it while there is a connection; while there is none, it only collects. Nothing here is
 * written to disk: a client that restarts begins with an empty session.
 */

import type { QoS, SubscriptionRequest } from '../packets/types.ts'
import type { Properties } from '../properties/types.ts'
import { ReasonCode } from '../reason-codes.ts'
import { type Refusal, refuse } from '../refusal.ts'

/** An application message to be published. */
export interface OutgoingMessage {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly retain: boolean
  readonly properties?: Properties
}

/** A publication on its way. `operation` is the caller's number for it. */
export interface Outgoing {
  readonly operation: number
  readonly message: OutgoingMessage
  readonly bytes: number
  /** 0 until it is sent for the first time. */
  packetId: number
  /** PUBREC has arrived: only PUBREL and PUBCOMP are left. */
  received: boolean
}

/** A SUBSCRIBE or UNSUBSCRIBE on its way. */
export type ClientRequest =
  | {
      readonly kind: 'subscribe'
      readonly operation: number
      readonly subscriptions: readonly SubscriptionRequest[]
      readonly properties?: Properties
    }
  | {
      readonly kind: 'unsubscribe'
      readonly operation: number
      readonly filters: readonly string[]
      readonly properties?: Properties
    }

export interface ClientSessionLimits {
  /** Publications that wait or are in flight. */
  readonly queueMessagesMax: number
  /** Bytes of topic and payload of these. */
  readonly queueBytesMax: number
  /** SUBSCRIBE and UNSUBSCRIBE packets that wait or are unanswered. */
  readonly requestsMax: number
}

export const CLIENT_SESSION_LIMITS: ClientSessionLimits = {
  queueMessagesMax: 100_000,
  queueBytesMax: 64 * 1024 * 1024,
  requestsMax: 10_000,
}

const PACKET_ID_MAX = 65535

export class ClientSession {
  readonly limits: ClientSessionLimits
  /** By packet identifier, in the order of their first sending: a Map keeps insertion order. */
  readonly inflight = new Map<number, Outgoing>()
  /** SUBSCRIBE and UNSUBSCRIBE sent on the present connection and not answered. */
  readonly unanswered = new Map<number, ClientRequest>()
  /** Packet identifiers of QoS 2 messages received and not yet released by PUBREL. */
  readonly receipts = new Set<number>()
  /** Publications waiting for their first sending. */
  #queue: Outgoing[] = []
  #head = 0
  #waiting: ClientRequest[] = []
  #bytes = 0
  #lastPacketId = 0

  constructor(limits: ClientSessionLimits = CLIENT_SESSION_LIMITS) {
    this.limits = limits
  }

  /** Publications not yet settled, waiting ones included. */
  get publications(): number {
    return this.#queue.length - this.#head + this.inflight.size
  }

  /** Bytes of topic and payload of these; topics count one byte a UTF-16 unit. */
  get bytes(): number {
    return this.#bytes
  }

  /** Requests not yet answered, waiting ones included. */
  get requests(): number {
    return this.#waiting.length + this.unanswered.size
  }

  /** Takes a publication, or says why there is no room for it. */
  enqueue(operation: number, message: OutgoingMessage): Refusal | undefined {
    const { queueMessagesMax, queueBytesMax } = this.limits
    const bytes = message.topic.length + message.payload.length
    if (this.publications >= queueMessagesMax) {
      return refuse(ReasonCode.quotaExceeded, 'queueMessagesMax', `${queueMessagesMax} publications wait already`)
    }
    if (this.#bytes + bytes > queueBytesMax) {
      return refuse(
        ReasonCode.quotaExceeded,
        'queueBytesMax',
        `${bytes} bytes more than the ${this.#bytes} that wait are over ${queueBytesMax}`,
      )
    }
    this.#bytes += bytes
    this.#queue.push({ operation, message, bytes, packetId: 0, received: false })
    return undefined
  }

  /** The publication next in line, if any. */
  peek(): Outgoing | undefined {
    return this.#queue[this.#head]
  }

  /** Takes the publication next in line out of the queue. */
  shift(): void {
    this.#head++
    if (this.#head > 1024 && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head)
      this.#head = 0
    }
  }

  /** A publication has ended, whichever way. */
  settle(outgoing: Outgoing): void {
    this.#bytes -= outgoing.bytes
    if (outgoing.packetId !== 0) this.inflight.delete(outgoing.packetId)
  }

  /** Takes a request, or says why there is no room for it. */
  enqueueRequest(request: ClientRequest): Refusal | undefined {
    const { requestsMax } = this.limits
    if (this.requests >= requestsMax) {
      return refuse(ReasonCode.quotaExceeded, 'requestsMax', `${requestsMax} requests are unanswered already`)
    }
    this.#waiting.push(request)
    return undefined
  }

  /** The request next in line, if any. */
  peekRequest(): ClientRequest | undefined {
    return this.#waiting[0]
  }

  /** Takes the request next in line out of the queue. */
  shiftRequest(): void {
    this.#waiting.shift()
  }

  /**
   * A packet identifier that is not in use [MQTT-2.2.1-3], or 0 when all 65535 are. Identifiers are given out in a circle,
   * so that a late acknowledgement of a former use meets an unused one.
   */
  takePacketId(): number {
    if (this.inflight.size + this.unanswered.size >= PACKET_ID_MAX) return 0
    do {
      this.#lastPacketId = (this.#lastPacketId % PACKET_ID_MAX) + 1
    } while (this.inflight.has(this.#lastPacketId) || this.unanswered.has(this.#lastPacketId))
    return this.#lastPacketId
  }

  /** The connection is gone: unanswered requests are asked again first thing on the next one. */
  connectionEnded(): void {
    this.#waiting = [...this.unanswered.values(), ...this.#waiting]
    this.unanswered.clear()
  }

  /**
   * The server has no session [MQTT-3.2.2-5]: receipts and identifiers mean nothing any more. QoS 1 messages go back to the
   * head of the queue as new ones. What was in flight at QoS 2 is returned and must be settled by the caller: it cannot be
   * sent again without the risk of a second publication.
   */
  sessionLost(): Outgoing[] {
    const uncertain: Outgoing[] = []
    const again: Outgoing[] = []
    for (const outgoing of this.inflight.values()) {
      if (outgoing.message.qos === 2) uncertain.push(outgoing)
      else again.push({ ...outgoing, packetId: 0 })
    }
    this.inflight.clear()
    this.receipts.clear()
    if (again.length > 0) {
      this.#queue = again.concat(this.#queue.slice(this.#head))
      this.#head = 0
    }
    return uncertain
  }
}
