/** What a broker keeps its state in, by its options: memory, or a data directory. */
import { Machine, type MachineSettings } from '@concordmq/state'
import type { CommandLog } from '../model/command-log.ts'
import type { Files } from '../model/files.ts'
import type { Journal, SharedJournal } from '../model/journal.ts'
import type { Store } from '../model/store.ts'
import type { Logger } from '../telemetry/logger.ts'
import { ContentReader } from './content-reader.ts'
import type { StorageCopy } from './copied-storage.ts'
import { openData } from './data-directory.ts'
import { nodeFiles } from './files.ts'
import { MemoryJournal } from './journal.ts'

export interface StorageSettings {
  /** Undefined: no log, and without a store in memory. */
  readonly directory: string | undefined
  readonly durability: 'fsync' | 'os'
  /** Another store in the place of SQLite. */
  readonly store: Store | undefined
  /** Another file system under the log. */
  readonly files: Files | undefined
}

export interface Storage {
  /** As it was when the broker last ended, or empty. */
  readonly machine: Machine
  readonly journal: Journal
  readonly contents: ContentReader
  /** Positions up to this one may have been used. */
  readonly position: number
  /** For another thread: what it needs to be in the same state. Undefined: there is no directory. */
  readonly copy?: (() => StorageCopy) | undefined
}

export async function openStorage(
  { directory, durability, store, files }: StorageSettings,
  {
    settings,
    logger,
    observer,
    shared,
  }: {
    readonly settings: MachineSettings
    readonly logger: Logger
    readonly observer: CommandLog | undefined
    /** Other threads that apply the same commands. */
    readonly shared?: SharedJournal | undefined
  },
): Promise<Storage> {
  if (directory === undefined && store === undefined) {
    const machine = new Machine(settings)
    return { machine, journal: new MemoryJournal(observer), contents: nothingStored(logger), position: 0 }
  }
  const data = await openData({
    directory,
    durability,
    settings: { ...settings, durable: true },
    logger,
    observer,
    shared,
    files: files ?? nodeFiles,
    store,
  })
  const contents = new ContentReader((chunk) => data.journal.content(chunk), logger)
  return { ...data, contents }
}

/** Of a broker that keeps all in memory. */
export function nothingStored(logger: Logger): ContentReader {
  return new ContentReader(() => Promise.reject(new Error('nothing is stored')), logger)
}
