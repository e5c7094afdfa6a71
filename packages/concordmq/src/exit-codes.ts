/**
 * Every exit status of the program, in one table; `docs/reference/exit-codes.md` is checked against it. Numbers follow
 * sysexits.h where it has one, so that init systems and scripts need no translation.
 */

export const ExitCode = {
  done: 0,
  failed: 1,
  usage: 64,
  unavailable: 69,
  internal: 70,
  cannotCreate: 73,
  inputOutput: 74,
  configuration: 78,
} as const
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode]

/** What each status means to whoever started the program. */
export const exitCodeMeanings: Readonly<Record<ExitCode, string>> = {
  [ExitCode.done]: 'Done as asked, or stopped gracefully by SIGTERM or SIGINT',
  [ExitCode.failed]: 'The command could not do what was asked, for example a user that does not exist',
  [ExitCode.usage]: 'Bad usage: unknown command or flag, missing or malformed argument',
  [ExitCode.unavailable]: 'An address or port is in use or cannot be bound',
  [ExitCode.internal]: 'A defect in the program itself',
  [ExitCode.cannotCreate]: 'An output file exists and `--force` or `--replace` is not given',
  [ExitCode.inputOutput]: 'A file or directory cannot be read or written',
  [ExitCode.configuration]: 'A configuration file, key, certificate, address book or users file is refused',
}

/** The status of a process that a second signal ended at once: 128 plus the number of the signal. */
export function exitCodeOfSignal(signal: 'SIGINT' | 'SIGTERM'): number {
  return signal === 'SIGINT' ? 130 : 143
}
