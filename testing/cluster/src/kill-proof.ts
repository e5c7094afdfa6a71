/**
 * Nodes are killed as by a power cut while messages flow, and clients go on with other nodes: what was acknowledged is in the
 * order, nothing of QoS 2 is in it twice, and subscribers that changed nodes have the same list as those that did not. When
 * the killed nodes are back, whoever subscribes there sees what others see.
 */
import { join } from 'node:path'
import { PowerCut } from '../../crash/src/power-cut.ts'
import { startCluster } from '../../testkit/src/cluster-process.ts'
import { type Random, randomFrom } from '../../testkit/src/random.ts'
import { judge, orderHash } from './judge.ts'
import { finished, folder, type Verdict } from './proof.ts'
import { Publisher } from './publisher.ts'
import { Subscriber } from './subscriber.ts'

export interface KillProofOptions {
  readonly nodes: number
  /** Killed and brought back together, as many as may fail; one after the other `kills` times. */
  readonly victims: number
  readonly kills: number
  readonly messages: number
  /** Clients wait for their node, so that what the others ordered meanwhile waits for them. */
  readonly stay?: boolean
  /** The power fails with the node: of what was written and not synchronised some is missing. */
  readonly cut?: boolean
  readonly seed: number
  readonly window?: number
  readonly withinMs: number
  readonly say?: (line: string) => void
}

export async function proveKills({
  nodes,
  victims,
  kills,
  messages,
  stay = false,
  cut = false,
  seed,
  window = 30,
  withinMs,
  say = () => {},
}: KillProofOptions): Promise<Verdict> {
  const random = randomFrom(seed)
  await using directory = await folder()
  const data = join(directory.path, 'data')
  const cuts = Array.from(
    { length: cut ? nodes : 0 },
    (_, node) => new PowerCut(data, join(directory.path, `l${node}`)),
  )
  await using cluster = await startCluster({
    ...{ nodes, directory: directory.path },
    special: (node) => {
      const { preload, environment } = cuts[node] ?? {}
      return preload === undefined || environment === undefined ? {} : { preload: [preload], environment }
    },
  })
  const subscribers = Array.from(
    { length: nodes },
    (_, node) =>
      new Subscriber({
        ...{ places: cluster, node, stays: stay, name: `subscriber-${node}`, filter: 'order/#', kept: true },
      }),
  )
  const publishers: Publisher[] = []
  const violations: string[] = []
  const state = (): string =>
    [
      ...publishers.map((one) => one.state),
      ...subscribers.map((one) => `${one.name} at node ${one.node} has ${one.messages.length}`),
      cluster.logs,
    ].join('\n')
  const recoveriesMs: number[] = []
  const publisher = (name: string, node: number, count: number): Publisher => {
    const one = new Publisher({
      ...{ places: cluster, node, stays: stay, name, messages: count, qos: [1, 2], window },
    })
    publishers.push(one)
    return one
  }
  try {
    await finished(
      subscribers.map((one) => one.subscribed),
      withinMs,
      state,
    )
    const each = Math.ceil(messages / nodes / kills)
    for (let round = 0; round < kills; round++) {
      const wave = Array.from({ length: nodes }, (_, node) => publisher(`p${round}-${node}`, node, each))
      const dead = chosen(nodes, victims, random)
      // Anywhere in the first three quarters of the wave: the rest goes through the nodes that are left.
      const at = random.below(Math.ceil(nodes * each * 0.75))
      const [observer] = subscribers as [Subscriber]
      await finished([observer.whenHas(observer.messages.length + at)], withinMs, state)
      say(`kill ${round + 1}: nodes ${dead.join(', ')} after ${at} of ${nodes * each}`)
      await Promise.all(dead.map((node) => cluster.kill(node)))
      const killedMs = performance.now()
      const waveDone = Promise.all(wave.filter((_, node) => !stay || !dead.includes(node)).map((one) => one.done))
      await finished([Promise.race([nextArrival(subscribers, dead), waveDone])], withinMs, state)
      recoveriesMs.push(performance.now() - killedMs)
      await finished([waveDone], withinMs, state)
      for (const node of dead) cuts[node]?.cut(random)
      await Promise.all(dead.map((node) => cluster.start(node)))
      await finished(
        wave.map((one) => one.done),
        withinMs,
        state,
      )
      for (const node of dead) {
        // It serves again, and what is published there arrives everywhere.
        const back = publisher(`back${round}-${node}`, node, 2)
        await finished([back.done], withinMs, state)
      }
    }
    // One message after all others: who has it has all.
    await finished([publisher('last', 0, 1).done], withinMs, state)
    await finished(
      subscribers.map((one) => one.until('order/last last:0')),
      withinMs,
      state,
    )
  } catch (error) {
    violations.push(error instanceof Error ? error.message : String(error))
  }
  violations.push(...judge(publishers, subscribers, { undisturbed: false }))
  for (const one of [...publishers, ...subscribers]) {
    violations.push(...one.violations)
    one.close()
  }
  for (const one of subscribers) say(`${one.name} ${one.messages.length} ${orderHash(one.messages)} ${one.connections}`)
  return {
    violations,
    figures: {
      ...{ nodes, messages, kills, seed, slowestRecoveryMs: Math.round(Math.max(0, ...recoveriesMs)) },
      ...(cut ? { writesTaken: cuts.reduce((sum, one) => sum + one.taken, 0) } : {}),
    },
  }
}

function chosen(nodes: number, count: number, random: Random): number[] {
  const left = Array.from({ length: nodes }, (_, node) => node)
  return Array.from({ length: count }, () => left.splice(random.below(left.length), 1)[0] as number)
}

/** Resolves when the order goes on as somebody sees it who was not disturbed; after many kills all may be at one node. */
function nextArrival(subscribers: readonly Subscriber[], dead: readonly number[]): Promise<void> {
  const [first] = subscribers as [Subscriber]
  const witness = subscribers.find((one) => !dead.includes(one.node)) ?? first
  return witness.whenHas(witness.messages.length + 1)
}
