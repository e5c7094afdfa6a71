/**
 * A subscriber with a kept session. It holds acknowledgements back for a while, so that a kill finds messages in every state;
 * it changes its subscriptions, and asks again after a kill where no answer came. The model hears of everything.
 */
import { FlowClient } from '../../testkit/src/flow-client.ts'
import type { Random } from '../../testkit/src/random.ts'
import type { Target } from '../../testkit/src/raw-client.ts'
import type { Received, Version } from '../../testkit/src/wire.ts'
import * as wire from '../../testkit/src/wire.ts'
import type { CrashModel } from './model.ts'
import { keptFor } from './publisher.ts'

export interface SubscriberOptions {
  readonly name: string
  readonly version: Version
  readonly qos: 1 | 2
  /** Subscribed to at first and for good. */
  readonly topics: readonly string[]
  /** Subscribed to and unsubscribed from, again and again. */
  readonly changing: readonly string[]
  readonly model: CrashModel
  readonly random: Random
}

interface Request {
  readonly kind: 'subscribe' | 'unsubscribe'
  readonly topic: string
}

export class Subscriber {
  readonly #o: SubscriberOptions
  #client: FlowClient | undefined
  #id = 0
  /** SUBSCRIBE and UNSUBSCRIBE that were not answered, by packet identifier. */
  readonly #requests = new Map<number, Request>()
  readonly #subscribedTo = new Set<string>()
  /** Acknowledgements that are held back, in order [MQTT-4.6.0-2]. */
  #held: { readonly type: 'PUBACK' | 'PUBREC' | 'PUBCOMP'; readonly id: number }[] = []
  #begun = false

  constructor(options: SubscriberOptions) {
    this.#o = options
  }

  /** Whether every request was answered and every acknowledgement sent. */
  get idle(): boolean {
    return this.#requests.size === 0 && this.#held.length === 0
  }

  get online(): boolean {
    return this.#client !== undefined
  }

  connect(target: Target): void {
    const { name, version, model } = this.#o
    model.connecting(name)
    const client = new FlowClient(target, {
      version,
      acknowledges: false,
      connect: { clientId: name, cleanStart: false, ...keptFor(version) },
      onPacket: (packet) => this.#received(packet, client),
    })
  }

  /** Lets some of the acknowledgements go; all of them with `all`. */
  acknowledge({ all }: { readonly all: boolean }): void {
    const client = this.#client
    if (client === undefined || client.closed) return
    const count = all ? this.#held.length : this.#o.random.below(this.#held.length + 1)
    client.together(() => {
      for (const { type, id } of this.#held.splice(0, count)) {
        client.send(wire.acknowledge(type, id))
        if (type !== 'PUBREC') this.#o.model.settled(this.#o.name, id)
      }
    })
  }

  /** Subscribes to one of the changing topics, or unsubscribes from it. */
  change(): void {
    const { changing, random } = this.#o
    const client = this.#client
    if (client === undefined || client.closed || this.#requests.size > 0 || changing.length === 0) return
    const topic = random.pick(changing)
    this.#request(client, { kind: this.#subscribedTo.has(topic) ? 'unsubscribe' : 'subscribe', topic })
  }

  /** Ends the connection: properly, or as the network does. The session goes on. */
  leave({ properly }: { readonly properly: boolean }): void {
    const client = this.#client
    if (properly) client?.disconnect()
    this.lost()
    if (!properly) client?.drop()
  }

  lost(): void {
    this.#client?.drop()
    this.#client = undefined
    this.#held = []
  }

  #request(client: FlowClient, request: Request): void {
    const { name, version, model, qos } = this.#o
    const { kind, topic } = request
    this.#id = (this.#id % 60_000) + 1
    this.#requests.set(this.#id, request)
    if (kind === 'subscribe') {
      model.subscribing(name, topic)
      this.#subscribedTo.add(topic)
      client.send(wire.subscribe(version, this.#id, [[topic, qos]]))
    } else {
      model.unsubscribing(name, topic)
      this.#subscribedTo.delete(topic)
      client.send(wire.unsubscribe(version, this.#id, [topic]))
    }
  }

  #received(packet: Received, client: FlowClient): void {
    const { name, model, qos } = this.#o
    const { type, id, reason } = packet
    switch (type) {
      case 'CONNACK':
        if (reason !== 0) model.refusedRequest(`${name}: CONNECT was refused with ${reason}`)
        else this.#connected(client, packet)
        return
      case 'SUBACK':
      case 'UNSUBACK': {
        const request = this.#requests.get(id)
        if (request === undefined) return
        const code = packet.reasons[0] ?? 0
        if (code >= 0x80) {
          // It stays among the requests without an answer, and is asked for again on the next connection.
          model.refusedRequest(`${name}: ${request.kind} ${request.topic} was refused with ${code}`)
          return
        }
        this.#requests.delete(id)
        if (type === 'UNSUBACK') model.unsubscribed(name, request.topic)
        else if (code === qos) model.subscribed(name, request.topic)
        else model.violated(`${name}: subscription to ${request.topic} was granted with QoS ${code}`)
        return
      }
      case 'PUBLISH': {
        const [publisher = '', number = ''] = packet.payload.toString().split(':')
        model.arrived(name, {
          publisher,
          number: Number(number),
          topic: packet.topic,
          id,
          dup: packet.dup,
          qos: packet.qos,
        })
        if (packet.qos === 0) model.violated(`${name}: ${publisher}:${number} came with QoS 0`)
        else this.#held.push({ type: packet.qos === 1 ? 'PUBACK' : 'PUBREC', id })
        return
      }
      case 'PUBREL':
        model.released(name, id)
        this.#held.push({ type: 'PUBCOMP', id })
        return
      default:
    }
  }

  #connected(client: FlowClient, { sessionPresent }: Received): void {
    const { name, topics, model, version } = this.#o
    model.connected(name, { present: version === 3 ? undefined : sessionPresent })
    this.#client = client
    if (!this.#begun) {
      this.#begun = true
      for (const topic of topics) this.#request(client, { kind: 'subscribe', topic })
      return
    }
    const again = [...this.#requests.values()]
    this.#requests.clear()
    for (const request of again) this.#request(client, request)
  }
}
