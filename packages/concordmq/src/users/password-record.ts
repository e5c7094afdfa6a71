/** Password records as the broker makes and checks them: Argon2id in PHC form (row F15). One place for the library's names. */
import {
  ConcordError,
  makePasswordRecord,
  makeScramRecord,
  parsePasswordRecord,
  parseScramRecord,
  type ScramMethod,
} from '@concordmq/broker'
import { CommandError } from '../command-error.ts'
import { ExitCode } from '../exit-codes.ts'

/** A new record for a password; one that no client could send is bad usage. */
export function makeRecord(password: string): Promise<string> {
  return orUsage(() => makePasswordRecord(password))
}

/** A SCRAM record of a password, for logins by AUTH. */
export function makeScram(password: string, method: ScramMethod): Promise<string> {
  return orUsage(() => makeScramRecord(password, { method }))
}

async function orUsage<T>(make: () => Promise<T>): Promise<T> {
  try {
    return await make()
  } catch (error) {
    if (error instanceof ConcordError) throw new CommandError(ExitCode.usage, error.message, { cause: error })
    throw error
  }
}

/** What is wrong with the SCRAM record of a method, or undefined. Does not repeat the record. */
export function scramProblem(record: string, method: ScramMethod): string | undefined {
  const parsed = parseScramRecord(record)
  if (typeof parsed === 'string') return parsed
  return parsed.method === method ? undefined : `it is a record of ${parsed.method}`
}

/** What is wrong with a record, or undefined. Does not repeat the record. */
export function recordProblem(record: string): string | undefined {
  const parsed = parsePasswordRecord(record)
  return typeof parsed === 'string' ? parsed : undefined
}
