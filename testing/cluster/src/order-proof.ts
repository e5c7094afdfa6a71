/**
 * Every node publishes and every node delivers: the order that subscribers see is the same everywhere, whatever the QoS, and
 * nothing is missing.
 */
import { startCluster } from '../../testkit/src/cluster-process.ts'
import { judge, orderHash } from './judge.ts'
import { finished, folder, type Verdict } from './proof.ts'
import { Publisher } from './publisher.ts'
import { Subscriber } from './subscriber.ts'

export interface OrderProofOptions {
  readonly nodes: number
  /** Of all publishers together. */
  readonly messages: number
  readonly window?: number
  readonly withinMs: number
  readonly say?: (line: string) => void
}

/** What publishers take in turn: each QoS alone, and all of them mixed. */
const kinds = [[1], [2], [0], [0, 1, 2]] as const

export async function proveOrder({
  nodes,
  messages,
  window = 100,
  withinMs,
  say = () => {},
}: OrderProofOptions): Promise<Verdict> {
  await using directory = await folder()
  await using cluster = await startCluster({ nodes, directory: directory.path })
  const publishers: Publisher[] = []
  const subscribers = Array.from(
    { length: nodes },
    (_, node) =>
      new Subscriber({
        ...{ places: cluster, node, name: `subscriber-${node}`, filter: 'order/#', kept: false, positions: true },
        arrived: (message) => seenBy(publishers, message),
      }),
  )
  const violations: string[] = []
  const begun = performance.now()
  try {
    await finished(
      subscribers.map((one) => one.subscribed),
      withinMs,
      () => `SUBACK is missing\n${cluster.logs}`,
    )
    const each = Math.ceil(messages / nodes)
    for (let node = 0; node < nodes; node++) {
      publishers.push(
        new Publisher({
          ...{ places: cluster, node, name: `publisher-${node}`, messages: each, window },
          qos: kinds[node % kinds.length] as readonly (0 | 1 | 2)[],
        }),
      )
    }
    const all = publishers.flatMap((one) => [
      one.done,
      ...subscribers.map((subscriber) => subscriber.until(`order/${one.name} ${one.name}:${each - 1}`)),
    ])
    await finished(all, withinMs, () =>
      [
        ...publishers.map((one) => one.state),
        ...subscribers.map((one) => `${one.name} has ${one.messages.length}`),
        cluster.logs,
      ].join('\n'),
    )
  } catch (error) {
    violations.push(error instanceof Error ? error.message : String(error))
  }
  const seconds = (performance.now() - begun) / 1000
  violations.push(...judge(publishers, subscribers, { undisturbed: true }))
  for (const one of [...publishers, ...subscribers]) {
    violations.push(...one.violations)
    one.close()
  }
  const hashes = subscribers.map(({ messages: list, positions }) =>
    orderHash(list.map((message, i) => `${message} ${positions[i]}`)),
  )
  if (new Set(hashes).size > 1) violations.push(`Messages have other positions at other nodes: ${hashes.join(', ')}`)
  for (const [i, one] of subscribers.entries()) say(`${one.name} ${one.messages.length} ${hashes[i]}`)
  return { violations, figures: { nodes, messages, seconds: Math.round(seconds * 10) / 10 } }
}

/** At QoS 0 nothing else tells a publisher how far it is. */
function seenBy(publishers: readonly Publisher[], message: string): void {
  const [name = '', number = ''] = message.slice(message.indexOf(' ') + 1).split(':')
  publishers.find((one) => one.name === name)?.seen(Number(number))
}
