/** Opens the node's part of the cluster: the log that all nodes agree on. The broker starts and stops it. */
import { join } from 'node:path'
import {
  type BrokerOptions,
  type Consensus,
  keyOfPoint,
  type Logger,
  openClusterNode,
  settingsDigest,
  sharedSettings,
} from '@concordmq/broker'
import type { Epoch } from '@concordmq/consensus'
import { writeAtomically } from '../files/write-atomically.ts'
import { formatAddressBook } from '../identity/address-book.ts'
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
  const { book, listen, network, transport, directory, index, admission, announced } = cluster
  const nodeTimeoutMs = configuration.settings['cluster.node-timeout-ms']
  const nodes = book.nodes.length
  const who = index === undefined ? `the node ${key.id}, which the book does not name,` : `node ${index}`
  logger.info(
    { event: 'cluster.open', node: index, nodes, network },
    `${who} of a cluster of ${nodes}, network "${network}"`,
  )
  return await openClusterNode({
    book: book.nodes,
    operators: { ...book.operators, roots: admission.roots },
    admits: admission.admits,
    ...(announced === undefined || admission.chain === undefined
      ? {}
      : { application: { chain: admission.chain, address: announced } }),
    privateKey: key.privateKey,
    joining: index === undefined,
    awaited: configuration.settings['cluster.join'] || announced !== undefined,
    directory,
    network,
    transport,
    listen,
    durability: configuration.settings.durability === 'os' ? 'os' : 'fsync',
    settingsDigest: settingsDigest(options, { nodeTimeoutMs }),
    settingsText: sharedSettings(options, { nodeTimeoutMs }),
    programVersion: programVersion(),
    proofBytesMax: configuration.settings['cluster.proof-bytes-max'],
    logger,
    onEpoch: (epoch) => keepBook(epoch, { directory, logger }),
    onFailure(error) {
      logger.error({ event: 'cluster.failed', error: error.message }, `The node cannot go on: ${error.message}`)
      stop()
    },
  })
}

/**
 * Writes the book of the current epoch beside the consensus log, for people: nodes are started with the book that the network
 * began with, whatever has changed since.
 */
function keepBook(epoch: Epoch, { directory, logger }: { readonly directory: string; readonly logger: Logger }): void {
  const nodes = epoch.nodes.flatMap(({ publicKey: point, address }) => {
    const publicKey = keyOfPoint(point)
    return publicKey === undefined ? [] : [{ publicKey, address }]
  })
  const path = join(directory, 'current-address-book.toml')
  const head = `# The nodes of epoch ${epoch.number}. Nodes are started with the book that the network began with, not with this one.\n\n`
  try {
    writeAtomically([{ path, text: head + formatAddressBook(nodes), mode: 0o644 }])
  } catch (error) {
    logger.warn({ event: 'cluster.book', error: String(error) }, `Cannot write ${path}`)
  }
}
