/**
 * A subscriber that writes down what it is given, each message once however often it is sent: after a change of node it
 * recognises by DUP and packet identifier what it had before. It answers at once.
 */
import type { Received } from '../../testkit/src/wire.ts'
import * as wire from '../../testkit/src/wire.ts'
import { type Places, RoamingClient } from './roaming-client.ts'

export interface SubscriberOptions {
  readonly places: Places
  readonly node: number
  /** Waits for that node when it is gone. */
  readonly stays?: boolean
  readonly name: string
  readonly filter: string
  /** Its session outlives its connections, and resumes on other nodes. */
  readonly kept: boolean
  /** Asks for the place of each message in the order, and notes whether places ascend. */
  readonly positions?: boolean
  readonly arrived?: (payload: string) => void
}

/** What clients are told of a node that ends, and of one that the others gave up. */
const endsOfNodes = new Set([0x8b, 0x9c])

/** What of a padded payload says who sent it and which one it is. */
function nameOf(payload: Buffer): string {
  return payload.subarray(0, payload.lastIndexOf(0x3a)).toString('latin1')
}

const askForOrder: wire.Property = ['userProperty', ['concord-order', '1']]

function propertiesNamed(packet: Received, name: string): string[] {
  return wire
    .propertiesOf(packet, 'userProperty')
    .flatMap((pair) => (Array.isArray(pair) && pair[0] === name ? [String(pair[1])] : []))
}

/** Of `POSITION.INDEX`; false where one is none. */
function isAfter(place: string, other: string): boolean {
  const [position = Number.NaN, index = Number.NaN] = place.split('.').map(Number)
  const [otherPosition = Number.NaN, otherIndex = Number.NaN] = other.split('.').map(Number)
  return position > otherPosition || (position === otherPosition && index > otherIndex)
}

export class Subscriber {
  readonly name: string
  /** `TOPIC NAME:NUMBER` of each message, in the order of arrival. */
  readonly messages: string[] = []
  /** `POSITION.INDEX` of each, if it asked for them. */
  readonly positions: string[] = []
  /** Time of the order at the last message, ms since 1970, if it asked for positions. */
  timeMs = 0
  readonly subscribed: Promise<void>
  readonly violations: string[] = []
  readonly #o: SubscriberOptions
  readonly #client: RoamingClient
  #subscribed: (() => void) | undefined
  /** The message that last came with an identifier, and whether its QoS 2 exchange is open. */
  readonly #byId = new Map<number, string>()
  readonly #open = new Set<number>()
  readonly #waiting: { readonly message: string; readonly resolve: () => void }[] = []

  readonly #counting: { readonly count: number; readonly resolve: () => void }[] = []

  constructor(options: SubscriberOptions) {
    this.#o = options
    this.name = options.name
    const { promise, resolve } = Promise.withResolvers<void>()
    this.subscribed = promise
    this.#subscribed = resolve
    this.#client = new RoamingClient({
      places: options.places,
      node: options.node,
      stays: options.stays ?? false,
      connect: options.kept
        ? { clientId: options.name, cleanStart: false, properties: [['sessionExpiryInterval', 86_400]] }
        : { clientId: options.name },
      acknowledges: true,
      connected: (client, connack) => {
        if (this.#subscribed !== undefined) {
          client.send(wire.subscribe(5, 1, [[options.filter, 2]], options.positions === true ? [askForOrder] : []))
        } else if (options.kept && !connack.sessionPresent) this.violations.push(`${this.name}: its session is gone`)
      },
      received: (packet) => this.#received(packet),
    })
  }

  get node(): number {
    return this.#client.node
  }

  get connections(): number {
    return this.#client.connections
  }

  /** When a message of this name has come, or if it has. */
  async until(message: string): Promise<void> {
    if (this.messages.includes(message)) return
    await new Promise<void>((resolve) => {
      this.#waiting.push({ message, resolve })
    })
  }

  /** When so many messages have come. */
  async whenHas(count: number): Promise<void> {
    if (this.messages.length >= count) return
    await new Promise<void>((resolve) => {
      this.#counting.push({ count, resolve })
    })
  }

  close(): void {
    this.#client.close()
  }

  #received(packet: Received): void {
    const { type, id, qos, dup } = packet
    if (type === 'SUBACK') {
      if (packet.reasons[0] !== 2) this.violations.push(`${this.name}: SUBACK with ${packet.reasons.join()}`)
      this.#subscribed?.()
      this.#subscribed = undefined
    } else if (type === 'PUBREL') this.#open.delete(id)
    else if (type === 'DISCONNECT' && !endsOfNodes.has(packet.reason))
      this.violations.push(`${this.name}: DISCONNECT with ${packet.reason}`)
    else if (type === 'PUBLISH') {
      const message = `${packet.topic} ${nameOf(packet.payload)}`
      if (qos > 0 && dup && this.#byId.get(id) === message) return
      if (qos === 2 && this.#open.has(id)) {
        if (this.#byId.get(id) !== message)
          this.violations.push(`${this.name}: ${message} came with an identifier in use`)
        return
      }
      if (qos === 2) this.#open.add(id)
      if (qos > 0) this.#byId.set(id, message)
      if (this.#o.positions === true) this.#place(packet, message)
      this.#note(message)
    }
  }

  #place(packet: Received, message: string): void {
    const place = propertiesNamed(packet, 'concord-position')[0] ?? 'none'
    const last = this.positions.at(-1)
    if (last !== undefined && !isAfter(place, last))
      this.violations.push(`${this.name}: ${message} at ${place} after ${last}`)
    this.positions.push(place)
    this.timeMs = Number(propertiesNamed(packet, 'concord-time')[0]) / 1000
  }

  #note(message: string): void {
    this.messages.push(message)
    this.#o.arrived?.(message)
    for (let i = this.#counting.length - 1; i >= 0; i--) {
      if ((this.#counting[i]?.count ?? 0) <= this.messages.length) this.#counting.splice(i, 1)[0]?.resolve()
    }
    for (let i = this.#waiting.length - 1; i >= 0; i--) {
      if (this.#waiting[i]?.message === message) this.#waiting.splice(i, 1)[0]?.resolve()
    }
  }
}
