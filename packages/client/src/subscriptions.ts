/**
 * Which handlers a message is for. A 5.0 server says so by the subscription identifier, one per topic filter here; where it
 * does not, the topic decides. With overlapping filters the identifier is what keeps one message from reaching a handler
 * twice, so before 5.0 a server that sends a copy for each subscription makes that visible.
 */
import { filterMatches, type Properties, parseShare, type QoS, type SubscriptionRequest } from '@concordmq/protocol'
import type { Message, MessageHandler } from './options.ts'

export interface Entry {
  request: SubscriptionRequest
  properties: Properties | undefined
  /** Subscription identifier known to the server; 0: none. */
  identifier: number
  /** Granted QoS; undefined until the server has answered. */
  granted: QoS | undefined
  /** The filter that topics are compared with. */
  readonly matchFilter: string
  readonly handlers: MessageHandler[]
  /** How many `subscribe()` calls it stands for. */
  uses: number
}

const NO_HANDLERS: readonly MessageHandler[] = []

export class Subscriptions {
  readonly #byFilter = new Map<string, Entry>()
  readonly #byIdentifier = new Map<number, Entry>()
  #lastIdentifier = 0

  /** The entry for a filter, made if there is none. */
  open(request: SubscriptionRequest, properties: Properties | undefined): Entry {
    const known = this.#byFilter.get(request.filter)
    if (known !== undefined) {
      known.request = request
      known.properties = properties
      return known
    }
    const { filter } = request
    const matchFilter = parseShare(filter)?.filter ?? filter
    const entry: Entry = { request, properties, identifier: 0, granted: undefined, matchFilter, handlers: [], uses: 0 }
    this.#byFilter.set(filter, entry)
    return entry
  }

  get(filter: string): Entry | undefined {
    return this.#byFilter.get(filter)
  }

  close(entry: Entry): void {
    if (this.#byFilter.get(entry.request.filter) === entry) this.#byFilter.delete(entry.request.filter)
    this.#byIdentifier.delete(entry.identifier)
  }

  /** Gives the entry an identifier if it has none, or takes it away from a server that knows none. */
  identify(entry: Entry, available: boolean): void {
    if (!available) {
      this.#byIdentifier.delete(entry.identifier)
      entry.identifier = 0
    } else if (entry.identifier === 0) {
      // 268,435,455 is the largest; nobody gets there in one process.
      entry.identifier = ++this.#lastIdentifier
      this.#byIdentifier.set(entry.identifier, entry)
    }
  }

  /** Those that the server has granted: to be asked for again when it has forgotten the session. */
  granted(): Entry[] {
    return [...this.#byFilter.values()].filter((entry) => entry.granted !== undefined)
  }

  handlersFor(message: Message): readonly MessageHandler[] {
    const identifiers = message.properties?.subscriptionIdentifiers
    let found: MessageHandler[] | undefined
    for (const entry of identifiers === undefined ? this.#byFilter.values() : this.#named(identifiers)) {
      // Also with an identifier: a session resumed from an earlier process may use the same numbers for other filters.
      if (entry.handlers.length > 0 && filterMatches(entry.matchFilter, message.topic)) {
        found = found === undefined ? [...entry.handlers] : found.concat(entry.handlers)
      }
    }
    return found ?? NO_HANDLERS
  }

  *#named(identifiers: readonly number[]): Iterable<Entry> {
    for (const identifier of identifiers) {
      const entry = this.#byIdentifier.get(identifier)
      if (entry !== undefined) yield entry
    }
    for (const entry of this.#byFilter.values()) if (entry.identifier === 0) yield entry
  }
}
