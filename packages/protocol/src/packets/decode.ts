/**
 * From the bytes of one packet to a value.
 *
 * Whether the other side may send this packet, and now, is the conversation's concern; `direction.ts` has the table. No
 * input makes these functions throw.
 */
import { firstByteProblem } from '../framing/fixed-header.ts'
import type { Refusal } from '../refusal.ts'
import { decodeAcknowledgement } from './acknowledgement.ts'
import { decodeAuth } from './auth.ts'
import { decodeConnack } from './connack.ts'
import { decodeConnect } from './connect.ts'
import { decodeDisconnect } from './disconnect.ts'
import { decodePing } from './ping.ts'
import { decodePublish } from './publish.ts'
import { decodeSuback } from './suback.ts'
import { decodeSubscribe } from './subscribe.ts'
import { type AckPacket, type Packet, PacketType, type ProtocolVersion } from './types.ts'
import { decodeUnsuback } from './unsuback.ts'
import { decodeUnsubscribe } from './unsubscribe.ts'

/**
 * Decodes the packet whose body is `buf[start..end)`. CONNECT names its own version; `version` is ignored there.
 *
 * The payload of PUBLISH is a view on `buf`; everything else is copied.
 */
export function decodePacket(
  firstByte: number,
  buf: Uint8Array,
  start: number,
  end: number,
  version: ProtocolVersion,
): Packet | Refusal {
  const problem = firstByteProblem(firstByte, version)
  if (problem !== undefined) return problem
  const type = firstByte >> 4
  switch (type) {
    case PacketType.connect:
      return decodeConnect(buf, start, end)
    case PacketType.connack:
      return decodeConnack(buf, start, end, version)
    case PacketType.publish:
      return decodePublish(firstByte, buf, start, end, version)
    case PacketType.subscribe:
      return decodeSubscribe(buf, start, end, version)
    case PacketType.suback:
      return decodeSuback(buf, start, end, version)
    case PacketType.unsubscribe:
      return decodeUnsubscribe(buf, start, end, version)
    case PacketType.unsuback:
      return decodeUnsuback(buf, start, end, version)
    case PacketType.pingreq:
    case PacketType.pingresp:
      return decodePing(type, start, end, version)
    case PacketType.disconnect:
      return decodeDisconnect(buf, start, end, version)
    case PacketType.auth:
      return decodeAuth(buf, start, end, version)
    default:
      // Type 0 was refused with the first byte, so these are the four acknowledgements.
      return decodeAcknowledgement(type as AckPacket['type'], buf, start, end, version)
  }
}
