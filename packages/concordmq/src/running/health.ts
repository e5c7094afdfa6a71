/**
 * `/healthz` and `/readyz` of the node. The default address gives way: if its port is taken, the next free one is used and
 * named in the log, because a second node on one machine must start without a flag. An address that was asked for is not
 * replaced.
 */
import { type Broker, type Consensus, type HealthHandle, type Logger, openHealth } from '@concordmq/broker'
import { proofText } from '@concordmq/consensus'
import { CommandError, errorCode } from '../command-error.ts'
import { readAddress } from '../config/host-port.ts'
import type { Configuration } from '../config/settings.ts'
import { ExitCode } from '../exit-codes.ts'

/** Ports tried beyond the default, before giving up. */
const triesMax = 100

export async function openHealthServer(
  { settings, origins }: Configuration,
  {
    broker,
    cluster,
    logger,
  }: { readonly broker: Broker; readonly cluster: Consensus | undefined; readonly logger: Logger },
): Promise<HealthHandle | undefined> {
  const text = settings['http.addr']
  if (text === 'off') return undefined
  const { host, port } = readAddress(text)
  try {
    const ofCluster =
      cluster === undefined
        ? {}
        : {
            proof: async (position: number) => proofText(await cluster.proof(position)),
            checks: () => ({ current: broker.current }),
          }
    const portTriesMax = origins.has('http.addr') ? 1 : triesMax
    const server = await openHealth({ broker, host, port, portTriesMax, ...ofCluster })
    if (port !== 0 && server.port !== port) {
      logger.info({ event: 'http.moved', wanted: text }, `port ${port} is taken, using the next free one`)
    }
    logger.info({ event: 'http.open', listen_addr: server.address }, 'serving /healthz and /readyz')
    return server
  } catch (error) {
    if (errorCode(error) === undefined || !(error instanceof Error)) throw error
    throw new CommandError(ExitCode.unavailable, error.message, {
      remedy: `The address ${text} is for health checks; give another with --http-addr, or --http-addr off`,
      cause: error,
    })
  }
}
