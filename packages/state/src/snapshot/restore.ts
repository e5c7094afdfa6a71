/**
 * Reads a snapshot. It may come from another node, so nothing in it is believed: what is missing, doubled, out of bounds or
 * not what its hash says makes it malformed, and nothing makes this throw.
 */
import { joinBytes } from '@concordmq/protocol'
import { Reader } from '../encoding/reader.ts'
import { RecordKind } from '../records/kinds.ts'
import { completeState, type Malformed, Restoring, readRecord } from '../records/reading.ts'
import type { MachineSettings } from '../settings.ts'
import { State } from '../state.ts'
import { SNAPSHOT_MAGIC } from './snapshot.ts'

const HASH_BYTES = 32
const KIND_LAST = RecordKind.admin

/** The state in a snapshot, or what is wrong with it. */
export function readSnapshot(slices: Iterable<Uint8Array>, settings: MachineSettings): State | Malformed {
  const stream = new Reader(joinBytes([...slices]))
  const magic = stream.raw(SNAPSHOT_MAGIC.length)
  if (!isEqual(magic, SNAPSHOT_MAGIC)) return { malformed: 'not a snapshot of this version' }
  const hash = stream.raw(HASH_BYTES)
  const byKind: Uint8Array[][] = Array.from({ length: KIND_LAST + 1 }, () => [])
  for (;;) {
    const length = stream.u32()
    if (length === 0) break
    const record = stream.raw(length)
    const kind = record[0] ?? 0
    // Which chunks a disk has is no part of the state.
    if (kind > KIND_LAST || kind === RecordKind.chunk) stream.fail('unknown kind of record')
    else byKind[kind]?.push(record)
  }
  stream.end()
  if (stream.problem !== undefined) return { malformed: stream.problem }
  const restoring = new Restoring(new State(settings))
  // Messages before what refers to them, sessions before what belongs to them: kinds are numbered so.
  for (const [kind, records] of byKind.entries()) {
    if (kind === RecordKind.clock && records.length !== 1) return { malformed: 'not exactly one clock' }
    for (const record of records) {
      const reader = new Reader(record, 1)
      readRecord(restoring, kind, reader)
      reader.end()
      if (reader.problem !== undefined) return { malformed: `record of kind ${kind}: ${reader.problem}` }
    }
  }
  const { state } = restoring
  const problem = completeState(state)
  if (problem !== undefined) return { malformed: problem }
  if (settings.hashing && !isEqual(state.records.hash(), hash)) return { malformed: 'hash is another' }
  return state
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}
