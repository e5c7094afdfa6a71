/** What each worker thread gets of the limits that count over all of them. */
import { resolveOptions } from '../config/check.ts'
import type { BrokerOptions } from '../config/options.ts'

/** Backlogs smaller than this make no sense, whatever a part would be. */
const BACKLOG_BYTES_MIN = 1024 * 1024

/** Each worker's part of what counts over all of them. Connections spread evenly enough. */
export function shareOf<T extends Pick<BrokerOptions, 'access' | 'limits' | 'bans' | 'delivery'>>(
  options: T,
  workers: number,
): T {
  const { access, limits, bans, delivery } = resolveOptions(options)
  const part = (whole: number): number => Math.ceil(whole / workers)
  return {
    ...options,
    access: {
      ...options.access,
      passwordChecksMax: part(access.passwordChecksMax),
      passwordQueueMax: part(access.passwordQueueMax),
    },
    limits: {
      ...options.limits,
      halfOpenMax: part(limits.halfOpenMax),
      halfOpenPerAddressMax: part(limits.halfOpenPerAddressMax),
      connectsPerSecondMax: part(limits.connectsPerSecondMax),
      connectionsPerSecondPerAddressMax: part(limits.connectionsPerSecondPerAddressMax),
    },
    bans: {
      ...options.bans,
      failuresMax: part(bans.failuresMax),
      flappingConnectsMax: part(bans.flappingConnectsMax),
    },
    delivery: { ...options.delivery, backlogBytesMax: Math.max(BACKLOG_BYTES_MIN, part(delivery.backlogBytesMax)) },
  }
}
