/** How the engine stands: for operators, and for the broker, which refuses or serves accordingly (consensus.md section 14). */

/**
 * `solo`: the only node of its book. `joining`: not yet in the book, or its disk was lost and it may not make blocks yet.
 * `syncing`: far behind its peers, or has not met a quorum of them since it was started. `stalled`: nothing can be ordered now. `halted`: the order is in doubt; an operator must look.
 */
export type Mode = 'solo' | 'joining' | 'syncing' | 'active' | 'stalled' | 'halted'

export interface Status {
  readonly mode: Mode
  readonly epoch: number
  /** Highest round of which a quorum of authors is here. */
  readonly round: number
  readonly nextStep: number
  /** Messages that have a place. */
  readonly position: number
  readonly consensusUs: number
  readonly checkpointStep: number
  /** Bit i: author i. */
  readonly connected: number
  readonly jailed: number
  readonly demoted: number
  readonly fairCuts: number
  readonly fairLate: number
  /** Own messages that wait for a place. */
  readonly queuedMessages: number
  readonly queuedBytes: number
}
