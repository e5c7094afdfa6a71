/**
 * What operators see of a cluster one day: a node stands still for a moment, two of four stand still and come back, all lose
 * power at once, one dies for good while a client with a will is connected to it. After each the lists of kept subscribers are
 * the same at all nodes, with everything that was acknowledged in them.
 */
import { setTimeout as after } from 'node:timers/promises'
import { type ClusterProcesses, startCluster } from '../../testkit/src/cluster-process.ts'
import { FlowClient } from '../../testkit/src/flow-client.ts'
import { judge, orderHash } from './judge.ts'
import { finished, folder, type Verdict } from './proof.ts'
import { Publisher } from './publisher.ts'
import { Subscriber } from './subscriber.ts'

export interface FaultProofOptions {
  /** Of each step. */
  readonly messages: number
  /** A node that stands still for less than the nodes' time-out of 10 s keeps its clients. */
  readonly pauseMs: number
  readonly withinMs: number
  readonly say?: (line: string) => void
}

const nodes = 4
/** How soon the order must go on when enough nodes are back. */
const healWithinMs = 10_000

export async function proveFaults(options: FaultProofOptions): Promise<Verdict> {
  await using directory = await folder()
  await using cluster = await startCluster({ nodes, directory: directory.path })
  const run = new FaultRun(options, cluster)
  const violations: string[] = []
  try {
    await run.subscribed()
    await run.oneStandsStill()
    await run.twoStandStill()
    await run.allLosePower()
    await run.oneDiesWithWill()
    await run.last()
  } catch (error) {
    violations.push(error instanceof Error ? error.message : String(error))
  }
  return run.verdict(violations)
}

class FaultRun {
  readonly #o: FaultProofOptions
  readonly #cluster: ClusterProcesses
  readonly #subscribers: readonly Subscriber[]
  readonly #publishers: Publisher[] = []
  readonly #figures: Record<string, number> = {}

  constructor(options: FaultProofOptions, cluster: ClusterProcesses) {
    this.#o = options
    this.#cluster = cluster
    this.#subscribers = Array.from(
      { length: nodes },
      (_, node) =>
        new Subscriber({
          places: cluster,
          node,
          stays: true,
          name: `subscriber-${node}`,
          filter: 'order/#',
          kept: true,
        }),
    )
  }

  async subscribed(): Promise<void> {
    await this.#finished(this.#subscribers.map((one) => one.subscribed))
  }

  async oneStandsStill(): Promise<void> {
    const will = this.#clientWithWill('paused', 3)
    await this.#finished([will.connected])
    this.#cluster.stop(3)
    await this.#published('one-still', [0, 1, 2])
    await after(this.#o.pauseMs)
    this.#cluster.goOn(3)
    await this.#published('one-back', [0, 1, 2, 3])
    will.client.disconnect()
  }

  async twoStandStill(): Promise<void> {
    this.#cluster.stop(2)
    this.#cluster.stop(3)
    // Of QoS 2: PUBREC waits for the order whatever is done about QoS 1.
    const waiting = this.#publish('two-still', 0, [2])
    await after(this.#o.pauseMs)
    if (waiting.acknowledged.size > 0) waiting.violations.push('Two nodes of four acknowledged a message of QoS 2')
    this.#cluster.goOn(2)
    this.#cluster.goOn(3)
    const begunMs = performance.now()
    await this.#finished([waiting.done])
    const healMs = Math.round(performance.now() - begunMs)
    this.#figures['healMs'] = healMs
    if (healMs > healWithinMs) waiting.violations.push(`The order went on only after ${healMs} ms`)
  }

  async allLosePower(): Promise<void> {
    await this.#published('before', [0, 1, 2, 3])
    await Promise.all([0, 1, 2, 3].map((node) => this.#cluster.kill(node)))
    const begunMs = performance.now()
    await this.#cluster.startAll()
    await this.#published('after', [0, 1, 2, 3])
    this.#figures['restartAllMs'] = Math.round(performance.now() - begunMs)
  }

  async oneDiesWithWill(): Promise<void> {
    const will = this.#clientWithWill('widow', 3)
    await this.#finished([will.connected])
    await this.#cluster.kill(3)
    const begunMs = performance.now()
    await this.#finished(this.#subscribers.slice(0, 3).map((one) => one.until('order/will widow:0')))
    this.#figures['willMs'] = Math.round(performance.now() - begunMs)
    await this.#cluster.start(3)
  }

  /** One message after all others: who has it has all. */
  async last(): Promise<void> {
    await this.#published('last', [0, 1, 2, 3])
    await this.#finished(
      this.#subscribers.flatMap((one) =>
        [0, 1, 2, 3].map((node) => one.until(`order/last-${node} last-${node}:${this.#o.messages - 1}`)),
      ),
    )
  }

  verdict(violations: string[]): Verdict {
    violations.push(...judge(this.#publishers, this.#subscribers, { undisturbed: false }))
    for (const one of [...this.#publishers, ...this.#subscribers]) {
      violations.push(...one.violations)
      one.close()
    }
    const wills = (this.#subscribers[0] as Subscriber).messages.filter((message) => message.startsWith('order/will'))
    if (wills.join() !== 'order/will widow:0') violations.push(`Wills that were published: ${wills.join() || 'none'}`)
    for (const { name, messages } of this.#subscribers)
      this.#o.say?.(`${name} ${messages.length} ${orderHash(messages)}`)
    return { violations, figures: this.#figures }
  }

  #publish(name: string, node: number, qos: readonly (1 | 2)[] = [1, 2]): Publisher {
    const publisher = new Publisher({
      ...{ places: this.#cluster, node, stays: true, name: `${name}-${node}`, messages: this.#o.messages, qos },
      window: 20,
    })
    this.#publishers.push(publisher)
    return publisher
  }

  async #published(name: string, at: readonly number[]): Promise<void> {
    this.#o.say?.(name)
    await this.#finished(at.map((node) => this.#publish(name, node).done))
  }

  #clientWithWill(name: string, node: number): { readonly client: FlowClient; readonly connected: Promise<void> } {
    const target = this.#cluster.target(node)
    if (target === undefined) throw new Error(`Node ${node} does not run`)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const client = new FlowClient(target, {
      version: 5,
      connect: { clientId: name, will: { topic: 'order/will', payload: `${name}:0:`, qos: 1 } },
      onPacket: ({ type, reason }) => {
        if (type === 'CONNACK' && reason === 0) resolve()
        else if (type === 'CONNACK') reject(new Error(`${name} was refused with ${reason}`))
      },
    })
    return { client, connected: promise }
  }

  #finished(all: readonly Promise<unknown>[]): Promise<void> {
    return finished(all, this.#o.withinMs, () =>
      [
        ...this.#publishers.slice(-4).map((one) => one.state),
        ...this.#subscribers.map((one) => `${one.name} has ${one.messages.length}`),
        this.#cluster.logs,
      ].join('\n'),
    )
  }
}
