/** PINGREQ and PINGRESP (sections 3.12 and 3.13): two bytes in every version. */

import { ReasonCode } from '../reason-codes.ts'
import { type Refusal, refuse } from '../refusal.ts'
import { PacketType, type PingreqPacket, type PingrespPacket, type ProtocolVersion } from './types.ts'

export function decodePing(
  type: typeof PacketType.pingreq | typeof PacketType.pingresp,
  bodyStart: number,
  bodyEnd: number,
  version: ProtocolVersion,
): PingreqPacket | PingrespPacket | Refusal {
  if (bodyEnd > bodyStart) {
    const name = type === PacketType.pingreq ? 'PINGREQ' : 'PINGRESP'
    const statement = version === 5 ? 'MQTT-4.13.1-1' : 'MQTT3-4.8.0-1'
    return refuse(ReasonCode.malformedPacket, statement, `${name} has ${bodyEnd - bodyStart} bytes too many`)
  }
  return { type }
}

export function encodePing(packet: PingreqPacket | PingrespPacket): Uint8Array {
  return Uint8Array.of(packet.type << 4, 0)
}
