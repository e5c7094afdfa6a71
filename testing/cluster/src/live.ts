/**
 * The long forms of the proofs with real processes:
 *
 *     npm run live -w @concordmq/cluster-tests -- order --nodes 4 --messages 100000
 *     npm run live -w @concordmq/cluster-tests -- kills --kills 50 --messages 20000
 *
 * The verdict is the last line, and the exit code.
 */
import { parseArgs } from 'node:util'
import { proveBidding } from './bidding-proof.ts'
import { proveClock } from './clock-proof.ts'
import { proveFullDisk } from './disk-proof.ts'
import { proveFairness } from './fairness-proof.ts'
import { proveFaults } from './fault-proof.ts'
import { proveKills } from './kill-proof.ts'
import { proveLiar } from './liar-proof.ts'
import { proveNetwork } from './network-proof.ts'
import { proveOrder } from './order-proof.ts'
import { provePauses } from './pause-proof.ts'
import type { Verdict } from './proof.ts'
import { proveReplay } from './replay-proof.ts'
import { proveReturns } from './return-proof.ts'
import { proveStalls } from './stall-proof.ts'
import { proveUpgrade } from './upgrade-proof.ts'
import { proveWays } from './ways-proof.ts'

const usage = `Usage: live.ts order [--nodes N] [--messages N] [--within-s SECONDS]
       live.ts kills [--nodes N] [--messages N] [--kills N] [--victims N] [--stay] [--cut] [--seed S] [--within-s SECONDS]
       live.ts fairness [--rounds N] [--seed S] [--within-s SECONDS]
       live.ts faults [--messages N] [--within-s SECONDS]
       live.ts returns [--nodes N] [--kills N] [--seed S] [--within-s SECONDS]
       live.ts ways [--messages N] [--within-s SECONDS]
       live.ts network [--transport quic|tls] [--messages N] [--seed S] [--within-s SECONDS]
       live.ts liar [--transport quic|tls] [--messages N] [--within-s SECONDS]
       live.ts clock [--messages N] [--within-s SECONDS]
       live.ts pauses [--messages N] [--within-s SECONDS]
       live.ts stalls [--within-s SECONDS]
       live.ts replay [--messages N] [--within-s SECONDS]
       live.ts disk [--messages N] [--within-s SECONDS]
       live.ts upgrade [--nodes N] [--messages N] [--within-s SECONDS]
       live.ts bidding [--messages TASKS] [--within-s SECONDS]`

async function main(): Promise<number> {
  const {
    values: { stay, cut, transport, ...rest },
    positionals,
  } = parseArgs({
    allowPositionals: true,
    options: {
      nodes: { type: 'string', default: '4' },
      messages: { type: 'string', default: '2000' },
      kills: { type: 'string', default: '5' },
      victims: { type: 'string', default: '1' },
      rounds: { type: 'string', default: '200' },
      transport: { type: 'string', default: 'quic' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      stay: { type: 'boolean', default: false },
      cut: { type: 'boolean', default: false },
      'within-s': { type: 'string', default: '600' },
    },
  })
  const { nodes, messages, kills, victims, rounds, seed, 'within-s': withinS } = numbers(rest)
  const wire = transport === 'tls' ? 'tls' : 'quic'
  const proofs: Readonly<Record<string, () => Promise<Verdict>>> = {
    bidding: () => proveBidding({ tasks: messages, withinMs: withinS * 1000 }),
    clock: () => proveClock({ messages, withinMs: withinS * 1000, say: console.log }),
    fairness: () => proveFairness({ rounds, seed, biasMax: 0.1, withinMs: withinS * 1000, say: console.log }),
    faults: () => proveFaults({ messages, pauseMs: 5_000, withinMs: withinS * 1000, say: console.log }),
    kills: () =>
      proveKills({ nodes, messages, kills, victims, seed, stay, cut, withinMs: withinS * 1000, say: console.log }),
    returns: () =>
      proveReturns({
        ...{ nodes, kills, seed, withinMs: withinS * 1000, say: console.log },
        resumedWithinMs: 1_000,
        servedWithinMs: 1_000,
      }),
    liar: () => proveLiar({ transport: wire, messages, withinMs: withinS * 1000, say: console.log }),
    pauses: () =>
      provePauses({
        ...{ messages, withinMs: withinS * 1000, say: console.log },
        ...{ shortMs: 5_000, longMs: 20_000 },
      }),
    replay: () => proveReplay({ messages, withinMs: withinS * 1000, say: console.log }),
    stalls: () => proveStalls({ withinMs: withinS * 1000, say: console.log }),
    disk: () => proveFullDisk({ messages, withinMs: withinS * 1000, say: console.log, failAt: 60, failFor: 40 }),
    upgrade: () => proveUpgrade({ nodes, messages, withinMs: withinS * 1000, say: console.log }),
    network: () =>
      proveNetwork({
        ...{ messages, seed, withinMs: withinS * 1000, say: console.log },
        transport: wire,
        ...{ cutMs: 8_000, delayMs: 200, loss: 0.05 },
      }),
    order: () => proveOrder({ nodes, messages, withinMs: withinS * 1000, say: console.log }),
    ways: () => proveWays({ messages, withinMs: withinS * 1000 }),
  }
  const proof = proofs[positionals[0] ?? '']
  if (
    proof === undefined ||
    [nodes, messages, kills, victims, rounds, seed, withinS].some((value) => !Number.isInteger(value) || value < 1)
  ) {
    console.error(usage)
    return 64
  }
  const { violations, figures } = await proof()
  for (const violation of violations) console.log(`VIOLATION: ${violation}`)
  console.log(JSON.stringify(figures))
  console.log(violations.length === 0 ? 'proven' : `${violations.length} violations`)
  return violations.length === 0 ? 0 : 1
}

function numbers<Name extends string>(values: Readonly<Record<Name, string>>): Readonly<Record<Name, number>> {
  return Object.fromEntries(Object.entries<string>(values).map(([name, text]) => [name, Number(text)])) as Record<
    Name,
    number
  >
}

if (import.meta.main) process.exitCode = await main()
