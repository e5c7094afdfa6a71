/**
 * Agents that share work without asking anybody: a task is announced, every agent bids, and the first bid in the order wins.
 * Each agent is at another node and decides for itself; all must come to the same winner for every task (row F36).
 */
import { startCluster } from '../../testkit/src/cluster-process.ts'
import { FlowClient } from '../../testkit/src/flow-client.ts'
import type { Target } from '../../testkit/src/raw-client.ts'
import type { Received } from '../../testkit/src/wire.ts'
import * as wire from '../../testkit/src/wire.ts'
import { finished, folder, type Verdict } from './proof.ts'

export interface BiddingOptions {
  readonly tasks: number
  readonly withinMs: number
}

const agentCount = 4
/** Tasks announced and not yet bid for by all. */
const openMax = 20
/** A node that has just started refuses clients for a moment. */
const retryMs = 100

class Agent {
  readonly name: string
  /** By task: who won, and how many bids came. */
  readonly winners = new Map<number, string>()
  readonly ready: Promise<void>
  bids = 0
  readonly #target: Target
  readonly #ready: () => void
  readonly #progress: () => void
  #client: FlowClient | undefined
  #id = 0

  constructor(name: string, target: Target, progress: () => void) {
    this.name = name
    this.#target = target
    this.#progress = progress
    const { promise, resolve } = Promise.withResolvers<void>()
    this.ready = promise
    this.#ready = resolve
    this.#connect()
  }

  publish(topic: string, payload: string): void {
    this.#id = (this.#id % 65_535) + 1
    this.#client?.send(wire.publish(5, topic, payload, { qos: 2, id: this.#id }))
  }

  close(): void {
    this.#client?.disconnect()
  }

  #connect(): void {
    this.#client = new FlowClient(this.#target, {
      version: 5,
      connect: { clientId: this.name },
      onPacket: (packet, client) => this.#received(packet, client),
    })
  }

  #received({ type, reason, topic, payload }: Received, client: FlowClient): void {
    if (type === 'CONNACK' && reason === 0) client.send(wire.subscribe(5, 65_535, [['work/#', 2]]))
    else if (type === 'CONNACK') {
      client.drop()
      setTimeout(() => this.#connect(), retryMs)
    } else if (type === 'SUBACK') this.#ready()
    else if (type === 'PUBLISH' && topic === 'work/tasks')
      this.publish('work/bids', `${payload.toString()} ${this.name}`)
    else if (type === 'PUBLISH') {
      const [task = '', bidder = ''] = payload.toString().split(' ')
      if (!this.winners.has(Number(task))) this.winners.set(Number(task), bidder)
      this.bids++
      this.#progress()
    }
  }
}

export async function proveBidding({ tasks, withinMs }: BiddingOptions): Promise<Verdict> {
  await using directory = await folder()
  await using cluster = await startCluster({ nodes: agentCount, directory: directory.path })
  const { promise: done, resolve } = Promise.withResolvers<void>()
  let announced = 0
  const progress = (): void => {
    const slowest = Math.min(...agents.map(({ bids }) => bids))
    while (announced < tasks && announced - slowest / agentCount < openMax)
      agents[0]?.publish('work/tasks', `${announced++}`)
    if (slowest === tasks * agentCount) resolve()
  }
  const agents = cluster.alive.map((node) => new Agent(`agent-${node}`, cluster.target(node) as Target, progress))
  const state = (): string => agents.map(({ name, bids }) => `${name} has ${bids} bids`).join(', ')
  const violations: string[] = []
  const begunMs = performance.now()
  try {
    await finished(
      agents.map(({ ready }) => ready),
      withinMs,
      state,
    )
    progress()
    await finished([done], withinMs, state)
  } catch (error) {
    violations.push(error instanceof Error ? error.message : String(error))
  }
  const [first, ...others] = agents as [Agent, ...Agent[]]
  for (let task = 0; task < tasks; task++) {
    const winner = first.winners.get(task)
    if (winner === undefined) violations.push(`Task ${task} has no winner`)
    for (const { name, winners } of others) {
      if (winners.get(task) !== winner)
        violations.push(`Task ${task}: ${winner} for ${first.name}, ${winners.get(task)} for ${name}`)
    }
  }
  for (const { name, bids } of agents) if (bids !== tasks * agentCount) violations.push(`${name} has ${bids} bids`)
  for (const agent of agents) agent.close()
  const won = [...first.winners.values()]
  const share = Object.fromEntries(agents.map(({ name }) => [name, won.filter((one) => one === name).length]))
  return { violations, figures: { tasks, seconds: Math.round((performance.now() - begunMs) / 1000), ...share } }
}
