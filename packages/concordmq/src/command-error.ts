/**
 * The one error a command throws at the person who started it: what is wrong, which rule it breaks, what to do. `main()`
 * prints it without a stack trace and ends with its status. Anything else that reaches `main()` is a defect.
 */
import { ExitCode } from './exit-codes.ts'

export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly exitCode: number
  /** What to do about it, in one or more lines; printed below the message. */
  readonly remedy: string | undefined

  constructor(exitCode: number, message: string, options: { readonly remedy?: string; readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.exitCode = exitCode
    this.remedy = options.remedy
  }
}

/** A file, key or setting is not what it must be (78). */
export function configurationError(message: string, remedy?: string): CommandError {
  return new CommandError(ExitCode.configuration, message, remedy === undefined ? {} : { remedy })
}

/** Several problems of one configuration, reported together. */
export function configurationErrors(what: string, problems: readonly string[]): CommandError {
  const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`
  return configurationError(`${what}: ${count}\n${problems.map((problem) => `  - ${problem}`).join('\n')}`)
}

/** A circumstance of the file system, in words: `ENOENT` means nothing to most people. */
export function fileProblem(error: unknown): string {
  const code = errorCode(error)
  switch (code) {
    case 'ENOENT':
      return 'it does not exist'
    case 'EACCES':
    case 'EPERM':
      return 'permission is denied'
    case 'EISDIR':
      return 'it is a directory'
    case 'ENOTDIR':
      return 'a part of its path is not a directory'
    case 'ENOSPC':
      return 'the disk is full'
    case 'EROFS':
      return 'the file system is read-only'
    default:
      return code ?? (error instanceof Error ? error.message : String(error))
  }
}

/** The `code` of a system or ConcordMQ error, if it has one. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}
