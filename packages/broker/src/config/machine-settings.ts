/**
 * What the machines are told of the broker's settings. The ordered machine's part is a function of its own because a
 * recording of its commands can be replayed only with equal settings.
 */
import { createHash, hash } from 'node:crypto'
import { type MachineSettings, machineSettings } from '@concordmq/state'
import { NODE_TIMEOUT_MS, resolveOptions, type Settings } from './check.ts'
import type { BrokerOptions, ClusterOptions } from './options.ts'

/** Settlements of one client that its node, or its worker, knows and that the order does not have yet. */
const CLUSTER_SETTLEMENT_LAG_MAX = 4096

export function orderedMachineSettings(
  settings: Settings,
  { hashing, workers = 1 }: { readonly hashing: boolean; readonly workers?: number },
): MachineSettings {
  const { sessions, retained, features, cluster } = settings
  const hashes = hashing || cluster !== undefined
  return machineSettings({
    ...shared(settings),
    queueMessagesMax: sessions.queueMessagesMax,
    queueBytesMax: sessions.queueBytesMax,
    queueFull: sessions.queueFull,
    queuesBytesMax: sessions.queuesBytesMax,
    sessionsMax: sessions.sessionsMax,
    retainedMessagesMax: retained.messagesMax,
    retainedBytesMax: retained.bytesMax,
    retainedMessageBytesMax: retained.messageBytesMax,
    shareStrategy: features.shareStrategy,
    directMessages: features.directMessages,
    hashing: hashes,
    ...(hashes && { sha256 }),
    ...(workers > 1 && { replicated: true, threads: true, settlementLagMax: CLUSTER_SETTLEMENT_LAG_MAX }),
    ...(cluster !== undefined && {
      replicated: true,
      nodeTimeoutMs: cluster.nodeTimeoutMs,
      settlementLagMax: CLUSTER_SETTLEMENT_LAG_MAX,
    }),
  })
}

/**
 * The engine's own, as text and back: 0.8 µs for the short records that are hashed here, where the machine's takes 2 to 5, and a buffer
 * as the answer 2.
 */
function sha256(bytes: Uint8Array): Uint8Array {
  const text = hash('sha256', bytes, 'binary')
  const digest = new Uint8Array(32)
  for (let i = 0; i < 32; i++) digest[i] = text.charCodeAt(i)
  return digest
}

/** For transient sessions: nothing is queued there, nobody compares it. */
export function localMachineSettings(settings: Settings): MachineSettings {
  return machineSettings({ ...shared(settings), hashing: false })
}

function shared({ sessions, limits }: Settings): Partial<MachineSettings> {
  return {
    sessionExpirySecondsMax: sessions.expiryMax,
    subscriptionsMax: sessions.subscriptionsMax,
    topicLevelsMax: limits.topicLevelsMax,
  }
}

/**
 * What the ordered machine is told by these options, as text: nodes of a cluster must agree on it, since else equal commands would not
 * give equal states (architecture section 3.8). What only this node's clients notice is not in it. `cluster`: of the options that the
 * broker will have, while there is no log yet.
 */
export function sharedSettings(options: BrokerOptions, cluster: Pick<ClusterOptions, 'nodeTimeoutMs'> = {}): string {
  const settings = resolveOptions(options)
  const { fast, sealed } = settings.ordering
  // Nodes are no threads.
  const { threads: _threads, ...machine } = orderedMachineSettings(
    { ...settings, cluster: undefined },
    { hashing: false },
  )
  const shared = {
    ...machine,
    nodeTimeoutMs: cluster.nodeTimeoutMs ?? settings.cluster?.nodeTimeoutMs ?? NODE_TIMEOUT_MS,
    // Not the machine's, but a message must not be ordered at one node and pass the order at another. Which filter is written
    // first makes no difference.
    ...(fast.length > 0 && { fast: [...new Set(fast)].sort() }),
    ...(sealed.length > 0 && { sealed: [...new Set(sealed)].sort() }),
  }
  return JSON.stringify(Object.entries(shared).sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** SHA-256 over `sharedSettings`. */
export function settingsDigest(
  options: BrokerOptions,
  cluster: Pick<ClusterOptions, 'nodeTimeoutMs'> = {},
): Uint8Array {
  return createHash('sha256').update(sharedSettings(options, cluster)).digest()
}
