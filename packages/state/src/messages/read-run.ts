/** A run of the log as the single messages that it stands for. Nothing in it is believed. */
import { Reader } from '../encoding/reader.ts'
import { Writer } from '../encoding/writer.ts'
import { RecordKind } from '../records/kinds.ts'
import { messageOfRun } from './message.ts'
import { readHead, writeMessage } from './message-codec.ts'

/** Where a payload begins and ends. */
const SPAN_BYTES = 8

/** Calls `visit` with key and value of each message, as a record of its own has them. What is wrong, or undefined. */
export function eachOfRun(
  key: Uint8Array,
  value: Uint8Array,
  visit: (key: Uint8Array, value: Uint8Array) => void,
): string | undefined {
  const keys = new Reader(key)
  const values = new Reader(value)
  if (keys.u8() !== RecordKind.message) keys.fail('run is none of messages')
  const position = keys.u53()
  const index = keys.u32()
  keys.end()
  const timeUs = values.u53()
  const head = readHead(values)
  const spans: (readonly [start: number, end: number])[] = []
  for (let left = values.count(SPAN_BYTES); left > 0; left--) spans.push([values.u32(), values.u32()])
  const bytes = values.bytes()
  values.end()
  if (spans.some(([start, end]) => start > end || end > bytes.length)) values.fail('payload of a run is not in it')
  const problem = keys.problem ?? values.problem
  if (problem !== undefined) return problem
  for (const [i, [start, end]] of spans.entries()) {
    const one = new Writer()
    one.u8(RecordKind.message)
    one.u53(position)
    one.u32(index + i)
    const form = new Writer()
    form.u53(timeUs)
    writeMessage(form, messageOfRun(head, bytes.subarray(start, end)))
    visit(one.take(), form.take())
  }
  return undefined
}
