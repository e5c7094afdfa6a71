/**
 * Messages and packets that this program puts in itself: `broker.publish()` in its own name, `broker.inject()` in that of a
 * connected client (row C41), `broker.sendTo()` to one client alone.
 *
 * What is injected for a client passes its hooks and permissions like its own packets; what the program does in its own name
 * only meets `transformPublish`. The program's own messages keep the order of the calls, also when a hook takes time.
 */
import { Buffer } from 'node:buffer'
import { filterProblem, type SubscriptionRequest } from '@concordmq/protocol'
import type { ConnectionId, Message, Outcome } from '@concordmq/state'
import type { InjectedPacket, PublishOptions } from '../api.ts'
import type { Connection } from '../connections/connection.ts'
import { packetForm } from '../delivery/message-form.ts'
import { ConcordError } from '../errors.ts'
import { messageProblem, packetOf, withoutPacket } from '../hooks/hook-message.ts'
import { type HookPoints, Refused } from '../hooks/hook-points.ts'
import type { HookMessage } from '../hooks/hooks.ts'
import type { Pipeline } from '../pipeline.ts'
import { messageOf, type SessionDriver } from '../sessions/session-driver.ts'
import type { Incoming } from './incoming.ts'

export interface InjectorOptions {
  readonly driver: SessionDriver<Connection>
  readonly pipeline: Pipeline
  readonly incoming: Incoming
  readonly hooks: HookPoints
  /** Seconds; 0: no limit. */
  readonly messageExpiryMax: () => number
  /** As for a SUBSCRIBE; `denied` holds a code for each filter, 0: none. */
  readonly subscribe: (
    connection: Connection,
    subscriptions: readonly SubscriptionRequest[],
    denied: readonly number[],
    answer: (reasonCodes: readonly number[]) => void,
  ) => void
  readonly unsubscribe: (
    connection: Connection,
    filters: readonly string[],
    answer: (reasonCodes: readonly number[]) => void,
  ) => void
}

/** The program's own messages that wait for a hook. */
const WAITING_MAX = 10_000
/** How deep hooks may publish from within a publish: a circle would end the stack in the middle of something. */
const NESTED_MAX = 32
const NO_MATCHING_SUBSCRIBERS = 0x10
/** Of a sealed message that is void. */
const VOID = 0x83

export class Injector {
  readonly #o: InjectorOptions
  /** Settles when the program's own message before has its place; undefined while none waits. */
  #before: Promise<unknown> | undefined
  #waiting = 0
  /** Own messages that were published by a hook about an own message, and so on. */
  #nested = 0

  constructor(options: InjectorOptions) {
    this.#o = options
  }

  /** In the name of the program. */
  async publish(options: PublishOptions): Promise<void> {
    const message = hookMessage(options)
    if (this.#before === undefined) {
      const judged = this.#o.incoming.judge(undefined, message)
      if (!(judged instanceof Promise)) return this.#place(judged)
      await this.#queue(() => judged)
      return
    }
    await this.#queue(() => this.#o.incoming.judge(undefined, message))
  }

  /** Behind those that wait. */
  #queue(judge: () => HookMessage | Refused | Promise<HookMessage | Refused>): Promise<void> {
    if (this.#waiting >= WAITING_MAX) {
      throw new ConcordError('CMQ_BUSY', `Cannot publish: ${WAITING_MAX} messages wait for a hook`)
    }
    this.#waiting++
    const before = this.#before
    const work = (async () => {
      await before?.catch(() => {})
      return this.#place(await judge())
    })().finally(() => {
      if (--this.#waiting === 0) this.#before = undefined
    })
    this.#before = work
    return work
  }

  #place(judged: HookMessage | Refused): Promise<void> {
    const { messageExpiryMax } = this.#o
    if (judged instanceof Refused) {
      if (judged.reasonCode === 0) return Promise.resolve()
      return Promise.reject(
        new ConcordError('CMQ_REFUSED', `Cannot publish: a hook refused it with ${hex(judged.reasonCode)}`),
      )
    }
    const message = messageOf(judged, judged.properties, '', messageExpiryMax())
    if (this.#nested >= NESTED_MAX) {
      const topic = JSON.stringify(judged.topic)
      return Promise.reject(
        new ConcordError('CMQ_BUSY', `Cannot publish to ${topic}: hooks publish in a circle, ${NESTED_MAX} deep`),
      )
    }
    this.#nested++
    try {
      return this.#submit(message, judged)
    } finally {
      this.#nested--
    }
  }

  #submit(message: Message, judged: HookMessage): Promise<void> {
    const { driver, incoming, pipeline } = this.#o
    const way = pipeline.wayOf(message)
    if (way === 'fast') {
      return new Promise((resolve) =>
        pipeline.besideOrder.publishMessage(message, () => {
          resolve()
          incoming.tellPublished(undefined, judged)
        }),
      )
    }
    return new Promise((resolve, reject) => {
      const answer = (outcome: Outcome): void => {
        if (outcome.type === 'refused' && outcome.reasonCode === VOID) {
          const topic = JSON.stringify(judged.topic)
          const why = 'it was sealed, and the other nodes could not open it'
          reject(new ConcordError('CMQ_SEALED', `Cannot publish to ${topic}: ${why}`))
          return
        }
        if (outcome.type === 'refused') {
          const topic = JSON.stringify(judged.topic)
          reject(new ConcordError('CMQ_QUOTA', `Cannot publish to ${topic}: there is no room to keep it`))
          return
        }
        if (outcome.type === 'malformed') {
          reject(new ConcordError('CMQ_TOPIC', `Cannot publish to ${JSON.stringify(judged.topic)}: ${outcome.detail}`))
          return
        }
        resolve()
        incoming.tellPublished(undefined, judged)
      }
      if (way === 'sealed') pipeline.publishSealed({ type: 'publish', message }, answer)
      else driver.sequencer.submit({ type: 'publish', message }, answer)
    })
  }

  /** In the name of a client, or of the program. */
  async inject(packet: InjectedPacket, clientId: string | undefined): Promise<readonly number[]> {
    if (clientId === undefined) {
      if (packet.type !== 'publish') {
        throw new ConcordError(
          'CMQ_MESSAGE',
          `Cannot inject ${packet.type}: the program subscribes by broker.subscribe()`,
        )
      }
      await this.publish(packet)
      return [0]
    }
    const connection = this.#o.driver.byClient(clientId)
    if (connection?.id === undefined) {
      throw new ConcordError('CMQ_NOT_CONNECTED', `Cannot inject for ${JSON.stringify(clientId)}: it is not connected`)
    }
    switch (packet.type) {
      case 'publish':
        return [await this.#publishFor(connection, connection.id, hookMessage(packet))]
      case 'subscribe':
        return this.#subscribeFor(connection, packet.subscriptions)
      case 'unsubscribe':
        return this.#unsubscribeFor(connection, packet.filters)
      default:
        throw new ConcordError('CMQ_MESSAGE', `Cannot inject ${JSON.stringify((packet as { type?: unknown }).type)}`)
    }
  }

  async #publishFor(connection: Connection, id: ConnectionId, message: HookMessage): Promise<number> {
    const { incoming, pipeline, driver, hooks, messageExpiryMax } = this.#o
    const judged = await incoming.judge(connection.client, message)
    stillThere(connection)
    if (judged instanceof Refused) return judged.reasonCode
    const refusal = pipeline.publishProblem(connection, Buffer.from(judged.topic))
    if (refusal !== 0) return refusal
    const given = messageOf(judged, judged.properties, connection.clientId, messageExpiryMax())
    const way = pipeline.wayOf(given)
    if (way === 'fast') {
      await new Promise<void>((resolve) => pipeline.besideOrder.publishMessage(given, resolve))
      incoming.tellPublished(connection.client, judged)
      if (hooks.packets) connection.processed(packetOf(judged))
      return 0
    }
    const outcome = await new Promise<Outcome>((resolve) => {
      const command = { type: 'publish', message: given, connection: id } as const
      if (way === 'sealed') pipeline.publishSealed(command, resolve)
      else driver.sequencer.submit(command, resolve)
    })
    if (outcome.type === 'refused') return outcome.reasonCode
    if (outcome.type !== 'published') return 0x83
    incoming.tellPublished(connection.client, judged)
    if (hooks.packets) connection.processed(packetOf(judged))
    return outcome.matched === 0 && pipeline.unmatched(judged.topic) ? NO_MATCHING_SUBSCRIBERS : 0
  }

  async #subscribeFor(
    connection: Connection,
    asked: Extract<InjectedPacket, { readonly type: 'subscribe' }>['subscriptions'],
  ): Promise<readonly number[]> {
    const { incoming, subscribe } = this.#o
    const { version } = connection.conversation
    const requests = asked.map(
      ({ filter, qos = 0, noLocal = false, retainAsPublished = false, retainHandling = 0 }) => {
        const problem = typeof filter === 'string' ? filterProblem(filter, version)?.detail : 'it is not text'
        if (problem !== undefined) throw new ConcordError('CMQ_MESSAGE', `Cannot inject a subscription: ${problem}`)
        return { filter, qos, noLocal, retainAsPublished, retainHandling }
      },
    )
    if (requests.length === 0) throw new ConcordError('CMQ_MESSAGE', 'Cannot inject a subscription: no filter')
    const { subscriptions, denied } = await incoming.judgeSubscriptions(connection.client, requests, version)
    stillThere(connection)
    return new Promise((resolve) => subscribe(connection, subscriptions, denied, resolve))
  }

  async #unsubscribeFor(connection: Connection, asked: readonly string[]): Promise<readonly number[]> {
    const { incoming, unsubscribe } = this.#o
    const { version } = connection.conversation
    for (const filter of asked) {
      if (typeof filter !== 'string' || filterProblem(filter, version) !== undefined)
        throw new ConcordError('CMQ_MESSAGE', 'Cannot inject an unsubscription: a filter is none')
    }
    const filters = await incoming.judgeFilters(connection.client, asked, version)
    stillThere(connection)
    if (filters instanceof Refused) return asked.map(() => filters.reasonCode)
    return new Promise((resolve) => unsubscribe(connection, filters, resolve))
  }

  /** To one client alone, whatever it subscribes to. */
  sendTo(clientId: string, options: PublishOptions): boolean {
    const message = hookMessage(options)
    const connection = this.#o.driver.byClient(clientId)
    if (connection === undefined) return false
    const { topic, payload, retain, properties } = message
    // The numbers of a kept session's queue are the state machine's to give.
    const qos = connection.feed === undefined ? message.qos : 0
    const v5 = connection.v5
    const packet = { topic, payload, qos, retain, dup: false, ...(v5 && properties !== undefined && { properties }) }
    const form = packetForm(packet, v5, -1)
    if (connection.feed !== undefined) connection.feed.giveZero(form, topic)
    else connection.outbox.give(form)
    return true
  }
}

/** A hook took its time: what it decided about is gone with the connection. */
function stillThere(connection: Connection): void {
  if (!connection.conversation.closed) return
  const clientId = JSON.stringify(connection.clientId)
  throw new ConcordError('CMQ_NOT_CONNECTED', `Cannot inject for ${clientId}: it went while a hook decided`)
}

/** Checks what a program gave. Throws `CMQ_TOPIC` or `CMQ_MESSAGE`. */
function hookMessage(options: PublishOptions): HookMessage {
  const { topic, qos = 0, retain = false, properties } = options
  const payload =
    typeof options.payload === 'string'
      ? Buffer.from(options.payload)
      : options.payload instanceof Uint8Array
        ? new Uint8Array(options.payload)
        : options.payload
  const message = withoutPacket({ topic, payload, qos, retain, ...(properties !== undefined && { properties }) })
  const problem = messageProblem(message)
  if (problem !== undefined) {
    const code = problem.startsWith('topic') || problem.startsWith('the topic') ? 'CMQ_TOPIC' : 'CMQ_MESSAGE'
    throw new ConcordError(code, `Cannot publish to ${JSON.stringify(String(topic).slice(0, 100))}: ${problem}`)
  }
  return message
}

function hex(code: number): string {
  return `0x${code.toString(16).padStart(2, '0')}`
}
