/**
 * A block: the signed vertex of the graph, one per (author, round) of a correct node (consensus.md section 3). It names its
 * parents, reports what its author received, and may carry messages; with messages it is a unit, the thing that is ordered.
 */

/** The kinds of message (section 3). */
export const MessageKind = {
  payload: 1,
  reconfiguration: 2,
  evidence: 3,
  sealed: 4,
  tick: 5,
  share: 6,
  checkpointRequest: 7,
} as const
export type MessageKind = (typeof MessageKind)[keyof typeof MessageKind]

/** One message of a body. `bytes` is a view into the body. */
export interface BlockMessage {
  readonly kind: MessageKind
  /** The author's submission number; never used twice. */
  readonly seq: number
  /** When its node took it, µs. */
  readonly recvUs: number
  readonly bytes: Uint8Array
}

/** A block's name. An entry whose digest belongs to another (author, round) names nothing. */
export interface BlockName {
  readonly author: number
  readonly round: number
  /** 32 bytes. */
  readonly digest: Uint8Array
}

/** An entry of the reference table: a parent, a report, or both. */
export interface Reference extends BlockName {
  readonly parent: boolean
  readonly report: boolean
  /** When the reporter received the unit, µs; 0 without a report. */
  readonly recvUs: number
}

/** A well-formed block, decoded. Its bytes are kept, since they are hashed, stored and sent on as they are. */
export interface Block extends BlockName {
  readonly epoch: number
  /** When it was made, by its author's clock, µs. */
  readonly tsUs: number
  /** In the order of the table: reports in report order, then the other parents. */
  readonly references: readonly Reference[]
  readonly messageCount: number
  readonly header: Uint8Array
  /** r | s, 64 bytes; not part of the digest. */
  readonly signature: Uint8Array
  readonly body: Uint8Array
}

/** Whether a block carries messages, and is ordered. */
export function isUnit(block: Block): boolean {
  return block.messageCount > 0
}
