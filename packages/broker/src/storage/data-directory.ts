/**
 * A broker's data on disk: opened, read, and ready to be written.
 *
 *   <directory>/state.sqlite      the state as of the last save, and the lock
 *   <directory>/log/00000001.log  what changed since
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Machine, MachineSettings } from '@concordmq/state'
import { ConcordError, reasonOf } from '../errors.ts'
import type { CommandLog } from '../model/command-log.ts'
import type { Files } from '../model/files.ts'
import type { SharedJournal } from '../model/journal.ts'
import type { Store } from '../model/store.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { StorageCopy } from './copied-storage.ts'
import { DiskJournal } from './disk-journal.ts'
import { readLog } from './log-reader.ts'
import { makeDirectory } from './make-directory.ts'
import { damaged, type Recovered, recover } from './recover.ts'
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
  /** Other threads that apply the same commands and have this disk, too. */
  readonly shared?: SharedJournal | undefined
}

export interface Data {
  readonly machine: Machine
  readonly journal: DiskJournal
  /** Positions up to this one may have been used. */
  readonly position: number
  /** For another thread: what it needs to be in the same state. Undefined: there is no directory. */
  readonly copy: (() => StorageCopy) | undefined
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
  const { directory, durability } = options
  if (directory !== undefined && existsSync(join(directory, repairMark))) {
    throw new ConcordError('CMQ_DATA_DAMAGED', `Cannot use ${directory}: a repair or import of it was interrupted`)
  }
  const store = options.store ?? (await openStore(directory ?? '', durability === 'fsync'))
  try {
    if (directory === undefined) return await openWithoutLog(store, options)
    return await openWithLog(store, directory, options)
  } catch (error) {
    await store.close().catch(() => {})
    throw error
  }
}

async function openWithLog(store: Store, directory: string, options: DataOptions): Promise<Data> {
  const { files, durability, logger, shared, observer } = options
  const folder = join(directory, logDirectory)
  const log = await readLog(files, folder)
  if (log.damage !== undefined) {
    const { file, offset, detail } = log.damage
    throw damaged(directory, `${join(logDirectory, file)}, byte ${offset}: ${detail}`)
  }
  let recovered = await recover(store, log.groups, options)
  for (const name of log.stillborn) await files.remove(join(folder, name))
  if (log.tornBytes > 0) {
    logger.info(
      { event: 'log.torn', bytes: log.tornBytes },
      'The log ends in the middle of a group that was never acknowledged: it is left out',
    )
  }
  const segments = new SegmentLog(
    {
      files,
      directory: folder,
      segmentBytes: SEGMENT_BYTES,
      sync: durability === 'fsync',
      lastNumber: log.lastNumber,
      lastEnd: log.lastEnd,
      onTrouble: (trouble) => {
        reportTrouble(logger, trouble)
        shared?.setTrouble(trouble !== undefined)
      },
    },
    log.segments.map((name) => ({ name, tag: recovered.machine.position })),
  )
  const journalOf = ({ machine, reserved }: Recovered, others: SharedJournal | undefined): DiskJournal => {
    const parts = { machine, log: segments, store, logger, reserved, shared: others }
    return new DiskJournal(observer === undefined ? parts : { ...parts, observer })
  }
  let journal: DiskJournal | undefined
  if (log.segments.length > SEGMENTS_RECOVERED_MAX) {
    journal = journalOf(recovered, undefined)
    await journal.saveNow()
    // What was saved from memory lies elsewhere there than for threads that read it now.
    if (shared !== undefined) recovered = await recover(store, log.groups, options)
  }
  if (journal === undefined || shared !== undefined) journal = journalOf(recovered, shared)
  const { machine, reserved } = recovered
  const copy =
    store instanceof SqliteStore ? () => ({ directory, groups: log.groups, store: store.share() }) : undefined
  return { machine, journal, position: Math.max(machine.position, reserved), copy }
}

/** Positions that nobody has logged are left behind instead of being reserved. */
const UNLOGGED_POSITIONS = 2 ** 32

async function openWithoutLog(store: Store, options: DataOptions): Promise<Data> {
  const { logger, observer } = options
  const { machine } = await recover(store, [], options)
  const base = { machine, log: undefined, store, logger, reserved: Number.MAX_SAFE_INTEGER }
  const journal = new DiskJournal(observer === undefined ? base : { ...base, observer })
  const position = machine.position === 0 ? 0 : machine.position + UNLOGGED_POSITIONS
  return { machine, journal, position, copy: undefined }
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

function reportTrouble(logger: Logger, trouble: Error | undefined): void {
  if (trouble === undefined) logger.info({ event: 'log.healed' }, 'The log can be written again')
  else {
    logger.error(
      { event: 'log.trouble', error: trouble.message },
      'Cannot write the log: what would have to be kept is refused until it can be',
    )
  }
}
