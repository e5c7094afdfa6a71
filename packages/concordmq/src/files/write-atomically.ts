/**
 * Files appear whole or not at all: written beside their place under a temporary name, synced, then renamed. A set of
 * files is written in two passes, so that a full disk or a missing permission is found before anything is replaced.
 */
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  fchownSync,
  fsyncSync,
  mkdirSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { CommandError, errorCode, fileProblem } from '../command-error.ts'
import { ExitCode } from '../exit-codes.ts'

export interface NewFile {
  readonly path: string
  readonly text: string
  /** Permission bits: 0o600 for anything secret, 0o644 for what others may read. */
  readonly mode: number
}

/** Writes all files, making their directories; on a failure none of them is changed, unless a rename itself fails. */
export function writeAtomically(files: readonly NewFile[], progress: (done: number) => void = () => {}): void {
  const written: { readonly temporary: string; readonly path: string }[] = []
  let current = ''
  try {
    for (const file of files) {
      current = file.path
      makeDirectory(dirname(file.path))
      const existing = statSync(file.path, { throwIfNoEntry: false })
      // Found here rather than by the rename, when other files may have been replaced.
      if (existing?.isDirectory()) throw Object.assign(new Error('is a directory'), { code: 'EISDIR' })
      // A link stays a link: what it leads to is replaced.
      const path = existing === undefined ? file.path : realpathSync(file.path)
      const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`)
      written.push({ temporary, path })
      writeSynced(temporary, file, existing)
      progress(written.length)
    }
    for (const { temporary, path } of written) {
      current = path
      renameSync(temporary, path)
    }
  } catch (error) {
    for (const { temporary } of written) rmSync(temporary, { force: true })
    throw new CommandError(ExitCode.inputOutput, `Cannot write ${current}: ${fileProblem(error)}`, { cause: error })
  }
}

/** `mkdir -p`. The one of Node never returns where a directory cannot be made and the system says ENOENT, as below /proc. */
export function makeDirectory(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return
  const parent = dirname(path)
  if (parent !== path) makeDirectory(parent)
  try {
    mkdirSync(path)
  } catch (error) {
    // Somebody else made it meanwhile.
    if (errorCode(error) !== 'EEXIST' || !statSync(path).isDirectory()) throw error
  }
}

function writeSynced(path: string, { text, mode }: NewFile, existing: Stats | undefined): void {
  // 'wx' never follows a link or overwrites what someone else put there.
  const descriptor = openSync(path, 'wx', mode)
  try {
    // `sudo concordmq user add` must not take the file away from the user the broker runs as.
    if (existing !== undefined && process.getuid?.() === 0) fchownSync(descriptor, existing.uid, existing.gid)
    writeFileSync(descriptor, text)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
