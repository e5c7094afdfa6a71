/**
 * What to do with a write-ahead log when a node starts (consensus.md section 11, restart): which of its checkpoints to begin
 * with, and how to get to the epoch of that one. The blocks behind it are then told again, through the same code as live ones.
 */

import { blockMessages, decodeBlock } from '../bytes/block-codec.ts'
import { readCertificate } from '../log/checkpoint.ts'
import { readEpochLink } from '../log/epoch-chain.ts'
import type { Block, BlockMessage } from '../model/block.ts'
import type { WalRecord } from '../model/effect.ts'
import type { NodeParts } from './context.ts'
import type { Epochs, WrittenLink } from './epochs.ts'
import {
  type CheckpointRecord,
  RecordKind,
  readBlockRecord,
  readCheckpointRecord,
  readDoubtRecord,
  readSeqRecord,
  readSubmissionRecord,
} from './records.ts'

interface ReplayPlan {
  /**
   * What is left of the log does not lead to what the application has, since that lost what it had said to keep. Others have
   * to give a snapshot.
   */
  readonly isBroken: boolean
  /** Undefined: from the first epoch's begin. */
  readonly base: CheckpointRecord | undefined
  /** Those that lead from the first epoch to the base's. */
  readonly links: readonly WrittenLink[]
}

/** Begins where the log allows it, and tells again what is behind that. */
export function replay(node: NodeParts, epochs: Epochs, records: Iterable<WalRecord>): void {
  const { isBroken, base, links } = planReplay(records, node.options.appliedPosition)
  if (isBroken) node.journal.memory = 'lost'
  if (base !== undefined) epochs.resume(base, links)
  for (const record of records) {
    node.outbox.usedMark(record.mark)
    if (!isBroken) replayRecord(node, epochs, record)
  }
  epochs.run.agreement.reports.resume()
}

/** The application must have passed the checkpoint, or what it lacks would not be emitted again. */
function planReplay(records: Iterable<WalRecord>, appliedPosition: number): ReplayPlan {
  let base: CheckpointRecord | undefined
  let firstMark: number | undefined
  const links = new Map<number, WrittenLink>()
  for (const { kind, mark, bytes } of records) {
    firstMark ??= mark
    if (kind === RecordKind.checkpoint) {
      const record = readCheckpointRecord(bytes)
      if (record.position <= appliedPosition) base = record
    } else if (kind === RecordKind.epoch) {
      const link = readEpochLink(bytes)
      if (link !== undefined) links.set(link.certificate.checkpoint.epoch, { link, bytes })
    }
  }
  const path: WrittenLink[] = []
  for (let epoch = 0; base !== undefined && epoch < base.epoch; epoch++) {
    const step = links.get(epoch)
    if (step !== undefined) path.push(step)
  }
  return { isBroken: base === undefined && firstMark !== undefined && firstMark > 1, base, links: path }
}

function replayRecord(node: NodeParts, epochs: Epochs, { kind, mark, bytes }: WalRecord): void {
  switch (kind) {
    case RecordKind.block:
    case RecordKind.own:
      return replayBlock(node, epochs, { bytes, mark })
    case RecordKind.seq:
      return node.submissions.reserve(readSeqRecord(bytes))
    case RecordKind.submission:
      return restoreKept(node, epochs, readSubmissionRecord(bytes))
    case RecordKind.checkpoint: {
      const { position, since } = readCheckpointRecord(bytes)
      return node.journal.restored(position, since)
    }
    case RecordKind.certificate: {
      const certificate = readCertificate(bytes)
      if (certificate?.checkpoint.epoch === epochs.run.context.epoch.number) epochs.run.checkpoints.adopt(certificate)
      return
    }
    case RecordKind.doubt: {
      const { epoch, round } = readDoubtRecord(bytes)
      node.journal.restoreDoubt(round)
      if (!node.journal.inDoubt && epoch === epochs.run.context.epoch.number) {
        epochs.run.agreement.maker.resume({ last: 0, lastTsUs: 0, roundMin: round })
      }
      return
    }
    case RecordKind.epoch: {
      const link = readEpochLink(bytes)
      if (link?.certificate.checkpoint.epoch === epochs.run.context.epoch.number) epochs.enter(link)
    }
  }
}

function replayBlock(node: NodeParts, epochs: Epochs, record: { bytes: Uint8Array; mark: number }): void {
  const { context, agreement } = epochs.run
  const { arrivalUs, block: encoded } = readBlockRecord(record.bytes)
  const decoded = decodeBlock(encoded, context.epoch, context.domain, context.knownBlocks)
  if (!decoded.ok) return
  const block = decoded.value
  agreement.restore(block, arrivalUs, record.mark)
  if (block.author === context.self && agreement.table.find(block)?.settled === true) restoreUnplaced(node, block)
  agreement.advance()
}

/** A message that was to be kept: many a log goes back farther than its checkpoint, to messages that have had their places long since. */
function restoreKept(node: NodeParts, { run }: Epochs, message: BlockMessage): void {
  const { self } = run.context
  if (self < 0 || !node.output.positions.has(self, message.seq)) node.submissions.restoreMessage(message)
}

/** An own block that will not be ordered any more: what of it never got a place is queued again. */
function restoreUnplaced(node: NodeParts, block: Block): void {
  for (const message of blockMessages(block)) {
    if (!node.output.positions.has(block.author, message.seq)) node.submissions.restoreMessage(message)
  }
}
