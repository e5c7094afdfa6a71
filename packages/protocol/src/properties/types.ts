/** MQTT 5.0 properties as a value. Absent means absent on the wire; defaults are applied by whoever reads them. */

/** A name and a value; order is kept and names may repeat [MQTT-3.1.3-10] [MQTT-3.3.2-18]. */
export type UserProperty = readonly [name: string, value: string]

export interface Properties {
  readonly payloadFormatIndicator?: 0 | 1
  /** Seconds, 0..2^32-1. */
  readonly messageExpiryInterval?: number
  readonly contentType?: string
  readonly responseTopic?: string
  readonly correlationData?: Uint8Array
  /** 1..268,435,455 each. A client sends at most one, in SUBSCRIBE; a server may send several, in PUBLISH. */
  readonly subscriptionIdentifiers?: readonly number[]
  /** Seconds; 2^32-1 means never. */
  readonly sessionExpiryInterval?: number
  readonly assignedClientIdentifier?: string
  readonly serverKeepAlive?: number
  readonly authenticationMethod?: string
  readonly authenticationData?: Uint8Array
  readonly requestProblemInformation?: 0 | 1
  /** Seconds. */
  readonly willDelayInterval?: number
  readonly requestResponseInformation?: 0 | 1
  readonly responseInformation?: string
  readonly serverReference?: string
  readonly reasonString?: string
  /** 1..65535. */
  readonly receiveMaximum?: number
  readonly topicAliasMaximum?: number
  /** 1..65535. */
  readonly topicAlias?: number
  readonly maximumQoS?: 0 | 1
  readonly retainAvailable?: 0 | 1
  readonly userProperties?: readonly UserProperty[]
  /** Bytes, 1..2^32-1. */
  readonly maximumPacketSize?: number
  readonly wildcardSubscriptionAvailable?: 0 | 1
  readonly subscriptionIdentifierAvailable?: 0 | 1
  readonly sharedSubscriptionAvailable?: 0 | 1
}
