/**
 * A stream of applied commands, to be replayed in a fresh machine:
 *
 *   record = length u32 │ position u64 │ time u64, microseconds │ command      length counts all behind itself
 *
 * There is no header: streams can be joined, and a stream that was cut is good up to the last whole record.
 */
import { Reader } from '../encoding/reader.ts'
import { Writer } from '../encoding/writer.ts'
import { decodeCommand, encodeCommand } from './codec.ts'
import type { Command } from './commands.ts'

export interface CommandRecord {
  readonly position: number
  readonly timeUs: number
  readonly command: Command
}

const PLACE_BYTES = 16

export function encodeRecord({ position, timeUs, command }: CommandRecord): Uint8Array {
  const bytes = encodeCommand(command)
  const writer = new Writer()
  writer.u32(PLACE_BYTES + bytes.length)
  writer.u53(position)
  writer.u53(timeUs)
  writer.raw(bytes)
  return writer.take()
}

/** All whole records, and what is wrong behind them, if anything is. */
export function decodeRecords(bytes: Uint8Array): {
  readonly records: readonly CommandRecord[]
  readonly problem?: string
} {
  const records: CommandRecord[] = []
  const reader = new Reader(bytes)
  while (reader.left > 0) {
    const record = new Reader(reader.raw(reader.u32()))
    const position = record.u53()
    const timeUs = record.u53()
    const command = decodeCommand(record.raw(record.left))
    const problem = reader.problem ?? record.problem ?? ('malformed' in command ? command.malformed : undefined)
    if (problem !== undefined) return { records, problem: `record ${records.length}: ${problem}` }
    records.push({ position, timeUs, command: command as Command })
  }
  return { records }
}
