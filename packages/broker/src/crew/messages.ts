/**
 * What the first worker and the others say to each other beside the order: calls of the program, and what concerns their
 * clients. Nothing of it is on the path of a message.
 */
import type { Ban, BanRequest } from '../access/limits/bans.ts'
import type { DrainOptions } from '../admin/drain.ts'
import type { ClientDetail, SubscriptionInfo } from '../admin/inspection.ts'
import type { ClientInfo, DisconnectOptions, InjectedPacket, PublishOptions } from '../api.ts'
import type { AccessOptions, BrokerOptions, ListenerOptions, TlsMaterial } from '../config/options.ts'
import { ConcordError, type ConcordErrorCode, errorKinds, reasonOf } from '../errors.ts'
import type { SysValue } from '../model/sys-value.ts'
import type { LogFields } from '../telemetry/logger.ts'
import type { SharedMemory } from '../workers/shared-order.ts'
import type { WorkerFigures } from '../workers/worker-place.ts'
import type { FollowedStorage } from '../workers/worker-storage.ts'

/** What a worker thread begins with. */
export interface WorkerStart {
  readonly worker: number
  readonly memory: SharedMemory
  /** One word: network connections of all workers. */
  readonly tally: SharedArrayBuffer
  /** Of `SharedTallies`: the same by address and by user. */
  readonly tallies: SharedArrayBuffer
  readonly firstPosition: number
  /** Undefined: all is in memory. */
  readonly storage: FollowedStorage | undefined
  readonly options: BrokerOptions
  readonly debugEnabled: boolean
}

/** What can be asked of a worker, with what it answers. */
export interface WorkerCalls {
  /** `listener`: a number by which it can be called again. */
  listen(options: ListenerOptions, listener: number): void
  reloadTls(listener: number, tls: TlsMaterial): void
  closeListener(listener: number): void
  inject(packet: InjectedPacket, options: { readonly clientId: string }): readonly number[]
  sendTo(clientId: string, message: PublishOptions): void
  disconnectClient(clientId: string, options: DisconnectOptions): void
  reloadAccess(access: AccessOptions): void
  reconfigure(options: Pick<BrokerOptions, 'limits' | 'bans' | 'delivery' | 'sys'>): void
  ban(ban: BanRequest, reason: Ban['reason']): void
  liftBan(ban: Pick<Ban, 'kind' | 'value'>): void
  sys(values: readonly SysValue[]): void
  inspect(): WorkerInspection
  drain(options: DrainOptions): void
  close(options: { readonly graceMs?: number; readonly drainMs?: number }): void
}

/** What only the worker of a client knows of it. */
export interface WorkerInspection {
  readonly clients: readonly ClientDetail[]
  /** Of its transient sessions. */
  readonly subscriptions: readonly SubscriptionInfo[]
}

export type ToWorker =
  | { readonly type: 'call'; readonly id: number; readonly name: keyof WorkerCalls; readonly args: readonly unknown[] }
  /** Nobody puts anything into the order any more. */
  | { readonly type: 'end' }

export type FromWorker =
  | { readonly type: 'ready' }
  | { readonly type: 'failed'; readonly error: SentError }
  | { readonly type: 'answer'; readonly id: number; readonly value?: unknown; readonly error?: SentError }
  | { readonly type: 'settled' }
  | { readonly type: 'log'; readonly level: LogLevel; readonly fields: LogFields; readonly message: string }
  | { readonly type: 'clients'; readonly entered: readonly ClientInfo[]; readonly left: readonly ClientInfo[] }
  | { readonly type: 'figures'; readonly figures: WorkerFigures }
  | { readonly type: 'banned'; readonly ban: BanRequest; readonly reason: Ban['reason'] }

export type LogLevel = 'error' | 'warn' | 'info' | 'debug'

/** An error on its way between threads, which keeps no class. */
export interface SentError {
  readonly code: ConcordErrorCode | undefined
  readonly message: string
}

export function sendError(error: unknown): SentError {
  if (!(error instanceof ConcordError)) return { code: undefined, message: reasonOf(error) }
  const { remedy } = errorKinds[error.code]
  return { code: error.code, message: error.message.slice(0, -`; ${remedy}`.length) }
}

export function receiveError({ code, message }: SentError): Error {
  return code === undefined ? new Error(message) : new ConcordError(code, message)
}
