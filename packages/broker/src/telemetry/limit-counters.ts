/**
 * How often each limit was reached: one number per limit, read by `$SYS` (`admin/limit-sys-values.ts`). Which reason code
 * the client gets stands in docs/guide/limits.md. What the state machine refuses it counts itself.
 */
export class LimitCounters {
  /** Connections closed on arrival: `limits.connectionsMax`. */
  connectionsFull = 0
  /** Connections refused: `limits.connectionsPerAddressMax`. */
  addressFull = 0
  /** Connections refused: `limits.connectionsPerSecondPerAddressMax`. */
  addressRate = 0
  /** Connections closed because a rule denies their address. */
  addressDenied = 0
  /** Logins refused: `limits.connectionsPerUserMax`. */
  userFull = 0
  /** Logins refused: `limits.connectsPerSecondMax`. */
  connectRate = 0
  /** Connections without CONNECT closed for newer ones: `limits.halfOpenMax`, `limits.halfOpenPerAddressMax`. */
  halfOpen = 0
  /** Addresses forgotten: `limits.addressesMax`. */
  addressesForgotten = 0
  /** Connections and logins refused because of a ban. */
  banned = 0
  /** Bans begun. */
  bans = 0
  /** Bans ended early: `bans.bansMax`. */
  bansForgotten = 0
  /** Connections closed because of a missing or malformed PROXY header. */
  proxyHeaders = 0
  /** Times that a client was not read for a while: `limits.messagesPerSecondMax`, `limits.bytesPerSecondMax`. */
  rateSlowed = 0
  /** Messages refused for the same limits. */
  rateDropped = 0
  /** Clients disconnected for the same limits. */
  rateDisconnected = 0
  /** Logins that waited for others to be ordered (`connections/connect-line.ts`). */
  loginsWaited = 0
  /** CONNECTs refused: `sessions.sessionsMax`. */
  sessionsFull = 0
  /** Filters refused: `sessions.subscriptionsMax`. */
  subscriptionsFull = 0
  /** Connections closed because their queue was full: `delivery.queueMessagesMax`, `delivery.queueBytesMax`. */
  queueDisconnected = 0
  /** Connections that lost what was queued for them, or were closed: `delivery.backlogBytesMax`. */
  backlogFull = 0
  /** Times that publishers stopped waiting for a subscriber: `delivery.drainBytesPerSecondMin`. */
  drainSlow = 0
  /** Log lines left out because too many of their kind came at once. */
  logLines = 0
}
