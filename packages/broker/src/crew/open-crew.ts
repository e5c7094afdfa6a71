/**
 * `createBroker({ workers })`: which options several threads can serve, what each of them gets of a limit that counts over all,
 * and the start of all of them.
 *
 * Refused is what would have to run the program's own code at every message: a function lives in one thread.
 */
import { availableParallelism } from 'node:os'
import type { Broker } from '../api.ts'
import { resolveOptions } from '../config/check.ts'
import { orderedMachineSettings } from '../config/machine-settings.ts'
import type { BrokerOptions } from '../config/options.ts'
import { ConcordError } from '../errors.ts'
import { openStorage, type Storage } from '../storage/open-storage.ts'
import { type Logger, silentLogger } from '../telemetry/logger.ts'
import { DiskWriter, shareDisk } from '../workers/shared-disk.ts'
import { shareMemory } from '../workers/shared-order.ts'
import { SharedTallies } from '../workers/shared-tallies.ts'
import { SharedTally } from '../workers/shared-tally.ts'
import { WorkerLog } from '../workers/worker-log.ts'
import type { FollowedStorage } from '../workers/worker-storage.ts'
import { Crew } from './crew.ts'
import { CrewBroker } from './crew-broker.ts'
import type { OpenBroker } from './local-broker.ts'
import type { WorkerStart } from './messages.ts'
import { shareOf } from './share-of.ts'

/** What `auto` takes at most: beyond, each worker's part of the work is small beside what all do. */
const AUTO_MAX = 8

/** How many workers are meant. Throws `CMQ_OPTIONS`. */
export function workersOf(options: BrokerOptions): number {
  const { workers = 1 } = resolveOptions(options)
  return workers === 'auto' ? Math.min(availableParallelism(), AUTO_MAX) : workers
}

/** Options that one thread alone can serve, with why. */
const ALONE: readonly (readonly [of: (options: BrokerOptions) => unknown, what: string])[] = [
  [({ hooks = [] }) => hooks.length > 0, 'hooks'],
  [({ authenticator }) => authenticator, 'authenticator'],
  [({ access }) => access?.enhanced, 'access.enhanced'],
  [({ topicStore }) => topicStore, 'topicStore'],
  [({ sequencer }) => sequencer, 'sequencer'],
  [({ sessionStore }) => sessionStore, 'sessionStore'],
  [({ commandLog }) => commandLog, 'commandLog'],
  [({ cluster }) => cluster, 'cluster'],
]

/** Rejects with `CMQ_WORKERS` for options that several threads cannot serve, else as `createBroker` does. */
export async function openCrew(options: BrokerOptions, workers: number, open: OpenBroker): Promise<Broker> {
  const alone = ALONE.filter(([of]) => Boolean(of(options))).map(([, what]) => what)
  if (alone.length > 0) {
    throw new ConcordError('CMQ_WORKERS', `Cannot serve ${alone.join(', ')} with ${workers} workers`)
  }
  const { logger = silentLogger, providers: _named, workers: _count, storage: _here, ...plain } = options
  const memory = shareMemory(workers)
  const tally = SharedTally.share()
  const tallies = SharedTallies.share()
  const nowUs = (): number => Date.now() * 1000
  const { storage, followed, marks } = await openShared(options, workers, logger)
  const firstPosition = storage.position === 0 ? 0 : storage.position + 1
  const log = new WorkerLog({ memory, worker: 0, firstPosition, nowUs })
  marks.log = log
  const start = {
    ...{ memory, tally, tallies, firstPosition, debugEnabled: logger.debugEnabled },
    options: { ...shareOf(plain, workers), sys: { intervalSeconds: 0 } },
  } satisfies Omit<WorkerStart, 'worker' | 'storage'>
  const crew = new Crew(workers, logger)
  try {
    // Before anything is written: they read what is there.
    await crew.start(start, followed)
    const counts = { connections: new SharedTally(tally), tallies: new SharedTallies(tallies) }
    const place = { ...crew.place, log, storage, ...counts }
    const first = await open({ ...shareOf(plain, workers), logger }, place)
    crew.first = first
    return new CrewBroker(first, crew)
  } catch (error) {
    await crew.terminate()
    await storage.journal.close()
    throw error
  }
}

interface Shared {
  readonly storage: Storage
  /** What another worker begins with. */
  readonly followed: () => FollowedStorage | undefined
  /** Where marks go, from the moment when there is an order. */
  readonly marks: { log: WorkerLog | undefined }
}

/** The first worker's state, and how the others come by theirs. */
async function openShared(options: BrokerOptions, workers: number, logger: Logger): Promise<Shared> {
  const settings = resolveOptions(options)
  const { directory, durability, files } = settings.storage
  const machine = orderedMachineSettings(settings, { hashing: false, workers })
  const disk = shareDisk()
  const marks: Shared['marks'] = { log: undefined }
  const shared = directory === undefined ? undefined : new DiskWriter(disk, () => marks.log?.mark())
  const storage = await openStorage(
    { directory, durability, store: undefined, files },
    { settings: machine, logger, observer: undefined, shared },
  )
  const { copy, position } = storage
  return { storage, marks, followed: () => copy && { copy: copy(), disk, position } }
}
