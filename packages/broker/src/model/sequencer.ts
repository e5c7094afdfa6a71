/**
 * Who gives commands their place in the order. `none` applies at once (`ordering/local-sequencer.ts`); a cluster puts
 * consensus in between. The pipeline is written for the slower kind: an outcome arrives through a callback, in order of
 * submission.
 */
import type { Command, Effects, Machine, Outcome } from '@concordmq/state'
import type { Journal } from './journal.ts'

export interface Sequencer {
  /**
   * Submits a command of this node. `applied` is called when it has been applied, before any effect of a later command;
   * `kept` when what its answer promises is kept as well (`journal.ts`). In `none`, `applied` is called before
   * `submit` returns, and `kept` too where nothing durable changed.
   */
  submit(command: Command, kept?: (outcome: Outcome) => void, applied?: (outcome: Outcome) => void): void
  /** Takes positions for messages that need no command: no kept session, no retain flag, no shared group wants them. */
  take(count: number): void
  /** The order's time now, microseconds since 1970, never decreasing. */
  nowUs(): number
  /** Nothing can be kept on disk at the moment: what would have to be is to be refused. */
  readonly trouble: boolean
  /** No further deadlines are watched. */
  close(): void
}

/** What a sequencer works with: it gives commands places, writes them to the journal and applies them to the machine. */
export interface SequencerParts {
  readonly machine: Machine
  readonly effects: Effects
  /** Told of every command before it is applied, and of every durable change; answers that promise one wait for it. */
  readonly journal: Journal
  /** Positions up to this one may have been used before. */
  readonly position: number
}

export type SequencerFactory = (parts: SequencerParts) => Sequencer
