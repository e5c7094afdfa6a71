/** What a listener needs of the broker around it. */
import type { Transport } from '../connections/transport.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { Admission } from './admission.ts'

export interface ListenerDeps {
  /** Takes over a connection that is ready for MQTT bytes; must set the transport's sink before it returns. */
  accept(transport: Transport): void
  readonly logger: Logger
  readonly admission: Admission
  /** Largest MQTT packet taken, bytes; bounds WebSocket messages. */
  readonly packetBytesMax: number
  /** Whether refused WebSocket requests are closed without a byte (row F25). */
  silent(): boolean
  /** Longest TLS handshake and longest HTTP request head, milliseconds. Default 10,000. */
  readonly handshakeTimeoutMs?: number
}

export const handshakeTimeoutMsDefault = 10_000
