/**
 * Reads a data directory as a start would, and goes on where a start would stop. Changes nothing. The directory stays
 * locked until `close`.
 */
import { existsSync } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Machine, machineSettings, Recovery, Survey } from '@concordmq/state'
import { ConcordError, reasonOf } from '../../errors.ts'
import type { Files } from '../../model/files.ts'
import type { StoredRecord } from '../../model/store.ts'
import { clusterDirectory } from '../cluster-directory.ts'
import { logDirectory, repairMark, storeFile } from '../data-directory.ts'
import { readPayload } from '../disk-journal.ts'
import { nodeFiles } from '../files.ts'
import { segmentNumber } from '../log-format.ts'
import { type LogContents, readLog } from '../log-reader.ts'
import { StoreFile } from '../store-file.ts'
import type { DataProblem, DataReport } from './data-report.ts'
import { type ClusterPart, examineCluster, inCluster } from './examine-cluster.ts'
import { salvageContent, salvageRecords } from './salvage.ts'

/** Rules of the machine play no part in whether data are whole; its largest numbers stand for any broker's. */
export const settings = machineSettings({ hashing: false, durable: true, topicLevelsMax: 65_535 })
const PROBLEMS_SHOWN = 1000

export interface Examination {
  readonly report: DataReport
  /** Undefined: the data are those of a node alone. */
  readonly cluster: ClusterPart | undefined
  /** Problems of the state, those of a cluster's part aside. */
  readonly stateProblems: number
  readonly survey: Survey
  /** All records and groups that can be read; not prepared. */
  readonly recovery: Recovery
  readonly records: readonly StoredRecord[]
  readonly chunks: readonly number[]
  content(chunk: number): Uint8Array
  /** Positions up to this one may have been used. */
  readonly reserved: number
  close(): Promise<void>
}

/** Rejects with `CMQ_DATA_LOCKED`, `CMQ_DATA_FORMAT`, `CMQ_DATA_ABSENT` or `CMQ_DATA_UNUSABLE`. */
export async function examineData(directory: string): Promise<Examination> {
  const files = await filesOf(directory)
  const problems: DataProblem[] = []
  const inStore = (what: string, detail: string, loss: string): void => {
    problems.push({ file: storeFile, what, detail, loss })
  }
  if (existsSync(join(directory, repairMark))) {
    problems.push({ file: repairMark, what: 'a repair or import', detail: 'it was interrupted', loss: '' })
  }
  const store = openStore(directory, files.hasLog, inStore)
  try {
    const records = await readRecords(store, inStore)
    const log = await readLog(readOnlyFiles, join(directory, logDirectory))
    const { recovery, groups, reserved } = layGroups(records, log, problems)
    const survey = new Survey(settings)
    const content = (chunk: number): Uint8Array => (store === undefined ? NOTHING : salvageContent(store, chunk))
    const chunks = survey.begin(recovery.merged())
    for (const chunk of chunks) survey.content(chunk, content(chunk))
    survey.end()
    for (const finding of survey.findings) problems.push({ file: storeFile, ...finding })
    if (problems.length === 0) tryToStart(recovery, content, inStore)
    const cluster = await examineCluster(directory)
    const stateProblems = problems.length
    const all = cluster === undefined ? problems : [...inCluster(problems), ...cluster.problems]
    const report: DataReport = {
      directory,
      clean: all.length === 0,
      ...survey.counts,
      position: Math.max(survey.position, reserved),
      timeMs: Math.floor(survey.timeUs / 1000),
      bytes: files.bytes,
      logSegments: log.segments.length,
      logGroups: groups,
      tornBytes: log.damage === undefined ? log.tornBytes : 0,
      cluster: cluster?.report,
      problems: all.slice(0, PROBLEMS_SHOWN),
      problemsTotal: all.length,
      foreign: files.foreign,
    }
    const close = async (): Promise<void> => store?.close()
    return { report, cluster, stateProblems, survey, recovery, records, chunks, content, reserved, close }
  } catch (error) {
    await store?.close()
    throw error
  }
}

const NOTHING = new Uint8Array(0)

type Tell = (what: string, detail: string, loss: string) => void

/** Looks and makes nothing, where the broker's own would make the directory. */
const readOnlyFiles: Files = {
  ...nodeFiles,
  list: async (directory) => (existsSync(directory) ? await readdir(directory) : []),
  read: (path) => readFile(path),
}

function openStore(directory: string, hasLog: boolean, tell: Tell): StoreFile | undefined {
  const path = join(directory, storeFile)
  if (!existsSync(path)) {
    if (hasLog) tell('the state store', 'it is missing, and the log goes on from it', 'all that is not in the log')
    return undefined
  }
  try {
    return StoreFile.read(path)
  } catch (error) {
    if (!(error instanceof ConcordError) || error.code !== 'CMQ_DATA_DAMAGED') throw error
    tell('the state store', 'it is no database any more', 'all that is not in the log')
    return undefined
  }
}

async function readRecords(store: StoreFile | undefined, tell: Tell): Promise<readonly StoredRecord[]> {
  if (store === undefined) return []
  try {
    const [first, ...more] = await store.check()
    const rest = more.length === 0 ? '' : `, and ${more.length} more of the kind`
    if (first !== undefined)
      tell('the state store', `${first.replaceAll(/\s*\n\s*/g, ' ')}${rest}`, 'rows that cannot be read')
    return [...store.rows()]
  } catch (error) {
    tell('the state store', reasonOf(error), 'rows that cannot be read')
    return salvageRecords(store)
  }
}

/** Lays the groups of the log over the records, up to the first that is damaged. */
function layGroups(
  records: readonly StoredRecord[],
  log: LogContents,
  problems: DataProblem[],
): { readonly recovery: Recovery; readonly groups: number; readonly reserved: number } {
  const recovery = new Recovery(settings)
  for (const [key, value] of records) recovery.record(key, value)
  let reserved = 0
  let groups = 0
  const cut = 'this group of changes and all behind it'
  for (const group of log.groups) {
    const payload = readPayload(group)
    // Tried on an empty one first: a group counts whole or not at all.
    const problem = payload.delta === undefined ? undefined : new Recovery(settings).group(payload.delta)
    if (problem !== undefined) {
      const { file, offset } = log.places[groups] ?? { file: '', offset: 0 }
      problems.push({ file: join(logDirectory, file), offset, what: 'a group of changes', detail: problem, loss: cut })
      return { recovery, groups, reserved }
    }
    if (payload.delta !== undefined) recovery.group(payload.delta)
    reserved = Math.max(reserved, payload.reserved)
    groups++
  }
  if (log.damage !== undefined) {
    const { file, offset, detail } = log.damage
    problems.push({ file: join(logDirectory, file), offset, what: 'the log', detail, loss: cut })
  }
  return { recovery, groups, reserved }
}

/** The last word has what a start does. */
function tryToStart(recovery: Recovery, content: (chunk: number) => Uint8Array, tell: Tell): void {
  const wanted = recovery.prepare()
  if ('malformed' in wanted) return tell('the state', wanted.malformed, '')
  for (const chunk of wanted) recovery.content(chunk, content(chunk))
  const machine = Machine.recover(recovery, settings)
  if (!(machine instanceof Machine)) tell('the state', machine.malformed, '')
}

async function filesOf(
  directory: string,
): Promise<{ readonly hasLog: boolean; readonly bytes: number; readonly foreign: readonly string[] }> {
  const names = await readdir(directory).catch((error: unknown) => {
    throw new ConcordError('CMQ_DATA_ABSENT', `Cannot read ${directory}: ${reasonOf(error)}`, { cause: error })
  })
  const inLog = names.includes(logDirectory) ? await readdir(join(directory, logDirectory)).catch(() => []) : []
  const segments = inLog.filter((name) => segmentNumber(name) !== undefined)
  if (![storeFile, repairMark, clusterDirectory].some((name) => names.includes(name)) && segments.length === 0) {
    throw new ConcordError('CMQ_DATA_ABSENT', `There are no data of a broker in ${directory}`)
  }
  let bytes = 0
  for (const path of [...names.filter(isOurs), ...inLog.map((name) => join(logDirectory, name))]) {
    bytes += (await stat(join(directory, path)).catch(() => undefined))?.size ?? 0
  }
  const foreign = [
    ...names.filter((name) => !isOurs(name) && name !== logDirectory && name !== clusterDirectory),
    ...inLog
      .filter((name) => segmentNumber(name) === undefined && !/^spare-\d+$/.test(name))
      .map((name) => join(logDirectory, name)),
  ]
  return { hasLog: segments.length > 0, bytes, foreign }
}

function isOurs(name: string): boolean {
  return name.startsWith(storeFile) || name === repairMark
}
