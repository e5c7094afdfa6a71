/**
 * What is asked of the thread that has the database, and who waits for the answer: for the store itself, and for other threads that
 * read from it through a port of their own.
 */

import type { StoredRecord } from '../model/store.ts'
import type { Answer, Request, StoreFault } from './sqlite-protocol.ts'
import { Unpacker } from './sqlite-protocol.ts'

export interface Answered {
  readonly bytes?: Uint8Array
  readonly texts?: readonly string[]
}

interface Waiting {
  readonly resolve: (answer: Answered) => void
  readonly reject: (error: Error) => void
  readonly batch?: ((bytes: Uint8Array) => void) | undefined
}

/** A request without its number. */
export type Asked = Request extends infer R ? (R extends Request ? Omit<R, 'id'> : never) : never

export class SqliteCalls {
  readonly #send: (request: Request) => void
  readonly #errorOf: (fault: StoreFault) => Error
  readonly #waiting = new Map<number, Waiting>()
  #last = 0
  #ended: Error | undefined

  /** `errorOf`: what a fault of the thread is called here. */
  constructor(send: (request: Request) => void, errorOf: (fault: StoreFault) => Error) {
    this.#send = send
    this.#errorOf = errorOf
  }

  /** How many answers are still to come. */
  get waiting(): number {
    return this.#waiting.size
  }

  get isOver(): boolean {
    return this.#ended !== undefined
  }

  ask(asked: Asked, batch?: (bytes: Uint8Array) => void): Promise<Answered> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended)
    const id = ++this.#last
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, batch })
      this.#send({ ...asked, id } as Request)
    })
  }

  async *records(): AsyncIterable<readonly StoredRecord[]> {
    const batches: Uint8Array[] = []
    const done = await this.ask({ op: 'records' }, (bytes) => batches.push(bytes))
    if (done.bytes !== undefined) batches.push(done.bytes)
    for (const bytes of batches) {
      const records: StoredRecord[] = []
      for (const unpacker = new Unpacker(bytes); unpacker.left > 0; ) records.push([unpacker.bytes(), unpacker.bytes()])
      yield records
    }
  }

  async content(chunk: number): Promise<Uint8Array> {
    return (await this.ask({ op: 'content', chunk })).bytes ?? new Uint8Array(0)
  }

  answered(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id)
    if (waiting === undefined) return
    if ('more' in answer && answer.more === true) {
      if (answer.bytes !== undefined) waiting.batch?.(answer.bytes)
      return
    }
    this.#waiting.delete(answer.id)
    if ('error' in answer && answer.error !== undefined) waiting.reject(this.#errorOf(answer.error))
    else waiting.resolve(answer as Answered)
  }

  /** No answers come any more. */
  end(error: Error): void {
    this.#ended ??= error
    for (const { reject } of this.#waiting.values()) reject(this.#ended)
    this.#waiting.clear()
  }
}
