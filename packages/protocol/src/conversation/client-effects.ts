/** What a client's conversation is told at its start and what it asks of the world. */
import type { AuthPacket, ConnackPacket, ProtocolVersion, PublishPacket, Will } from '../packets/types.ts'
import type { Properties } from '../properties/types.ts'
import type { Refusal } from '../refusal.ts'

/** The contents of CONNECT. */
export interface ClientConnectOptions {
  readonly version: ProtocolVersion
  /** Empty: the server chooses one (5.0), or keeps no session (3.1.1). */
  readonly clientId: string
  readonly cleanStart: boolean
  /** Seconds, 0..65535; 0 switches the mechanism off. 5.0: the server may answer with another value. */
  readonly keepAlive: number
  readonly username?: string
  readonly password?: Uint8Array
  readonly will?: Will
  /** 5.0. Receive Maximum, Maximum Packet Size and Topic Alias Maximum in here are enforced, not only announced. */
  readonly properties?: Properties
}

/** Bounds that are the client's own choice and are not announced. */
export interface ClientConversationLimits {
  /** From CONNECT to CONNACK, AUTH exchanges included. */
  readonly connackTimeoutMs: number
  /** From PINGREQ to any sign of life. */
  readonly pingTimeoutMs: number
  /** Largest packet taken when CONNECT carries no Maximum Packet Size. */
  readonly packetBytesMax: number
  /** Aliases used towards the server, at most; it may allow fewer. 0: none. */
  readonly topicAliasMax: number
}

export const CLIENT_CONVERSATION_LIMITS: ClientConversationLimits = {
  connackTimeoutMs: 30_000,
  pingTimeoutMs: 20_000,
  packetBytesMax: 16 * 1024 * 1024,
  topicAliasMax: 64,
}

/** Why a conversation is over. */
export type ClientEnd =
  /** CONNACK with a reason code of 0x80 or above (5.0), or a return code other than 0 (3.1, 3.1.1). */
  | { readonly kind: 'refused'; readonly reasonCode: number; readonly properties?: Properties }
  /** The server sent DISCONNECT; `properties.serverReference` may name another server. */
  | { readonly kind: 'disconnected'; readonly reasonCode: number; readonly properties?: Properties }
  /** `disconnect()` was called. */
  | { readonly kind: 'left' }
  /** The server broke the protocol; it has been told why (5.0). */
  | { readonly kind: 'protocolError'; readonly refusal: Refusal }
  | { readonly kind: 'timeout'; readonly waitedFor: 'CONNACK' | 'PINGRESP' }
  /** The network connection ended without a word. */
  | { readonly kind: 'lost' }

/** None of these may call back into the conversation. */
export interface ClientEffects {
  /** Bytes for the server, in this order. The array is the driver's for good. */
  send(bytes: Uint8Array): void
  /** The server has accepted. Queued publications leave at the next `resume()`. */
  connected(connack: ConnackPacket): void
  /**
   * An application message. The topic name is there even if an alias was sent; the payload is a copy. At QoS 1 and 2 the
   * server is answered when `acknowledge(packetId)` is called.
   */
  message(packet: PublishPacket): void
  /** A publication is done with: sent (QoS 0), PUBACK, PUBCOMP or a refusing PUBREC. From 0x80 on the server refused it. */
  published(operation: number, reasonCode: number, properties: Properties | undefined): void
  /** A publication at QoS 2 was in flight when the server lost the session: nobody knows whether it was published. */
  uncertain(operation: number): void
  /** SUBACK, or UNSUBACK (which has no codes before 5.0). */
  answered(operation: number, reasonCodes: readonly number[], properties: Properties | undefined): void
  /** A publication or request cannot be sent to this server, and is given up. */
  refused(operation: number, refusal: Refusal): void
  /**
   * The server wants more authentication data (0x18), or has accepted a re-authentication (0x00). The first is answered
   * with `authenticate()`.
   */
  authentication(packet: AuthPacket): void
  /** The last effect. What was sent before may still be written; then the driver closes the network connection. */
  closed(end: ClientEnd): void
}
