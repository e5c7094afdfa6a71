/**
 * Who gives commands their place in the order. `none` applies at once (`ordering/local-sequencer.ts`); a cluster puts
 * consensus in between. The pipeline is written for the slower kind: an outcome arrives through a callback, in order of
 * submission.
 */
import type { Command, Outcome } from '@concordmq/state'

export interface Sequencer {
  /**
   * Submits a command of this node. `done` is called when it has been applied and what its answer promises is kept (see
   * `storage/journal.ts`); in `none` without a disk that is before `submit` returns.
   */
  submit(command: Command, done?: (outcome: Outcome) => void): void
  /** Takes positions for messages that need no command: no kept session, no retain flag, no shared group wants them. */
  take(count: number): void
  /** The order's time now, microseconds since 1970, never decreasing. */
  nowUs(): number
  /** No further deadlines are watched. */
  close(): void
}
