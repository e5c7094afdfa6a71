/**
 * A publisher with a kept session, as the standard wants it: what is not acknowledged is sent again on the next connection,
 * in the first order, with the same packet identifier and DUP = 1; for what PUBREC has come for, only PUBREL is. It tells the
 * model what it sends and what it is promised.
 */
import { FlowClient } from '../../testkit/src/flow-client.ts'
import type { Random } from '../../testkit/src/random.ts'
import type { Target } from '../../testkit/src/raw-client.ts'
import type { Received, Version } from '../../testkit/src/wire.ts'
import * as wire from '../../testkit/src/wire.ts'
import type { CrashModel } from './model.ts'

export interface PublisherOptions {
  readonly name: string
  readonly version: Version
  readonly topics: readonly string[]
  readonly window: number
  readonly model: CrashModel
  readonly random: Random
}

interface Inflight {
  readonly number: number
  readonly topic: string
  readonly qos: number
  state: 'sent' | 'received'
}

/** One of so many calls of `pump` sends a series. */
const SERIES_EVERY = 8

export class Publisher {
  readonly #o: PublisherOptions
  /** By packet identifier, in the order of sending. */
  readonly #inflight = new Map<number, Inflight>()
  #client: FlowClient | undefined
  #number = 0
  #id = 0
  acknowledged = 0

  constructor(options: PublisherOptions) {
    this.#o = options
  }

  get idle(): boolean {
    return this.#inflight.size === 0
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

  /**
   * Sends up to `count` messages, if the window has room; now and then as many of one topic at QoS 1 as it has room for, which the
   * broker takes as one run.
   */
  pump(count: number): void {
    const client = this.#client
    if (client === undefined || client.closed) return
    const { random, topics, window } = this.#o
    const alike = random.below(SERIES_EVERY) === 0 ? { topic: random.pick(topics), qos: 1 } : undefined
    client.together(() => {
      for (let i = 0; (alike !== undefined || i < count) && this.#inflight.size < window; i++) {
        this.#publish(client, alike ?? { topic: random.pick(topics), qos: 1 + random.below(2) })
      }
    })
  }

  lost(): void {
    this.#client?.drop()
    this.#client = undefined
  }

  #publish(client: FlowClient, { topic, qos }: { readonly topic: string; readonly qos: number }): void {
    const message: Inflight = { number: ++this.#number, topic, qos, state: 'sent' }
    do this.#id = (this.#id % 65_535) + 1
    while (this.#inflight.has(this.#id))
    this.#inflight.set(this.#id, message)
    this.#send(client, this.#id, message, false)
  }

  #send(client: FlowClient, id: number, { number, topic, qos }: Inflight, dup: boolean): void {
    this.#o.model.sent(this.#o.name, number, { topic, qos })
    client.send(wire.publish(this.#o.version, topic, `${this.#o.name}:${number}`, { qos, id, dup }))
  }

  #received(packet: Received, client: FlowClient): void {
    const { name, model } = this.#o
    const { type, id, reason } = packet
    if (type === 'CONNACK') {
      if (reason !== 0) {
        model.refusedRequest(`${name}: CONNECT was refused with ${reason}`)
        return
      }
      const said = this.#o.version === 3 ? undefined : packet.sessionPresent
      const present = model.connected(name, { present: said })
      this.#client = client
      this.#resend(client, { present })
      return
    }
    const message = this.#inflight.get(id)
    if (type === 'PUBACK' || (type === 'PUBREC' && reason >= 0x80)) {
      if (message === undefined) return
      this.#inflight.delete(id)
      this.#promised(message, reason)
    } else if (type === 'PUBREC') {
      if (message === undefined) {
        client.send(wire.acknowledge('PUBREL', id))
        return
      }
      if (message.state === 'sent') this.#promised(message, reason)
      message.state = 'received'
      client.send(wire.acknowledge('PUBREL', id))
    } else if (type === 'PUBCOMP') this.#inflight.delete(id)
  }

  #promised({ number }: Inflight, reason: number): void {
    const { name, model } = this.#o
    if (reason >= 0x80) model.refused(name, number)
    else {
      this.acknowledged++
      model.acknowledged(name, number)
    }
  }

  #resend(client: FlowClient, { present }: { readonly present: boolean }): void {
    client.together(() => {
      for (const [id, message] of [...this.#inflight]) {
        // Without a session the broker knows nothing of it: PUBREL would be for nothing, and what was received is done.
        if (message.state === 'received' && !present) this.#inflight.delete(id)
        else if (message.state === 'received') client.send(wire.acknowledge('PUBREL', id))
        else this.#send(client, id, message, present)
      }
    })
  }
}

export function keptFor(version: Version): { readonly properties?: readonly wire.Property[] } {
  return version === 5 ? { properties: [['sessionExpiryInterval', 86_400]] } : {}
}
