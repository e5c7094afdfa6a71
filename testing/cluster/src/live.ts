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
import { proveFaults } from './fault-proof.ts'
import { proveKills } from './kill-proof.ts'
import { proveOrder } from './order-proof.ts'
import type { Verdict } from './proof.ts'
import { proveReturns } from './return-proof.ts'
import { proveWays } from './ways-proof.ts'

const usage = `Usage: live.ts order [--nodes N] [--messages N] [--within-s SECONDS]
       live.ts kills [--nodes N] [--messages N] [--kills N] [--victims N] [--stay] [--seed S] [--within-s SECONDS]
       live.ts faults [--messages N] [--within-s SECONDS]
       live.ts returns [--nodes N] [--kills N] [--seed S] [--within-s SECONDS]
       live.ts ways [--messages N] [--within-s SECONDS]
       live.ts bidding [--messages TASKS] [--within-s SECONDS]`

async function main(): Promise<number> {
  const {
    values: { stay, ...rest },
    positionals,
  } = parseArgs({
    allowPositionals: true,
    options: {
      nodes: { type: 'string', default: '4' },
      messages: { type: 'string', default: '2000' },
      kills: { type: 'string', default: '5' },
      victims: { type: 'string', default: '1' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      stay: { type: 'boolean', default: false },
      'within-s': { type: 'string', default: '600' },
    },
  })
  const { nodes, messages, kills, victims, seed, 'within-s': withinS } = numbers(rest)
  const proofs: Readonly<Record<string, () => Promise<Verdict>>> = {
    bidding: () => proveBidding({ tasks: messages, withinMs: withinS * 1000 }),
    faults: () => proveFaults({ messages, pauseMs: 5_000, withinMs: withinS * 1000, say: console.log }),
    kills: () =>
      proveKills({ nodes, messages, kills, victims, seed, stay, withinMs: withinS * 1000, say: console.log }),
    returns: () =>
      proveReturns({
        ...{ nodes, kills, seed, withinMs: withinS * 1000, say: console.log },
        resumedWithinMs: 1_000,
        servedWithinMs: 1_000,
      }),
    order: () => proveOrder({ nodes, messages, withinMs: withinS * 1000, say: console.log }),
    ways: () => proveWays({ messages, withinMs: withinS * 1000 }),
  }
  const proof = proofs[positionals[0] ?? '']
  if (
    proof === undefined ||
    [nodes, messages, kills, victims, seed, withinS].some((value) => !Number.isInteger(value) || value < 1)
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
