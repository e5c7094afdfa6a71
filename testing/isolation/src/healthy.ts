/**
 * The clients that keep every rule, in a process of their own: pairs of a publisher and a subscriber over all versions and
 * QoS, a fixed number of messages a second, and how long each takes from the write to its arrival.
 *
 * Open loop: the schedule does not wait for the broker, so a stall costs every message that was due meanwhile and cannot
 * hide. A message is stamped when it is written and not when it was due: what this process itself is late, because the
 * machine has few cores, is not the broker's doing.
 *
 * Speaks with its parent: `{ measureMs }` is answered with a `HealthyFigures`; it ends with the channel.
 */
import { setPriority } from 'node:os'
import process from 'node:process'
import { type FlowClient, openFlow } from '../../testkit/src/flow-client.ts'
import type { Target } from '../../testkit/src/raw-client.ts'
import type { ConnectOptions, Version } from '../../testkit/src/wire.ts'
import * as wire from '../../testkit/src/wire.ts'

export interface HealthyOptions {
  readonly target: Target
  readonly perSecond: number
  readonly username?: string
  readonly password?: string
  readonly niceness: number
}

export interface HealthyFigures {
  readonly messages: number
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
  readonly max: number
  /** Published and not delivered within the deadline. */
  readonly lost: number
  /** Clients that the broker closed. */
  readonly closed: number
}

export interface HealthyRequest {
  readonly measureMs: number
}

const pairCount = 9
const versions: readonly Version[] = [3, 4, 5]
const lateMs = 20_000
const tickMs = 1

interface Pair {
  readonly publisher: FlowClient
  readonly topic: string
  readonly qos: number
  next: number
}

class Healthy {
  readonly #pairs: readonly Pair[]
  #latencies: number[] = []
  #waiting = 0
  #closed = 0
  #arrived: (() => void) | undefined

  private constructor(pairs: Pair[]) {
    this.#pairs = pairs
  }

  static async connect(options: HealthyOptions): Promise<Healthy> {
    const { target, username, password } = options
    const login = username === undefined ? {} : { username, password: password ?? '' }
    const pairs: Pair[] = []
    const healthy = new Healthy(pairs)
    const come = async (version: Version, connect: ConnectOptions): Promise<FlowClient> => {
      const { client } = await openFlow(target, {
        version,
        connect: { ...login, ...connect },
        onPacket: (packet) => {
          if (packet.type === 'PUBLISH') healthy.#delivered(packet.payload.readDoubleBE())
        },
        onClose: () => healthy.#closed++,
      })
      return client
    }
    for (let i = 0; i < pairCount; i++) {
      const topic = `healthy/${i}`
      const qos = i % 3
      const version = versions[Math.floor(i / 3)] as Version
      const subscriber = await come(versions[(i + 1) % 3] as Version, { clientId: `healthy-s${i}` })
      subscriber.send(wire.subscribe(subscriber.version, 1, [[topic, qos]]))
      pairs.push({ publisher: await come(version, { clientId: `healthy-p${i}` }), topic, qos, next: 0 })
    }
    return healthy
  }

  async measure(perSecond: number, ms: number): Promise<HealthyFigures> {
    this.#latencies = []
    const begun = performance.now()
    let sent = 0
    for (;;) {
      const elapsed = Math.min(performance.now() - begun, ms)
      for (const due = Math.floor((elapsed * perSecond) / 1_000); sent < due; sent++) {
        this.#publish(this.#pairs[sent % pairCount] as Pair)
      }
      if (elapsed >= ms) break
      await new Promise((resolve) => setTimeout(resolve, tickMs))
    }
    await this.#untilDelivered()
    const sorted = this.#latencies.sort((a, b) => a - b)
    const quantile = (q: number): number => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? lateMs
    const lost = this.#waiting
    this.#waiting = 0
    return {
      messages: sorted.length,
      p50: quantile(0.5),
      p99: quantile(0.99),
      max: quantile(1),
      lost,
      closed: this.#closed,
    }
  }

  #publish(pair: Pair): void {
    const { publisher, topic, qos } = pair
    const payload = Buffer.alloc(64)
    payload.writeDoubleBE(performance.now())
    const id = (pair.next++ % 65_535) + 1
    publisher.send(wire.publish(publisher.version, topic, payload, qos === 0 ? {} : { qos, id }))
    this.#waiting++
  }

  #delivered(stamp: number): void {
    this.#latencies.push(performance.now() - stamp)
    if (--this.#waiting === 0) this.#arrived?.()
  }

  async #untilDelivered(): Promise<void> {
    if (this.#waiting === 0) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, lateMs)
      this.#arrived = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.#arrived = undefined
  }
}

if (import.meta.main) {
  const options = JSON.parse(process.argv[2] ?? '') as HealthyOptions
  setPriority(options.niceness)
  const healthy = await Healthy.connect(options)
  process.on('message', (request: HealthyRequest) => {
    void healthy.measure(options.perSecond, request.measureMs).then((figures) => process.send?.(figures))
  })
  process.on('disconnect', () => process.exit())
  process.send?.('ready')
}
