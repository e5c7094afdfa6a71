/**
 * Where a broker looks up who subscribes to a topic and what is retained under a filter (row S5): an interface for whoever
 * brings an index of their own. The built-in one is the tree of the state machine.
 *
 * A topic store holds the subscriptions of transient sessions and the topics of retained messages. What decides stays with the
 * machine: kept sessions, shared groups, the retained messages themselves. So a store that forgets or throws costs
 * deliveries at most; the broker counts what it throws and asks its own tree instead.
 */

/** Plain values: nothing of it changes after the call. */
export interface TopicSubscription {
  readonly qos: 0 | 1 | 2
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  /** 0: none. */
  readonly subscriptionId: number
  /** Deliveries carry when the broker received the message. Absent: they do not. */
  readonly timestamps?: boolean
  /** Deliveries carry their place in the order of the cluster. Absent: they do not. */
  readonly positions?: boolean
}

export interface TopicSubscriber extends TopicSubscription {
  readonly clientId: string
  readonly filter: string
}

export interface TopicStore {
  /** A subscription comes, or its options change. Filters are valid and never shared. */
  subscribe(filter: string, clientId: string, subscription: TopicSubscription): void
  unsubscribe(filter: string, clientId: string): void
  /** Every subscription that matches, in any order; one client may have several. */
  subscribers(topic: string): Iterable<TopicSubscriber>
  /** A topic has a retained message now, or has none any more. */
  retain(topic: string, isRetained: boolean): void
  /** Topics with a retained message that the filter matches, in any order. */
  retained(filter: string): Iterable<string>
  /** The broker is closed. */
  close?(): void
}
