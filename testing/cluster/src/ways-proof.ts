/**
 * The two other ways through a cluster, among processes: topics that skip the order (`ordering.fast`), and messages that are sealed
 * until they have their place (`ordering.sealed`).
 *
 *   fast     everybody gets everything once, each publisher's messages in its order; a node that dies holds up nobody
 *   sealed   one order everywhere, and no node's log on disk shows what was sealed, as it shows what was not
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type ClusterProcesses, startCluster } from '../../testkit/src/cluster-process.ts'
import { judge } from './judge.ts'
import { finished, folder, type Verdict } from './proof.ts'
import { Publisher } from './publisher.ts'
import { Subscriber } from './subscriber.ts'

export interface WaysProofOptions {
  /** Of all publishers of one kind together. */
  readonly messages: number
  readonly withinMs: number
}

const nodes = 4
const kinds = ['fast', 'sealed', 'plain'] as const
type Kind = (typeof kinds)[number]

const qosOf: Readonly<Record<Kind, readonly (0 | 1 | 2)[]>> = { fast: [0, 1], sealed: [0, 1, 2], plain: [0, 1, 2] }

export async function proveWays(options: WaysProofOptions): Promise<Verdict> {
  await using directory = await folder()
  const topics = (kind: Kind): string => Array.from({ length: nodes + 1 }, (_, i) => `order/${kind}-${i}`).join()
  await using cluster = await startCluster({
    nodes,
    directory: directory.path,
    environment: { CONCORDMQ_ORDERING_FAST: topics('fast'), CONCORDMQ_ORDERING_SEALED: topics('sealed') },
  })
  const run = new WaysRun(options, cluster)
  const violations: string[] = []
  try {
    await run.subscribed()
    for (const kind of kinds) violations.push(...(await run.together(kind)))
    violations.push(...(await secretsIn(join(directory.path, 'data'))))
    violations.push(...(await run.withoutOne()))
  } catch (error) {
    violations.push(error instanceof Error ? error.message : String(error))
  }
  return run.verdict(violations)
}

class WaysRun {
  readonly #o: WaysProofOptions
  readonly #cluster: ClusterProcesses
  readonly #subscribers: readonly (readonly [Kind, Subscriber])[]
  readonly #publishers: Publisher[] = []
  readonly #figures: Record<string, number> = {}

  constructor(options: WaysProofOptions, cluster: ClusterProcesses) {
    this.#o = options
    this.#cluster = cluster
    this.#subscribers = kinds.flatMap((kind) =>
      cluster.alive.map((node) => {
        const name = `${kind}-subscriber-${node}`
        const subscriber = new Subscriber({
          ...{ places: cluster, node, stays: true, name, filter: 'order/#', kept: false },
          arrived: (message) => this.#seen(message),
        })
        return [kind, subscriber] as const
      }),
    )
  }

  async subscribed(): Promise<void> {
    await this.#finished(this.#subscribers.map(([, one]) => one.subscribed))
  }

  /** A publisher at every node. */
  async together(kind: Kind): Promise<string[]> {
    const each = Math.ceil(this.#o.messages / nodes)
    const publishers = this.#cluster.alive.map((node) => this.#publisher(kind, node, node, each))
    const begunMs = performance.now()
    await this.#finished(publishers.flatMap((one) => [one.done, ...this.#all(one, each)]))
    this.#figures[`${kind}Ms`] = Math.round(performance.now() - begunMs)
    const seen = this.#subscribers.map(([, { name, messages }]) => ({
      name,
      messages: messages.filter((message) => message.startsWith(`order/${kind}-`)),
    }))
    // What skips the order has none among several publishers.
    if (kind !== 'fast') return judge(publishers, seen, { undisturbed: true })
    return seen.flatMap((one) => judge(publishers, [one], { undisturbed: true }))
  }

  /** A node dies while messages go round beside the order: three of four are a quorum. */
  async withoutOne(): Promise<string[]> {
    // So many that it dies in the middle of them.
    const each = this.#o.messages * 10
    const publisher = this.#publisher('fast', nodes, 0, each)
    await this.#finished([
      this.#subscribers[0]?.[1].until(nameOf(publisher, Math.floor(each / 20))) ?? Promise.resolve(),
    ])
    await this.#cluster.kill(nodes - 1)
    const begunMs = performance.now()
    const others = this.#subscribers.filter(([, { node }]) => node !== nodes - 1).map(([, one]) => one)
    await this.#finished([publisher.done, ...others.map((one) => one.until(nameOf(publisher, each - 1)))])
    this.#figures['withoutOneMs'] = Math.round(performance.now() - begunMs)
    return others.flatMap(({ name, messages }) => {
      const own = messages.filter((message) => message.startsWith(`order/${publisher.name} `))
      return judge([publisher], [{ name, messages: own }], { undisturbed: true })
    })
  }

  verdict(violations: readonly string[]): Verdict {
    const all = [...violations]
    const stayed = this.#subscribers.filter(([, { node }]) => node !== nodes - 1)
    for (const one of [...this.#publishers, ...stayed.map(([, subscriber]) => subscriber)]) all.push(...one.violations)
    for (const one of [...this.#publishers, ...this.#subscribers.map(([, subscriber]) => subscriber)]) one.close()
    return { violations: all, figures: { nodes, messages: this.#o.messages, ...this.#figures } }
  }

  #publisher(kind: Kind, number: number, node: number, messages: number): Publisher {
    const name = `${kind}-${number}`
    const publisher = new Publisher({
      ...{ places: this.#cluster, node, name, messages, window: 50, qos: qosOf[kind] },
    })
    this.#publishers.push(publisher)
    return publisher
  }

  /** When everybody has the last one. */
  #all(publisher: Publisher, messages: number): Promise<void>[] {
    return this.#subscribers.map(([, one]) => one.until(nameOf(publisher, messages - 1)))
  }

  /** At QoS 0 nothing else tells a publisher how far it is. */
  #seen(message: string): void {
    const [name = '', number = ''] = message.slice(message.indexOf(' ') + 1).split(':')
    this.#publishers.find((one) => one.name === name)?.seen(Number(number))
  }

  async #finished(all: readonly Promise<unknown>[]): Promise<void> {
    await finished(all, this.#o.withinMs, () =>
      [
        ...this.#publishers.map((one) => one.state),
        ...this.#subscribers.map(([, one]) => `${one.name} has ${one.messages.length}`),
        this.#cluster.logs,
      ].join('\n'),
    )
  }
}

function nameOf({ name }: Publisher, number: number): string {
  return `order/${name} ${name}:${number}`
}

/** What the logs of all nodes show: plain messages, and nothing of the others. */
async function secretsIn(directory: string): Promise<string[]> {
  const shown = new Set<string>()
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.parentPath.includes('cluster')) continue
    const bytes = await readFile(join(entry.parentPath, entry.name))
    for (const kind of kinds) if (bytes.includes(`${kind}-0:1:`)) shown.add(kind)
  }
  return shown.size === 1 && shown.has('plain') ? [] : [`The nodes' logs show ${[...shown].join(', ') || 'nothing'}`]
}
