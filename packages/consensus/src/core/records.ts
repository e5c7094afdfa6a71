/**
 * The kinds of record in the write-ahead log (consensus.md section 11), and what is in them. The log is the host's: it keeps
 * records in order, each with its kind, mark and bytes, cuts a torn tail, and reports damage before the tail as loss of the disk.
 *
 * Not here, against the specification: STEP. A replay decides the same steps again.
 */

export const RecordKind = {
  /** Which network and node this log belongs to, and the format. The first record, repeated so that segments can go. */
  meta: 1,
  /** A block of anyone, as it was accepted or about to be reported. */
  block: 2,
  /** An own block; its round is used for ever. */
  own: 3,
  /** Submission numbers below this one may have been used. */
  seq: 4,
  /** The engine's state behind a step: replay starts at one of these. */
  checkpoint: 5,
  /** A certificate of a checkpoint. */
  certificate: 6,
  /** An epoch began. */
  epoch: 7,
  /** An own message that was promised to be kept and is in no block yet. */
  submission: 8,
} as const
export type RecordKind = (typeof RecordKind)[keyof typeof RecordKind]
