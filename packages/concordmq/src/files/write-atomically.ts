/**
 * Files appear whole or not at all: written beside their place under a temporary name, synced, then renamed. A set of
 * files is written in two passes, so that a full disk or a missing permission is found before anything is replaced.
 */
import { randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { CommandError, fileProblem } from '../command-error.ts'
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
      mkdirSync(dirname(file.path), { recursive: true })
      const temporary = join(dirname(file.path), `.${basename(file.path)}.${randomBytes(6).toString('hex')}.tmp`)
      written.push({ temporary, path: file.path })
      writeSynced(temporary, file)
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

function writeSynced(path: string, { text, mode }: NewFile): void {
  // 'wx' never follows a link or overwrites what someone else put there.
  const descriptor = openSync(path, 'wx', mode)
  try {
    writeFileSync(descriptor, text)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
