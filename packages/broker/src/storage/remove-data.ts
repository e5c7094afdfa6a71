/**
 * Empties a data directory: what `data-directory.ts` makes, and nothing else that may lie there. The lock is taken first, so
 * the data of a running broker cannot be taken away; damaged data can.
 */
import { existsSync } from 'node:fs'
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ConcordError } from '../errors.ts'
import { logDirectory, newStore, repairMark, storeFile } from './data-directory.ts'
import { SqliteStore } from './sqlite-store.ts'

export interface DataFile {
  readonly path: string
  readonly bytes: number
}

/** SQLite keeps two files beside its own while it is open, and after a kill; a repair may have left two. */
const storeFiles = [storeFile, `${storeFile}-wal`, `${storeFile}-shm`, newStore, repairMark]

/** The files of a data directory; empty if there is none. */
export async function dataFiles(directory: string): Promise<readonly DataFile[]> {
  const log = join(directory, logDirectory)
  const segments = existsSync(log) ? (await readdir(log)).filter((name) => /^\d{8,}\.log$/.test(name)) : []
  const paths = [...segments.sort().map((name) => join(log, name)), ...storeFiles.map((name) => join(directory, name))]
  const files: DataFile[] = []
  for (const path of paths) {
    const found = await stat(path).catch(() => undefined)
    if (found?.isFile() === true) files.push({ path, bytes: found.size })
  }
  return files
}

/**
 * Deletes them, and returns what was deleted. Rejects with `CMQ_DATA_LOCKED` while a broker has them open, and with
 * `CMQ_DATA_FORMAT` for what another program or a newer version wrote; then nothing is deleted.
 */
export async function removeData(directory: string): Promise<readonly DataFile[]> {
  const lock = existsSync(join(directory, storeFile)) ? await takeLock(join(directory, storeFile)) : undefined
  const files = await dataFiles(directory)
  try {
    // The state goes first: a log without its state is refused, a state without its log would pass for complete.
    await removeOpen(join(directory, storeFile))
    const log = join(directory, logDirectory)
    for (const { path } of files) if (path.startsWith(log)) await rm(path, { force: true })
  } finally {
    await lock?.close().catch(() => {})
  }
  for (const name of storeFiles) await rm(join(directory, name), { force: true })
  return files
}

/** Where the system lets go of an open file, no other broker can open it in the moment between closing and deleting. */
async function removeOpen(path: string): Promise<void> {
  try {
    await rm(path, { force: true })
  } catch {
    // It is deleted when it is closed.
  }
}

async function takeLock(path: string): Promise<SqliteStore | undefined> {
  try {
    return await SqliteStore.open(path, { sync: false })
  } catch (error) {
    if (error instanceof ConcordError && error.code === 'CMQ_DATA_DAMAGED') return undefined
    throw error
  }
}
