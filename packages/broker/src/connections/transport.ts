/**
 * What a connection needs of the thing that carries its bytes. TCP, TLS, Unix sockets and any Duplex stream come through
 * `stream-transport.ts`, WebSockets through `listeners/websocket-transport.ts`.
 */

/** What is known of the other end before it has said anything. */
export interface TransportInfo {
  /** Name of the listener it came through, as in the configuration; `stream` for `broker.handle()`. */
  readonly listener: string
  /** IP address without brackets, or the path of a Unix socket; empty when unknown. */
  readonly remoteAddress: string
  readonly remotePort: number
  readonly encrypted: boolean
  /** Verified client certificate, if the listener asked for one and got one. */
  readonly certificate?: {
    /** Empty: there is none, or several. */
    readonly commonName: string
    /** As OpenSSL writes it: `DNS:a.example, URI:urn:x`; empty: there is none. */
    readonly subjectAltName: string
    readonly fingerprint256: string
    readonly subject: string
  }
}

/** What a transport tells its connection. `closed` is the last call, and comes exactly once. */
export interface TransportSink {
  /** Bytes arrived. The chunk is the sink's for good: nobody writes into it again. */
  data(chunk: Uint8Array): void
  /**
   * Bytes arrived in memory that is written into again as soon as this returns, except where it is part of a slab that somebody
   * holds. Returns how many bytes at its end are to be given again, in front of what comes behind them: those of a packet that is
   * not whole and has at most `carriedBytesMax`.
   */
  lent(chunk: Uint8Array, carriedBytesMax: number): number
  /** All that was written has been handed to the system. */
  drain(): void
  closed(error: Error | undefined): void
}

export interface Transport {
  readonly info: TransportInfo
  /** Set by the connection before anything else happens; data that arrived earlier is handed over at once. */
  sink: TransportSink | undefined
  /** Bytes written and not yet handed to the system. */
  readonly pending: number
  /** Writes the first `count` chunks in order, as one system call where possible. The chunks must not change until `pending` is 0. */
  write(chunks: readonly Uint8Array[], count: number): void
  /** Stops reading, so that the other end is slowed by its own send buffer. */
  pause(): void
  resume(): void
  /** Sends what is pending, then closes. Falls back to `destroy` after `graceMs` (default 5,000). */
  end(graceMs?: number): void
  /** Closes at once. */
  destroy(): void
}
