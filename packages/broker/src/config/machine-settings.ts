/**
 * What the machines are told of the broker's settings. The ordered machine's part is a function of its own because a
 * recording of its commands can be replayed only with equal settings.
 */
import { type MachineSettings, machineSettings } from '@concordmq/state'
import type { Settings } from './check.ts'

/** Settlements of one client that its node knows and that the order does not have yet. */
const CLUSTER_SETTLEMENT_LAG_MAX = 4096

export function orderedMachineSettings(
  settings: Settings,
  { hashing }: { readonly hashing: boolean },
): MachineSettings {
  const { sessions, retained, features, cluster } = settings
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
    hashing: hashing || cluster !== undefined,
    ...(cluster !== undefined && {
      replicated: true,
      nodeTimeoutMs: cluster.nodeTimeoutMs,
      settlementLagMax: CLUSTER_SETTLEMENT_LAG_MAX,
    }),
  })
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
