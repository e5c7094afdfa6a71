/** What a node is told when it starts. */
import type { KnownBlocks } from '../bytes/block-codec.ts'
import type { Cryptography } from '../model/cryptography.ts'
import type { Epoch } from '../model/epoch.ts'
import type { Tunables } from './tunables.ts'

export interface EngineOptions {
  /** The network's first epoch, which the operator trusts. Later ones come from the write-ahead log or from peers, proven. */
  readonly genesis: Epoch
  /** This node's key; its index in a book follows from it. */
  readonly publicKey: Uint8Array
  readonly cryptography: Cryptography
  /** For choices among peers that do not matter to the order, and nonces: another one at every start. */
  readonly seed: number
  /** Positions below this one are kept by the application: need not be emitted again. */
  readonly appliedPosition: number
  /**
   * Positions from here on are emitted at the start although the application has them, as far as the write-ahead log goes back: for
   * whoever keeps the log itself. Default: `appliedPosition`.
   */
  readonly emitFrom?: number
  /**
   * The write-ahead log is lost or in doubt: the node may have made blocks that it no longer knows (section 11). `unlessNew`: there
   * is none, and whether there ever was one only the others can tell.
   */
  readonly amnesia: boolean | 'unlessNew'
  readonly tunables?: Partial<Tunables>
  /** Where several engines of one process look for blocks that one of them has read before. */
  readonly knownBlocks?: KnownBlocks
}
