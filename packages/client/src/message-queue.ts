/**
 * A bounded queue between the connection and one `for await` loop. It never drops: when `itemsMax` wait it reports that it
 * is full, and the client stops reading from the server until half of it is taken. (A WebSocket cannot be stopped; there
 * QoS 1 and 2 are still bounded by Receive Maximum, and what else exceeds the maximum is dropped and counted.)
 */
import { filterMatches } from '@concordmq/protocol'
import type { Message } from './options.ts'

interface Item {
  readonly message: Message
  /** The loop has taken the message. */
  readonly taken: () => void
}

export interface MessageQueueOptions {
  readonly itemsMax: number
  /** Topic filter; undefined: everything. */
  readonly filter: string | undefined
  /** The queue became full, or has room again. */
  readonly fullChanged: () => void
  readonly ended: (queue: MessageQueue) => void
}

export class MessageQueue implements AsyncIterableIterator<Message> {
  /** Whether the connection should stop reading. */
  full = false
  readonly #options: MessageQueueOptions
  #items: Item[] = []
  #waiting: ((result: IteratorResult<Message, undefined>) => void)[] = []
  #failures: ((error: Error) => void)[] = []
  #closed = false
  #error: Error | undefined

  constructor(options: MessageQueueOptions) {
    this.#options = options
  }

  wants(topic: string): boolean {
    const { filter } = this.#options
    return filter === undefined || filterMatches(filter, topic)
  }

  /** False if there is no room at all: twice the maximum waits, since reading could not be stopped. */
  push(message: Message, taken: () => void): boolean {
    const reader = this.#waiting.shift()
    if (reader !== undefined) {
      this.#failures.shift()
      reader({ value: message, done: false })
      taken()
      return true
    }
    if (this.#items.length >= this.#options.itemsMax * 2) return false
    this.#items.push({ message, taken })
    if (!this.full && this.#items.length >= this.#options.itemsMax) {
      this.full = true
      this.#options.fullChanged()
    }
    return true
  }

  next(): Promise<IteratorResult<Message, undefined>> {
    const item = this.#items.shift()
    if (item !== undefined) {
      item.taken()
      if (this.full && this.#items.length * 2 <= this.#options.itemsMax) {
        this.full = false
        this.#options.fullChanged()
      }
      return Promise.resolve({ value: item.message, done: false })
    }
    if (this.#error !== undefined) return Promise.reject(this.#error)
    if (this.#closed) return Promise.resolve({ value: undefined, done: true })
    return new Promise((resolve, reject) => {
      this.#waiting.push(resolve)
      this.#failures.push(reject)
    })
  }

  /** The loop was left: what still waits is given back to the server as done. */
  return(): Promise<IteratorResult<Message, undefined>> {
    const items = this.#items
    this.#items = []
    this.close(undefined)
    for (const { taken } of items) taken()
    if (this.full) {
      this.full = false
      this.#options.fullChanged()
    }
    return Promise.resolve({ value: undefined, done: true })
  }

  /** No more messages come; those that wait can still be taken. With an error the loop then ends in it. */
  close(error: Error | undefined): void {
    if (this.#closed) return
    this.#closed = true
    this.#error = error
    this.#options.ended(this)
    const waiting = this.#waiting
    const failures = this.#failures
    this.#waiting = []
    this.#failures = []
    if (error !== undefined) for (const fail of failures) fail(error)
    else for (const resolve of waiting) resolve({ value: undefined, done: true })
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
