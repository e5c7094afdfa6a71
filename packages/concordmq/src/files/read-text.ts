/** Reading the program's own small files: bounded, and with the reason in words when it fails. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { configurationError, errorCode, fileProblem } from '../command-error.ts'

/** More than any sensible users file (about 60,000 users); a wrong path to a log or a disk must not fill the memory. */
export const fileBytesMax = 16 * 1024 * 1024

export interface TextFile {
  readonly text: string
  /** Permission bits, for warnings about secrets that others can read. */
  readonly mode: number
}

/** The file's text, or undefined if there is no such file. */
export function readTextIfPresent(path: string): TextFile | undefined {
  let descriptor: number
  try {
    descriptor = openSync(path, 'r')
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw configurationError(`Cannot read ${path}: ${fileProblem(error)}`)
  }
  try {
    const { mode } = fstatSync(descriptor)
    const bytes = readAll(descriptor)
    if (bytes === undefined)
      throw configurationError(`Cannot read ${path}: it has more than ${fileBytesMax} bytes, the maximum`)
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes), mode: mode & 0o777 }
  } catch (error) {
    if (error instanceof TypeError) throw configurationError(`Cannot read ${path}: it is not UTF-8 text`)
    if (errorCode(error) !== undefined) throw configurationError(`Cannot read ${path}: ${fileProblem(error)}`)
    throw error
  } finally {
    closeSync(descriptor)
  }
}

/** All bytes, or undefined above the maximum. A device has no size to ask for and may never end, so reading is what counts. */
function readAll(descriptor: number): Uint8Array | undefined {
  const chunks: Buffer[] = []
  for (let total = 0; total <= fileBytesMax; ) {
    const chunk = Buffer.allocUnsafe(65_536)
    const length = readSync(descriptor, chunk)
    if (length === 0) return Buffer.concat(chunks)
    chunks.push(chunk.subarray(0, length))
    total += length
  }
  return undefined
}

/** The file's text; a missing file is a configuration error with the remedy given. */
export function readText(path: string, remedy?: string): TextFile {
  const file = readTextIfPresent(path)
  if (file === undefined) throw configurationError(`Cannot read ${path}: it does not exist`, remedy)
  return file
}
