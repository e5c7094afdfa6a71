/**
 * SUBSCRIBE and UNSUBSCRIBE: each filter is judged (what the server offers, what the client may), those that pass go to the
 * driver of sessions in the client's turn, and one answer says all reason codes in the order of the filters [MQTT-3.9.3-1].
 *
 * Hooks that come before are the caller's affair; what they refused is told as `denied`.
 */
import {
  parseShare,
  ReasonCode,
  type ServerSettings,
  type SubscribePacket,
  type SubscriptionRequest,
} from '@concordmq/protocol'
import { DIRECT_PREFIX } from '@concordmq/state'
import type { Guard, Work } from '../access/permissions.ts'
import type { Connection } from '../connections/connection.ts'
import { asksForTimestamps } from '../delivery/broker-timestamps.ts'
import { asksForPositions } from '../delivery/order-positions.ts'
import type { HookPoints } from '../hooks/hook-points.ts'
import type { Sequencer } from '../model/sequencer.ts'
import { orderOf, type SessionDriver } from '../sessions/session-driver.ts'
import type { Counters } from '../telemetry/counters.ts'

export interface SubscribingOptions {
  readonly driver: SessionDriver<Connection>
  readonly guard: Guard
  readonly hooks: HookPoints
  readonly counters: Counters
  /** What others share the order through; undefined: this thread is alone with it. */
  readonly order: Sequencer | undefined
  /** The others are threads of this process, which clients take for one. */
  readonly amongWorkers: boolean
  /** Whether messages have a position that subscribers may ask for. */
  readonly positions: boolean
  /** What a client is told in place of a reason code. */
  readonly told: (reasonCode: number) => number
}

/** Steps through the rules that the wildcards of one SUBSCRIBE may cost, some tens of milliseconds; the rest is refused 0x97. */
const SUBSCRIBE_STEPS_MAX = 1_000_000

export class Subscribing {
  readonly #o: SubscribingOptions

  constructor(options: SubscribingOptions) {
    this.#o = options
  }

  /** `denied`: for each filter 0, or the code for which it is refused already; empty: none. */
  subscribe(
    connection: Connection,
    packet: Pick<SubscribePacket, 'subscriptions' | 'properties'>,
    denied: readonly number[],
    answer: (reasonCodes: readonly number[]) => void,
  ): void {
    const { driver, counters, told } = this.#o
    const { settings: limits } = connection
    const id = packet.properties?.subscriptionIdentifiers?.[0] ?? 0
    const timestamps = asksForTimestamps(packet.properties)
    // Who asks for times is told the place in the order as well, where there is one.
    const positions = this.#o.positions && (timestamps || asksForPositions(packet.properties))
    const work: Work = { left: SUBSCRIBE_STEPS_MAX }
    const problems = packet.subscriptions.map(
      (request, i) =>
        (denied[i] ?? 0) ||
        subscriptionProblem(request.filter, limits) ||
        this.#denied(connection, request.filter, work),
    )
    const orders = packet.subscriptions
      .filter((_request, i) => problems[i] === 0)
      .map((request) => orderOf(request, limits.maximumQoS, id, { timestamps, positions }))
    const finish = (codes: readonly number[]): void => {
      let granted = 0
      for (const code of codes) if (code === ReasonCode.quotaExceeded) counters.limits.subscriptionsFull++
      const reasonCodes = problems.map((problem) => (problem === 0 ? (codes[granted++] as number) : problem))
      // [MQTT3-3.9.3-2] before 5.0 every refusal is 0x80
      answer(reasonCodes.map((code) => (connection.v5 ? told(code) : code > 2 ? 0x80 : code)))
      this.#tellSubscriptions('subscribed', connection, packet.subscriptions, reasonCodes)
    }
    if (orders.length === 0) finish([])
    else this.#inTurn(connection, () => driver.subscribe(connection, orders, finish))
  }

  unsubscribe(
    connection: Connection,
    filters: readonly string[],
    answer: (reasonCodes: readonly number[]) => void,
  ): void {
    this.#inTurn(connection, () =>
      this.#o.driver.unsubscribe(connection, filters, (reasonCodes) => {
        answer(reasonCodes)
        this.#tellSubscriptions('unsubscribed', connection, filters, reasonCodes)
      }),
    )
  }

  /**
   * Behind what the client published before: a transient session's subscriptions are no commands that the order keeps in line. Among
   * workers behind all that any client was told before, as if there were one thread: a command that does nothing takes a place.
   */
  #inTurn(connection: Connection, act: () => void): void {
    const { order, amongWorkers } = this.#o
    if (order === undefined || connection.kept) {
      act()
      return
    }
    if (amongWorkers) {
      connection.submitted()
      order.submit({ type: 'tick' }, undefined, () => connection.ordered())
    }
    connection.afterOrdered(act)
  }

  #tellSubscriptions(
    point: 'subscribed' | 'unsubscribed',
    connection: Connection,
    what: readonly (SubscriptionRequest | string)[],
    reasonCodes: readonly number[],
  ): void {
    const { hooks, driver } = this.#o
    if (!hooks.uses(point)) return
    const { ordered, local } = driver
    const subscribers = what.map((one) => {
      const filter = typeof one === 'string' ? one : one.filter
      return ordered.subscribersOf(filter) + local.subscribersOf(filter)
    })
    hooks.observe(point, connection.client, what, { reasonCodes, subscribers })
  }

  /** 0, or the reason code for which the client may not subscribe. */
  #denied(connection: Connection, filter: string, work: Work): number {
    const { guard, counters } = this.#o
    const { asked } = guard
    if (asked === undefined) return 0
    const exhausted = work.left <= 0
    if (!exhausted && asked.maySubscribe(connection, parseShare(filter)?.filter ?? filter, work)) return 0
    counters.subscribeDenied++
    return exhausted ? ReasonCode.quotaExceeded : ReasonCode.notAuthorized
  }
}

/** 0, or the reason code that refuses a filter. Its syntax was checked by the codec; the machine checks its depth. */
function subscriptionProblem(filter: string, limits: ServerSettings): number {
  const share = parseShare(filter)
  if (share !== undefined && !limits.sharedSubscriptionAvailable) return ReasonCode.sharedSubscriptionsNotSupported
  // What is addressed to one client is nobody else's to hear.
  if (`${share?.filter ?? filter}/`.startsWith(DIRECT_PREFIX)) return ReasonCode.notAuthorized
  if (!limits.wildcardSubscriptionAvailable && /[+#]/.test(filter)) return ReasonCode.wildcardSubscriptionsNotSupported
  return 0
}
