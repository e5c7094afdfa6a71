/** Password records as the broker makes and checks them: Argon2id in PHC form (row F15). One place for the library's names. */
import { makePasswordRecord, parsePasswordRecord } from '@concordmq/broker'

/** A new record for a password. */
export function makeRecord(password: string): Promise<string> {
  return makePasswordRecord(password)
}

/** What is wrong with a record, or undefined. Does not repeat the record. */
export function recordProblem(record: string): string | undefined {
  const parsed = parsePasswordRecord(record)
  return 'problem' in parsed ? parsed.problem : undefined
}
