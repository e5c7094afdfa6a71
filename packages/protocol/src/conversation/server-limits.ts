/** What a server announces in CONNACK (5.0, section 3.2.2.3) and what a client therefore must not send to it. */
import type { SubscriptionRequest } from '../packets/types.ts'
import type { Properties } from '../properties/types.ts'
import { ReasonCode } from '../reason-codes.ts'
import { type Refusal, refuse } from '../refusal.ts'
import type { OutgoingMessage } from './client-session.ts'

/** With the defaults of the standard filled in. */
export interface ServerLimits {
  readonly receiveMaximum: number
  readonly maximumQoS: 0 | 1 | 2
  readonly retainAvailable: boolean
  /** Bytes. */
  readonly maximumPacketSize: number
  readonly topicAliasMaximum: number
  readonly wildcardSubscriptionAvailable: boolean
  readonly subscriptionIdentifierAvailable: boolean
  readonly sharedSubscriptionAvailable: boolean
}

/** Remaining Length has at most four bytes: 268,435,455 and the fixed header. */
const PACKET_BYTES_MAX = 268_435_460

/** Reads the properties of CONNACK; `undefined` gives the defaults, which also hold for 3.1 and 3.1.1. */
export function serverLimits(properties: Properties | undefined): ServerLimits {
  return {
    receiveMaximum: properties?.receiveMaximum ?? 65535,
    maximumQoS: properties?.maximumQoS ?? 2,
    retainAvailable: properties?.retainAvailable !== 0,
    maximumPacketSize: properties?.maximumPacketSize ?? PACKET_BYTES_MAX,
    topicAliasMaximum: properties?.topicAliasMaximum ?? 0,
    wildcardSubscriptionAvailable: properties?.wildcardSubscriptionAvailable !== 0,
    subscriptionIdentifierAvailable: properties?.subscriptionIdentifierAvailable !== 0,
    sharedSubscriptionAvailable: properties?.sharedSubscriptionAvailable !== 0,
  }
}

/** Why this server must not get the message, if so. */
export function forbidsPublish(server: ServerLimits, message: OutgoingMessage): Refusal | undefined {
  if (message.qos > server.maximumQoS) {
    const detail = `QoS ${message.qos}, the server takes at most ${server.maximumQoS}`
    return refuse(ReasonCode.qosNotSupported, 'MQTT-3.2.2-11', detail)
  }
  if (message.retain && !server.retainAvailable) {
    return refuse(ReasonCode.retainNotSupported, 'MQTT-3.2.2-14', 'retained message, the server keeps none')
  }
  return undefined
}

/** Why this server must not get the subscription, if so. */
export function forbidsSubscribe(
  server: ServerLimits,
  subscriptions: readonly SubscriptionRequest[],
  properties: Properties | undefined,
): Refusal | undefined {
  if (properties?.subscriptionIdentifiers !== undefined && !server.subscriptionIdentifierAvailable) {
    const detail = 'subscription identifier, the server knows none'
    return refuse(ReasonCode.subscriptionIdentifiersNotSupported, 'section 3.2.2.3.12', detail)
  }
  for (const { filter } of subscriptions) {
    if (!server.sharedSubscriptionAvailable && filter.startsWith('$share/')) {
      const detail = `shared subscription "${filter}", the server knows none`
      return refuse(ReasonCode.sharedSubscriptionsNotSupported, 'section 3.2.2.3.13', detail)
    }
    if (!server.wildcardSubscriptionAvailable && (filter.includes('#') || filter.includes('+'))) {
      const detail = `wildcard in "${filter}", the server knows none`
      return refuse(ReasonCode.wildcardSubscriptionsNotSupported, 'section 3.2.2.3.11', detail)
    }
  }
  return undefined
}
