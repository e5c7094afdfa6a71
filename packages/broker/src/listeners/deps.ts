/** What a listener needs of the broker around it. */
import type { PortSharing } from '../connections/addresses.ts'
import type { Arrival } from '../connections/arrival.ts'
import type { Transport } from '../connections/transport.ts'
import type { LimitCounters } from '../telemetry/limit-counters.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { Admission } from './admission.ts'

export interface ListenerDeps {
  /** Takes over a connection that is ready for MQTT bytes; must set the transport's sink before it returns. */
  accept(transport: Transport, arrival: Arrival | undefined): void
  readonly logger: Logger
  readonly counters: LimitCounters
  readonly admission: Admission
  /** Other threads listen on the same addresses. */
  readonly portSharing?: PortSharing | undefined
  /** Largest MQTT packet taken, bytes; bounds WebSocket messages. */
  readonly packetBytesMax: number
  /** Whether refused WebSocket requests are closed without a byte (row F25). */
  silent(): boolean
  /** Longest time for a PROXY header, a TLS handshake, the head of an HTTP request, milliseconds. Default 10,000. */
  readonly handshakeTimeoutMs?: number
}

export const handshakeTimeoutMsDefault = 10_000
