/** What a well-formed CONNECT may still not ask of this server. */
import type { ConnectPacket } from '../packets/types.ts'
import { ReasonCode } from '../reason-codes.ts'
import { type Refusal, refuse } from '../refusal.ts'
import type { ServerSettings } from './server-interface.ts'

export function connectProblem(packet: ConnectPacket, settings: ServerSettings): Refusal | undefined {
  const { version, will } = packet
  if (version < (settings.protocolVersionMin ?? 3)) {
    // [MQTT-3.1.2-2] [MQTT3-3.1.2-2] told, then closed
    const detail = `protocol level ${version}, the lowest taken is ${settings.protocolVersionMin}`
    return refuse(ReasonCode.unsupportedProtocolVersion, 'MQTT-3.1.2-2', detail)
  }
  // [MQTT3-3.1.3-8] an empty client identifier needs clean session; MQTT 3.1 (section 3.1) has none at all
  if (packet.clientId === '' && version < 5 && (version === 3 || !packet.cleanStart)) {
    return refuse(ReasonCode.clientIdentifierNotValid, 'MQTT3-3.1.3-8', 'empty client identifier without clean session')
  }
  if (will === undefined) return undefined
  if (will.qos > settings.maximumQoS && version === 5) {
    return refuse(ReasonCode.qosNotSupported, 'MQTT-3.2.2-12', `will at QoS ${will.qos}`)
  }
  if (will.retain && !settings.retainAvailable) {
    return refuse(ReasonCode.retainNotSupported, 'MQTT-3.2.2-13', 'retained will')
  }
  return undefined
}
