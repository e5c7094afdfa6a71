/**
 * Puts a new state in the place of a directory's whole data, store and log, so that a kill at any moment leaves the old
 * data as they were or lets the next call finish:
 *
 *   state.sqlite.new is built and synced ─▶ mark ─▶ the old store's own log goes ─▶ renamed over the old store
 *                                             └────▶ log segments go, newest first ─▶ mark goes
 *
 * While the mark is there no broker starts (`openData`). Before it nothing that a broker reads has changed.
 */
import { existsSync } from 'node:fs'
import { open, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { logDirectory, newStore, repairMark, storeFile } from '../data-directory.ts'
import { nodeFiles } from '../files.ts'
import { makeDirectory } from '../make-directory.ts'
import { StoreFile } from '../store-file.ts'

/** `build` fills the new store; what it throws leaves everything as it was. The caller holds the lock of the old one. */
export async function replaceStore(directory: string, build: (store: StoreFile) => Promise<void>): Promise<void> {
  await makeDirectory(directory, 0o700)
  const path = join(directory, newStore)
  await removeStore(path)
  const store = StoreFile.write(path, { sync: false })
  try {
    store.begin()
    await build(store)
    store.finish()
    await store.close()
    await sync(path)
  } catch (error) {
    await store.close().catch(() => {})
    await removeStore(path)
    throw error
  }
  await writeFile(join(directory, repairMark), 'Run `concordmq data repair` on this directory.\n', { flush: true })
  await nodeFiles.syncDirectory(directory)
  await finishReplacing(directory)
}

/** Goes on with a replacement that was interrupted behind its mark; false: there is none. */
export async function finishReplacing(directory: string): Promise<boolean> {
  if (!existsSync(join(directory, repairMark))) return false
  const old = join(directory, storeFile)
  if (existsSync(join(directory, newStore))) {
    await rm(`${old}-wal`, { force: true })
    await rm(`${old}-shm`, { force: true })
    await rename(join(directory, newStore), old)
    await nodeFiles.syncDirectory(directory)
  }
  const log = join(directory, logDirectory)
  const names = existsSync(log) ? await readdir(log) : []
  // Newest first: what a cut has given up must not come back behind what is gone already.
  for (const name of names
    .filter((one) => /^(\d+\.log|spare-\d+)$/.test(one))
    .toSorted()
    .toReversed()) {
    await rm(join(log, name), { force: true })
  }
  if (names.length > 0) await nodeFiles.syncDirectory(log)
  await rm(join(directory, repairMark))
  await nodeFiles.syncDirectory(directory)
  return true
}

async function removeStore(path: string): Promise<void> {
  for (const end of ['', '-wal', '-shm']) await rm(`${path}${end}`, { force: true })
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r+')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
