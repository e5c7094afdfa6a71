/** What the settings say to the conversation with one client. */
import type { ServerSettings } from '@concordmq/protocol'
import type { Settings } from './check.ts'

/** `now`: what may change while the connection lives. */
export function serverSettingsOf(
  { limits, features }: Settings,
  now: Required<Pick<ServerSettings, 'silent' | 'refusedLoginCode'>>,
): ServerSettings {
  return {
    packetBytesMax: limits.packetBytesMax,
    connectBytesMax: limits.connectBytesMax,
    protocolVersionMin: limits.protocolVersionMin,
    receiveMaximum: limits.receiveMaximum,
    topicAliasMaximum: limits.topicAliasMaximum,
    keepAliveMax: limits.keepAliveMax,
    maximumQoS: limits.maximumQoS,
    retainAvailable: limits.retainAvailable,
    wildcardSubscriptionAvailable: limits.wildcardSubscriptionAvailable,
    subscriptionIdentifierAvailable: limits.subscriptionIdentifierAvailable,
    sharedSubscriptionAvailable: limits.sharedSubscriptionAvailable,
    ...(features.responseInformation !== '' && { responseInformation: features.responseInformation }),
    alwaysReturnResponse: features.alwaysReturnResponse,
    ...now,
  }
}
