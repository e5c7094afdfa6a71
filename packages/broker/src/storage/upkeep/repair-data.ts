/**
 * Makes damaged data whole by giving up exactly what is damaged. A copy of the directory is made first.
 */
import { existsSync } from 'node:fs'
import { cp, readdir, rename, rm, stat, statfs } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { ConcordError, reasonOf } from '../../errors.ts'
import { nodeFiles } from '../files.ts'
import { makeDirectory } from '../make-directory.ts'
import type { DataReport } from './data-report.ts'
import { repairCluster } from './examine-cluster.ts'
import { type Examination, examineData } from './examine-data.ts'
import { foldData } from './fold-data.ts'
import { finishReplacing, replaceStore } from './replace-store.ts'

export interface RepairOptions {
  /** Where the copy goes; must not exist. Beside the directory, with the time in its name, if it is not given. */
  readonly backup?: string
  /** Asked before anything is done, with what will be given up; false: nothing is done. */
  readonly confirm?: (report: DataReport, backup: string) => boolean | Promise<boolean>
}

export interface RepairResult {
  /** What was found. `clean`: there was nothing to repair. */
  readonly report: DataReport
  /** The copy; undefined: nothing was done. */
  readonly backup: string | undefined
}

/** Rejects with a `CMQ_DATA_…` error, and then the data are as they were. */
export async function repairData(directory: string, options: RepairOptions = {}): Promise<RepairResult> {
  const before = await fingerprint(directory)
  const first = await examineData(directory)
  await first.close()
  const { report } = first
  if (report.clean) return { report, backup: undefined }
  const backup = options.backup ?? `${resolve(directory)}.before-repair-${stampOf(new Date())}`
  if (options.confirm !== undefined && !(await options.confirm(report, backup))) return { report, backup: undefined }
  await copyData(directory, backup, report.bytes)
  // Opened anew: reading a file for the copy lets go of every lock that this process has on it.
  const found = await examineData(directory)
  try {
    if ((await fingerprint(directory)) !== before) {
      throw new ConcordError('CMQ_DATA_LOCKED', `Cannot repair ${directory}: it changed meanwhile`)
    }
    if (found.cluster === undefined) await repair(directory, found)
    else await repairCluster(directory, found.cluster, found)
    return { report, backup }
  } finally {
    await found.close()
  }
}

async function repair(directory: string, found: Examination): Promise<void> {
  // A replacement behind its mark is whole; what it leaves is looked at anew.
  if (await finishReplacing(directory)) {
    const left = await examineData(directory)
    try {
      if (!left.report.clean) await replaceStore(directory, (store) => foldData(left, store))
    } finally {
      await left.close()
    }
    return
  }
  await replaceStore(directory, (store) => foldData(found, store))
}

async function copyData(directory: string, backup: string, bytes: number): Promise<void> {
  const parent = dirname(resolve(backup))
  const unusable = (detail: string): ConcordError =>
    new ConcordError('CMQ_DATA_UNUSABLE', `Cannot copy ${directory} to ${backup}: ${detail}`)
  if (existsSync(backup)) throw unusable('it exists')
  if (resolve(backup).startsWith(`${resolve(directory)}/`)) throw unusable('it lies in the directory itself')
  const partial = `${backup}.partial`
  try {
    await makeDirectory(parent)
    const { bavail, bsize } = await statfs(parent)
    if (bavail * bsize < 2 * bytes) throw unusable(`${2 * bytes} bytes are needed, ${bavail * bsize} are free`)
    await rm(partial, { recursive: true, force: true })
    await cp(directory, partial, { recursive: true, preserveTimestamps: true })
    await rename(partial, backup)
    await nodeFiles.syncDirectory(parent)
  } catch (error) {
    await rm(partial, { recursive: true, force: true }).catch(() => {})
    throw error instanceof ConcordError ? error : unusable(reasonOf(error))
  }
}

/** Sizes and times of all files but the one that reading the database makes. */
async function fingerprint(directory: string): Promise<string> {
  const names = await readdir(directory, { recursive: true }).catch(() => [])
  const lines = []
  for (const name of names) {
    const found = await stat(join(directory, name)).catch(() => undefined)
    if (found?.isFile() === true && !name.endsWith('-shm')) lines.push(`${name} ${found.size} ${found.mtimeMs}`)
  }
  return lines.toSorted((a, b) => (a < b ? -1 : 1)).join('\n')
}

function stampOf(date: Date): string {
  return date.toISOString().replaceAll(/[-:]|\.\d+/g, '')
}
