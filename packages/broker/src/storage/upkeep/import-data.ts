/**
 * Takes the lines of an export into a data directory: into a new one, or beside what one has. All or nothing: the new state
 * is built and read back before it takes the place of the old.
 */
import { existsSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Machine, Recovery } from '@concordmq/state'
import { ConcordError } from '../../errors.ts'
import { logDirectory, repairMark, storeFile } from '../data-directory.ts'
import { segmentNumber } from '../log-format.ts'
import type { StoreFile } from '../store-file.ts'
import { type Examination, examineData, settings } from './examine-data.ts'
import { foldData } from './fold-data.ts'
import { type ImportCounts, Intake } from './intake.ts'
import { LineError } from './lines.ts'
import { replaceStore } from './replace-store.ts'

export interface ImportOptions {
  /**
   * Also into a directory that has data. A session or a retained message that both have is as the stream has it.
   * @default false
   */
  readonly merge?: boolean
}

export type { ImportCounts }

/** Longest line; the largest message in Base64 has room in it. */
const LINE_LENGTH_MAX = 400_000_000

/**
 * `chunks` is the text of the stream, cut anywhere, or its bytes. Rejects with `CMQ_DATA_STREAM` and the number of the line
 * that is wrong, `CMQ_DATA_PRESENT`, or another `CMQ_DATA_…` error; then nothing is changed.
 *
 * ```ts
 * await importData('/var/lib/concordmq', createReadStream('data.jsonl'))
 * ```
 */
export async function importData(
  directory: string,
  chunks: AsyncIterable<string | Uint8Array>,
  { merge = false }: ImportOptions = {},
): Promise<ImportCounts> {
  const had = existsSync(directory)
  const present = await hasData(directory)
  if (present && !merge) {
    throw new ConcordError('CMQ_DATA_PRESENT', `Cannot import into ${directory}: it has data already`)
  }
  const old = present ? await examineData(directory) : undefined
  try {
    if (old?.report.clean === false) {
      throw new ConcordError('CMQ_DATA_DAMAGED', `Cannot import into ${directory}: its own data are damaged`)
    }
    let counts: ImportCounts | undefined
    await replaceStore(directory, async (store) => {
      counts = await fill(store, old, chunks)
    })
    return counts as unknown as ImportCounts
  } catch (error) {
    // Only if it is empty.
    if (!had) await rm(directory, { recursive: true, force: true })
    throw error
  } finally {
    await old?.close()
  }
}

async function hasData(directory: string): Promise<boolean> {
  if (!existsSync(directory)) return false
  if (existsSync(join(directory, storeFile)) || existsSync(join(directory, repairMark))) return true
  const log = join(directory, logDirectory)
  return existsSync(log) && (await readdir(log)).some((name) => segmentNumber(name) !== undefined)
}

async function fill(
  store: StoreFile,
  old: Examination | undefined,
  chunks: AsyncIterable<string | Uint8Array>,
): Promise<ImportCounts> {
  if (old !== undefined) await foldData(old, store)
  const intake = new Intake(store, old?.report)
  let line = 0
  try {
    for await (const text of linesOf(chunks)) {
      line++
      intake.take(text)
    }
    line++
    intake.end()
  } catch (error) {
    if (!(error instanceof LineError)) throw error
    throw new ConcordError('CMQ_DATA_STREAM', `Cannot import line ${line}: ${error.message}`)
  }
  readBack(store)
  return intake.counts
}

/** The last word has what a start does. */
function readBack(store: StoreFile): void {
  const refused = (detail: string): ConcordError =>
    new ConcordError('CMQ_DATA_STREAM', `Cannot import the stream: a start would refuse it: ${detail}`)
  const recovery = new Recovery(settings)
  for (const [key, value] of store.rows()) recovery.record(key, value)
  const wanted = recovery.prepare()
  if ('malformed' in wanted) throw refused(wanted.malformed)
  for (const chunk of wanted) recovery.content(chunk, store.contentOf(chunk))
  const machine = Machine.recover(recovery, settings)
  if (!(machine instanceof Machine)) throw refused(machine.malformed)
}

async function* linesOf(chunks: AsyncIterable<string | Uint8Array>): AsyncGenerator<string, void, void> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  const textOf = (chunk?: string | Uint8Array): string => {
    try {
      return typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: chunk !== undefined })
    } catch {
      throw new LineError('it is no UTF-8')
    }
  }
  let pending: string[] = []
  let length = 0
  const take = function* (text: string): IterableIterator<string> {
    let from = 0
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', from)) {
      pending.push(text.slice(from, end))
      yield pending.length === 1 ? (pending[0] as string) : pending.join('')
      pending = []
      length = 0
      from = end + 1
    }
    if (from < text.length) pending.push(from === 0 ? text : text.slice(from))
    length += text.length - from
    if (length > LINE_LENGTH_MAX) throw new LineError(`it is longer than ${LINE_LENGTH_MAX} characters`)
  }
  for await (const chunk of chunks) yield* take(textOf(chunk))
  yield* take(textOf())
  if (pending.length > 0) yield pending.join('')
}
