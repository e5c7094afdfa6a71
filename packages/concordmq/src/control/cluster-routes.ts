/** How the cluster stands, as this node sees it, and changes of its book. */
import type { Consensus } from '@concordmq/broker'
import { errorCode } from '../command-error.ts'
import { ControlError } from './control-error.ts'
import type { ControlHandler } from './controlled-node.ts'
import { documentsOf } from './document-routes.ts'
import { readBody } from './read-body.ts'

/** The indices whose bits are set. */
function nodesOf(mask: number): number[] {
  return Array.from({ length: 31 }, (_, node) => node).filter((node) => (mask & (1 << node)) !== 0)
}

export const clusterStatus: ControlHandler = (_request, { cluster, plan, broker }) => {
  if (cluster === undefined)
    return { mode: 'none', nodes: [{ node: 0, keyId: plan.key.id, address: null, self: true }] }
  const { node: self, status, links, transports, addresses } = cluster.figures
  const { jailed, demoted, connected, ...order } = status
  return {
    ...order,
    node: self,
    network: plan.cluster?.network,
    operators: cluster.epoch.operators.keys.length,
    operatorThreshold: cluster.epoch.operators.threshold,
    documents: documentsOf(broker.administration?.documents ?? new Map()),
    transports,
    addresses,
    connected: nodesOf(connected),
    jailed: nodesOf(jailed),
    demoted: nodesOf(demoted),
    nodes: cluster.nodes.map(({ keyId, address }, node) => {
      const link = links.find((one) => one.node === node)
      return {
        node,
        keyId,
        address,
        self: node === self,
        up: node === self || link?.up === true,
        jailed: (jailed & (1 << node)) !== 0,
        demoted: (demoted & (1 << node)) !== 0,
        ...(link === undefined
          ? {}
          : {
              transport: link.transport ?? null,
              version: link.version ?? null,
              rttUs: link.rttUs,
              sentBytes: link.sentBytes,
              receivedBytes: link.receivedBytes,
              queuedBytes: link.queuedBytes,
            }),
      }
    }),
  }
}

/** What a change of the book is made from. */
export const clusterEpoch: ControlHandler = (_request, { cluster }) => {
  const { number, hash, nodes, operators } = requireCluster(cluster).epoch
  return {
    epoch: number,
    hash: hexOf(hash),
    nodes: nodes.map(({ publicKey, address }) => ({ publicKey: hexOf(publicKey), address })),
    operators: { threshold: operators.threshold, keys: operators.keys.map(hexOf) },
  }
}

/** Has a change ordered that operators have signed; answers when its epoch has begun. */
export const changeCluster: ControlHandler = async ({ body }, { cluster, logger }) => {
  const { change = '' } = readBody(body, { change: 'text' })
  if (!/^([0-9a-f]{2})+$/.test(change)) throw new ControlError(400, '"change" must be bytes in hexadecimal')
  const running = requireCluster(cluster)
  try {
    const epoch = await running.reconfigure(new Uint8Array(Buffer.from(change, 'hex')))
    logger.info({ event: 'cluster.changed', epoch: epoch.number, nodes: epoch.nodes.length }, 'the cluster was changed')
    return { epoch: epoch.number, nodes: epoch.nodes.length }
  } catch (error) {
    if (!(error instanceof Error) || !errorCode(error)?.startsWith('CMQ_CLUSTER_CHANGE')) throw error
    throw new ControlError(409, error.message)
  }
}

function requireCluster(cluster: Consensus | undefined): Consensus {
  if (cluster === undefined) throw new ControlError(409, 'This node orders alone: there is no cluster')
  return cluster
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
