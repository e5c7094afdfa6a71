/**
 * The fifteen control packets as values.
 *
 * These objects are for what happens now and then: CONNECT, SUBSCRIBE, a PUBLISH made by a program. On the hot path the
 * conversation hands PUBLISH and its acknowledgements on as plain numbers and byte ranges (`conversation/publish-run.ts`).
 *
 * One shape serves all versions: what a version lacks is absent (`properties` before 5.0) or has its only legal value.
 */
import type { Properties } from '../properties/types.ts'

/** Protocol level as it stands in CONNECT: 3 is MQTT 3.1 (`MQIsdp`), 4 is 3.1.1, 5 is 5.0. */
export type ProtocolVersion = 3 | 4 | 5

export type QoS = 0 | 1 | 2
export const QoS = { atMostOnce: 0, atLeastOnce: 1, exactlyOnce: 2 } as const

/** Control packet type: the upper four bits of the first byte. */
export const PacketType = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  suback: 9,
  unsubscribe: 10,
  unsuback: 11,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
  auth: 15,
} as const
export type PacketType = (typeof PacketType)[keyof typeof PacketType]

export interface Will {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly retain: boolean
  /** Will properties (5.0): delay, expiry, format, content type, response topic, correlation data, user properties. */
  readonly properties?: Properties
}

export interface ConnectPacket {
  readonly type: typeof PacketType.connect
  readonly version: ProtocolVersion
  readonly clientId: string
  /** Clean Start (5.0) or Clean Session (3.1, 3.1.1). */
  readonly cleanStart: boolean
  /** Seconds; 0 switches the mechanism off. */
  readonly keepAlive: number
  readonly username?: string
  readonly password?: Uint8Array
  readonly will?: Will
  readonly properties?: Properties
  /** Bit 7 of the protocol level, set by bridges (`0x83`, `0x84`): a convention of Mosquitto, accepted and reported. */
  readonly bridge?: boolean
}

export interface ConnackPacket {
  readonly type: typeof PacketType.connack
  readonly sessionPresent: boolean
  /** 5.0: a reason code; 3.1 and 3.1.1: a return code 0..5. */
  readonly reasonCode: number
  readonly properties?: Properties
}

export interface PublishPacket {
  readonly type: typeof PacketType.publish
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly retain: boolean
  readonly dup: boolean
  /** 1..65535, present exactly when `qos` > 0. */
  readonly packetId?: number
  readonly properties?: Properties
}

/** PUBACK, PUBREC, PUBREL, PUBCOMP: one shape. Before 5.0 `reasonCode` is 0 and there are no properties. */
export interface AckPacket {
  readonly type:
    | typeof PacketType.puback
    | typeof PacketType.pubrec
    | typeof PacketType.pubrel
    | typeof PacketType.pubcomp
  readonly packetId: number
  readonly reasonCode: number
  readonly properties?: Properties
}

export interface SubscriptionRequest {
  readonly filter: string
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  /** 0 send retained messages at subscribe, 1 only if the subscription is new, 2 never. */
  readonly retainHandling: 0 | 1 | 2
}

export interface SubscribePacket {
  readonly type: typeof PacketType.subscribe
  readonly packetId: number
  readonly subscriptions: readonly SubscriptionRequest[]
  readonly properties?: Properties
}

export interface SubackPacket {
  readonly type: typeof PacketType.suback
  readonly packetId: number
  readonly reasonCodes: readonly number[]
  readonly properties?: Properties
}

export interface UnsubscribePacket {
  readonly type: typeof PacketType.unsubscribe
  readonly packetId: number
  readonly filters: readonly string[]
  readonly properties?: Properties
}

/** Before 5.0 UNSUBACK carries no codes: `reasonCodes` is empty when decoded, ignored when encoded. */
export interface UnsubackPacket {
  readonly type: typeof PacketType.unsuback
  readonly packetId: number
  readonly reasonCodes: readonly number[]
  readonly properties?: Properties
}

export interface PingreqPacket {
  readonly type: typeof PacketType.pingreq
}

export interface PingrespPacket {
  readonly type: typeof PacketType.pingresp
}

export interface DisconnectPacket {
  readonly type: typeof PacketType.disconnect
  /** 0 before 5.0. */
  readonly reasonCode: number
  readonly properties?: Properties
}

export interface AuthPacket {
  readonly type: typeof PacketType.auth
  readonly reasonCode: number
  readonly properties?: Properties
}

export type Packet =
  | ConnectPacket
  | ConnackPacket
  | PublishPacket
  | AckPacket
  | SubscribePacket
  | SubackPacket
  | UnsubscribePacket
  | UnsubackPacket
  | PingreqPacket
  | PingrespPacket
  | DisconnectPacket
  | AuthPacket
