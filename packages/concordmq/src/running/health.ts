/**
 * `/healthz` and `/readyz` of the node. The default address gives way: if its port is taken, the next free one is used and
 * named in the log, because a second node on one machine must start without a flag. An address that was asked for is not
 * replaced.
 */
import { type Broker, type Logger, openHealth } from '@concordmq/broker'
import { CommandError, errorCode } from '../command-error.ts'
import { formatAddress, readAddress } from '../config/host-port.ts'
import type { Configuration } from '../config/settings.ts'
import { ExitCode } from '../exit-codes.ts'

export interface OpenHealth {
  /** `HOST:PORT` with the real port. */
  readonly address: string
  close(): Promise<void>
}

const triesMax = 100

export async function openHealthServer(
  { settings, origins }: Configuration,
  { broker, logger }: { readonly broker: Broker; readonly logger: Logger },
): Promise<OpenHealth | undefined> {
  const text = settings['http.addr']
  if (text === 'off') return undefined
  const { host, port } = readAddress(text)
  const tries = origins.has('http.addr') ? 1 : triesMax
  for (let step = 0; step < tries; step++) {
    try {
      const server = await openHealth({ broker, host, port: port + step })
      if (step > 0) logger.info({ event: 'http.moved', wanted: text }, `port ${port} is taken, using the next free one`)
      logger.info({ event: 'http.open', listen_addr: server.address }, 'serving /healthz and /readyz')
      return server
    } catch (error) {
      if (!isTaken(error)) throw unavailable(text, error)
    }
  }
  throw unavailable(text, undefined)
}

function isTaken(error: unknown): boolean {
  const code = errorCode(error)
  return code === 'EADDRINUSE' || code === 'CMQ_ADDRESS_IN_USE'
}

function unavailable(text: string, cause: unknown): CommandError {
  const reason = cause instanceof Error ? cause.message : 'the address is in use'
  return new CommandError(
    ExitCode.unavailable,
    `Cannot serve health checks on ${formatAddress(readAddress(text))}: ${reason}`,
    {
      remedy: 'Give another address with --http-addr, or --http-addr off',
    },
  )
}
