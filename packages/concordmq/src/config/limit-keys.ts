/** The keys that bound what clients may take; parts of the list in `keys.ts`, named as the library's options are. */
import { optionKeys } from '@concordmq/broker'
import { optionChoice, optionInteger, optionNetworks, optionYesNo } from './key-types.ts'

const { limits, bans, sessions, retained, delivery } = optionKeys

export const limitKeys = {
  'limits.connect-bytes-max': optionInteger(limits.connectBytesMax),
  'limits.handshake-timeout-ms': optionInteger(limits.handshakeTimeoutMs),
  'limits.connections-per-address-max': optionInteger(limits.connectionsPerAddressMax),
  'limits.connections-per-user-max': optionInteger(limits.connectionsPerUserMax),
  'limits.connections-per-second-per-address-max': optionInteger(limits.connectionsPerSecondPerAddressMax),
  'limits.connects-per-second-max': optionInteger(limits.connectsPerSecondMax),
  'limits.half-open-max': optionInteger(limits.halfOpenMax),
  'limits.half-open-per-address-max': optionInteger(limits.halfOpenPerAddressMax),
  'limits.ipv6-prefix-bits': optionInteger(limits.ipv6PrefixBits),
  'limits.addresses-max': optionInteger(limits.addressesMax),
  'limits.messages-per-second-max': optionInteger(limits.messagesPerSecondMax),
  'limits.messages-burst-max': optionInteger(limits.messagesBurstMax),
  'limits.bytes-per-second-max': optionInteger(limits.bytesPerSecondMax),
  'limits.bytes-burst-max': optionInteger(limits.bytesBurstMax),
  'limits.rate-exceeded': optionChoice(limits.rateExceeded),
  'limits.protocol-version-min': optionInteger(limits.protocolVersionMin),
  'limits.message-expiry-max': optionInteger(limits.messageExpiryMax),

  'bans.failures-max': optionInteger(bans.failuresMax),
  'bans.failures-window-ms': optionInteger(bans.failuresWindowMs),
  'bans.client-ids': optionYesNo(bans.clientIds),
  'bans.users': optionYesNo(bans.users),
  'bans.flapping-connects-max': optionInteger(bans.flappingConnectsMax),
  'bans.flapping-window-ms': optionInteger(bans.flappingWindowMs),
  'bans.ban-ms': optionInteger(bans.banMs),
  'bans.exempt': optionNetworks(bans.exempt),
  'bans.bans-max': optionInteger(bans.bansMax),
} as const

export const sessionLimitKeys = {
  'sessions.queues-bytes-max': optionInteger(sessions.queuesBytesMax),
  'sessions.sessions-max': optionInteger(sessions.sessionsMax),
  'sessions.subscriptions-max': optionInteger(sessions.subscriptionsMax),

  'retained.messages-max': optionInteger(retained.messagesMax),
  'retained.bytes-max': optionInteger(retained.bytesMax),
  'retained.message-bytes-max': optionInteger(retained.messageBytesMax),
} as const

export const deliveryLimitKeys = {
  'delivery.backlog-bytes-max': optionInteger(delivery.backlogBytesMax),
  'delivery.drain-bytes-per-second-min': optionInteger(delivery.drainBytesPerSecondMin),
} as const
