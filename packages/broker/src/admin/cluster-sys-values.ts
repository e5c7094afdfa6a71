/**
 * The values of `$SYS/cluster/…`: how the cluster stands as this node sees it, in the figures of `concordmq ctl cluster status`.
 * Node-local like all of `$SYS`: two nodes may see it differently, and that is what an operator wants to know.
 */
import type { Status } from '@concordmq/consensus'
import type { OrderedLog } from '../model/ordered-log.ts'
import type { Counters } from '../telemetry/counters.ts'
import type { SysTopic } from './sys-topics.ts'

export const clusterSysPrefix = '$SYS/cluster/'

type ClusterValue = readonly [
  about: string,
  read: (log: OrderedLog, status: Status, counters: Counters) => string | number,
]

/** Topics below the prefix, in the order in which they are published. */
export const clusterSysValues: Readonly<Record<string, ClusterValue>> = {
  mode: ['solo, joining, syncing, active, stalled or halted', (_log, status) => status.mode],
  node: ['index of this node in the address book', (log) => log.node],
  'nodes/count': ['nodes of the cluster', (log) => log.nodes.length],
  'nodes/connected': ['indices of the nodes with a link to this one', (_log, { connected }) => indices(connected)],
  'nodes/jailed': [
    'indices of the nodes that contradicted themselves, which is proven',
    (_log, s) => indices(s.jailed),
  ],
  'nodes/demoted': ['indices of the nodes that are too slow to be waited for', (_log, s) => indices(s.demoted)],
  epoch: ['number of the address book in force, from 0', (_log, { epoch }) => epoch],
  round: ['highest round of which a quorum of blocks is here', (_log, { round }) => round],
  step: ['next step of the order that is not decided', (_log, { nextStep }) => nextStep],
  position: ['messages that have a place', (_log, { position }) => position],
  time: ['time of the order, in seconds since 1970', (_log, { consensusUs }) => Math.floor(consensusUs / 1_000_000)],
  'checkpoint/step': ['newest step whose state a quorum has signed', (_log, { checkpointStep }) => checkpointStep],
  'fair/cuts': ['times that a fair place was not waited for any longer', (_log, { fairCuts }) => fairCuts],
  'fair/late': ['reports that came too late to count', (_log, { fairLate }) => fairLate],
  'queue/messages': ['submissions of this node without a place', (_log, { queuedMessages }) => queuedMessages],
  'queue/bytes': ['bytes of them', (_log, { queuedBytes }) => queuedBytes],
  'fast/published': [
    "messages of this node's clients that skipped the order (`ordering.fast`)",
    (_log, _status, counters) => counters.fastPublished,
  ],
  'fast/received': ['such messages that came from other nodes', (_log, _status, counters) => counters.fastReceived],
  'fast/dropped': [
    'such messages that another node did not get since it lagged behind, once for each node',
    (_log, _status, counters) => counters.fastDropped,
  ],
  'sealed/published': [
    "messages of this node's clients that were sealed (`ordering.sealed`)",
    (_log, _status, counters) => counters.sealedPublished,
  ],
  'sealed/void': [
    'those of them that the nodes could not open, and that were not published',
    (_log, _status, counters) => counters.sealedVoid,
  ],
}

export function clusterSysTopics(log: OrderedLog, counters: Counters): SysTopic[] {
  const { status } = log
  return Object.entries(clusterSysValues).map(([name, [, read]]) => ({
    topic: clusterSysPrefix + name,
    payload: String(read(log, status, counters)),
  }))
}

/** `0 1 3`; empty: none. */
function indices(mask: number): string {
  return Array.from({ length: 31 }, (_, node) => node)
    .filter((node) => (mask & (1 << node)) !== 0)
    .join(' ')
}
