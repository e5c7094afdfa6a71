/** The broker of one thread, as those who put several together see it. */
import type { Ban, BanRequest } from '../access/limits/bans.ts'
import type { Broker } from '../api.ts'
import type { BrokerOptions } from '../config/options.ts'
import type { SysValue } from '../model/sys-value.ts'
import type { WorkerFigures, WorkerPlace } from '../workers/worker-place.ts'

export interface LocalBroker extends Broker {
  figures(): WorkerFigures
  /** Publishes `$SYS` values of the first worker. */
  showSys(values: readonly SysValue[]): void
  takeBan(ban: BanRequest, reason: Ban['reason']): void
  /** Which worker has the connection of a client; undefined: it is not connected. */
  workerOf(clientId: string): number | undefined
}

export type OpenBroker = (options: BrokerOptions, worker: WorkerPlace) => Promise<LocalBroker>
