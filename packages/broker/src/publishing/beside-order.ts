/**
 * The way beside the order of a cluster, for topics that skip it (`ordering.fast`): clients here have a message at once, those of
 * other nodes when it gets there; QoS 1 is acknowledged when a quorum has it. What goes this way has no place and is marked so.
 *
 *   run ─┬─▶ connected here (fan-out), kept here (`sessions/unordered-delivery.ts`), one member of each shared group
 *        └─▶ relay ─ ─ ▶ other nodes, which do the same
 */
import type { PublishRun } from '@concordmq/protocol'
import type { Message, OutsideChoice, PlacedMessage, Turns } from '@concordmq/state'
import type { Connection } from '../connections/connection.ts'
import { PUBACK } from '../connections/first-bytes.ts'
import type { OutsideChoiceOf, Relay } from '../ordering/relay.ts'
import type { RelayedItem } from '../ordering/relay-frames.ts'
import type { Route, RouteTable } from '../routing/route-table.ts'
import type { SessionDriver } from '../sessions/session-driver.ts'
import { type UnorderedDelivery, unordered } from '../sessions/unordered-delivery.ts'
import type { Counters } from '../telemetry/counters.ts'
import type { FanOut } from './fan-out.ts'
import { messageIn } from './run-messages.ts'

export interface BesideOrderOptions {
  /** Absent where this program is the whole broker: then nothing goes this way. */
  readonly relay: Relay | undefined
  readonly fanOut: FanOut
  readonly unordered: UnorderedDelivery<Connection>
  readonly driver: SessionDriver<Connection>
  readonly routes: RouteTable<Connection>
  readonly counters: Counters
  /** Seconds; 0: no limit. */
  readonly messageExpiryMax: () => number
}

const NO_CHOICES: readonly OutsideChoiceOf[] = []
const NO_PAYLOAD = new Uint8Array(0)

export class BesideOrder {
  readonly #o: BesideOrderOptions
  /** Whose turn it was in shared groups. */
  readonly #turns: Turns = new WeakMap()
  #count = 0

  constructor(options: BesideOrderOptions) {
    this.#o = options
  }

  /** A run of a client; `relay` takes it to the other nodes. */
  publish(from: Connection, run: PublishRun, route: Route<Connection>, relay: Relay): void {
    const { counters, messageExpiryMax } = this.#o
    const { qos, count } = run
    counters.fastPublished += count
    this.#giveRun(from, from.clientId, run, route)
    const choices = this.#chooseOutside(from.clientId, run, route)
    for (const { message, ...choice } of choices) this.#giveMember(choice, from.clientId, run, route, message)
    const isPlain = !run.hasProperties && messageExpiryMax() === 0
    const submit = (taken: (() => void) | undefined): void => {
      const author = { counter: from.id?.counter ?? 0, publisher: from.clientId, receipts: false }
      if (isPlain) relay.submitRun(run, author, choices, taken)
      else this.#relayEach(from.clientId, run, route, { relay, choices, taken })
    }
    if (qos === 0) submit(undefined)
    else {
      from.answerRunWhen(run, (ready) =>
        submit(() => {
          from.conversation.settledIn(count)
          ready({ firstByte: PUBACK, reasonCode: 0, taken: count, refusal: undefined })
        }),
      )
    }
    if (relay.full && from.stop()) relay.whenRoom(() => from.goOn())
  }

  /** The messages of a run one by one, with what they carry; the last one answers for all. */
  #relayEach(
    publisher: string,
    run: PublishRun,
    route: Route<Connection>,
    {
      relay,
      choices,
      taken,
    }: {
      readonly relay: Relay
      readonly choices: readonly OutsideChoiceOf[]
      readonly taken: (() => void) | undefined
    },
  ): void {
    for (let i = 0; i < run.count; i++) {
      const message = this.#message(run, route, publisher, i)
      const own = choices.filter((choice) => choice.message === i).map((choice) => ({ ...choice, message: 0 }))
      relay.submitMessage({ type: 'publish', message }, own, i === run.count - 1 ? taken : undefined)
    }
  }

  /** What another node relayed, to whoever is connected here; `choices` are members of shared groups. */
  relayed(item: RelayedItem, choices: readonly OutsideChoiceOf[]): void {
    if (item.type === 'message') {
      this.#giveMarked(item.message, choices)
      return
    }
    const { run, of } = item
    const route = this.#o.routes.lookup(run.topicBuf, run.topicStart, run.topicEnd)
    this.#giveRun(undefined, of.publisher, run, route)
    for (const { message, ...choice } of choices) {
      if (message < run.count) this.#giveMember(choice, of.publisher, run, route, message)
    }
  }

  /** Publishes one that skips the order; `taken` is called when a quorum has it, at QoS 0 at once. */
  publishMessage(message: Message, taken: () => void): void {
    const { relay, counters } = this.#o
    counters.fastPublished++
    const choices = this.#o.driver.ordered
      .chooseOutside(this.#unplaced(message), this.#turns)
      .map((choice) => ({ ...choice, message: 0 }))
    this.#giveMarked(message, choices)
    relay?.submitMessage({ type: 'publish', message }, choices, message.qos === 0 ? undefined : taken)
    if (message.qos === 0) taken()
  }

  #giveRun(from: Connection | undefined, publisher: string, run: PublishRun, route: Route<Connection>): void {
    const { fanOut } = this.#o
    fanOut.marked(() => fanOut.run(from, publisher, run, route))
    if (route.ordered) this.#o.unordered.giveRun(run, route.topic, publisher)
  }

  #giveMarked(message: Message, choices: readonly OutsideChoiceOf[]): void {
    const { fanOut } = this.#o
    const placed = this.#unplaced(unordered(message))
    fanOut.marked(() => fanOut.placed(placed, undefined))
    this.#o.unordered.giveMessage(placed)
    for (const choice of choices) this.#o.unordered.giveMember(choice, message.topic, () => placed)
  }

  #giveMember(choice: OutsideChoice, publisher: string, run: PublishRun, route: Route<Connection>, i: number): void {
    const make = (): PlacedMessage => this.#unplaced(unordered(this.#message(run, route, publisher, i)))
    this.#o.unordered.giveMember(choice, route.topic, make)
  }

  /** A member of each shared group for each message of a run. */
  #chooseOutside(publisher: string, run: PublishRun, route: Route<Connection>): readonly OutsideChoiceOf[] {
    const { ordered } = this.#o.driver
    if (!route.ordered || ordered.groupsWanting(route.topic).length === 0) return NO_CHOICES
    const head = { topic: route.topic, payload: NO_PAYLOAD, qos: run.qos, retain: false, publisher }
    const choices: OutsideChoiceOf[] = []
    for (let message = 0; message < run.count; message++) {
      for (const choice of ordered.chooseOutside(this.#unplaced(head), this.#turns)) {
        choices.push({ ...choice, message })
      }
    }
    return choices
  }

  /** As a message with a place, where one is asked for; the count stands for it where something is drawn from places. */
  #unplaced(message: Message): PlacedMessage {
    return { message, position: 0, index: this.#count++, timeUs: this.#o.driver.now().us }
  }

  #message(run: PublishRun, { topic }: Route<Connection>, publisher: string, i: number): Message {
    return messageIn(run, { topic, publisher, expiryMax: this.#o.messageExpiryMax() }, i)
  }
}
