/**
 * A client with a list of nodes: when its connection ends, or an answer to CONNECT does not come, it tries the next one, until
 * it is told to stop. What is sent again on a new connection is the business of whoever uses it.
 */
import { FlowClient } from '../../testkit/src/flow-client.ts'
import type { Target } from '../../testkit/src/raw-client.ts'
import type { ConnectOptions, Received } from '../../testkit/src/wire.ts'

/** Who has nodes to connect to. */
export interface Places {
  readonly nodes: number
  /** Undefined: nothing listens there now. */
  target(node: number): Target | undefined
}

export interface RoamingOptions {
  readonly places: Places
  /** Where it begins. */
  readonly node: number
  /** Waits for that node, and tries no other. */
  readonly stays?: boolean
  readonly connect: ConnectOptions
  /** Every packet after CONNACK, before it is acknowledged. */
  readonly received: (packet: Received, client: FlowClient) => void
  /** CONNACK has come; packets may be sent. */
  readonly connected: (client: FlowClient, connack: Received) => void
  /** Whether PUBLISH, PUBREL and PUBREC are answered. */
  readonly acknowledges: boolean
}

const retryMs = 50
/** A node that stands still takes connections and answers none. */
const connackMs = 2_000

export class RoamingClient {
  readonly #o: RoamingOptions
  #node: number
  #client: FlowClient | undefined
  #timer: NodeJS.Timeout | undefined
  #closed = false
  /** Connections made so far. */
  connections = 0
  /** Reason codes with which CONNECT was refused. */
  readonly refusals: number[] = []

  constructor(options: RoamingOptions) {
    this.#o = options
    this.#node = options.node
    this.#connect()
  }

  /** The node that it is connected to, or tries. */
  get node(): number {
    return this.#node
  }

  /** Connected, after CONNACK. */
  get client(): FlowClient | undefined {
    return this.#client
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#client?.disconnect()
  }

  #connect(): void {
    const { places, connect, acknowledges } = this.#o
    const target = places.target(this.#node)
    if (target === undefined) {
      this.#next()
      return
    }
    const client = new FlowClient(target, {
      version: 5,
      connect,
      acknowledges,
      onPacket: (packet, from) => this.#packet(packet, from),
      onClose: () => {
        this.#client = undefined
        this.#next()
      },
    })
    this.#timer = setTimeout(() => client.drop(), connackMs)
  }

  #next(): void {
    clearTimeout(this.#timer)
    if (this.#closed) return
    const { stays, places } = this.#o
    // A node that has just started refuses clients for a moment: whoever was told to begin there does.
    const begins = this.connections === 0 && places.target(this.#node) !== undefined
    if (stays !== true && !begins) this.#node = (this.#node + 1) % places.nodes
    this.#timer = setTimeout(() => this.#connect(), retryMs)
  }

  #packet(packet: Received, client: FlowClient): void {
    if (packet.type !== 'CONNACK') {
      this.#o.received(packet, client)
      return
    }
    clearTimeout(this.#timer)
    if (packet.reason !== 0) {
      this.refusals.push(packet.reason)
      client.drop()
      return
    }
    this.connections++
    this.#client = client
    this.#o.connected(client, packet)
  }
}
