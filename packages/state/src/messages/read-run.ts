/**
 * Runs of the log, and the single messages in them. Reading a run makes nothing for its messages: most of them were settled before
 * the process ended, and a few bytes of the log can stand for very many. Nothing in the log is believed.
 */
import { Reader } from '../encoding/reader.ts'
import { Writer } from '../encoding/writer.ts'
import { RecordKind } from '../records/kinds.ts'
import { type MessageHead, messageOfRun } from './message.ts'
import { readHead, writeMessage } from './message-codec.ts'

/** A run as the log has it. */
export interface ReadRun {
  readonly position: number
  /** Of its first message. */
  readonly index: number
  readonly timeUs: number
  readonly head: MessageHead
  readonly count: number
  /** Bytes of all payloads, and where each of them ends; one number: all are so long. */
  readonly bytes: Uint8Array
  readonly ends: Uint32Array | number
}

export function readBodyRun(key: Uint8Array, value: Uint8Array): ReadRun | { readonly malformed: string } {
  const keys = new Reader(key)
  const values = new Reader(value)
  if (keys.u8() !== RecordKind.message) keys.fail('run is none of messages')
  const position = keys.u53()
  const index = keys.u32()
  keys.end()
  const timeUs = values.u53()
  const head = readHead(values)
  const count = values.u32()
  const ends = readEnds(values, count)
  const bytes = values.bytes()
  values.end()
  const last = typeof ends === 'number' ? ends * count : ends.at(-1)
  if (last !== bytes.length) values.fail('payloads of a run are longer or shorter than their sizes')
  const problem = keys.problem ?? values.problem
  return problem === undefined ? { position, index, timeUs, head, count, bytes, ends } : { malformed: problem }
}

/** Payloads without a byte may be as many as a number says: only those that something refers to are made. */
function readEnds(reader: Reader, count: number): Uint32Array | number {
  if (reader.flag()) return reader.u32()
  if (count * 4 > reader.left) reader.fail('count is above what follows')
  if (reader.problem !== undefined) return 0
  const ends = new Uint32Array(count)
  let end = 0
  for (let i = 0; i < count; i++) {
    end += reader.u32()
    ends[i] = end
  }
  if (end > reader.left) reader.fail('payloads of a run are longer than what follows')
  return ends
}

/** Key and value of message `index` of those at the position of the run, as a record of its own has them; undefined: not there. */
export function recordOfRun(
  run: ReadRun,
  index: number,
): { readonly key: Uint8Array; readonly value: Uint8Array } | undefined {
  const i = index - run.index
  if (i < 0 || i >= run.count) return undefined
  const { ends, bytes } = run
  const start = typeof ends === 'number' ? i * ends : i === 0 ? 0 : (ends[i - 1] as number)
  const end = typeof ends === 'number' ? start + ends : (ends[i] as number)
  const key = new Writer()
  key.u8(RecordKind.message)
  key.u53(run.position)
  key.u32(index)
  const value = new Writer()
  value.u53(run.timeUs)
  writeMessage(value, messageOfRun(run.head, bytes.subarray(start, end)))
  return { key: key.take(), value: value.take() }
}
