/**
 * The state of a data directory in another thread than the one that writes it: read from the same records and the same log, so
 * both machines are in one state, and go on so by applying the same commands.
 *
 *   thread that writes ─ groups of the log ─▶ machine          contents ─▶ whoever is sent stored messages
 *   thread of the store ─ records ──────────▶ machine          (through a port of its own, past the thread that writes)
 */
import type { MessagePort } from 'node:worker_threads'
import type { Machine, MachineSettings } from '@concordmq/state'
import type { Logger } from '../telemetry/logger.ts'
import { ContentReader } from './content-reader.ts'
import { recover } from './recover.ts'
import { SqliteCalls } from './sqlite-calls.ts'
import type { Answer } from './sqlite-protocol.ts'
import { runError } from './sqlite-store.ts'

/** What the other thread begins with. May be sent to it once: the port is handed over. */
export interface StorageCopy {
  readonly directory: string
  /** Of the log, as they were read. */
  readonly groups: readonly Uint8Array[]
  readonly store: MessagePort
}

/** Rejects with `CMQ_DATA_…`. */
export async function openCopy(
  { directory, groups, store }: StorageCopy,
  { settings, logger }: { readonly settings: MachineSettings; readonly logger: Logger },
): Promise<{ readonly machine: Machine; readonly contents: ContentReader }> {
  const calls = new SqliteCalls(
    (request) => store.postMessage(request),
    (fault) => runError(directory, fault),
  )
  store.on('message', (answer: Answer) => calls.answered(answer))
  store.on('close', () => calls.end(new Error('the store is closed')))
  const { machine } = await recover(calls, groups, { directory, settings })
  return { machine, contents: new ContentReader((chunk) => calls.content(chunk), logger) }
}
