/** What CONNACK tells a 5.0 client: limits and features, each only where it differs from the default of the standard. */
import type { Properties } from '../properties/types.ts'
import type { Acceptance, ServerSettings } from './server-interface.ts'

export function connackProperties(
  s: ServerSettings,
  acceptance: Acceptance,
  connection: {
    /** The keep alive in force, when it is not the one that was asked for. */
    readonly keepAliveSeconds: number | undefined
    /** Whether the client asked for response information. */
    readonly responseInformation: boolean
  },
): Properties {
  const { sessionExpiryInterval, assignedClientIdentifier, authenticationMethod, authenticationData } = acceptance
  return {
    ...(sessionExpiryInterval !== undefined && { sessionExpiryInterval }),
    ...(s.receiveMaximum < 65535 && { receiveMaximum: s.receiveMaximum }),
    ...(s.maximumQoS < 2 && { maximumQoS: s.maximumQoS as 0 | 1 }),
    ...(!s.retainAvailable && { retainAvailable: 0 }),
    maximumPacketSize: s.packetBytesMax,
    ...(assignedClientIdentifier !== undefined && { assignedClientIdentifier }),
    ...(s.topicAliasMaximum > 0 && { topicAliasMaximum: s.topicAliasMaximum }),
    ...(!s.wildcardSubscriptionAvailable && { wildcardSubscriptionAvailable: 0 }),
    ...(!s.subscriptionIdentifierAvailable && { subscriptionIdentifierAvailable: 0 }),
    ...(!s.sharedSubscriptionAvailable && { sharedSubscriptionAvailable: 0 }),
    // [MQTT-3.1.2-21] the client uses the value it is told here
    ...(connection.keepAliveSeconds !== undefined && { serverKeepAlive: connection.keepAliveSeconds }),
    ...(connection.responseInformation &&
      s.responseInformation !== undefined && { responseInformation: s.responseInformation }),
    ...(authenticationMethod !== undefined && { authenticationMethod }),
    ...(authenticationData !== undefined && { authenticationData }),
  }
}
