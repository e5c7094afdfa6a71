/**
 * The state on disk in SQLite, behind a thread of its own: the event loop never waits for it. Node's built-in SQLite needs
 * nothing installed, survives a kill at any instruction, and anybody can look into its file.
 */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { Save } from '@concordmq/state'
import { ConcordError } from '../errors.ts'
import type { Store, StoredRecord } from '../model/store.ts'
import { type Answer, packSave, type Request, type SqliteStart, type StoreFault, Unpacker } from './sqlite-protocol.ts'

interface Waiting {
  readonly resolve: (answer: { bytes?: Uint8Array; texts?: readonly string[] }) => void
  readonly reject: (error: Error) => void
  readonly batch?: (bytes: Uint8Array) => void
}

/** A request without its number. */
type Asked = Request extends infer R ? (R extends Request ? Omit<R, 'id'> : never) : never

export class SqliteStore implements Store {
  readonly #path: string
  readonly #worker: Worker
  readonly #waiting = new Map<number, Waiting>()
  #last = 0
  #ended: Error | undefined

  private constructor(path: string, worker: Worker) {
    this.#path = path
    this.#worker = worker
    worker.on('message', (answer: Answer) => this.#answered(answer))
    worker.on('error', (error) => this.#end(new Error(`the store's thread failed: ${error.message}`)))
    worker.on('exit', () => this.#end(new Error("the store's thread has ended")))
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

  async *records(): AsyncIterable<readonly StoredRecord[]> {
    const batches: Uint8Array[] = []
    const done = await this.#ask({ op: 'records' }, (bytes) => batches.push(bytes))
    if (done.bytes !== undefined) batches.push(done.bytes)
    for (const bytes of batches) {
      const records: StoredRecord[] = []
      for (const unpacker = new Unpacker(bytes); unpacker.left > 0; ) records.push([unpacker.bytes(), unpacker.bytes()])
      yield records
    }
  }

  async content(chunk: number): Promise<Uint8Array> {
    return (await this.#ask({ op: 'content', chunk })).bytes ?? new Uint8Array(0)
  }

  async commit(save: Save): Promise<void> {
    await this.#ask({ op: 'commit', save: packSave(save) })
  }

  async check(): Promise<readonly string[]> {
    return (await this.#ask({ op: 'check' })).texts ?? []
  }

  async close(): Promise<void> {
    if (this.#ended !== undefined) return
    const gone = once(this.#worker, 'exit')
    await this.#ask({ op: 'close' })
    // Until the lock is free for sure.
    this.#worker.ref()
    await gone
  }

  #ask(asked: Asked, batch?: (bytes: Uint8Array) => void): Promise<{ bytes?: Uint8Array; texts?: readonly string[] }> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended)
    const id = ++this.#last
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, ...(batch !== undefined && { batch }) })
      if (this.#waiting.size === 1) this.#worker.ref()
      const request = { ...asked, id } as Request
      this.#worker.postMessage(request, request.op === 'commit' ? [request.save.buffer as ArrayBuffer] : [])
    })
  }

  #answered(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id)
    if (waiting === undefined) return
    if ('more' in answer && answer.more === true) {
      if (answer.bytes !== undefined) waiting.batch?.(answer.bytes)
      return
    }
    this.#waiting.delete(answer.id)
    if (this.#waiting.size === 0) this.#worker.unref()
    if ('error' in answer && answer.error !== undefined) waiting.reject(runError(this.#path, answer.error))
    else waiting.resolve(answer as { bytes?: Uint8Array; texts?: readonly string[] })
  }

  #end(error: Error): void {
    this.#ended ??= error
    for (const { reject } of this.#waiting.values()) reject(this.#ended)
    this.#waiting.clear()
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

function runError(path: string, { code, message }: StoreFault): ConcordError {
  return code === 'SQLITE_CORRUPT'
    ? new ConcordError('CMQ_DATA_DAMAGED', `Cannot use ${path}: ${message}`)
    : new ConcordError('CMQ_DATA_UNUSABLE', `Cannot use ${path}: ${message} (${code})`)
}
