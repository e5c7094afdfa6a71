/**
 * Makes a directory and those above it. Not `mkdir` with `recursive`: below `/proc`, where a directory says that it does not
 * exist when something is made in it, Node's never returns.
 */
import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Rejects with what the file system says: `ENOENT` where nothing can be made, `ENOTDIR`, `EACCES`, `EROFS`, … */
export async function makeDirectory(path: string, mode = 0o777): Promise<void> {
  try {
    await mkdir(path, mode)
    return
  } catch (error) {
    if (await isDirectory(path)) return
    const above = dirname(path)
    if (codeOf(error) !== 'ENOENT' || above === path) throw error
    await makeDirectory(above, mode)
  }
  await mkdir(path, mode).catch(async (error: unknown) => {
    // Another process may have been faster.
    if (!(await isDirectory(path))) throw error
  })
}

async function isDirectory(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
