/**
 * One change of a file at a time: whoever reads, changes and writes it holds a lock file beside it meanwhile, so that two
 * commands at once do not lose each other's change. The work under the lock takes milliseconds; a lock of
 * ten seconds is what a killed process left behind, and is removed. Its age decides, not a process number, which would mean
 * nothing to a process in another container.
 */
import { closeSync, openSync, rmSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { CommandError, errorCode, fileProblem } from '../command-error.ts'
import { ExitCode } from '../exit-codes.ts'
import { makeDirectory } from './write-atomically.ts'

const staleMs = 10_000
const retryDelayMs = 20

/** Longer than that somebody should hear why nothing happens. */
const patienceMs = 500

/** Runs `change` while no other process is under the lock of the same file; `waits` is called once if that takes long. */
export async function withLock<T>(
  path: string,
  change: () => T | Promise<T>,
  waits: () => void = () => {},
): Promise<T> {
  const lock = join(dirname(path), `.${basename(path)}.lock`)
  for (let waitedMs = 0; !take(lock, path); waitedMs += retryDelayMs) {
    if (waitedMs === patienceMs) waits()
    await wait(retryDelayMs)
  }
  try {
    return await change()
  } finally {
    rmSync(lock, { force: true })
  }
}

function take(lock: string, path: string): boolean {
  try {
    // The first of several commands may be the one that makes the directory.
    makeDirectory(dirname(lock))
    closeSync(openSync(lock, 'wx', 0o600))
    return true
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') {
      throw new CommandError(ExitCode.inputOutput, `Cannot write ${path}: ${fileProblem(error)}`, { cause: error })
    }
  }
  const left = statSync(lock, { throwIfNoEntry: false })
  if (left !== undefined && Date.now() - left.mtimeMs > staleMs) rmSync(lock, { force: true })
  return false
}
