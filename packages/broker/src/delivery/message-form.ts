/**
 * A message that is kept as a value (retained, queued, a will) as a form for one client. The live path does not come
 * here: it works on runs (`form.ts`).
 */

import { encodePublish, type Properties, type PublishPacket, type QoS } from '@concordmq/protocol'
import type { PlacedMessage } from '@concordmq/state'
import { timestampProperties } from './broker-timestamps.ts'
import type { Form } from './form.ts'
import { positionProperties } from './order-positions.ts'

/** The broker's two clocks at one moment: the order's time, and a monotonic one for deadlines. */
export interface Now {
  /** Microseconds since 1970, never decreasing. */
  readonly us: number
  /** Monotonic milliseconds. */
  readonly ms: number
}

export interface MessageTerms {
  readonly qos: QoS
  readonly retain: boolean
  readonly dup: boolean
  readonly subscriptionIds: readonly number[]
  /** With the time at which the broker received it. */
  readonly timestamps?: boolean
  /** With its place in the order. */
  readonly positions?: boolean
}

const NO_OFFSETS = new Int32Array(0)
const FIRST_HEAD = new Int32Array([0])

/** Seconds a message has left, rounded up; undefined: it never expires; 0: it has expired. */
export function secondsLeft(placed: PlacedMessage, nowUs: number): number | undefined {
  const lifetime = placed.message.expirySeconds
  if (lifetime === undefined) return undefined
  const leftUs = placed.timeUs + lifetime * 1e6 - nowUs
  return leftUs <= 0 ? 0 : Math.ceil(leftUs / 1e6)
}

/** Encodes for a 5.0 client or an earlier one. An expiry that has passed is the caller's to check; at least 1 s is written. */
export function messageForm(placed: PlacedMessage, v5: boolean, terms: MessageTerms, now: Now): Form {
  const { message } = placed
  const left = secondsLeft(placed, now.us)
  let properties: Properties | undefined
  if (v5) {
    properties = {
      ...message.properties,
      // [MQTT-3.3.2-6] what is left of the lifetime
      ...(left !== undefined && { messageExpiryInterval: Math.max(1, left) }),
      ...(terms.subscriptionIds.length > 0 && { subscriptionIdentifiers: terms.subscriptionIds }),
      ...((terms.timestamps === true || terms.positions === true) && {
        userProperties: [
          ...(message.properties?.userProperties ?? []),
          ...(terms.timestamps === true
            ? timestampProperties(placed.timeUs, { ordered: terms.positions === true })
            : []),
          ...(terms.positions === true ? positionProperties(placed) : []),
        ],
      }),
    }
  }
  const { qos, retain, dup } = terms
  return packetForm(
    {
      topic: message.topic,
      payload: message.payload,
      qos,
      retain,
      dup,
      ...(properties !== undefined && { properties }),
    },
    v5,
    left === undefined ? -1 : now.ms + left * 1000,
  )
}

/** One PUBLISH as a form. `expiresAtMs` is monotonic; -1: it does not expire. */
export function packetForm(packet: Omit<PublishPacket, 'type' | 'packetId'>, v5: boolean, expiresAtMs: number): Form {
  const { qos } = packet
  const buf = encodePublish({ type: 3, ...packet, ...(qos > 0 && { packetId: 1 }) }, v5 ? 5 : 4)
  return {
    buf,
    lent: false,
    start: 0,
    end: buf.length,
    count: 1,
    qos,
    heads: FIRST_HEAD,
    ids: qos > 0 ? new Int32Array([packetIdAt(buf)]) : NO_OFFSETS,
    parts: undefined,
    partsBytes: 0,
    expiresAtMs,
    expiryAt: v5 && expiresAtMs >= 0 ? expiryAt(buf) : -1,
    slice: buf,
    kept: undefined,
    waiting: 0,
  }
}

/** Offset of the packet identifier in an encoded PUBLISH. */
function packetIdAt(buf: Uint8Array): number {
  let at = 1
  while (((buf[at] as number) & 0x80) !== 0) at++
  at++
  return at + 2 + (((buf[at] as number) << 8) | (buf[at + 1] as number))
}

/** Offset of the four bytes of the message expiry interval, which the encoder writes second after the format indicator. */
function expiryAt(buf: Uint8Array): number {
  let at = packetIdAt(buf) + (((buf[0] as number) & 6) === 0 ? 0 : 2)
  while (((buf[at] as number) & 0x80) !== 0) at++
  at++
  if (buf[at] === 0x01) at += 2
  return buf[at] === 0x02 ? at + 1 : -1
}
