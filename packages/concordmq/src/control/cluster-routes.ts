/** How the cluster stands, as this node sees it. */
import type { ControlHandler } from './controlled-node.ts'

/** The indices whose bits are set. */
function nodesOf(mask: number): number[] {
  return Array.from({ length: 31 }, (_, node) => node).filter((node) => (mask & (1 << node)) !== 0)
}

export const clusterStatus: ControlHandler = (_request, { cluster, plan }) => {
  if (cluster === undefined)
    return { mode: 'none', nodes: [{ node: 0, keyId: plan.key.id, address: null, self: true }] }
  const { node: self, status, links, transports, addresses } = cluster.figures
  const { jailed, demoted, connected, ...order } = status
  return {
    ...order,
    node: self,
    network: plan.cluster?.network,
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
