/**
 * What lies in the data directory of a node of a cluster beside its state, and whose it is:
 *
 *   <directory>/cluster/cluster.json   format, network, first epoch, key; and for `os` durability the boot of the machine that wrote it
 *   <directory>/cluster/consensus/     the engine's write-ahead log, in segments
 *   <directory>/cluster/proofs/        the log for proofs; may be lost
 */
import { ConcordError, reasonOf } from '../errors.ts'

export const clusterDirectory = 'cluster'
export const ownerFile = 'cluster.json'
export const consensusDirectory = 'consensus'
export const proofsDirectory = 'proofs'
/** Newest format of the consensus log that this version reads. */
export const clusterFormat = 1

export interface ClusterOwner {
  readonly format: number
  readonly network: string
  /** Hash of the network's first epoch, in hexadecimal. */
  readonly genesis: string
  /** Name of the node's key. */
  readonly key: string
  /** How many nodes the network began with; undefined: an older version wrote it. */
  readonly nodes?: number
  /** Something was written to the log: should it be empty later, it was lost. */
  readonly used: boolean
  /** Undefined: what is written is on the disk. */
  readonly boot?: string | undefined
}

/** Throws `CMQ_DATA_DAMAGED` when the bytes do not say whose the directory is, and `CMQ_DATA_FORMAT` when a newer version wrote them. */
export function parseOwner(bytes: Uint8Array, path: string): ClusterOwner {
  let owner: Partial<ClusterOwner>
  try {
    owner = JSON.parse(Buffer.from(bytes).toString('utf8')) as Partial<ClusterOwner>
  } catch (error) {
    throw new ConcordError('CMQ_DATA_DAMAGED', `Cannot read ${path}: ${reasonOf(error)}`, { cause: error })
  }
  const { format, network, genesis, key } = owner ?? {}
  const isWhole = [network, genesis, key].every((text) => typeof text === 'string') && typeof format === 'number'
  if (!isWhole)
    throw new ConcordError('CMQ_DATA_DAMAGED', `Cannot read ${path}: it does not say whose directory this is`)
  if (format > clusterFormat) {
    throw new ConcordError(
      'CMQ_DATA_FORMAT',
      `Cannot use ${path}: its consensus log has format ${format}, this version knows up to ${clusterFormat}`,
    )
  }
  return owner as ClusterOwner
}
