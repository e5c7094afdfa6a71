/**
 * Entry of the program: builds the command tree, runs the command that was asked for, and turns whatever went wrong into
 * words on standard error and an exit status (`exit-codes.ts`). A person sees no stack trace; `NODE_DEBUG=concordmq` shows
 * it to whoever looks for a defect.
 */
import { debuglog } from 'node:util'
import { CommanderError } from 'commander'
import { CommandError, errorCode, fileProblem } from './command-error.ts'
import { ExitCode } from './exit-codes.ts'
import { buildProgram } from './program.ts'

const debug = debuglog('concordmq')

/**
 * Runs the program with the arguments after its own name and resolves with its exit status, after everything it started
 * has ended. A command may also leave its status in `process.exitCode`.
 *
 * ```ts
 * process.exitCode = await main(['user', 'list', '-O', 'concordmq.d/users.toml'])
 * ```
 */
export async function main(argv: readonly string[]): Promise<number> {
  watchOutput()
  try {
    await buildProgram().parseAsync([...argv], { from: 'user' })
    return Number(process.exitCode ?? ExitCode.done)
  } catch (error) {
    return report(error)
  }
}

/**
 * Output that cannot be written. A reader that has seen enough (`| head`) is no error; a full disk is one. A command that
 * goes on without its output listens for itself. Nothing can be said where standard error fails.
 */
function watchOutput(): void {
  process.stderr.on('error', () => {})
  process.stdout.on('error', (error) => {
    if (process.stdout.listenerCount('error') > 1) return
    if (errorCode(error) === 'EPIPE') process.exit(ExitCode.done)
    process.stderr.write(`concordmq: Cannot write to standard output: ${fileProblem(error)}\n`)
    process.exit(ExitCode.inputOutput)
  })
}

function report(error: unknown): number {
  if (error instanceof CommanderError) {
    // Commander has printed its message or the help; help and version that were asked for are no error.
    return error.exitCode === 0 ? ExitCode.done : ExitCode.usage
  }
  debug('%O', error)
  if (error instanceof CommandError) {
    process.stderr.write(`concordmq: ${error.message}\n${error.remedy === undefined ? '' : `${error.remedy}\n`}`)
    return error.exitCode
  }
  const message = error instanceof Error ? error.message : String(error)
  process.stderr.write(`concordmq: internal error: ${message}\nThis is a defect; NODE_DEBUG=concordmq shows where\n`)
  return ExitCode.internal
}
