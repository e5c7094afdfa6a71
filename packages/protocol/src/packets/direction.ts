/** Who may send which packet (5.0 table 2-1, 3.1.1 table 2.1). The decoder does not ask; the conversations do. */
import { PacketType, type ProtocolVersion } from './types.ts'

export type Direction = 'toServer' | 'toClient' | 'both'

const directions: Readonly<Record<PacketType, Direction>> = {
  [PacketType.connect]: 'toServer',
  [PacketType.connack]: 'toClient',
  [PacketType.publish]: 'both',
  [PacketType.puback]: 'both',
  [PacketType.pubrec]: 'both',
  [PacketType.pubrel]: 'both',
  [PacketType.pubcomp]: 'both',
  [PacketType.subscribe]: 'toServer',
  [PacketType.suback]: 'toClient',
  [PacketType.unsubscribe]: 'toServer',
  [PacketType.unsuback]: 'toClient',
  [PacketType.pingreq]: 'toServer',
  [PacketType.pingresp]: 'toClient',
  [PacketType.disconnect]: 'both',
  [PacketType.auth]: 'both',
}

/** Directions in which a packet type travels; undefined where the version does not have it. */
export function directionOf(type: PacketType, version: ProtocolVersion): Direction | undefined {
  if (version !== 5 && type === PacketType.auth) return undefined
  if (version !== 5 && type === PacketType.disconnect) return 'toServer'
  return directions[type]
}

/** Whether a server may receive a packet type. */
export function isSentByClient(type: PacketType, version: ProtocolVersion): boolean {
  const direction = directionOf(type, version)
  return direction === 'toServer' || direction === 'both'
}

/** Whether a client may receive a packet type. */
export function isSentByServer(type: PacketType, version: ProtocolVersion): boolean {
  const direction = directionOf(type, version)
  return direction === 'toClient' || direction === 'both'
}
