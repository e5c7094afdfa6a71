/**
 * From a value to the bytes of one packet.
 *
 * What the standard forbids to send is not sent: it throws a `ProtocolEncodeError`, because the mistake lies in the
 * program that made the value. Everything `decodePacket` accepts can be encoded again.
 */
import { encodeAcknowledgement } from './acknowledgement.ts'
import { encodeAuth } from './auth.ts'
import { encodeConnack } from './connack.ts'
import { encodeConnect } from './connect.ts'
import { encodeDisconnect } from './disconnect.ts'
import { encodePing } from './ping.ts'
import { encodePublish } from './publish.ts'
import { encodeSuback } from './suback.ts'
import { encodeSubscribe } from './subscribe.ts'
import { type Packet, PacketType, type ProtocolVersion } from './types.ts'
import { encodeUnsuback } from './unsuback.ts'
import { encodeUnsubscribe } from './unsubscribe.ts'

/**
 * Encodes a packet for a version; CONNECT names its own.
 *
 * ```ts
 * encodePacket({ type: PacketType.pingreq }, 5) // c0 00
 * ```
 */
export function encodePacket(packet: Packet, version: ProtocolVersion): Uint8Array {
  switch (packet.type) {
    case PacketType.connect:
      return encodeConnect(packet)
    case PacketType.connack:
      return encodeConnack(packet, version)
    case PacketType.publish:
      return encodePublish(packet, version)
    case PacketType.subscribe:
      return encodeSubscribe(packet, version)
    case PacketType.suback:
      return encodeSuback(packet, version)
    case PacketType.unsubscribe:
      return encodeUnsubscribe(packet, version)
    case PacketType.unsuback:
      return encodeUnsuback(packet, version)
    case PacketType.pingreq:
    case PacketType.pingresp:
      return encodePing(packet)
    case PacketType.disconnect:
      return encodeDisconnect(packet, version)
    case PacketType.auth:
      return encodeAuth(packet, version)
    default:
      return encodeAcknowledgement(packet, version)
  }
}
