/** What a worker thread that does not write keeps its state in: the same state as the thread that does, read at the start. */
import type { MachineSettings } from '@concordmq/state'
import { openCopy, type StorageCopy } from '../storage/copied-storage.ts'
import { openStorage, type Storage } from '../storage/open-storage.ts'
import type { Logger } from '../telemetry/logger.ts'
import { FollowingJournal } from './following-journal.ts'
import { DiskReader } from './shared-disk.ts'

/** Sent to it, with the store's port handed over. */
export interface FollowedStorage {
  readonly copy: StorageCopy
  /** Of `shareDisk`. */
  readonly disk: SharedArrayBuffer
  /** Positions up to this one may have been used. */
  readonly position: number
}

/** `followed`: undefined where nothing is kept on disk. */
export async function openWorkerStorage(
  followed: FollowedStorage | undefined,
  { settings, logger }: { readonly settings: MachineSettings; readonly logger: Logger },
): Promise<Storage> {
  if (followed === undefined) {
    const memory = { directory: undefined, durability: 'fsync', store: undefined, files: undefined } as const
    return await openStorage(memory, { settings, logger, observer: undefined })
  }
  const { copy, disk, position } = followed
  const { machine, contents } = await openCopy(copy, { settings: { ...settings, durable: true }, logger })
  return { machine, journal: new FollowingJournal(machine, new DiskReader(disk), logger), contents, position }
}
