/**
 * The network between four nodes is slow and loses much, then one node is cut off in one direction, in the other, and in both. The
 * others go on; what its clients were told is kept; when the cut is mended all have one list.
 */
import { setTimeout as after } from 'node:timers/promises'
import { randomFrom } from '../../testkit/src/random.ts'
import type { Verdict } from './proof.ts'
import { RelayedNetwork } from './relay.ts'
import { runTrial, type Trial } from './trial.ts'

export interface NetworkProofOptions {
  readonly transport: 'quic' | 'tls'
  /** Of each publisher in each step. */
  readonly messages: number
  /** How long a cut lasts. */
  readonly cutMs: number
  readonly delayMs: number
  /** From 0 to 1. */
  readonly loss: number
  readonly seed: number
  readonly withinMs: number
  readonly say?: (line: string) => void
}

const all = [0, 1, 2, 3]
const others = [0, 1, 2]
const alone = 3
/** How soon all is as before when a cut is mended. */
const healWithinMs = 10_000
const preload = [new URL('preload/routes.ts', import.meta.url).href]

export async function proveNetwork(options: NetworkProofOptions): Promise<Verdict> {
  const { messages, withinMs, say, transport, seed } = options
  let network: RelayedNetwork | undefined
  try {
    return await runTrial(
      {
        ...{ nodes: all.length, messages, withinMs, say },
        cluster: () => ({
          flags: ['--cluster-transport', transport],
          preload,
          beforeStart: async (addresses) => {
            network = await RelayedNetwork.open(addresses, randomFrom(seed))
          },
          special: (node) => ({ environment: { CONCORDMQ_TEST_ROUTES: network?.routesOf(node) ?? '{}' } }),
        }),
      },
      async (trial) => await trouble(trial, network as RelayedNetwork, options),
    )
  } finally {
    network?.close()
  }
}

async function trouble(trial: Trial, network: RelayedNetwork, options: NetworkProofOptions): Promise<void> {
  const { cutMs, delayMs, loss } = options
  await trial.published('well', all)
  network.set({ delayMs, loss })
  const slowMs = performance.now()
  await trial.published('slow', all)
  trial.figures['slowMs'] = Math.round(performance.now() - slowMs)
  network.set({ delayMs: 0, loss: 0 })
  const cuts: readonly (readonly [string, (cut: boolean) => void])[] = [
    ['mute', (cut) => network.cut([alone], others, cut)],
    ['deaf', (cut) => network.cut(others, [alone], cut)],
    [
      'alone',
      (cut) => {
        network.cut([alone], others, cut)
        network.cut(others, [alone], cut)
      },
    ],
  ]
  for (const [name, cut] of cuts) {
    cut(true)
    const waiting = trial.publish(`${name}-waits`, alone, { qos: [2] })
    const cutAtMs = performance.now()
    await trial.published(`${name}-others`, others)
    trial.figures[`${name}OthersMs`] = Math.round(performance.now() - cutAtMs)
    await after(Math.max(0, cutMs - (performance.now() - cutAtMs)))
    cut(false)
    const mendedMs = performance.now()
    await trial.finished([waiting.done])
    await trial.published(`${name}-mended`, all)
    const healMs = Math.round(performance.now() - mendedMs)
    trial.figures[`${name}HealMs`] = healMs
    if (healMs > healWithinMs) trial.violations.push(`${name}: all was well only ${healMs} ms after the cut was mended`)
  }
  await trial.last(all)
}
