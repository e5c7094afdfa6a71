/** The built-in index as a `TopicStore`: what the suite for topic stores is held against, and a base for wrappers. */
import { FilterTree, TopicEntry, TopicTree } from '@concordmq/state'
import type { TopicStore, TopicSubscriber } from '../model/topic-store.ts'

export function builtInTopicStore(): TopicStore {
  const subscriptions = new FilterTree<TopicSubscriber>()
  const topics = new TopicTree<TopicEntry>()
  return {
    subscribe(filter, clientId, { qos, noLocal, retainAsPublished, subscriptionId }) {
      subscriptions.set(filter, clientId, { clientId, filter, qos, noLocal, retainAsPublished, subscriptionId })
    },
    unsubscribe(filter, clientId) {
      subscriptions.delete(filter, clientId)
    },
    subscribers(topic) {
      const found: TopicSubscriber[] = []
      subscriptions.match(topic, (subscriber) => found.push(subscriber))
      return found
    },
    retain(topic, isRetained) {
      if (isRetained) topics.set(new TopicEntry(topic))
      else topics.delete(topic)
    },
    retained(filter) {
      const found: string[] = []
      topics.match(filter, ({ topic }) => found.push(topic))
      return found
    },
  }
}
