/** How long to wait before the next attempt to connect: exponential, bounded, with jitter. */

export interface RetryOptions {
  /** Delay before the first attempt. Default 500. */
  readonly retryDelayMsMin: number
  /** The delay doubles up to this. Default 30,000. */
  readonly retryDelayMsMax: number
  /** Attempts without a connection that held 30 seconds, after which the client gives up. Default: no limit. */
  readonly attemptsMax: number
}

export const RETRY_DEFAULTS: RetryOptions = {
  retryDelayMsMin: 500,
  retryDelayMsMax: 30_000,
  attemptsMax: Number.POSITIVE_INFINITY,
}

/**
 * Delay before attempt number `attempt` (from 1). `random` is in [0, 1): half of the delay is drawn, so that thousands of
 * clients that lost their server together do not come back together.
 */
export function retryDelayMs(
  attempt: number,
  { retryDelayMsMin, retryDelayMsMax }: RetryOptions,
  random: number,
): number {
  const full = Math.min(retryDelayMsMax, retryDelayMsMin * 2 ** Math.min(attempt - 1, 30))
  return Math.round(full / 2 + (full / 2) * random)
}
