/**
 * A broker's data on disk: opened, read, and ready to be written.
 *
 *   <directory>/state.sqlite      the state as of the last save, and the lock
 *   <directory>/log/00000001.log  what changed since
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Machine, type MachineSettings, Recovery } from '@concordmq/state'
import { ConcordError, reasonOf } from '../errors.ts'
import type { CommandLog } from '../model/command-log.ts'
import type { Files } from '../model/files.ts'
import type { Store } from '../model/store.ts'
import type { Logger } from '../telemetry/logger.ts'
import { DiskJournal, readPayload } from './disk-journal.ts'
import { type LogContents, readLog } from './log-reader.ts'
import { makeDirectory } from './make-directory.ts'
import { SegmentLog } from './segment-log.ts'
import { SqliteStore } from './sqlite-store.ts'

export interface DataOptions {
  /** Undefined: `store` alone, without a log before it. */
  readonly directory: string | undefined
  /** Whether an answer waits until the disk has what it promises, or only the operating system (`os`). */
  readonly durability: 'fsync' | 'os'
  readonly settings: MachineSettings
  readonly logger: Logger
  readonly observer: CommandLog | undefined
  readonly files: Files
  /** Another store in the place of SQLite. */
  readonly store: Store | undefined
}

export interface Data {
  readonly machine: Machine
  readonly journal: DiskJournal
  /** Positions up to this one may have been used. */
  readonly position: number
}

export const logDirectory = 'log'
export const storeFile = 'state.sqlite'
/** There while the data are being replaced by others (`upkeep/replace-store.ts`). */
export const repairMark = 'unfinished'
/** What will take the place of the store. */
export const newStore = `${storeFile}.new`
const SEGMENT_BYTES = 64 * 1024 * 1024
/**
 * Segments that are left as they are at a start. More of them come from a broker that was killed again and again before its
 * first save: then the state is saved before anybody is served, or each start would read more than the one before.
 */
export const SEGMENTS_RECOVERED_MAX = 3

/** Opens the directory; rejects with a `CMQ_DATA_…` error, and then nothing is open and nothing has changed. */
export async function openData(options: DataOptions): Promise<Data> {
  const { directory, files, durability, logger } = options
  if (directory !== undefined && existsSync(join(directory, repairMark))) {
    throw new ConcordError('CMQ_DATA_DAMAGED', `Cannot use ${directory}: a repair or import of it was interrupted`)
  }
  const sync = durability === 'fsync'
  const store = options.store ?? (await openStore(directory ?? '', sync))
  try {
    if (directory === undefined) return await openWithoutLog(store, options)
    const log = await readLog(files, join(directory, logDirectory))
    const { machine, reserved } = await recover(store, log, options)
    for (const name of log.stillborn) await files.remove(join(directory, logDirectory, name))
    if (log.tornBytes > 0) {
      logger.info(
        { event: 'log.torn', bytes: log.tornBytes },
        'The log ends in the middle of a group that was never acknowledged: it is left out',
      )
    }
    const segments = new SegmentLog(
      {
        files,
        directory: join(directory, logDirectory),
        segmentBytes: SEGMENT_BYTES,
        sync,
        lastNumber: log.lastNumber,
        lastEnd: log.lastEnd,
        onTrouble: (trouble) => reportTrouble(logger, trouble),
      },
      log.segments.map((name) => ({ name, tag: machine.position })),
    )
    const journal = new DiskJournal({
      machine,
      log: segments,
      store,
      logger,
      reserved,
      ...(options.observer !== undefined && { observer: options.observer }),
    })
    if (log.segments.length > SEGMENTS_RECOVERED_MAX) await journal.saveNow()
    return { machine, journal, position: Math.max(machine.position, reserved) }
  } catch (error) {
    await store.close().catch(() => {})
    throw error
  }
}

/** Positions that nobody has logged are left behind instead of being reserved. */
const UNLOGGED_POSITIONS = 2 ** 32

async function openWithoutLog(store: Store, options: DataOptions): Promise<Data> {
  const { logger, observer } = options
  const { machine } = await recover(store, NO_LOG, options)
  const base = { machine, log: undefined, store, logger, reserved: Number.MAX_SAFE_INTEGER }
  const journal = new DiskJournal(observer === undefined ? base : { ...base, observer })
  return { machine, journal, position: machine.position === 0 ? 0 : machine.position + UNLOGGED_POSITIONS }
}

const NO_LOG: LogContents = {
  groups: [],
  places: [],
  damage: undefined,
  segments: [],
  stillborn: [],
  lastNumber: 0,
  lastEnd: 0,
  tornBytes: 0,
}

async function openStore(directory: string, sync: boolean): Promise<Store> {
  try {
    await makeDirectory(directory, 0o700)
  } catch (error) {
    throw new ConcordError('CMQ_DATA_UNUSABLE', `Cannot make the data directory ${directory}: ${reasonOf(error)}`, {
      cause: error,
    })
  }
  return await SqliteStore.open(join(directory, storeFile), { sync })
}

async function recover(
  store: Store,
  log: LogContents,
  { directory, settings }: DataOptions,
): Promise<{ machine: Machine; reserved: number }> {
  const damaged = (detail: string): ConcordError =>
    new ConcordError('CMQ_DATA_DAMAGED', `Cannot read the data in ${directory ?? 'the session store'}: ${detail}`)
  if (log.damage !== undefined) {
    const { file, offset, detail } = log.damage
    throw damaged(`${join(logDirectory, file)}, byte ${offset}: ${detail}`)
  }
  const recovery = new Recovery(settings)
  for await (const batch of store.records()) for (const [key, value] of batch) recovery.record(key, value)
  let reserved = 0
  for (const [i, group] of log.groups.entries()) {
    const payload = readPayload(group)
    reserved = Math.max(reserved, payload.reserved)
    const problem = payload.delta === undefined ? undefined : recovery.group(payload.delta)
    if (problem !== undefined) throw damaged(`group ${i + 1} of the log: ${problem}`)
  }
  const wanted = recovery.prepare()
  if ('malformed' in wanted) throw damaged(wanted.malformed)
  for (const chunk of wanted) recovery.content(chunk, await store.content(chunk))
  const machine = Machine.recover(recovery, settings)
  if (!(machine instanceof Machine)) throw damaged(machine.malformed)
  return { machine, reserved }
}

function reportTrouble(logger: Logger, trouble: Error | undefined): void {
  if (trouble === undefined) logger.info({ event: 'log.healed' }, 'The log can be written again')
  else {
    logger.error(
      { event: 'log.trouble', error: trouble.message },
      'Cannot write the log: what would have to be kept is refused until it can be',
    )
  }
}
