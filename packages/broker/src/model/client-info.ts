/** One client as seen from outside: by hooks, by whoever inspects a broker. */

export interface ClientInfo {
  /** Number of the network connection, unique while the broker lives; what `broker.handle()` returned. */
  readonly connection: number
  /** Empty until CONNECT gave it or the broker assigned one. */
  readonly clientId: string
  /** As the client was authenticated; before that, as it says. Empty: anonymous. */
  readonly username: string
  readonly version: 3 | 4 | 5
  /** Name of the listener; `stream` for `broker.handle()`. */
  readonly listener: string
  readonly remoteAddress: string
  readonly encrypted: boolean
  /** Whether the session outlives the connection. */
  readonly kept: boolean
  /** Milliseconds since 1970; 0 until CONNECT was accepted. */
  readonly connectedAtMs: number
  readonly keepAliveSeconds: number
}
