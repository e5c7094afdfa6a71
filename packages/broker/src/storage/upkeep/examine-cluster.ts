/**
 * What a node of a cluster has beside its state: whose it is, and its consensus log. Read as a start would; what it says about the
 * state of the cluster is for the engine to judge.
 *
 * A repair gives such a node no half of a state: that would be another state than the others have. It gives up all of it, or the
 * consensus log, and the node takes over from the others what it lacks, which takes four nodes.
 */
import { existsSync } from 'node:fs'
import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ConcordError, reasonOf } from '../../errors.ts'
import {
  type ClusterOwner,
  clusterDirectory,
  consensusDirectory,
  ownerFile,
  parseOwner,
  proofsDirectory,
} from '../cluster-directory.ts'
import { logDirectory, storeFile } from '../data-directory.ts'
import { nodeFiles } from '../files.ts'
import { readLog } from '../log-reader.ts'
import type { ClusterReport, DataProblem } from './data-report.ts'

/** Nodes that can make up for what one of them lost. */
const NODES_MIN = 4
/** Of a record of the consensus log: kind u8, mark u64, length u32. */
const RECORD_HEAD_BYTES = 13

export interface ClusterPart {
  readonly report: ClusterReport
  readonly problems: readonly DataProblem[]
  /** Whether other nodes can give back what a repair gives up. */
  readonly replaceable: boolean
}

/** Undefined: the directory is that of a node alone. Rejects with `CMQ_DATA_FORMAT` when a newer version wrote it. */
export async function examineCluster(directory: string): Promise<ClusterPart | undefined> {
  const place = join(directory, clusterDirectory)
  if (!existsSync(place)) return undefined
  const problems: DataProblem[] = []
  const owner = await readOwner(join(place, ownerFile), problems)
  const path = join(place, consensusDirectory)
  const list = async (from: string): Promise<string[]> => (existsSync(from) ? await readdir(from) : [])
  const log = await readLog({ ...nodeFiles, list, read: (file) => readFile(file) }, path)
  const nodes = owner?.nodes ?? NODES_MIN
  const replaceable = nodes >= NODES_MIN
  const loss = `what this node remembers of its blocks: it asks the others for it`
  const inLog = (file: string, offset: number, detail: string): void => {
    problems.push({
      file: join(clusterDirectory, consensusDirectory, file),
      offset,
      what: 'the consensus log',
      detail,
      loss,
    })
  }
  let records = 0
  for (const [i, group] of log.groups.entries()) {
    const count = recordsIn(group)
    const { file, offset } = log.places[i] ?? { file: '', offset: 0 }
    if (count === undefined) inLog(file, offset, 'a group of records does not end where it should')
    else records += count
  }
  if (log.damage !== undefined) inLog(log.damage.file, log.damage.offset, log.damage.detail)
  // With more nodes the others tell what was in it, and alone nobody else has to be agreed with.
  if (owner?.used === true && log.groups.length === 0 && log.damage === undefined && !replaceable && nodes > 1)
    inLog('', 0, 'it is empty, and was not: it is lost')
  return {
    report: {
      network: owner?.network ?? '',
      genesis: owner?.genesis ?? '',
      key: owner?.key ?? '',
      segments: log.segments.length,
      records,
      tornBytes: log.damage === undefined ? log.tornBytes : 0,
      bytes: (await sizeOf(path)) + (await sizeOf(join(place, proofsDirectory))),
    },
    problems,
    replaceable,
  }
}

/** Problems of the state as they are for a node of a cluster: nothing of it is kept that is not whole. */
export function inCluster(problems: readonly DataProblem[]): DataProblem[] {
  const loss = 'all of the state here: this node takes over that of the others'
  return problems.map((problem) => ({ ...problem, loss }))
}

/** Gives up what is damaged. Rejects with `CMQ_DATA_DAMAGED` where nobody could make up for it. */
export async function repairCluster(
  directory: string,
  { problems, replaceable }: ClusterPart,
  { stateProblems }: { readonly stateProblems: number },
): Promise<void> {
  const refuse = (why: string): ConcordError =>
    new ConcordError('CMQ_DATA_DAMAGED', `Cannot repair ${directory}: ${why}`)
  if (problems.some(({ file }) => file === join(clusterDirectory, ownerFile))) {
    throw refuse(
      `${ownerFile} does not say whose it is, and a node that forgets which blocks it made must not go on: replace it by a new node`,
    )
  }
  if (!replaceable) throw refuse('in a cluster of fewer than four nodes the others cannot give back what is lost')
  if (problems.length > 0)
    await rm(join(directory, clusterDirectory, consensusDirectory), { recursive: true, force: true })
  if (stateProblems === 0) return
  for (const name of await readdir(directory)) {
    if (name.startsWith(storeFile) || name === logDirectory)
      await rm(join(directory, name), { recursive: true, force: true })
  }
}

async function readOwner(path: string, problems: DataProblem[]): Promise<ClusterOwner | undefined> {
  try {
    return parseOwner(await readFile(path), path)
  } catch (error) {
    if (error instanceof ConcordError && error.code === 'CMQ_DATA_FORMAT') throw error
    const file = join(clusterDirectory, ownerFile)
    problems.push({
      file,
      what: 'whose directory this is',
      detail: reasonOf(error),
      loss: 'the node itself: make a new one',
    })
    return undefined
  }
}

/** How many records a group has; undefined: its last one is cut. */
function recordsIn(group: Uint8Array): number | undefined {
  const view = Buffer.from(group.buffer, group.byteOffset, group.length)
  let count = 0
  let at = 0
  for (; at + RECORD_HEAD_BYTES <= view.length; count++) at += RECORD_HEAD_BYTES + view.readUInt32BE(at + 9)
  return at === view.length ? count : undefined
}

async function sizeOf(directory: string): Promise<number> {
  let bytes = 0
  for (const name of await readdir(directory).catch(() => [])) {
    bytes += (await stat(join(directory, name)).catch(() => undefined))?.size ?? 0
  }
  return bytes
}
