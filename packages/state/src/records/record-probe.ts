/**
 * Whether records fit each other, told one after the other as they come: those of a session after it, and so on. Parts of
 * queues are not for it: they need messages. For whoever makes records from something else, such as an export.
 */
import { messageProblem } from '../commands/validity.ts'
import { Reader } from '../encoding/reader.ts'
import type { Message } from '../messages/message.ts'
import type { MachineSettings } from '../settings.ts'
import { State } from '../state.ts'
import { Restoring, readRecord } from './reading.ts'

export class RecordProbe {
  readonly #settings: MachineSettings
  readonly #restoring: Restoring

  constructor(settings: MachineSettings) {
    this.#settings = settings
    this.#restoring = new Restoring(new State({ ...settings, hashing: false, durable: false }))
  }

  /** What is wrong with the next record; undefined: nothing. */
  problem(key: Uint8Array, value: Uint8Array): string | undefined {
    const bytes = new Uint8Array(key.length + value.length)
    bytes.set(key)
    bytes.set(value, key.length)
    const reader = new Reader(bytes, 1)
    const record = readRecord(this.#restoring, key[0] ?? 0, reader)
    reader.end()
    return record === undefined ? (reader.problem ?? 'nothing was read') : reader.problem
  }

  messageProblem(message: Message): string | undefined {
    return messageProblem(message, this.#settings)
  }
}
