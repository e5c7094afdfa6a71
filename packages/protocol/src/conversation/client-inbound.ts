/**
 * Messages from server to client on one network connection: topic aliases, Receive Maximum, and the answers to QoS 1 and 2
 * in the order in which the messages came, however late the program is done with each.
 *
 *   PUBLISH 7 ─▶ pending {7}         acknowledge(8)      acknowledge(7)
 *   PUBLISH 8 ─▶ pending {7, 8}      pending {7, 8 ok}   PUBACK 7, PUBACK 8 leave
 *
 * A QoS 2 message is handed over with its PUBLISH; its identifier stays in the session's receipts until PUBREL, so that a
 * PUBLISH sent again is answered and not handed over a second time (method B of figure 4.3 in 5.0).
 */
import { type AckPacket, PacketType, type PublishPacket } from '../packets/types.ts'
import { ReasonCode } from '../reason-codes.ts'
import { isRefusal, type Refusal, refuse } from '../refusal.ts'
import type { ClientSession } from './client-session.ts'
import { InboundAliases } from './topic-aliases.ts'

interface Pending {
  readonly qos: 1 | 2
  /** Reason code of the answer; undefined: not known yet. */
  answer: number | undefined
}

export interface ClientInboundOptions {
  readonly receiveMaximum: number
  readonly topicAliasMaximum: number
  /** False before 5.0, where a server may send a PUBLISH again on the same connection. */
  readonly strict: boolean
}

const NO_REASON = ReasonCode.success

export class ClientInbound {
  readonly #session: ClientSession
  readonly #options: ClientInboundOptions
  readonly #aliases: InboundAliases
  /** Not answered with PUBACK or PUBREC, by packet identifier, in order of arrival. */
  readonly #pending = new Map<number, Pending>()
  /** Answered with PUBREC on this connection, and not released. */
  readonly #unreleased = new Set<number>()

  constructor(session: ClientSession, options: ClientInboundOptions) {
    this.#session = session
    this.#options = options
    this.#aliases = new InboundAliases(options.topicAliasMaximum)
  }

  /**
   * A PUBLISH arrived. Returns what the program gets to see, `undefined` if it has seen it before, or a refusal. Answers
   * that have become due are taken by `nextAnswer()`.
   */
  publish(packet: PublishPacket): PublishPacket | Refusal | undefined {
    let topic = packet.topic
    const alias = packet.properties?.topicAlias
    if (alias !== undefined) {
      const resolved = this.#aliases.resolve(alias, topic)
      if (isRefusal(resolved)) return resolved
      topic = resolved
    }
    if (topic === '') return refuse(ReasonCode.protocolError, 'section 3.3.2.1', 'empty topic name and no topic alias')
    const { packetId, qos } = packet
    if (qos > 0 && packetId !== undefined) {
      const verdict = this.#admit(packetId, qos as 1 | 2)
      if (verdict !== 'new') return verdict
    }
    // The read buffer is not ours to keep; not `slice`, which on a Buffer is a view.
    return { ...packet, topic, payload: new Uint8Array(packet.payload) }
  }

  /** PUBREL arrived. Returns the PUBCOMP. */
  release(packetId: number): AckPacket {
    this.#unreleased.delete(packetId)
    const known = this.#session.receipts.delete(packetId)
    // An unknown identifier is no error during recovery [section 4.3.3]; before 5.0 the code is not on the wire.
    const reasonCode = known ? NO_REASON : ReasonCode.packetIdentifierNotFound
    return { type: PacketType.pubcomp, packetId, reasonCode }
  }

  /** The program is done with a message. False if it was not waiting for that. */
  acknowledge(packetId: number, reasonCode: number): boolean {
    const pending = this.#pending.get(packetId)
    if (pending === undefined || pending.answer !== undefined) return false
    pending.answer = reasonCode
    return true
  }

  /** The next PUBACK or PUBREC that may leave: in order of arrival [MQTT-4.6.0-2] [MQTT-4.6.0-3]. */
  nextAnswer(): AckPacket | undefined {
    for (const [packetId, { qos, answer }] of this.#pending) {
      if (answer === undefined) return undefined
      this.#pending.delete(packetId)
      if (qos === 1) return { type: PacketType.puback, packetId, reasonCode: answer }
      // [MQTT-4.3.3-10] After a PUBREC of 0x80 or above the identifier may be used for a new message.
      if (answer >= 0x80) this.#session.receipts.delete(packetId)
      else this.#unreleased.add(packetId)
      return { type: PacketType.pubrec, packetId, reasonCode: answer }
    }
    return undefined
  }

  #admit(packetId: number, qos: 1 | 2): 'new' | Refusal | undefined {
    const { receiveMaximum, strict } = this.#options
    if (this.#pending.has(packetId)) {
      if (!strict) return undefined
      return refuse(ReasonCode.protocolError, 'MQTT-2.2.1-4', `packet identifier ${packetId} is in use already`)
    }
    const seen = qos === 2 && this.#session.receipts.has(packetId)
    if (!seen || !this.#unreleased.has(packetId)) {
      // [MQTT-3.3.4-9] The server must not have more than Receive Maximum messages unanswered.
      if (this.#pending.size + this.#unreleased.size >= receiveMaximum) {
        const detail = `more than ${receiveMaximum} QoS 1 and 2 messages without PUBACK or PUBCOMP`
        return refuse(ReasonCode.receiveMaximumExceeded, 'MQTT-3.3.4-9', detail)
      }
    }
    this.#unreleased.delete(packetId)
    this.#pending.set(packetId, { qos, answer: seen ? NO_REASON : undefined })
    if (seen) return undefined
    if (qos === 2) this.#session.receipts.add(packetId)
    return 'new'
  }
}
