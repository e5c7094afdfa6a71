/** The options that bound what clients may take, all of them together and each by itself. Part of `options.ts`. */

export interface LimitOptions {
  /** Largest packet taken from a client, bytes, fixed header included. Default 16,777,216. */
  readonly packetBytesMax?: number
  /** Largest CONNECT, bytes: what a client may make the broker hold before anybody knows it. Default 524,288. */
  readonly connectBytesMax?: number
  /** Milliseconds from accept to CONNECT. Default 30,000. */
  readonly connectTimeoutMs?: number
  /** Milliseconds for a PROXY header, a TLS handshake, the head of a WebSocket request, each. Default 10,000. */
  readonly handshakeTimeoutMs?: number
  /** Seconds; larger or zero requests are lowered to it; 0: no limit. Default 3,600 (row F27). */
  readonly keepAliveMax?: number
  /** QoS 1 and 2 messages a client may have unsettled towards the broker. Default 1,024; 5.0 clients are told. */
  readonly receiveMaximum?: number
  /** Topic aliases a 5.0 client may use. Default 100. */
  readonly topicAliasMaximum?: number
  /** Inflight limit towards 3.1 and 3.1.1 clients and ceiling for 5.0 clients, 1..65535. Default 65,535. */
  readonly inflightMax?: number
  /** Connections at once, all listeners together. Default 1,000,000. */
  readonly connectionsMax?: number
  /** Connections at once from one address; 0: no limit. Default 0. */
  readonly connectionsPerAddressMax?: number
  /** Connections at once of one user; 0: no limit. Default 0. */
  readonly connectionsPerUserMax?: number
  /** Connections a second from one address, on average; 0: no limit. Default 0. */
  readonly connectionsPerSecondPerAddressMax?: number
  /** CONNECTs a second, on average, all clients together; 0: no limit. Default 0. */
  readonly connectsPerSecondMax?: number
  /** Connections that have not sent their CONNECT. Default 10,000. */
  readonly halfOpenMax?: number
  /** The same from one address; 0: no limit. Default 1,000. */
  readonly halfOpenPerAddressMax?: number
  /** How much of an IPv6 address counts as one address, bits. Default 64: what one customer of a provider gets. */
  readonly ipv6PrefixBits?: number
  /** Addresses without connections that something is remembered of. Default 100,000. */
  readonly addressesMax?: number
  /** Messages a second that one client may publish, on average; 0: no limit. Default 0. */
  readonly messagesPerSecondMax?: number
  /** Messages that it may publish at once; 0: those of one second. Default 0. */
  readonly messagesBurstMax?: number
  /** Bytes a second that one client may send, on average; 0: no limit. Default 0. */
  readonly bytesPerSecondMax?: number
  /** Bytes that it may send at once; 0: those of one second. Default 0. */
  readonly bytesBurstMax?: number
  /**
   * What happens to a client that sends faster: `slow` (default), it is not read for a while; `drop`, its messages are
   * refused; `disconnect`, it is (0x96).
   */
  readonly rateExceeded?: 'slow' | 'drop' | 'disconnect'
  /** Lowest protocol level taken: 3 for MQTT 3.1, 4 for 3.1.1, 5 for 5.0. Default 3. */
  readonly protocolVersionMin?: 3 | 4 | 5
  /** Longest message expiry, seconds: larger ones, and messages without, get it; 0: no limit. Default 0. */
  readonly messageExpiryMax?: number
  /** Highest QoS a client may publish with. Default 2. */
  readonly maximumQoS?: 0 | 1 | 2
  /** The four features a server may leave out; 5.0 clients are told. Default true. */
  readonly retainAvailable?: boolean
  readonly wildcardSubscriptionAvailable?: boolean
  readonly subscriptionIdentifierAvailable?: boolean
  readonly sharedSubscriptionAvailable?: boolean
  /** Longest client identifier, bytes, at least 23. Default 65,535. */
  readonly clientIdBytesMax?: number
  /** Deepest topic or filter, levels. Default 128. */
  readonly topicLevelsMax?: number
}

/** Who is kept out for a while, and for what. */
export interface BanOptions {
  /** Failed logins from one address within the window that ban it; 0: never. Default 100. */
  readonly failuresMax?: number
  /** Milliseconds. Default 60,000. */
  readonly failuresWindowMs?: number
  /** Whether failures also ban the client identifier they gave. Default false: anyone can fail in another's name. */
  readonly clientIds?: boolean
  /** Whether failures also ban the user name they gave. Default false, for the same reason. */
  readonly users?: boolean
  /** Logins of one client identifier within the window that ban it (flapping); 0: never. Default 0. */
  readonly flappingConnectsMax?: number
  /** Milliseconds. Default 60,000. */
  readonly flappingWindowMs?: number
  /** How long a ban lasts, milliseconds. Default 60,000. */
  readonly banMs?: number
  /** Addresses and networks that are never banned, nor clients that come from there. Default: loopback. */
  readonly exempt?: readonly string[]
  /** Bans at once; beyond, the oldest ends early. Default 10,000. */
  readonly bansMax?: number
}

export interface RetainedOptions {
  /** Retained messages. Default 1,000,000. */
  readonly messagesMax?: number
  /** Bytes of all retained messages. Default 1,073,741,824. */
  readonly bytesMax?: number
  /** Bytes of one retained message, its topic and properties included. Default 268,435,460. */
  readonly messageBytesMax?: number
}
