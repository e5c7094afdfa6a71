/**
 * Gives messages that skip the order of a cluster (architecture section 3.6) to the sessions of the ordered machine: kept ones
 * that are connected here, at QoS 0, and members of shared groups that the node of the publisher chose. The machine hears
 * nothing of it: nothing is queued, and whoever is away gets nothing. Transient sessions' own subscriptions are the routes'.
 */
import { Buffer } from 'node:buffer'
import { filterMatches, type PublishRun, type QoS } from '@concordmq/protocol'
import type { Message, OutsideChoice, PlacedMessage, Subscription } from '@concordmq/state'
import { timestampBytes, userPropertyBytes, wantsTimestamps } from '../delivery/broker-timestamps.ts'
import { encodeRun, type Form } from '../delivery/form.ts'
import { messageForm } from '../delivery/message-form.ts'
import type { SessionConnection, SessionDriver } from './session-driver.ts'

const [MARK, NO] = ['concord-ordered', 'false'] as const
/** The user property of messages that are given to clients without a place in the order, encoded. */
export const UNORDERED = userPropertyBytes(MARK, NO)

/** The same message with that property. */
export function unordered(message: Message): Message {
  const { properties } = message
  return {
    ...message,
    properties: { ...properties, userProperties: [...(properties?.userProperties ?? []), [MARK, NO]] },
  }
}

export class UnorderedDelivery<C extends SessionConnection> {
  readonly #driver: SessionDriver<C>
  readonly #nowMs: () => number

  constructor(driver: SessionDriver<C>, nowMs: () => number) {
    this.#driver = driver
    this.#nowMs = nowMs
  }

  /** A run to the kept sessions that are connected here. */
  giveRun(run: PublishRun, topic: string, publisher: string): void {
    const shared: (Form | undefined)[] = [undefined, undefined]
    const terms = { nowMs: this.#nowMs(), retain: false, alias: 0, aliasOnly: false }
    this.#eachKept(topic, publisher, (connection, subscriptionIds) => {
      const { v5, clientId } = connection
      const timestamps = v5 && wantsTimestamps(this.#driver.ordered.session(clientId), topic)
      if (subscriptionIds.length > 0 || timestamps) {
        const extra = timestamps
          ? Buffer.concat([UNORDERED, timestampBytes(this.#driver.now().us, { ordered: false })])
          : UNORDERED
        connection.feed?.giveZero(encodeRun(run, v5, 0, { ...terms, subscriptionIds, extra }), topic)
        return
      }
      const index = v5 ? 1 : 0
      shared[index] ??= encodeRun(run, v5, 0, { ...terms, subscriptionIds, extra: UNORDERED })
      connection.feed?.giveZero(shared[index], topic)
    })
  }

  /** The same for one message, which bears the mark. */
  giveMessage(placed: PlacedMessage): void {
    const { topic, publisher } = placed.message
    this.#eachKept(topic, publisher, (connection, subscriptionIds) => {
      if (connection.feed?.dropsZero(placed.message) !== true) this.#give(connection, placed, 0, subscriptionIds)
    })
  }

  /**
   * One message to a member of a shared group, if that is connected here and its subscription wants the topic; `make` makes the
   * message, which bears the mark.
   */
  giveMember({ group, clientId }: OutsideChoice, topic: string, make: () => PlacedMessage): void {
    const connection = this.#driver.byClient(clientId)
    const member = this.#driver.ordered.memberOf(group, clientId)
    if (connection === undefined || member === undefined || !filterMatches(member.topicFilter, topic)) return
    if (!this.#driver.mayReceive(connection, topic)) return
    const placed = make()
    this.#give(connection, placed, Math.min(placed.message.qos, member.qos) as QoS, idsOf([member]))
  }

  #give(connection: C, placed: PlacedMessage, qos: QoS, subscriptionIds: readonly number[]): void {
    const { v5, clientId, feed } = connection
    const { topic } = placed.message
    const timestamps = wantsTimestamps(this.#driver.ordered.session(clientId), topic)
    const terms = { retain: false, dup: false, subscriptionIds, timestamps }
    const now = this.#driver.now()
    if (feed !== undefined) feed.giveZero(messageForm(placed, v5, { ...terms, qos: 0 }, now), topic)
    else connection.outbox.give(messageForm(placed, v5, { ...terms, qos }, now))
  }

  /** Each kept session that is connected here, wants the topic and may have it, once. */
  #eachKept(
    topic: string,
    publisher: string,
    visit: (connection: C, subscriptionIds: readonly number[]) => void,
  ): void {
    const found = new Map<C, Subscription[]>()
    this.#driver.ordered.subscriptions.match(topic, (subscription, clientId) => {
      const connection = this.#driver.byClient(clientId)
      // [MQTT-3.8.3-3] No Local: never back to the client that published it
      if (connection?.feed === undefined || (subscription.noLocal && clientId === publisher)) return
      const others = found.get(connection)
      if (others === undefined) found.set(connection, [subscription])
      else others.push(subscription)
    })
    for (const [connection, subscriptions] of found) {
      if (this.#driver.mayReceive(connection, topic)) visit(connection, idsOf(subscriptions))
    }
  }
}

function idsOf(subscriptions: readonly Subscription[]): readonly number[] {
  const ids = new Set(subscriptions.map(({ subscriptionId }) => subscriptionId).filter((id) => id > 0))
  return [...ids].sort((a, b) => a - b)
}
