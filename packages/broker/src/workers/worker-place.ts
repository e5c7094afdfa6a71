/** What a broker that is one of several worker threads needs of the others, beside its own sockets and its own machine. */
import type { Ban, BanRequest } from '../access/limits/bans.ts'
import type { OrderedLog } from '../model/ordered-log.ts'
import type { SysValue } from '../model/sys-value.ts'
import type { Tallies, Tally } from '../model/tally.ts'
import type { Storage } from '../storage/open-storage.ts'
import type { Counters } from '../telemetry/counters.ts'

/** What one worker counts of its own clients; the rest is in the state that all have. */
export interface WorkerFigures {
  readonly counters: Counters
  readonly clientsConnected: number
  readonly connections: number
  /** Subscriptions of its transient sessions. */
  readonly subscriptions: number
  readonly inflightMessages: number
  readonly outPackets: number
  readonly outBytes: number
  readonly halfOpen: number
  readonly backlogBytes: number
}

export interface WorkerPlace {
  readonly log: OrderedLog
  /** What it begins with, and how it learns what the disk has. */
  readonly storage: Storage
  /** What the others counted last. Only the first worker is told, which speaks for all. */
  readonly others: () => readonly WorkerFigures[]
  /** The first worker's `$SYS`, for clients of the others. */
  readonly tellSys: (topics: readonly SysValue[]) => void
  /** Network connections of all workers; counted together, since they have one maximum. */
  readonly connections: Tally
  /** The same by address and by user. */
  readonly tallies: Tallies
  /** Kept out by what happened here, and so by all. */
  readonly banned: (ban: BanRequest, reason: Ban['reason']) => void
  /**
   * Resolves when all workers have nothing more to say: none stops reading what others still put in. `settle` resolves when all that
   * this worker submitted is applied here.
   */
  lastSubmitted(settle: () => Promise<void>): Promise<void>
}
