/**
 * Who gives commands their place in the order. `none` applies at once (`ordering/local-sequencer.ts`); a cluster puts
 * consensus in between. The pipeline is written for the slower kind: an outcome arrives through a callback, in order of
 * submission.
 */
import type { Command, Effects, Machine, Outcome } from '@concordmq/state'

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

/** Where commands are written before their answers leave; `storage/journal.ts` says more. */
export interface SequencerJournal {
  append(position: number, timeUs: number, command: Command): void
  whenKept(position: number, kept: () => void): void
}

/** What a sequencer works with: it gives commands places, writes them to the journal and applies them to the machine. */
export interface SequencerParts {
  readonly machine: Machine
  readonly effects: Effects
  readonly journal: SequencerJournal
}

export type SequencerFactory = (parts: SequencerParts) => Sequencer
