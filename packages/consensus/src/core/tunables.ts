/** What a node may choose for itself (consensus.md section 2: local tunables). Nothing here decides what is ordered when. */

export interface Tunables {
  /** CPU time that rounds may take on the average, µs per second, and how much of it may be saved up (section 5). */
  readonly roundCpuUsPerSecond: number
  readonly roundCpuBurstUs: number
  /** No two own blocks are closer than this, µs. */
  readonly roundUsMin: number
  /** How long a node waits for slow peers beyond a quorum: bounds of half the usual round, and of its growth, µs. */
  readonly leadUsMin: number
  readonly leadUsMax: number
  readonly leadGrownUsMax: number
  /** `submit` is refused above either. */
  readonly queueBytesMax: number
  readonly queueMessagesMax: number
  /** Bytes emitted and not yet applied above which no blocks are made. */
  readonly unappliedBytesMax: number
  /** Nothing ordered for this long while something waits, or no quorum connected for this long: stalled, µs (section 14). */
  readonly stallUs: number
  /** Bytes of blocks in memory; older ones are read back from the write-ahead log. */
  readonly blockBytesInMemoryMax: number
}

export const defaultTunables: Tunables = {
  roundCpuUsPerSecond: 350_000,
  roundCpuBurstUs: 60_000,
  roundUsMin: 500,
  leadUsMin: 300,
  leadUsMax: 50_000,
  leadGrownUsMax: 2_000_000,
  queueBytesMax: 8 * 1024 * 1024,
  queueMessagesMax: 50_000,
  unappliedBytesMax: 64 * 1024 * 1024,
  stallUs: 2_000_000,
  blockBytesInMemoryMax: 256 * 1024 * 1024,
}
