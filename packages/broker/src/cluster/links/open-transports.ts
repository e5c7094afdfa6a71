/**
 * Which transports a node listens on and dials with, by `cluster.transport`: one, or with `auto` QUIC where its library loads, and
 * TLS beside it, so that a cluster may mix nodes of both kinds.
 */
import { ConcordError } from '../../errors.ts'
import type { Logger } from '../../telemetry/logger.ts'
import type { Members } from '../identity/members.ts'
import { loadQuic, openQuicTransport } from './quic-transport.ts'
import { openTlsTransport } from './tls-transport.ts'
import type { Transport, TransportEvents } from './transport.ts'

export type TransportChoice = 'quic' | 'tls' | 'auto'

export interface Listening {
  readonly choice: TransportChoice
  readonly host: string
  /** 0: a free one, the same for both. */
  readonly port: number
}

/** Opens them, the preferred one first; rejects when one cannot be, and then none is open. */
export async function openTransports(
  { choice, host, port }: Listening,
  logger: Logger,
  members: Members,
  events: TransportEvents,
): Promise<readonly Transport[]> {
  const library = choice === 'tls' ? undefined : await loadQuic()
  if (library instanceof Error && choice === 'quic') {
    throw new ConcordError('CMQ_CLUSTER_QUIC', `Cannot use QUIC between nodes: ${library.message}`, { cause: library })
  }
  if (library instanceof Error) {
    logger.info(
      { event: 'cluster.quic.absent', reason: library.message },
      'QUIC is not available here, nodes are linked over TLS (TCP)',
    )
  }
  const tls = choice === 'quic' ? undefined : await openTlsTransport({ members, host, port, events })
  if (library === undefined || library instanceof Error) return tls === undefined ? [] : [tls]
  try {
    const quic = await openQuicTransport(library, { members, host, port: tls?.port ?? port, events })
    return tls === undefined ? [quic] : [quic, tls]
  } catch (error) {
    await tls?.close()
    throw error
  }
}
