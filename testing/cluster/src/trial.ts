/**
 * What proofs have in common that break something: a cluster, a kept subscriber that stays at each node, publishers in waves, and
 * the verdict that all subscribers have one list with everything in it that was acknowledged.
 *
 *     await runTrial({ nodes: 4, messages: 20, withinMs }, async (trial) => {
 *       await trial.published('before', [0, 1, 2, 3])
 *       await trial.cluster.kill(3)
 *       …
 *     })
 */
import { type ClusterProcesses, type ClusterProcessesOptions, startCluster } from '../../testkit/src/cluster-process.ts'
import { FlowClient } from '../../testkit/src/flow-client.ts'
import { judge, orderHash } from './judge.ts'
import { finished, folder, type Verdict } from './proof.ts'
import { Publisher, type PublisherOptions } from './publisher.ts'
import { Subscriber } from './subscriber.ts'

export interface TrialOptions {
  readonly nodes: number
  /** Of each publisher. */
  readonly messages: number
  readonly withinMs: number
  readonly say?: ((line: string) => void) | undefined
  /** Beside nodes and directory, what the cluster is started with. */
  readonly cluster?: ((directory: string) => Omit<ClusterProcessesOptions, 'nodes' | 'directory'>) | undefined
  /** Nodes whose subscribers count; default all. The others may tell lies. */
  readonly judged?: readonly number[]
}

/** What every proof of this kind is told: messages are those of each publisher in each step. */
export type ProofTerms = Pick<TrialOptions, 'messages' | 'withinMs' | 'say'>

const windowMax = 30

export class Trial {
  readonly cluster: ClusterProcesses
  readonly subscribers: readonly Subscriber[]
  readonly publishers: Publisher[] = []
  readonly figures: Record<string, number> = {}
  readonly violations: string[] = []
  readonly #o: TrialOptions

  constructor(options: TrialOptions, cluster: ClusterProcesses) {
    this.#o = options
    this.cluster = cluster
    const { judged = cluster.alive } = options
    this.subscribers = judged.map(
      (node) =>
        new Subscriber({
          ...{ places: cluster, node, stays: true, name: `subscriber-${node}`, filter: 'order/#', kept: true },
          positions: true,
        }),
    )
  }

  /** Says what is done now. */
  say(line: string): void {
    this.#o.say?.(line)
  }

  /** Waits for all; rejects with what everybody is doing when it takes too long. */
  finished(all: readonly Promise<unknown>[]): Promise<void> {
    return finished(all, this.#o.withinMs, () =>
      [
        ...this.publishers.filter((one) => !one.isDone).map((one) => one.state),
        ...this.subscribers.map((one) => `${one.name} has ${one.messages.length}`),
        this.cluster.logs,
      ].join('\n'),
    )
  }

  /** Begins to publish through a node. */
  publish(name: string, node: number, others: Partial<PublisherOptions> = {}): Publisher {
    const publisher = new Publisher({
      ...{ places: this.cluster, node, stays: true, name: `${name}-${node}`, messages: this.#o.messages },
      ...{ qos: [1, 2], window: windowMax },
      ...others,
    })
    this.publishers.push(publisher)
    return publisher
  }

  /** Publishes through these nodes until all is acknowledged. */
  async published(name: string, nodes: readonly number[]): Promise<void> {
    this.say(name)
    await this.finished(nodes.map((node) => this.publish(name, node).done))
  }

  /** A client whose will is `order/will NAME:0`. */
  async clientWithWill(name: string, node: number): Promise<FlowClient> {
    await this.finished([this.cluster.served(node)])
    const { target } = this.cluster.process(node)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const client = new FlowClient(target, {
      version: 5,
      connect: { clientId: name, will: { topic: 'order/will', payload: `${name}:0:`, qos: 1 } },
      onPacket: ({ type, reason }) => {
        if (type === 'CONNACK' && reason === 0) resolve()
        else if (type === 'CONNACK') reject(new Error(`${name} was refused with ${reason}`))
      },
    })
    await this.finished([promise])
    return client
  }

  /** Wills that all subscribers have, by name: they have one list. */
  get wills(): readonly string[] {
    const messages = this.subscribers[0]?.messages ?? []
    return messages.filter((message) => message.startsWith('order/will')).map((message) => message.slice(11, -2))
  }

  /** One message of each node after all others: who has them has all. */
  async last(nodes: readonly number[]): Promise<void> {
    await this.published('last', nodes)
    await this.finished(
      this.subscribers.flatMap((one) =>
        nodes.map((node) => one.until(`order/last-${node} last-${node}:${this.#o.messages - 1}`)),
      ),
    )
  }

  verdict(): Verdict {
    const violations = [...this.violations, ...judge(this.publishers, this.subscribers, { undisturbed: false })]
    for (const one of [...this.publishers, ...this.subscribers]) {
      violations.push(...one.violations)
      one.close()
    }
    for (const { name, messages } of this.subscribers) this.say(`${name} ${messages.length} ${orderHash(messages)}`)
    return { violations, figures: this.figures }
  }
}

/** Starts a cluster, lets the body do what it wants, and judges; whatever the body throws is a violation. */
export async function runTrial(options: TrialOptions, body: (trial: Trial) => Promise<void>): Promise<Verdict> {
  await using directory = await folder()
  const { path } = directory
  await using cluster = await startCluster({ nodes: options.nodes, directory: path, ...options.cluster?.(path) })
  const trial = new Trial(options, cluster)
  try {
    await trial.finished(trial.subscribers.map((one) => one.subscribed))
    await body(trial)
  } catch (error) {
    trial.violations.push(error instanceof Error ? error.message : String(error))
  }
  return trial.verdict()
}
