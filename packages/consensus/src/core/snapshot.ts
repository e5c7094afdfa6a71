/**
 * The engine's own snapshot (consensus.md section 11): all that decides how the log goes on behind a step, in bytes that are the
 * same on every node, cut into chunks whose hashes a checkpoint names.
 *
 *     state     committer | fair order | checkpoint schedule | positions | log tree | authors heard since the last batch | sealed
 *     chunks    256 KiB each ─▶ list of their hashes ─▶ hash of the list, in the checkpoint
 */
import type { Domain } from '../bytes/domain.ts'
import { Reader } from '../bytes/reader.ts'
import { Writer } from '../bytes/writer.ts'
import { Committer } from '../commit/committer.ts'
import { Graph } from '../graph/graph.ts'
import { CheckpointSchedule } from '../log/checkpoint-schedule.ts'
import type { Cryptography } from '../model/cryptography.ts'
import type { Epoch } from '../model/epoch.ts'
import { FairOrder } from '../order/fair-order.ts'
import type { OrderedOutput } from './ordered-output.ts'
import type { Sealing } from './sealing.ts'

export const chunkBytesMax = 256 * 1024
const HASH_BYTES = 32

/** Bytes in chunks. */
export interface Chunked {
  readonly chunks: readonly Uint8Array[]
  /** SHA-256 of each chunk, one behind the other. */
  readonly hashes: Uint8Array
  /** SHA-256 of `hashes`. */
  readonly hash: Uint8Array
}

/** What belongs to one epoch, and is decided by its steps. */
export interface EpochState {
  readonly graph: Graph
  readonly committer: Committer
  readonly fair: FairOrder
  readonly schedule: CheckpointSchedule
}

/** What goes on from epoch to epoch. */
export interface LogState {
  readonly output: OrderedOutput
  readonly sealing: Sealing
}

/** At the begin of an epoch; time goes on from `consensusUs`. */
export function freshState(epoch: Epoch, domain: Domain, consensusUs: number): EpochState {
  const graph = new Graph(epoch)
  const committer = new Committer(graph, domain)
  const schedule = new CheckpointSchedule(epoch.constants)
  return { graph, committer, fair: new FairOrder(epoch, consensusUs), schedule }
}

/** Behind a closed step. `sizeHint`: about how long it will be. */
export function writeState(state: EpochState, { output, sealing }: LogState, sizeHint: number): Uint8Array {
  const writer = new Writer(sizeHint)
  state.committer.write(writer)
  state.fair.write(writer)
  state.schedule.write(writer)
  output.write(writer)
  sealing.write(writer)
  return writer.take()
}

/** What `writeState` wrote, the log's part included; undefined: the bytes are something else. */
export function readState(
  bytes: Uint8Array,
  epoch: Epoch,
  domain: Domain,
  { output, sealing }: LogState,
): EpochState | undefined {
  const reader = new Reader(bytes)
  const { graph, committer } = Committer.read(reader, epoch, domain)
  const fair = new FairOrder(epoch, 0)
  fair.read(reader)
  const schedule = new CheckpointSchedule(epoch.constants)
  schedule.read(reader)
  output.read(reader)
  sealing.read(reader)
  return reader.end() ? { graph, committer, fair, schedule } : undefined
}

export function inChunks(bytes: Uint8Array, cryptography: Cryptography): Chunked {
  const chunks: Uint8Array[] = []
  for (let at = 0; at < bytes.length; at += chunkBytesMax) chunks.push(bytes.subarray(at, at + chunkBytesMax))
  const hashes = new Uint8Array(chunks.length * HASH_BYTES)
  for (const [i, chunk] of chunks.entries()) hashes.set(cryptography.sha256(chunk), i * HASH_BYTES)
  return { chunks, hashes, hash: cryptography.sha256(hashes) }
}
