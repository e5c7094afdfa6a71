/** The program as a library: `main()` with its arguments, and the meaning of its exit status. */
export { CommandError } from './command-error.ts'
export { ExitCode, exitCodeMeanings } from './exit-codes.ts'
export { main } from './main.ts'
