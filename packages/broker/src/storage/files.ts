/** The file system of the machine, as the log uses it. */
import { constants } from 'node:fs'
import { open, readdir, readFile, rename, rm } from 'node:fs/promises'
import type { Files, LogFile } from '../model/files.ts'
import { makeDirectory } from './make-directory.ts'

/**
 * On Linux a file may be open so that each write is as if `fdatasync` followed: one way to the thread pool in place of two.
 * Elsewhere the flag is missing or promises less than `fdatasync` of Node does.
 */
const synced = process.platform === 'linux' ? { openSynced: (path: string) => openFile(path, constants.O_DSYNC) } : {}

export const nodeFiles: Files = {
  open: (path) => openFile(path, 0),
  ...synced,
  read: (path) => readFile(path),
  async readPart(path, position, bytes) {
    const handle = await open(path, constants.O_RDONLY)
    try {
      const part = Buffer.allocUnsafe(bytes)
      const { bytesRead } = await handle.read(part, 0, bytes, position)
      return part.subarray(0, bytesRead)
    } finally {
      await handle.close()
    }
  },
  async list(directory) {
    await makeDirectory(directory, 0o700)
    return await readdir(directory)
  },
  rename: (from, to) => rename(from, to),
  remove: (path) => rm(path, { force: true }),
  async syncDirectory(directory) {
    // Windows has no such thing, and needs none.
    if (process.platform === 'win32') return
    const handle = await open(directory, constants.O_RDONLY)
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  },
}

async function openFile(path: string, flags: number): Promise<LogFile> {
  const handle = await open(path, constants.O_RDWR | constants.O_CREAT | flags, 0o600)
  return {
    async write(bytes, position) {
      for (let done = 0; done < bytes.length; ) {
        const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done)
        // Never seen; a loop without end would be worse.
        if (bytesWritten === 0) throw Object.assign(new Error(`nothing was written to ${path}`), { code: 'EIO' })
        done += bytesWritten
      }
    },
    sync: () => handle.datasync(),
    close: () => handle.close(),
  }
}
