/** Opens the node's part of the cluster: the log that all nodes agree on. The broker starts and stops it. */
import { type BrokerOptions, type Consensus, type Logger, openClusterNode, settingsDigest } from '@concordmq/broker'
import { programVersion } from '../version.ts'
import type { Plan } from './plan.ts'

export interface ClusterContext {
  /** What the broker will be told: nodes compare what their machines are told of it. */
  readonly options: BrokerOptions
  readonly logger: Logger
  /** The node cannot go on in the cluster; it has to stop. */
  readonly stop: () => void
}

/** Undefined: the node orders alone. */
export async function openCluster(
  plan: Plan,
  { options, logger, stop }: ClusterContext,
): Promise<Consensus | undefined> {
  const { cluster, key, configuration } = plan
  if (cluster === undefined) return undefined
  const { entries, listen, network, transport, directory, index } = cluster
  logger.info(
    { event: 'cluster.open', node: index, nodes: entries.length, network },
    `node ${index} of a cluster of ${entries.length}, network "${network}"`,
  )
  return await openClusterNode({
    book: entries,
    privateKey: key.privateKey,
    directory,
    network,
    transport,
    listen,
    durability: configuration.settings.durability === 'os' ? 'os' : 'fsync',
    settingsDigest: settingsDigest(options),
    programVersion: programVersion(),
    logger,
    onFailure(error) {
      logger.error({ event: 'cluster.failed', error: error.message }, `The node cannot go on: ${error.message}`)
      stop()
    },
  })
}
