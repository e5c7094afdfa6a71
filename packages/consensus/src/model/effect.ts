/**
 * What is to be done: everything that the engine ever asks of its host (consensus.md section 17). The effects of one input are
 * carried out in their order.
 */
import type { MessageKind } from './block.ts'
import type { Status } from './status.ts'

export type Effect =
  /** Send a frame; with `after`, only once that barrier is durable. Sending earlier would be equivocation after a crash. */
  | { readonly type: 'send'; readonly to: number | 'all'; readonly frame: Uint8Array; readonly after?: number }
  /** Append to the write-ahead log, in order; with `barrier`, sync and answer `durable`. */
  | { readonly type: 'persist'; readonly records: readonly WalRecord[]; readonly barrier?: number }
  /** Check a signature over `bytes` by a node of the book; answer `verified`. */
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
  /** A checkpoint is due at this step: take the application's snapshot here, and answer `appState` with its hash. */
  | { readonly type: 'checkpoint'; readonly step: number; readonly position: number }
  /** A submission has a place, or never gets one. */
  | { readonly type: 'placed'; readonly id: number; readonly position: number; readonly consensusUs: number }
  | { readonly type: 'refused'; readonly id: number; readonly why: 'busy' | 'tooLarge' | 'stopped' }
  /** Read a record of the write-ahead log, or a chunk of a snapshot; answer `read`. */
  | { readonly type: 'read'; readonly handle: number; readonly what: ReadRequest }
  /** Segments of the log that hold only records below this mark may go. */
  | { readonly type: 'forget'; readonly below: number }
  | { readonly type: 'status'; readonly status: Status }
  /** A peer broke the rules on its link. */
  | { readonly type: 'drop'; readonly peer: number; readonly why: string }
  /** Something an operator must know: a fork was proven, order diverged, the fault model is broken. */
  | { readonly type: 'alarm'; readonly what: Alarm }

/** A record of the write-ahead log; `mark` ascends, and `read` and `forget` refer to it. */
export interface WalRecord {
  readonly kind: number
  readonly mark: number
  readonly bytes: Uint8Array
}

export type ReadRequest =
  | { readonly type: 'record'; readonly mark: number }
  | { readonly type: 'snapshot'; readonly step: number; readonly chunk: number }

export type Alarm =
  | { readonly type: 'jailed'; readonly author: number }
  | { readonly type: 'tooManyJailed' }
  | { readonly type: 'divergence'; readonly step: number }
  | { readonly type: 'fairCut'; readonly count: number }

/** A message with its place. */
export interface OrderedMessage {
  /** 0, 1, 2, … across epochs. */
  readonly position: number
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
  /** Digest of the unit. */
  readonly unit: Uint8Array
  /**
   * Bit i: a block of author i, unit or not, was linearised since the batch before, up to and with `step`. The application
   * tells by it which nodes live, equally everywhere; so it is part of the engine's snapshot.
   */
  readonly linearised: number
  /** Bit i: author i is jailed, as of `step`. */
  readonly jailed: number
  readonly messages: readonly OrderedMessage[]
}
