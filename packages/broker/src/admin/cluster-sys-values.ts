/**
 * The values of `$SYS/cluster/…`: how the cluster stands as this node sees it, in the figures of `concordmq ctl cluster status`.
 * Node-local like all of `$SYS`: two nodes may see it differently, and that is what an operator wants to know.
 */
import type { Status } from '@concordmq/consensus'
import type { AdminDocument, AdminSubject } from '@concordmq/state'
import type { OrderedLog } from '../model/ordered-log.ts'
import type { Counters } from '../telemetry/counters.ts'
import type { SysTopic } from './sys-topics.ts'

export const clusterSysPrefix = '$SYS/cluster/'

/** Where the figures come from. */
export interface ClusterSource {
  readonly log: OrderedLog
  readonly counters: () => Counters
  /** Of operators, as they count here. */
  readonly documents: () => ReadonlyMap<AdminSubject, { readonly document: AdminDocument }>
}

type ClusterValue = readonly [about: string, read: (source: ClusterSource, status: Status) => string | number]

/** Topics below the prefix, in the order in which they are published. */
export const clusterSysValues: Readonly<Record<string, ClusterValue>> = {
  mode: ['solo, joining, syncing, active, stalled or halted', (_source, status) => status.mode],
  node: ['index of this node in the address book', ({ log }) => log.node],
  'nodes/count': ['nodes of the cluster', ({ log }) => log.nodes.length],
  'nodes/connected': ['indices of the nodes with a link to this one', (_source, { connected }) => indices(connected)],
  'nodes/jailed': [
    'indices of the nodes that contradicted themselves, which is proven',
    (_source, s) => indices(s.jailed),
  ],
  'nodes/demoted': ['indices of the nodes that are too slow to be waited for', (_source, s) => indices(s.demoted)],
  epoch: ['number of the address book in force, from 0', (_source, { epoch }) => epoch],
  round: ['highest round of which a quorum of blocks is here', (_source, { round }) => round],
  step: ['next step of the order that is not decided', (_source, { nextStep }) => nextStep],
  position: ['messages that have a place', (_source, { position }) => position],
  time: ['time of the order, in seconds since 1970', (_source, { consensusUs }) => Math.floor(consensusUs / 1_000_000)],
  'checkpoint/step': ['newest step whose state a quorum has signed', (_source, { checkpointStep }) => checkpointStep],
  'fair/cuts': ['times that a fair place was not waited for any longer', (_source, { fairCuts }) => fairCuts],
  'fair/late': ['reports that came too late to count', (_source, { fairLate }) => fairLate],
  'queue/messages': ['submissions of this node without a place', (_source, { queuedMessages }) => queuedMessages],
  'queue/bytes': ['bytes of them', (_source, { queuedBytes }) => queuedBytes],
  'documents/permissions': [
    "version of the operators' permissions in force, from 1; 0: none, each node's file counts",
    ({ documents }) => versionOf(documents(), 'permissions'),
  ],
  'documents/users': [
    "version of the operators' users in force, likewise",
    ({ documents }) => versionOf(documents(), 'users'),
  ],
  'fast/published': [
    "messages of this node's clients that skipped the order (`ordering.fast`)",
    ({ counters }) => counters().fastPublished,
  ],
  'fast/received': ['such messages that came from other nodes', ({ counters }) => counters().fastReceived],
  'fast/dropped': [
    'such messages that another node did not get since it lagged behind, once for each node',
    ({ counters }) => counters().fastDropped,
  ],
  'sealed/published': [
    "messages of this node's clients that were sealed (`ordering.sealed`)",
    ({ counters }) => counters().sealedPublished,
  ],
  'sealed/void': [
    'those of them that the nodes could not open, and that were not published',
    ({ counters }) => counters().sealedVoid,
  ],
}

export function clusterSysTopics(source: ClusterSource): SysTopic[] {
  const { status } = source.log
  return Object.entries(clusterSysValues).map(([name, [, read]]) => ({
    topic: clusterSysPrefix + name,
    payload: String(read(source, status)),
  }))
}

/** A document that was withdrawn has a version and no text. */
function versionOf(documents: ReturnType<ClusterSource['documents']>, subject: AdminSubject): number {
  const { version, text } = documents.get(subject)?.document ?? {}
  return text === undefined ? 0 : (version ?? 0)
}

/** `0 1 3`; empty: none. */
function indices(mask: number): string {
  return Array.from({ length: 31 }, (_, node) => node)
    .filter((node) => (mask & (1 << node)) !== 0)
    .join(' ')
}
