/**
 * Snapshots: the whole state in slices, canonical, written while commands go on.
 *
 *   "CQS2" │ hash of the state, 32 │ { length u32 │ record } … │ 0 u32
 *
 * Records come in the order of the record table's walk, which follows from their keys alone: equal states have equal
 * snapshots. The slices are one stream of bytes, cut anywhere. The hash is checked when a snapshot is read: what was
 * restored hashes to it or is refused.
 */
import { Writer } from '../encoding/writer.ts'
import type { State } from '../state.ts'

/** Largest slice, bytes. */
export const SLICE_BYTES_MAX = 65_536
export const SNAPSHOT_MAGIC = Uint8Array.from([0x43, 0x51, 0x53, 0x32])

/**
 * Begins a snapshot of the state as it is now. Commands may be applied between slices. A newer snapshot ends this one:
 * its next slice throws. Whoever gives one up before its end calls `return`, so that nothing more is kept for it.
 */
export function writeSnapshot(state: State): IterableIterator<Uint8Array> {
  const walk = state.records.startWalk()
  const slices = cut(walk.hash, walk.records)
  return {
    next: () => slices.next(),
    return: () => {
      walk.stop()
      return { done: true, value: undefined }
    },
    [Symbol.iterator]() {
      return this
    },
  }
}

function* cut(hash: Uint8Array, records: Iterable<Uint8Array>): IterableIterator<Uint8Array> {
  const writer = new Writer()
  writer.raw(SNAPSHOT_MAGIC)
  writer.raw(hash)
  for (const record of records) {
    writer.u32(record.length)
    writer.raw(record)
    if (writer.length < SLICE_BYTES_MAX) continue
    yield* pieces(writer.take())
    writer.clear()
  }
  writer.u32(0)
  yield* pieces(writer.take())
}

function* pieces(bytes: Uint8Array): IterableIterator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += SLICE_BYTES_MAX) yield bytes.subarray(at, at + SLICE_BYTES_MAX)
}
