/**
 * What to do with a write-ahead log when a node starts (consensus.md section 11, restart): which of its checkpoints to begin
 * with, and how to get to the epoch of that one. The blocks behind it are then told again, through the same code as live ones.
 */

import { type EpochLink, readEpochLink } from '../log/epoch-chain.ts'
import type { WalRecord } from '../model/effect.ts'
import { type CheckpointRecord, RecordKind, readCheckpointRecord } from './records.ts'

export interface ReplayPlan {
  /**
   * What is left of the log does not lead to what the application has, since that lost what it had said to keep. Others have
   * to give a snapshot.
   */
  readonly isBroken: boolean
  /** Undefined: from the first epoch's begin. */
  readonly base: CheckpointRecord | undefined
  /** Those that lead from the first epoch to the base's. */
  readonly links: readonly { readonly link: EpochLink; readonly bytes: Uint8Array }[]
}

/** The application must have passed the checkpoint, or what it lacks would not be emitted again. */
export function planReplay(records: Iterable<WalRecord>, appliedPosition: number): ReplayPlan {
  let base: CheckpointRecord | undefined
  let firstMark: number | undefined
  const links = new Map<number, { readonly link: EpochLink; readonly bytes: Uint8Array }>()
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
  const path = []
  for (let epoch = 0; base !== undefined && epoch < base.epoch; epoch++) {
    const step = links.get(epoch)
    if (step !== undefined) path.push(step)
  }
  return { isBroken: base === undefined && firstMark !== undefined && firstMark > 1, base, links: path }
}
