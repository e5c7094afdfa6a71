/** Password records as the broker makes and checks them: Argon2id in PHC form (row F15). One place for the library's names. */
import { ConcordError, makePasswordRecord, parsePasswordRecord } from '@concordmq/broker'
import { CommandError } from '../command-error.ts'
import { ExitCode } from '../exit-codes.ts'

/** A new record for a password; one that no client could send is bad usage. */
export async function makeRecord(password: string): Promise<string> {
  try {
    return await makePasswordRecord(password)
  } catch (error) {
    if (error instanceof ConcordError) throw new CommandError(ExitCode.usage, error.message, { cause: error })
    throw error
  }
}

/** What is wrong with a record, or undefined. Does not repeat the record. */
export function recordProblem(record: string): string | undefined {
  const parsed = parsePasswordRecord(record)
  return typeof parsed === 'string' ? parsed : undefined
}
