/** Who gets the messages of a topic: the route table over the machines' subscriptions, the permissions and the program's own wishes. */
import type { Guard } from '../access/permissions.ts'
import type { TopicSubscription } from '../model/topic-store.ts'
import { type Match, RouteTable, type Way } from '../routing/route-table.ts'
import type { TopicIndex } from '../routing/topic-index.ts'
import type { SessionConnection, SessionDriver } from './session-driver.ts'
import { endWithdrawnRights } from './withdrawn-rights.ts'

/** Topics whose subscriber lists are cached. */
export const ROUTES_MAX = 65536
/** To go through so many filters takes a few microseconds at most. */
const QUICK_FILTERS_MAX = 64

export interface RoutedConnection extends SessionConnection {
  disconnect(reasonCode: number): void
}

export interface RoutesOptions {
  /** The program's own index of subscriptions, in place of the local machine's. */
  readonly topics: TopicIndex | undefined
  /** Whether somebody in this program wants the messages of a topic. */
  readonly inline: (topic: string) => boolean
  readonly way: (topic: string) => Way
}

/**
 * Routes over the local machine's subscriptions; any subscription change, in either machine, reaches them. Who may not
 * receive a topic is not in its route, so that no message asks.
 */
export function routesOf<C extends RoutedConnection>(
  driver: SessionDriver<C>,
  guard: Guard,
  { topics, inline, way }: RoutesOptions,
): RouteTable<C> {
  const { ordered, local } = driver
  const routes = new RouteTable<C>(
    {
      matches(topic: string, visit: (match: Match<C>) => void) {
        const match = (
          { qos, noLocal, retainAsPublished, subscriptionId, timestamps = false, positions = false }: TopicSubscription,
          clientId: string,
        ): void => {
          const subscriber = driver.byClient(clientId)
          if (subscriber === undefined || guard.asked?.mayReceive(subscriber, topic) === false) return
          visit({ subscriber, qos, noLocal, retainAsPublished, subscriptionId, timestamps, positions })
        }
        const indexed = topics?.subscribers(topic)
        if (indexed === undefined) local.subscriptions.match(topic, match)
        else for (const one of indexed) match(one, one.clientId)
      },
      ordered: (topic) => ordered.wants(topic),
      inline,
      way,
      isQuick: () => topics === undefined && local.subscriptions.size + ordered.filters < QUICK_FILTERS_MAX,
    },
    ROUTES_MAX,
  )
  const changed = (filter: string): void => routes.changed(filter)
  ordered.onSubscriptionChange(changed)
  local.onSubscriptionChange(changed)
  guard.onChange((before) => {
    routes.changedAll()
    endWithdrawnRights(driver, guard, before)
  })
  return routes
}
