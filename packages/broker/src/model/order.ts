/** The order of a cluster, as the pipeline uses it beyond what every sequencer does (`ordering/bft-sequencer.ts`). */
import type { PublishRun } from '@concordmq/protocol'
import type { Outcome, RunAuthor, RunOutcome } from '@concordmq/state'

export interface Order {
  /**
   * Submits a run of messages of a client of this node, without RETAIN and properties. `answer` is called when all of them have
   * their places, or nobody waits for them any more (`stale`). The run is good only until this returns.
   */
  submitRun(run: PublishRun, author: RunAuthor, answer: (outcome: Outcome | RunOutcome) => void): void
  /** As much is submitted and has no place yet as may be: publishers wait. */
  readonly full: boolean
  /** Calls back when it is no longer full. */
  whenRoom(goOn: () => void): void
}
