/**
 * A topic store of the embedding program between the broker and its own tree: fed with every change, asked first, and never
 * trusted with the path of a message. What it throws, or returns that is no such value, is counted and logged once per change
 * of state, and the broker's own tree answers instead.
 */
import { filterMatches } from '@concordmq/protocol'
import { reasonOf } from '../errors.ts'
import type { TopicStore, TopicSubscriber, TopicSubscription } from '../model/topic-store.ts'
import type { Counters } from '../telemetry/counters.ts'
import type { Logger } from '../telemetry/logger.ts'

export interface TopicIndexOptions {
  readonly store: TopicStore
  readonly counters: Counters
  readonly logger: Logger
}

export class TopicIndex {
  readonly #o: TopicIndexOptions
  #failing = false

  constructor(options: TopicIndexOptions) {
    this.#o = options
  }

  subscribe(
    filter: string,
    clientId: string,
    { qos, noLocal, retainAsPublished, subscriptionId, timestamps, positions }: TopicSubscription,
  ): void {
    const options = {
      qos,
      noLocal,
      retainAsPublished,
      subscriptionId,
      ...(timestamps === true && { timestamps }),
      ...(positions === true && { positions }),
    }
    this.#try((store) => store.subscribe(filter, clientId, options))
  }

  unsubscribe(filter: string, clientId: string): void {
    this.#try((store) => store.unsubscribe(filter, clientId))
  }

  retain(topic: string, isRetained: boolean): void {
    this.#try((store) => store.retain(topic, isRetained))
  }

  /** Undefined: ask the own tree. */
  subscribers(topic: string): readonly TopicSubscriber[] | undefined {
    return this.#try((store) => {
      const found = [...store.subscribers(topic)]
      for (const one of found) {
        if (!isSubscriber(one) || !filterMatches(one.filter, topic)) throw new TypeError(`no subscriber of ${topic}`)
      }
      return found
    })
  }

  /** Undefined: ask the own tree. */
  retained(filter: string): readonly string[] | undefined {
    return this.#try((store) => {
      const found = [...store.retained(filter)]
      for (const topic of found) {
        if (typeof topic !== 'string' || !filterMatches(filter, topic)) throw new TypeError(`no topic of ${filter}`)
      }
      return found
    })
  }

  close(): void {
    this.#try((store) => store.close?.())
  }

  #try<T>(ask: (store: TopicStore) => T): T | undefined {
    const { store, counters, logger } = this.#o
    try {
      const answer = ask(store)
      this.#failing = false
      return answer
    } catch (error) {
      counters.topicStoreFailures++
      if (!this.#failing) {
        this.#failing = true
        logger.error(
          { event: 'topicStore.failing', error: reasonOf(error) },
          'The topic store failed; the built-in one answers',
        )
      }
      return undefined
    }
  }
}

function isSubscriber(value: TopicSubscriber): boolean {
  return (
    typeof value.clientId === 'string' &&
    typeof value.filter === 'string' &&
    (value.qos === 0 || value.qos === 1 || value.qos === 2) &&
    typeof value.noLocal === 'boolean' &&
    typeof value.retainAsPublished === 'boolean' &&
    Number.isInteger(value.subscriptionId)
  )
}
