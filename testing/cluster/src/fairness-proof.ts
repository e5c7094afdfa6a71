/**
 * Who comes first in the order, as clients at two nodes see it (row F2): one node's client sends, another's sends too, many times.
 *
 *   apart      the second 200 ms later: the first is first, always
 *   together   at one instant: neither node's clients are preferred
 *   near       the second 50 ms later: it overtakes the first only where a node that has too little CPU stood still
 *   delayed    the same, and the second one's node hears all others 50 ms late, and so reports late what they sent: it overtakes
 *              no more often, so a node gains no more than its own delay
 */
import { setTimeout as after } from 'node:timers/promises'
import { type FlowClient, openFlow } from '../../testkit/src/flow-client.ts'
import { type Random, randomFrom } from '../../testkit/src/random.ts'
import { publish } from '../../testkit/src/wire.ts'
import type { Verdict } from './proof.ts'
import { RelayedNetwork } from './relay.ts'
import { type ProofTerms, runTrial, type Trial } from './trial.ts'

export interface FairnessProofOptions extends Omit<ProofTerms, 'messages'> {
  /** Of each kind but `together`, which has five times as many. */
  readonly rounds: number
  /** How far from a half the share of one node's clients may be when both send at one instant. */
  readonly biasMax: number
  readonly seed: number
}

const all = [0, 1, 2, 3]
const far = 3
const apartMs = 200
const delayMs = 50
/** By so much of all rounds two counts of the same thing may differ on a busy machine. */
const chance = 0.05
/** Between rounds, so that they do not keep step with the blocks of the nodes. */
const pauseMsMax = 10
const preload = [new URL('preload/routes.ts', import.meta.url).href]

export async function proveFairness(options: FairnessProofOptions): Promise<Verdict> {
  const { withinMs, say, seed } = options
  let network: RelayedNetwork | undefined
  try {
    return await runTrial(
      {
        ...{ nodes: all.length, messages: 1, withinMs, say },
        cluster: () => ({
          preload,
          beforeStart: async (addresses) => {
            network = await RelayedNetwork.open(addresses, randomFrom(seed))
          },
          special: (node) => ({ environment: { CONCORDMQ_TEST_ROUTES: network?.routesOf(node) ?? '{}' } }),
        }),
      },
      async (trial) => {
        const race = await Race.open(trial, randomFrom(seed + 1))
        await fair(trial, race, network as RelayedNetwork, options)
        race.close()
      },
    )
  } finally {
    network?.close()
  }
}

async function fair(
  trial: Trial,
  race: Race,
  network: RelayedNetwork,
  { rounds, biasMax }: FairnessProofOptions,
): Promise<void> {
  const { figures, violations } = trial
  await trial.published('warm', all)
  const apart = await race.run('apart', rounds, apartMs)
  if (apart.secondFirst > 0)
    violations.push(`${apart.secondFirst} of ${rounds} messages overtook one of ${apartMs} ms before`)
  const together = await race.run('together', rounds * 5, 0)
  const share = together.secondFirst / (rounds * 5)
  figures['togetherSecondFirstPercent'] = Math.round(share * 1000) / 10
  if (Math.abs(share - 0.5) > biasMax)
    violations.push(`Of messages of one instant ${share * 100} % of one node's were first`)
  const near = await race.run('near', rounds, delayMs)
  for (const node of all.slice(0, far)) Object.assign(network.ways[node]?.[far] ?? {}, { delayMs })
  const delayed = await race.run('delayed', rounds, delayMs)
  figures['nearOvertakes'] = near.secondFirst
  figures['delayedOvertakes'] = delayed.secondFirst
  if (delayed.secondFirst > near.secondFirst + rounds * chance)
    violations.push(
      `${delayed.secondFirst} of ${rounds} messages overtook one of ${delayMs} ms before by a delay of as much, ${near.secondFirst} without it`,
    )
  network.set({ delayMs: 0 })
  await trial.last(all)
}

/** Two clients, one at the first node and one at the last, and what became of who sent first. */
class Race {
  readonly #trial: Trial
  readonly #random: Random
  readonly #clients: readonly [FlowClient, FlowClient]
  #id = 0

  private constructor(trial: Trial, random: Random, clients: readonly [FlowClient, FlowClient]) {
    this.#trial = trial
    this.#random = random
    this.#clients = clients
  }

  static async open(trial: Trial, random: Random): Promise<Race> {
    const [first, second] = await Promise.all(
      [0, far].map(async (node) => {
        const target = trial.cluster.process(node).target
        const { client } = await openFlow(target, { version: 5, connect: { clientId: `racer-${node}` } })
        return client
      }),
    )
    return new Race(trial, random, [first as FlowClient, second as FlowClient])
  }

  /** Each round both send, the second so much later; the next round begins when all subscribers have both. */
  async run(name: string, rounds: number, laterMs: number): Promise<{ readonly secondFirst: number }> {
    this.#trial.say(name)
    let secondFirst = 0
    for (let round = 0; round < rounds; round++) {
      const [first, second] = [`${name}-first`, `${name}-second`]
      if (laterMs > 0) {
        this.#send(0, first, round)
        await after(laterMs)
        this.#send(1, second, round)
      } else {
        // Neither is the first on its way more often.
        for (const who of this.#random.below(2) === 0 ? [0, 1] : [1, 0])
          this.#send(who, who === 0 ? first : second, round)
      }
      const messages = [first, second].map((topic) => `order/${topic} ${topic}:${round}`)
      await this.#trial.finished(
        this.#trial.subscribers.flatMap((one) => messages.map((message) => one.until(message))),
      )
      const seen = this.#trial.subscribers[1]?.messages ?? []
      if (seen.lastIndexOf(messages[1] as string) < seen.lastIndexOf(messages[0] as string)) secondFirst++
      await after(this.#random.below(pauseMsMax))
    }
    return { secondFirst }
  }

  close(): void {
    for (const client of this.#clients) client.disconnect()
  }

  #send(who: number, topic: string, round: number): void {
    this.#id = (this.#id % 65_535) + 1
    this.#clients[who]?.send(publish(5, `order/${topic}`, `${topic}:${round}:`, { qos: 1, id: this.#id }))
  }
}
