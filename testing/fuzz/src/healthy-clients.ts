/**
 * Clients that keep every rule while others break them: what one publishes at QoS 1 must reach the other, in order, once.
 * One pair publishes 5.0 to 3.1.1, the other 3.1.1 to 5.0.
 */
import { connect, type RawClient, type Target } from '../../testkit/src/raw-client.ts'
import * as wire from '../../testkit/src/wire.ts'

/** Messages on their way at once. */
const burst = 4

export class HealthyClients {
  /** Messages that have reached their subscriber. */
  delivered = 0
  readonly #pairs: readonly Pair[]

  private constructor(pairs: readonly Pair[]) {
    this.#pairs = pairs
  }

  static async connect(target: Target): Promise<HealthyClients> {
    const token = process.pid.toString(36)
    return new HealthyClients([
      await connectPair(target, [5, 4], `healthy${token}a`),
      await connectPair(target, [4, 5], `healthy${token}b`),
    ])
  }

  get connections(): number {
    return this.#pairs.length * 2
  }

  /** A burst through each pair. Throws if anything else arrives than what was published, or nothing in time. */
  async exchange(): Promise<void> {
    await Promise.all(this.#pairs.map((pair) => this.#exchange(pair)))
  }

  async disconnect(): Promise<void> {
    for (const { publisher, subscriber } of this.#pairs)
      await Promise.all([publisher.disconnect(), subscriber.disconnect()])
  }

  async #exchange(pair: Pair): Promise<void> {
    const { publisher, subscriber, topic } = pair
    const first = pair.next
    pair.next += burst
    const ids: number[] = []
    for (let n = first; n < pair.next; n++) {
      const id = (n % 65_535) + 1
      ids.push(id)
      publisher.send(wire.publish(publisher.version, topic, `${n}`, { qos: 1, id }))
    }
    for (const id of ids) await publisher.expectPacket('PUBACK', { id, reason: 0 })
    for (let n = first; n < pair.next; n++) {
      await subscriber.receive({ topic, payload: `${n}`, qos: 1, dup: false, retain: false })
      this.delivered++
    }
  }
}

interface Pair {
  readonly publisher: RawClient
  readonly subscriber: RawClient
  readonly topic: string
  next: number
}

async function connectPair(
  target: Target,
  [from, to]: readonly [wire.Version, wire.Version],
  topic: string,
): Promise<Pair> {
  const subscriber = await connect(target, to, { clientId: `${topic}s` })
  await subscriber.subscribe(topic, 1)
  return { publisher: await connect(target, from, { clientId: `${topic}p` }), subscriber, topic, next: 0 }
}
