/**
 * What is to be done: everything that the engine ever asks of its host (consensus.md section 17). The effects of one input are
 * carried out in their order; only `persist` may come before other kinds. A frame that must not leave before something is on disk is
 * asked for only after the host said that it is (`durable`), so `send` has no condition.
 */
import type { Leaf } from '../log/leaf.ts'
import type { Block, MessageKind } from './block.ts'
import type { Epoch } from './epoch.ts'
import type { Status } from './status.ts'

export type Effect =
  /** Send a frame (section 16): to a peer, by its index in the current book, or to all that are connected. */
  | { readonly type: 'send'; readonly to: number | 'all'; readonly frame: Uint8Array }
  /** Append to the write-ahead log, in order; with `barrier`, sync all that was appended so far and answer `durable`. */
  | { readonly type: 'persist'; readonly records: readonly WalRecord[]; readonly barrier?: number }
  /**
   * Check a block's signature over `bytes` by a node of the book (uncompressed P-256 point); answer `verified`, in any order. The
   * array of a key is the same object every time.
   */
  | {
      readonly type: 'verify'
      readonly handle: number
      readonly publicKey: Uint8Array
      readonly bytes: Uint8Array
      readonly signature: Uint8Array
    }
  /** Give a `timer` input at this time, in place of any earlier request. */
  | { readonly type: 'timerAt'; readonly atUs: number }
  | { readonly type: 'emit'; readonly batch: OrderedBatch }
  /**
   * A sealed message has its verdict: what was in it, or undefined if it is void. At the same place of the log on all nodes:
   * behind everything emitted so far, which ends at position `after`.
   */
  | {
      readonly type: 'opened'
      readonly position: number
      readonly after: number
      readonly content: Uint8Array | undefined
    }
  /** A submission that asked for it (`keep`) is on this node's disk, and will get a place although the process ends. */
  | { readonly type: 'kept'; readonly id: number }
  /** A submission has a place. */
  | { readonly type: 'placed'; readonly id: number; readonly position: number; readonly consensusUs: number }
  /** A submission never gets a place. `busy`: try again when there is room. */
  | { readonly type: 'refused'; readonly id: number; readonly why: 'busy' | 'tooLarge' | 'stopped' }
  /**
   * A checkpoint is due behind this step: take the application's snapshot as of here (all emitted below `position` is in it,
   * nothing else) and answer `appState`, now or later. Keep the snapshots of the two newest certified steps, and any newer.
   */
  | { readonly type: 'checkpoint'; readonly step: number; readonly position: number }
  /** A quorum signed this checkpoint; the certificate is for proofs (section 10). */
  | { readonly type: 'certified'; readonly epoch: number; readonly step: number; readonly certificate: Uint8Array }
  /** A chunk of an application snapshot that a quorum vouches for; the hash was checked. */
  | {
      readonly type: 'appChunk'
      readonly epoch: number
      readonly step: number
      readonly chunk: number
      readonly bytes: Uint8Array
    }
  /** All its chunks came: replace the application's state by it. The next emitted position is `position`. */
  | { readonly type: 'install'; readonly step: number; readonly position: number; readonly consensusUs: number }
  /** Read a record of the write-ahead log, or a chunk of the application's snapshot; answer `read`. */
  | { readonly type: 'read'; readonly handle: number; readonly what: ReadRequest }
  /** Segments of the log that hold only records with marks below this one may go. */
  | { readonly type: 'forget'; readonly below: number }
  /**
   * An epoch begins. Peers have the indices of its book from the next effect on; `self` is undefined if this node is not in it.
   * `links` lead to it from the first epoch (`epochLinkBytes`, oldest first), for proofs.
   */
  | {
      readonly type: 'epoch'
      readonly epoch: Epoch
      readonly self: number | undefined
      readonly links: readonly Uint8Array[]
    }
  | { readonly type: 'status'; readonly status: Status }
  /** A peer broke the rules on its link, too often: close it, and wait before the next one. */
  | { readonly type: 'drop'; readonly peer: number; readonly why: string }
  /** Something an operator must know. */
  | { readonly type: 'alarm'; readonly what: Alarm }

/** A record of the write-ahead log (`core/records.ts`); `mark` ascends, and `read` and `forget` refer to it. */
export interface WalRecord {
  /** 1 to 254; 255 is the host's. */
  readonly kind: number
  readonly mark: number
  readonly bytes: Uint8Array
}

export type ReadRequest =
  | { readonly type: 'record'; readonly mark: number }
  /** Chunk 0, 1, … of the application's snapshot; at most 256 KiB each. */
  | { readonly type: 'appChunk'; readonly step: number; readonly chunk: number }

export type Alarm =
  /** A fork was proven. */
  | { readonly type: 'jailed'; readonly author: number }
  /** More than f nodes equivocated: the fault model is broken, and this node makes no more blocks. */
  | { readonly type: 'tooManyJailed' }
  /** A witness set signed another state than this node's: it stops. */
  | { readonly type: 'divergence'; readonly step: number }
  /** Units whose fair place could not be waited for (section 8.4). */
  | { readonly type: 'fairCut'; readonly count: number }
  /** This node does not know which blocks it made, and makes none until others have told it. */
  | { readonly type: 'amnesia' }

/** A message with its place. */
export interface OrderedMessage {
  /** 0, 1, 2, … across epochs. */
  readonly position: number
  /** Index in the book of the batch's epoch. */
  readonly author: number
  readonly seq: number
  /** The order's time, µs; never decreasing. */
  readonly consensusUs: number
  readonly kind: MessageKind
  readonly bytes: Uint8Array
}

/** The messages of one unit, in the order. */
export interface OrderedBatch {
  readonly epoch: number
  readonly step: number
  /** The unit; with `leaf` and the log's other leaves it makes proofs (section 10). */
  readonly unit: Block
  /** Its leaf in the log tree, which one it is, and the hashes that are complete with it (`LogTree.append`). */
  readonly leaf: Leaf
  readonly leafIndex: number
  readonly nodes: readonly Uint8Array[]
  /** Roots of the complete subtrees of the tree before this leaf, largest first. */
  readonly frontier: readonly Uint8Array[]
  /**
   * Bit i: a block of author i, unit or not, was linearised since the batch before, up to and with `step`. The application
   * tells by it which nodes live, equally everywhere; so it is part of the engine's snapshot.
   */
  readonly linearised: number
  /** Bit i: author i is jailed, as of `step`. */
  readonly jailed: number
  readonly messages: readonly OrderedMessage[]
}
