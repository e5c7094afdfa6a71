/**
 * The records of the write-ahead log (consensus.md section 11), and what is in them. The log is the host's: it keeps records in
 * order, each with its kind, mark and bytes, cuts a torn tail, and reports damage before the tail as loss of the disk.
 *
 * Not here, against the specification: STEP. A replay decides the same steps again.
 */

import { Reader } from '../bytes/reader.ts'
import { decodeReconfiguration, encodeReconfiguration, type Reconfiguration } from '../bytes/reconfiguration.ts'
import { Writer } from '../bytes/writer.ts'
import type { Block, BlockMessage, MessageKind } from '../model/block.ts'

const NOTHING = new Uint8Array(0)

export const RecordKind = {
  /** A block of anyone, as it was accepted or about to be reported: arrival u64 | block. */
  block: 1,
  /** An own block; its round is used for ever. */
  own: 2,
  /** Submission numbers below this one may have been used: u64. */
  seq: 3,
  /**
   * An earlier log is lost or in doubt (round 0), or may never have been (`perhapsLost`), or that is over, and own blocks of the
   * epoch may be of this round and higher ones: epoch u32 | round u64.
   */
  doubt: 8,
  /** An own message that was promised to be kept and is in no block yet. */
  submission: 4,
  /** The engine's state behind a step; a replay starts at one of these. */
  checkpoint: 5,
  /** A certificate of a checkpoint. */
  certificate: 6,
  /** An epoch began: the link that leads to it (`log/epoch-chain.ts`). */
  epoch: 7,
} as const
export type RecordKind = (typeof RecordKind)[keyof typeof RecordKind]

export function blockRecord(arrivalUs: number, { header, signature, body }: Block): Uint8Array {
  const writer = new Writer(8 + header.length + signature.length + body.length)
  writer.u64(arrivalUs)
  writer.raw(header)
  writer.raw(signature)
  writer.raw(body)
  return writer.take()
}

export function readBlockRecord(bytes: Uint8Array): { readonly arrivalUs: number; readonly block: Uint8Array } {
  const reader = new Reader(bytes)
  return { arrivalUs: reader.u64(), block: reader.raw(reader.left) }
}

export function seqRecord(below: number): Uint8Array {
  const writer = new Writer(8)
  writer.u64(below)
  return writer.take()
}

export function readSeqRecord(bytes: Uint8Array): number {
  return new Reader(bytes).u64()
}

export function submissionRecord(message: BlockMessage): Uint8Array {
  const writer = new Writer(17 + message.bytes.length)
  writer.u8(message.kind)
  writer.u64(message.seq)
  writer.u64(message.recvUs)
  writer.raw(message.bytes)
  return writer.take()
}

export function readSubmissionRecord(bytes: Uint8Array): BlockMessage {
  const reader = new Reader(bytes)
  return { kind: reader.u8() as MessageKind, seq: reader.u64(), recvUs: reader.u64(), bytes: reader.raw(reader.left) }
}

/** Where a replay can start. */
export interface CheckpointRecord {
  readonly epoch: number
  readonly step: number
  readonly position: number
  /** Of this node's blocks in the epoch (`UsedRounds`). */
  readonly last: number
  readonly lastTsUs: number
  readonly roundMin: number
  /** Mark of the first record that goes with this one. */
  readonly since: number
  /** The change of the book that ends the epoch with this step; undefined: it goes on. */
  readonly ending: Reconfiguration | undefined
  /** The engine's snapshot (`snapshot.ts`). */
  readonly state: Uint8Array
}

export function checkpointRecord(record: CheckpointRecord): Uint8Array {
  const writer = new Writer(64 + record.state.length)
  writer.u32(record.epoch)
  writer.u64(record.step)
  writer.u64(record.position)
  writer.u64(record.last)
  writer.u64(record.lastTsUs)
  writer.u64(record.roundMin)
  writer.u64(record.since)
  writer.bytes(record.ending === undefined ? NOTHING : encodeReconfiguration(record.ending))
  writer.raw(record.state)
  return writer.take()
}

export function readCheckpointRecord(bytes: Uint8Array): CheckpointRecord {
  const reader = new Reader(bytes)
  return {
    epoch: reader.u32(),
    step: reader.u64(),
    position: reader.u64(),
    last: reader.u64(),
    lastTsUs: reader.u64(),
    roundMin: reader.u64(),
    since: reader.u64(),
    ending: decodeReconfiguration(reader.bytes(reader.left)),
    state: reader.raw(reader.left),
  }
}

/** As the round of a `DoubtRecord`: this log is the node's first one, or an earlier one was lost. */
export const perhapsLost = Number.MAX_SAFE_INTEGER

/** `round` 0: in doubt. */
export interface DoubtRecord {
  readonly epoch: number
  readonly round: number
}

export function doubtRecord({ epoch, round }: DoubtRecord): Uint8Array {
  const writer = new Writer(12)
  writer.u32(epoch)
  writer.u64(round)
  return writer.take()
}

export function readDoubtRecord(bytes: Uint8Array): DoubtRecord {
  const reader = new Reader(bytes)
  return { epoch: reader.u32(), round: reader.u64() }
}
