/** What carries the bytes of one network connection. Everything that needs Node is behind this interface. */
import type { ServerAddress } from '../server-address.ts'

/** What a transport tells its user. `closed` is the last call, and comes exactly once. */
export interface TransportSink {
  opened(): void
  /** The chunk is the sink's for good. */
  data(chunk: Uint8Array): void
  /** After `write` has returned false: there is room again. */
  drain(): void
  closed(error: Error | undefined): void
}

export interface Transport {
  /** Returns false when enough waits to be sent; `drain` follows. `written` is called when the system has the bytes. */
  write(bytes: Uint8Array, written?: () => void): boolean
  /** Whether `pause` stops reading: a browser's WebSocket cannot. */
  readonly canPause: boolean
  pause(): void
  resume(): void
  /** Sends what is pending, then closes. */
  end(): void
  destroy(): void
}

/** Trust and identity for `mqtts:` and, in Node, nothing else: `wss:` uses what the platform trusts. */
export interface TlsOptions {
  /** PEM. Replaces the authorities that the platform trusts. */
  readonly ca?: string | Uint8Array
  /** PEM: the client's certificate and its key. */
  readonly cert?: string | Uint8Array
  readonly key?: string | Uint8Array
  readonly passphrase?: string
  /** Name that the server's certificate must carry. Default: the host. */
  readonly servername?: string
  /** False accepts any certificate: for trials only. Default true. */
  readonly rejectUnauthorized?: boolean
  readonly alpnProtocols?: readonly string[]
}

export interface DialOptions {
  readonly address: ServerAddress
  readonly tls: TlsOptions
  /** From the call to an open connection, TLS included. */
  readonly connectTimeoutMs: number
}

export type Dial = (options: DialOptions, sink: TransportSink) => Transport | Promise<Transport>
