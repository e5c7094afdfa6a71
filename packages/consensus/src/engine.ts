/**
 * The ordering engine of one node, as a pure machine: inputs in, effects out (consensus.md). It composes the parts: making
 * blocks, spreading them, deciding, fair order, the log and its checkpoints.
 *
 *   frame ▶ verified ▶ graph accepts ▶ committer decides ▶ fair order ▶ positions ▶ emit
 *                            ▲                                             └▶ log tree ▶ checkpoint
 *   submit ▶ own queue ▶ own block ▶ persist ▶ durable ▶ send
 *
 * No clock, no randomness, no waiting: the host gives times, bytes and answers. The same inputs give the same effects.
 */
import { defaultTunables, type Tunables } from './core/tunables.ts'
import type { Cryptography } from './model/cryptography.ts'
import type { Effect, WalRecord } from './model/effect.ts'
import type { Epoch } from './model/epoch.ts'
import type { Input } from './model/input.ts'

export interface EngineOptions {
  /** The network's first epoch, which the operator trusts. Later ones come from the write-ahead log or from peers, proven. */
  readonly genesis: Epoch
  /** Who may sign changes of the book (section 13): so many of these keys. */
  readonly operators: readonly Uint8Array[]
  readonly operatorsMin: number
  /** This node's key; its index in a book follows from it. */
  readonly publicKey: Uint8Array
  readonly cryptography: Cryptography
  /** For choices among peers that do not matter to the order. */
  readonly seed: number
  /** Positions below this one are kept by the application: need not be emitted again. */
  readonly appliedPosition: number
  /** The write-ahead log is lost or in doubt: the node may have made blocks that it no longer knows (section 11). */
  readonly amnesia: boolean
  readonly tunables?: Partial<Tunables>
}

export class Engine {
  readonly #tunables: Tunables
  #records = 0

  private constructor(options: EngineOptions) {
    this.#tunables = { ...defaultTunables, ...options.tunables }
  }

  /**
   * An engine that knows what its write-ahead log says; `records` are all that the log still holds, in order. The first input
   * must be `start`; what was emitted before the stop and is at or above `appliedPosition` is emitted again then.
   */
  static open(options: EngineOptions, records: Iterable<WalRecord>): Engine {
    const engine = new Engine(options)
    for (const record of records) engine.#records = record.mark
    return engine
  }

  /** Takes one input; gives what is to be done for it, in order. */
  step(input: Input): readonly Effect[] {
    if (input.type === 'start') return [{ type: 'timerAt', atUs: input.nowUs + this.#tunables.stallUs + this.#records }]
    return []
  }
}
