/** Writes everything that an examination found, store and log as one, into a new store; edits of its survey included. */
import { Machine, writeRecordForm } from '@concordmq/state'
import { ConcordError } from '../../errors.ts'
import type { StoreFile } from '../store-file.ts'
import { type Examination, settings } from './examine-data.ts'

const CHUNK_KIND = 9

export async function foldData(found: Examination, into: StoreFile): Promise<void> {
  const { recovery, survey, records, chunks, reserved, report } = found
  for (const [key, value] of records) into.put(key, value)
  for (const chunk of chunks) {
    const content = survey.contents.get(chunk) ?? found.content(chunk)
    if (content.length > 0) into.putContent(chunk, 0, content)
  }
  for (const { key, value } of survey.edits.values()) {
    // A list of a chunk is known while the chunk is filled, and only the store has it later.
    if (key[0] === CHUNK_KIND && value !== undefined) into.put(key, value)
  }
  recovery.replace(survey.edits)
  const wanted = recovery.prepare()
  if ('malformed' in wanted) throw unrepaired(report.directory, wanted.malformed)
  for (const chunk of wanted) recovery.content(chunk, into.contentOf(chunk))
  const machine = Machine.recover(recovery, settings)
  if (!(machine instanceof Machine)) throw unrepaired(report.directory, machine.malformed)
  machine.takeDelta()
  await into.commit(machine.takeSave())
  const position = Math.max(machine.position, reserved)
  const { key, value } = writeRecordForm({ kind: 'clock', position, timeUs: machine.timeUs, index: 0 })
  into.put(key, value)
}

function unrepaired(directory: string, detail: string): ConcordError {
  return new ConcordError('CMQ_DATA_DAMAGED', `Cannot make the data in ${directory} whole: ${detail}`)
}
