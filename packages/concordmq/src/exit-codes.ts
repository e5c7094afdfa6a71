/**
 * Every exit status of the program, in one table, from which `docs/reference/exit-codes.md` is made. Numbers follow
 * sysexits.h where it has one, so that init systems and scripts need no translation.
 */

export const ExitCode = {
  done: 0,
  failed: 1,
  timedOut: 27,
  usage: 64,
  damaged: 65,
  unavailable: 69,
  internal: 70,
  cannotCreate: 73,
  inputOutput: 74,
  configuration: 78,
  interrupted: 130,
  terminated: 143,
} as const
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode]

/** `pub` and `sub` hand on the CONNACK's own code, as the stock clients do. */
const ofRefusedConnects = '1 to 5, 128 to 159'

/** What each status means to whoever started the program. */
export const exitCodeMeanings: Readonly<Record<ExitCode | typeof ofRefusedConnects, string>> = {
  [ExitCode.done]: 'Done as asked, or stopped gracefully by SIGTERM or SIGINT',
  [ExitCode.failed]: 'The command could not do what was asked, for example delete a user that does not exist',
  [ofRefusedConnects]: '`pub` and `sub`: the reason code of the CONNACK that refused the connection',
  [ExitCode.timedOut]: '`sub -W`: the time is over',
  [ExitCode.usage]: 'Bad usage: unknown command or flag, missing or malformed argument',
  [ExitCode.damaged]:
    '`data`: the data are damaged, or the stream to import is malformed; `verify`: the proof is not valid',
  [ExitCode.unavailable]:
    'An address or port is in use or cannot be bound; `ctl`: no node answers; `data`: a node has the data',
  [ExitCode.internal]: 'A defect in the program itself, or a graceful stop that took longer than its grace',
  [ExitCode.cannotCreate]: 'What would be written exists, and `--force` or `--replace` is not given',
  [ExitCode.inputOutput]: 'A file or directory cannot be written',
  [ExitCode.configuration]: 'A configuration file, key, certificate, address book or users file is refused',
  [ExitCode.interrupted]: 'Ended at once by SIGINT: a second one while stopping, or one at a prompt',
  [ExitCode.terminated]: 'Ended at once by a second SIGTERM while stopping',
}

/** The status of a process that a second signal ended at once: 128 plus the number of the signal. */
export function exitCodeOfSignal(signal: 'SIGINT' | 'SIGTERM'): ExitCode {
  return signal === 'SIGINT' ? ExitCode.interrupted : ExitCode.terminated
}
