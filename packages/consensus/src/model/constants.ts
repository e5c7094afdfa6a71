/**
 * The constants of an epoch (consensus.md section 2). They are part of the epoch's record and equal on all nodes, since they
 * decide what is ordered when; what a node may choose for itself is no constant (`core/`).
 */

export interface Constants {
  /** G: how many rounds of the graph stay below the last step. */
  readonly keepRounds: number
  /** H: a unit that is not solid this many rounds after its own round is void; below G. */
  readonly voidRounds: number
  /** K: steps that a solid unit waits for one that is not. */
  readonly patienceSteps: number
  /** W: rounds of one window of the slot schedule. */
  readonly windowRounds: number
  /** GOOD: rounds of a window, of W-1, in which an author's block found a quorum of voters, for it to keep its slots. */
  readonly goodRoundsMin: number
  /** MAX_BLOCK: bytes of an encoded block, body included. */
  readonly blockBytesMax: number
  /** MAX_MSGS: messages of one block. */
  readonly blockMessagesMax: number
  /** MAX_REFS: entries of a block's reference table. */
  readonly refsMax: number
  /** CP_STEPS, CP_BYTES: a checkpoint is due when one of them is passed since the last one. */
  readonly checkpointSteps: number
  readonly checkpointBytes: number
  /** REPORT_AGE, REPORT_AHEAD: a report may name a unit of rounds block.round - age to block.round + ahead. */
  readonly reportAgeRounds: number
  readonly reportAheadRounds: number
  /** SEQ_WINDOW: submission numbers per author that are remembered one by one. */
  readonly seqWindow: number
}

/** The constants for n nodes; `given` replaces single ones (tests with small windows; an epoch record). */
export function constantsFor(n: number, given: Partial<Constants> = {}): Constants {
  const keepRounds = given.keepRounds ?? 64 * Math.floor(Math.max(4, Math.min(128 / n, 32)))
  return {
    keepRounds,
    voidRounds: (3 * keepRounds) / 4,
    patienceSteps: 16,
    windowRounds: 16,
    goodRoundsMin: 14,
    blockBytesMax: 1024 * 1024,
    blockMessagesMax: 4096,
    refsMax: 8 * n,
    checkpointSteps: 512,
    checkpointBytes: 8 * 1024 * 1024,
    reportAgeRounds: keepRounds / 2,
    reportAheadRounds: 8,
    seqWindow: 131_072,
    ...given,
  }
}
