/**
 * The clients of the demonstration: a publisher and an observer at every node. An observer writes down what comes, in its
 * order, and keeps a running hash, so that two of them can be compared at any length. Both have sessions that outlive a
 * connection: what happens to their node, they come back to it.
 */
import { createHash } from 'node:crypto'
import { setTimeout as after } from 'node:timers/promises'
import { type Client, connect, type Message } from '@concordmq/client'

/** The hash is kept at each multiple of this, messages. */
export const hashInterval = 50
/** Latencies that count: the newest. */
const latenciesMax = 1_000
const sessionSeconds = 600
/** A publisher that is so far ahead of its acknowledgements waits. */
const unacknowledgedMax = 1_000

const reconnect = { retryDelayMsMin: 100, retryDelayMsMax: 500 }
/** A node that has just started refuses clients until the order has it. */
const servedWithinMs = 20_000

async function connectKept(url: string, clientId: string): Promise<Client> {
  const untilMs = performance.now() + servedWithinMs
  for (;;) {
    try {
      return await connect(url, { clientId, cleanStart: false, sessionExpiryInterval: sessionSeconds, reconnect })
    } catch (error) {
      if (performance.now() > untilMs) throw error
      await after(reconnect.retryDelayMsMin)
    }
  }
}

export class DemoObserver {
  readonly node: number
  /** `NAME:NUMBER`, in the order of arrival. */
  readonly messages: string[] = []
  /** At each `hashInterval`, from the beginning. */
  readonly hashes: string[] = []
  readonly #latenciesMs: number[] = []
  /** What last came with an identifier at QoS 1: it may come again with DUP after a lost connection. */
  readonly #byId = new Map<number, string>()
  #hash = ''
  #client: Client | undefined
  #awaited: { readonly message: string; readonly resolve: () => void } | undefined

  constructor(node: number) {
    this.node = node
  }

  async connect(url: string): Promise<void> {
    this.#client = await connectKept(url, `observer-${this.node}`)
    await this.#client.subscribe('demo/#', { qos: 2 }, (message) => this.#arrived(message))
  }

  get connected(): boolean {
    return this.#client?.state === 'connected'
  }

  /** Of the newest messages, from their publisher to here. */
  latencyMs(share: number): number | undefined {
    const sorted = [...this.#latenciesMs].sort((a, b) => a - b)
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
  }

  /** Over all messages so far. */
  get hash(): string {
    return this.#hash
  }

  /** Resolves when the message has come. */
  has(message: string): Promise<void> {
    if (this.messages.includes(message)) return Promise.resolve()
    return new Promise((resolve) => {
      this.#awaited = { message, resolve }
    })
  }

  async disconnect(): Promise<void> {
    await this.#client?.disconnect({ drainTimeoutMs: 200 })
  }

  #arrived({ topic, payload, dup, packetId = 0 }: Message): void {
    const text = new TextDecoder().decode(payload)
    if (dup && this.#byId.get(packetId) === text) return
    this.#byId.set(packetId, text)
    const [name = '', number = '', sentMs = ''] = text.split(':')
    this.#hash = createHash('sha256').update(`${this.#hash}\n${topic}\n${text}`).digest('hex')
    this.messages.push(`${name}:${number}`)
    if (this.messages.length % hashInterval === 0) this.hashes.push(this.#hash)
    this.#latenciesMs.push(performance.now() - Number(sentMs))
    if (this.#latenciesMs.length > latenciesMax) this.#latenciesMs.shift()
    if (this.#awaited?.message === `${name}:${number}`) this.#awaited.resolve()
  }
}

export class DemoPublisher {
  readonly node: number
  readonly name: string
  readonly qos: 1 | 2
  /** Numbers that the cluster has promised to keep. */
  readonly acknowledged: number[] = []
  readonly refused: string[] = []
  #number = 0
  readonly #unacknowledged = new Set<Promise<void>>()
  #client: Client | undefined

  constructor(node: number, name = `publisher-${node}`) {
    this.node = node
    this.name = name
    this.qos = node % 2 === 0 ? 2 : 1
  }

  async connect(url: string): Promise<void> {
    this.#client = await connectKept(url, this.name)
  }

  /** Publishes so many more; none while its node is gone. */
  publish(count: number): void {
    const client = this.#client
    if (client?.state !== 'connected') return
    for (let i = 0; i < count && this.#unacknowledged.size < unacknowledgedMax; i++) {
      const number = this.#number++
      const sent = client.publish(`demo/${this.name}`, `${this.name}:${number}:${performance.now()}`, {
        qos: this.qos,
      })
      const settled: Promise<void> = sent.then(
        () => {
          this.acknowledged.push(number)
          this.#unacknowledged.delete(settled)
        },
        (error: unknown) => {
          this.refused.push(`${this.name}:${number}: ${error instanceof Error ? error.message : String(error)}`)
          this.#unacknowledged.delete(settled)
        },
      )
      this.#unacknowledged.add(settled)
    }
  }

  /** Resolves when everything sent has its answer. */
  async settled(): Promise<void> {
    await Promise.all(this.#unacknowledged)
  }

  async disconnect(): Promise<void> {
    await this.#client?.disconnect({ drainTimeoutMs: 200 })
  }
}
