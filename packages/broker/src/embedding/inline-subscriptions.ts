/**
 * Subscribers inside this program: functions instead of sockets (row C40). They hang in a filter tree of their own beside
 * those of the clients, and a route knows whether one of them wants its topic; nobody else pays for them.
 *
 *   message ─▶ filters that match ─▶ queue of each handler ─▶ handler, one message at a time
 *
 * A handler is called after the message has been given to the clients, never from within. While it waits for a promise of
 * its own, its messages queue up, to a maximum of messages and bytes; beyond that they are dropped and counted. What it
 * throws is counted and logged once per change of state. Permissions do not bind it: it is the program itself.
 */
import { filterProblem, parseShare } from '@concordmq/protocol'
import { FilterTree, type Message } from '@concordmq/state'
import type { InlineHandler, InlineMessage } from '../api.ts'
import { Fifo } from '../delivery/fifo.ts'
import { ConcordError, reasonOf } from '../errors.ts'
import type { Counters } from '../telemetry/counters.ts'
import type { Logger } from '../telemetry/logger.ts'

export interface InlineSubscriptionsOptions {
  readonly counters: Counters
  readonly logger: Logger
  /** Per handler. */
  readonly queueMessagesMax: number
  readonly queueBytesMax: number
  /** Retained messages that a filter finds, oldest first. */
  readonly retained: (filter: string) => readonly Message[]
  /** A filter came or went. */
  readonly changed: (filter: string) => void
}

/** Handlers at once: each match costs its part of every message. */
const HANDLERS_MAX = 100_000

class Handler {
  readonly filter: string
  readonly id: number
  readonly call: InlineHandler
  readonly queue = new Fifo<InlineMessage>()
  bytes = 0
  running = false
  ended = false
  failing = false
  full = false

  constructor(filter: string, id: number, call: InlineHandler) {
    this.filter = filter
    this.id = id
    this.call = call
  }
}

export class InlineSubscriptions {
  readonly #o: InlineSubscriptionsOptions
  readonly #tree = new FilterTree<Handler>()

  constructor(options: InlineSubscriptionsOptions) {
    this.#o = options
  }

  get size(): number {
    return this.#tree.size
  }

  wants(topic: string): boolean {
    let wanted = false
    this.#tree.match(topic, () => {
      wanted = true
    })
    return wanted
  }

  /** A handler under the same filter and id takes the place of the one before. What is retained comes first. */
  subscribe(filter: string, call: InlineHandler, id: number): void {
    const problem = inlineFilterProblem(filter)
    if (problem !== undefined) throw new ConcordError('CMQ_TOPIC', `Cannot subscribe to ${shown(filter)}: ${problem}`)
    if (typeof call !== 'function') {
      throw new ConcordError('CMQ_MESSAGE', `Cannot subscribe to ${shown(filter)}: the handler is not a function`)
    }
    if (!Number.isSafeInteger(id)) {
      throw new ConcordError('CMQ_MESSAGE', `Cannot subscribe to ${shown(filter)}: the id is not an integer`)
    }
    if (this.#tree.size >= HANDLERS_MAX) {
      throw new ConcordError('CMQ_BUSY', `Cannot subscribe to ${shown(filter)}: ${HANDLERS_MAX} handlers are there`)
    }
    const handler = new Handler(filter, id, call)
    const before = this.#tree.set(filter, String(id), handler)
    if (before !== undefined) before.ended = true
    else this.#o.changed(filter)
    for (const message of this.#o.retained(filter)) this.#give(handler, { ...publicMessage(message), retain: true })
  }

  /** Handlers of a filter, or the one with this id. Returns how many there were. */
  unsubscribe(filter: string, id?: number): number {
    let count = 0
    if (id !== undefined) {
      const gone = this.#tree.delete(filter, String(id))
      if (gone !== undefined) {
        gone.ended = true
        count = 1
      }
    } else {
      const found: Handler[] = []
      this.#tree.forEach((handler, _key, under) => {
        if (under === filter) found.push(handler)
      })
      for (const handler of found) {
        this.#tree.delete(filter, String(handler.id))
        handler.ended = true
        count++
      }
    }
    if (count > 0) this.#o.changed(filter)
    return count
  }

  /** A message for whoever wants its topic. */
  offer(message: Message): void {
    this.#tree.match(message.topic, (handler) => this.#give(handler, { ...publicMessage(message), retain: false }))
  }

  /** No handler is called any more. */
  close(): void {
    this.#tree.forEach((handler) => {
      handler.ended = true
      handler.queue.clear()
    })
  }

  #give(handler: Handler, message: InlineMessage): void {
    const { queueMessagesMax, queueBytesMax, counters, logger } = this.#o
    const bytes = message.payload.length
    if (handler.queue.length >= queueMessagesMax || handler.bytes + bytes > queueBytesMax) {
      counters.inlineDropped++
      counters.publishDropped++
      if (handler.full) return
      handler.full = true
      logger.warn(
        { event: 'inline.full', filter: handler.filter, id: handler.id },
        'A handler of broker.subscribe() takes too long: its queue is full, and messages are dropped',
      )
      return
    }
    handler.queue.push(message)
    handler.bytes += bytes
    if (handler.running) return
    handler.running = true
    queueMicrotask(() => this.#run(handler))
  }

  /** Empties the queue; goes on later behind a promise of the handler. */
  #run(handler: Handler): void {
    for (let message = handler.queue.shift(); message !== undefined; message = handler.queue.shift()) {
      handler.bytes -= message.payload.length
      if (handler.ended) continue
      let answer: unknown
      try {
        answer = handler.call(message)
      } catch (error) {
        this.#failed(handler, error)
        continue
      }
      if (answer instanceof Promise) {
        answer
          .then(
            () => this.#well(handler),
            (error: unknown) => this.#failed(handler, error),
          )
          .finally(() => this.#run(handler))
        return
      }
      this.#well(handler)
    }
    handler.running = false
    handler.full = false
  }

  #well(handler: Handler): void {
    handler.failing = false
  }

  #failed(handler: Handler, error: unknown): void {
    this.#o.counters.inlineFailures++
    if (handler.failing) return
    handler.failing = true
    this.#o.logger.error(
      { event: 'inline.failing', filter: handler.filter, id: handler.id, error: reasonOf(error) },
      'A handler of broker.subscribe() failed',
    )
  }
}

function inlineFilterProblem(filter: unknown): string | undefined {
  if (typeof filter !== 'string') return 'it is not text'
  const problem = filterProblem(filter)
  if (problem !== undefined) return problem.detail
  return parseShare(filter) === undefined ? undefined : 'shared subscriptions are for clients'
}

function shown(filter: unknown): string {
  return typeof filter === 'string' ? JSON.stringify(filter.slice(0, 100)) : typeof filter
}

function publicMessage(message: Message): Omit<InlineMessage, 'retain'> {
  const { topic, payload, qos, properties, expirySeconds, publisher } = message
  return {
    topic,
    payload,
    qos,
    publisher,
    ...((properties !== undefined || expirySeconds !== undefined) && {
      properties: { ...properties, ...(expirySeconds !== undefined && { messageExpiryInterval: expirySeconds }) },
    }),
  }
}
