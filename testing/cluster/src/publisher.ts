/**
 * A publisher that finishes: a number of messages, one after the other in its own count, and whatever is not acknowledged when
 * its node goes is sent again through the next one, as the standard wants it (same identifier, same order, DUP where the
 * session went on). A payload is `NAME:NUMBER`, padded.
 */
import type { FlowClient } from '../../testkit/src/flow-client.ts'
import type { Received } from '../../testkit/src/wire.ts'
import * as wire from '../../testkit/src/wire.ts'
import { type Places, RoamingClient } from './roaming-client.ts'

export interface PublisherOptions {
  readonly places: Places
  readonly node: number
  /** Waits for that node when it is gone. */
  readonly stays?: boolean
  readonly name: string
  readonly messages: number
  /** Taken in turn. */
  readonly qos: readonly (0 | 1 | 2)[]
  /** Messages not acknowledged, at most; at QoS 0: that no subscriber has seen. */
  readonly window: number
}

interface Underway {
  readonly number: number
  readonly qos: number
  received: boolean
}

const payloadBytes = 64
/** Unsent bytes of the own socket, above which it waits. */
const unsentBytesMax = 65_536

export class Publisher {
  readonly name: string
  /** All that was promised to be kept, by number. */
  readonly acknowledged: Set<number> = new Set()
  /** Of all, by QoS: what the judge expects. */
  readonly sent: number[] = []
  /** Resolves when every message was sent and acknowledged. */
  readonly done: Promise<void>
  /** What a client may not see. */
  readonly violations: string[] = []
  readonly #o: PublisherOptions
  readonly #client: RoamingClient
  readonly #finish: () => void
  /** By packet identifier, in the order of sending. */
  readonly #underway = new Map<number, Underway>()
  #id = 0
  /** Highest number at QoS 0, and highest of its own that a subscriber has seen. */
  #loose = -1
  #seen = -1
  #hadSession = false

  constructor(options: PublisherOptions) {
    this.#o = options
    this.name = options.name
    const { promise, resolve } = Promise.withResolvers<void>()
    this.done = promise
    this.#finish = resolve
    this.#client = new RoamingClient({
      places: options.places,
      node: options.node,
      stays: options.stays ?? false,
      connect: { clientId: options.name, cleanStart: false, properties: [['sessionExpiryInterval', 86_400]] },
      acknowledges: false,
      connected: (client, connack) => this.#connected(client, connack),
      received: (packet, client) => this.#received(packet, client),
    })
  }

  get connections(): number {
    return this.#client.connections
  }

  get isDone(): boolean {
    return this.sent.length === this.#o.messages && this.#underway.size === 0
  }

  /** What keeps it from being done, for error messages. */
  get state(): string {
    const underway = [...this.#underway.values()].slice(0, 5)
    const waits = underway.map(({ number, qos, received }) => `${number} at QoS ${qos}${received ? ', received' : ''}`)
    const refused = [...new Set(this.#client.refusals)].join(', ')
    return (
      `${this.name} at node ${this.#client.node}: ${this.sent.length} of ${this.#o.messages} sent, ` +
      `under way ${waits.join('; ')}, ${this.connections} connections, refused with ${refused}`
    )
  }

  /** A subscriber has it. */
  seen(number: number): void {
    if (number <= this.#seen) return
    this.#seen = number
    const client = this.#client.client
    if (client !== undefined) this.#pump(client)
  }

  close(): void {
    this.#client.close()
  }

  #connected(client: FlowClient, { sessionPresent }: Received): void {
    if (this.#hadSession && !sessionPresent) this.violations.push(`${this.name}: its session is gone`)
    this.#hadSession = true
    client.together(() => {
      for (const [id, { number, qos, received }] of this.#underway) {
        if (received) client.send(wire.acknowledge('PUBREL', id))
        else this.#send(client, id, { number, qos, dup: sessionPresent })
      }
    })
    this.#pump(client)
  }

  #pump(client: FlowClient): void {
    const { messages, qos: kinds, window } = this.#o
    client.together(() => {
      while (
        this.sent.length < messages &&
        this.#underway.size < window &&
        this.#loose - this.#seen < window &&
        client.unsentBytes < unsentBytesMax
      ) {
        const number = this.sent.length
        const qos = kinds[number % kinds.length] as number
        this.sent.push(qos)
        if (qos === 0) {
          this.#loose = number
          this.#send(client, undefined, { number, qos, dup: false })
          continue
        }
        do this.#id = (this.#id % 65_535) + 1
        while (this.#underway.has(this.#id))
        this.#underway.set(this.#id, { number, qos, received: false })
        this.#send(client, this.#id, { number, qos, dup: false })
      }
    })
    if (this.isDone) this.#finish()
  }

  #send(
    client: FlowClient,
    id: number | undefined,
    { number, qos, dup }: { readonly number: number; readonly qos: number; readonly dup: boolean },
  ): void {
    const payload = `${this.name}:${number}:`.padEnd(payloadBytes, '.')
    client.send(wire.publish(5, `order/${this.name}`, payload, { qos, dup, ...(id === undefined ? {} : { id }) }))
  }

  #received({ type, id, reason }: Received, client: FlowClient): void {
    const message = this.#underway.get(id)
    if (type === 'PUBACK' || type === 'PUBREC') {
      if (reason >= 0x80) {
        this.violations.push(`${this.name}: ${message?.number} was refused with ${reason}`)
        this.#underway.delete(id)
      } else if (message !== undefined) {
        this.acknowledged.add(message.number)
        if (type === 'PUBACK') this.#underway.delete(id)
        else {
          message.received = true
          client.send(wire.acknowledge('PUBREL', id))
        }
      }
    } else if (type === 'PUBCOMP') this.#underway.delete(id)
    else return
    this.#pump(client)
  }
}
