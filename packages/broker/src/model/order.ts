/** The order of a cluster, as the pipeline uses it beyond what every sequencer does (`ordering/bft-sequencer.ts`). */
import type { PublishRun } from '@concordmq/protocol'
import type { Message, Outcome, PublishCommand, RunAuthor, RunOutcome } from '@concordmq/state'

/**
 * What is done about a message before it has its place while nothing is ordered (architecture section 3.5): when it is submitted
 * then, and when that begins and the message is under way.
 */
export interface Unplaced<T> {
  /** Gives it to subscribers of this node: who got it, and is passed over when it has its place. It is good only until this returns. */
  dispatch(message: T): ReadonlySet<unknown>
  /** It was dispatched, and this node's disk has it: it enters the order whatever happens to the process. */
  kept(): void
}

export interface Order {
  /**
   * Submits a run of messages of a client of this node, without RETAIN and properties. `answer` is called when all of them have
   * their places, or nobody waits for them any more (`stale`). The run is good only until this returns. Without `unplaced` it has to
   * wait for its place.
   */
  submitRun(
    run: PublishRun,
    author: RunAuthor,
    answer: (outcome: Outcome | RunOutcome) => void,
    unplaced?: Unplaced<PublishRun>,
  ): void
  /** The same for one message with whatever it carries. */
  submitPublish(command: PublishCommand, answer: (outcome: Outcome) => void, unplaced?: Unplaced<Message>): void
  /**
   * Submits a message that no other node can read before its place is final. `answer` is called when it was opened and published,
   * or is void (`refused`).
   */
  submitSealed(command: PublishCommand, answer: (outcome: Outcome) => void): void
  /** Nothing is ordered at the moment: too few nodes are there. */
  readonly stalled: boolean
  /** As much is submitted and has no place yet as may be: publishers wait. */
  readonly full: boolean
  /** Calls back when it is no longer full. */
  whenRoom(goOn: () => void): void
}
