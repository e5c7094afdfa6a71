/**
 * The state on disk in SQLite, behind a thread of its own: the event loop never waits for it. Node's built-in SQLite needs
 * nothing installed, survives a kill at any instruction, and anybody can look into its file.
 */
import { once } from 'node:events'
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import type { Save } from '@concordmq/state'
import { ConcordError } from '../errors.ts'
import type { Store, StoredRecord } from '../model/store.ts'
import { SqliteCalls } from './sqlite-calls.ts'
import { type Answer, packSave, type Request, type SqliteStart, type StoreFault } from './sqlite-protocol.ts'

export class SqliteStore implements Store {
  readonly #worker: Worker
  readonly #calls: SqliteCalls

  private constructor(path: string, worker: Worker) {
    this.#worker = worker
    this.#calls = new SqliteCalls(
      (request) => this.#send(request),
      (fault) => runError(path, fault),
    )
    worker.on('message', (answer: Answer) => {
      this.#calls.answered(answer)
      if (this.#calls.waiting === 0) worker.unref()
    })
    worker.on('error', (error) => this.#calls.end(new Error(`the store's thread failed: ${error.message}`)))
    worker.on('exit', () => this.#calls.end(new Error("the store's thread has ended")))
    // A store alone keeps no process alive; what waits for it does.
    worker.unref()
  }

  /** Opens or makes the file. Rejects with `CMQ_DATA_LOCKED`, `CMQ_DATA_FORMAT` or `CMQ_DATA_DAMAGED`. */
  static async open(path: string, { sync }: { readonly sync: boolean }): Promise<SqliteStore> {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
    const worker = new Worker(new URL(`./sqlite-worker.${extension}`, import.meta.url), {
      workerData: { path, sync } satisfies SqliteStart,
      name: 'concordmq-store',
    })
    const [first] = (await once(worker, 'message')) as [Answer]
    if ('error' in first && first.error !== undefined) throw openError(path, first.error)
    return new SqliteStore(path, worker)
  }

  records(): AsyncIterable<readonly StoredRecord[]> {
    return this.#calls.records()
  }

  content(chunk: number): Promise<Uint8Array> {
    return this.#calls.content(chunk)
  }

  /** A way for another thread to read from this store (`copied-storage.ts`). */
  share(): MessagePort {
    const { port1, port2 } = new MessageChannel()
    this.#worker.postMessage({ id: 0, op: 'share', port: port1 } satisfies Request, [port1])
    return port2
  }

  async commit(save: Save): Promise<void> {
    await this.#calls.ask({ op: 'commit', save: packSave(save) })
  }

  async check(): Promise<readonly string[]> {
    return (await this.#calls.ask({ op: 'check' })).texts ?? []
  }

  async close(): Promise<void> {
    if (this.#calls.isOver) return
    const gone = once(this.#worker, 'exit')
    await this.#calls.ask({ op: 'close' })
    // Until the lock is free for sure.
    this.#worker.ref()
    await gone
  }

  #send(request: Request): void {
    if (this.#calls.waiting === 1) this.#worker.ref()
    this.#worker.postMessage(request, request.op === 'commit' ? [request.save.buffer as ArrayBuffer] : [])
  }
}

/** The error of an open that failed. */
export function openError(path: string, { code, message }: StoreFault): ConcordError {
  switch (code) {
    case 'SQLITE_BUSY':
    case 'SQLITE_LOCKED':
      return new ConcordError('CMQ_DATA_LOCKED', `Cannot use ${path}: another broker has it open`)
    case 'NEWER':
    case 'FOREIGN':
      return new ConcordError('CMQ_DATA_FORMAT', `Cannot use ${path}: ${message}`)
    case 'SQLITE_CORRUPT':
    case 'SQLITE_NOTADB':
      return new ConcordError('CMQ_DATA_DAMAGED', `Cannot use ${path}: ${message}`)
    default:
      return new ConcordError('CMQ_DATA_UNUSABLE', `Cannot use ${path}: ${message} (${code})`)
  }
}

export function runError(path: string, { code, message }: StoreFault): ConcordError {
  return code === 'SQLITE_CORRUPT'
    ? new ConcordError('CMQ_DATA_DAMAGED', `Cannot use ${path}: ${message}`)
    : new ConcordError('CMQ_DATA_UNUSABLE', `Cannot use ${path}: ${message} (${code})`)
}
