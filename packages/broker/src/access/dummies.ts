/**
 * What an unknown user's password is checked against, so that names cannot be found out by how long a refusal takes. Records of
 * one file may cost different amounts (those of Mosquitto next to Argon2id): each unknown name is given the cost of some
 * known one, always the same, so that unknown names look like known ones in that, too.
 */
import { createHash, randomBytes } from 'node:crypto'
import { dummyRecord, type PasswordRecord } from './password-record.ts'

/** Known records that unknown names are compared to; more would only cost memory. */
const samplesMax = 1_024

export class Dummies {
  readonly #records: readonly PasswordRecord[]
  readonly #key = randomBytes(16)

  constructor(known: Iterable<PasswordRecord>) {
    const records: PasswordRecord[] = []
    for (const record of known) {
      if (records.length === samplesMax) break
      records.push(dummyRecord(record))
    }
    this.#records = records.length === 0 ? [dummyRecord(undefined)] : records
  }

  /** No password fits it. */
  of(username: string): PasswordRecord {
    const number = createHash('sha256').update(this.#key).update(username).digest().readUInt32BE(0)
    return this.#records[number % this.#records.length] as PasswordRecord
  }
}
