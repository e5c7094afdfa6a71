/**
 * Whether the time of a refusal tells if a user exists: wrong passwords for a user who is there and for one who is not, in
 * random turn, and the time until CONNACK.
 *
 *     node testing/isolation/src/password-timing.ts [--count 400] [--seed N]
 *
 * Prints the medians of both and how well one could be told from the other: the share of pairs (one of each) in which the
 * known user's refusal took longer. Half is blindness; a z beyond 4 would be a difference that is no chance.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { makePasswordRecord } from '@concordmq/broker'
import { startBroker } from '../../testkit/src/broker-process.ts'
import { randomFrom } from '../../testkit/src/random.ts'
import { open, type Target } from '../../testkit/src/raw-client.ts'
import * as wire from '../../testkit/src/wire.ts'

export interface PasswordTiming {
  readonly knownMs: number
  readonly unknownMs: number
  /** Of pairs in which the known user's refusal took longer. */
  readonly share: number
  /** Standard deviations from a half. */
  readonly z: number
}

export async function measurePasswordTiming(options: {
  readonly count: number
  readonly seed: number
}): Promise<PasswordTiming> {
  const directory = mkdtempSync(join(tmpdir(), 'concordmq-timing-'))
  try {
    writeFileSync(
      join(directory, 'users.toml'),
      `[users.known]\npassword-hash = "${await makePasswordRecord('right')}"\n`,
    )
    await using broker = await startBroker({ directory })
    const { below } = randomFrom(options.seed)
    const times: { readonly known: number[]; readonly unknown: number[] } = { known: [], unknown: [] }
    // The first checks load the library that makes them.
    for (let i = 0; i < 5; i++) await refusal(broker.target, 'known', `${i}`)
    while (times.known.length < options.count || times.unknown.length < options.count) {
      const who = below(2) === 0 ? 'known' : 'unknown'
      if (times[who].length >= options.count) continue
      times[who].push(
        await refusal(broker.target, who === 'known' ? 'known' : `nobody${below(1_000)}`, `wrong${below(1_000)}`),
      )
    }
    return compare(times.known, times.unknown)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

/** Milliseconds from CONNECT to CONNACK with a refusal. */
async function refusal(target: Target, username: string, password: string): Promise<number> {
  using client = await open(target, 4)
  const begun = performance.now()
  client.send(wire.connect(4, { clientId: 'timing', username, password }))
  const { reason } = await client.expectPacket('CONNACK')
  if (reason === 0) throw new Error('A wrong password was let in')
  return performance.now() - begun
}

/** Mann and Whitney's count of pairs. */
function compare(known: readonly number[], unknown: readonly number[]): PasswordTiming {
  let longer = 0
  for (const a of known) for (const b of unknown) longer += a > b ? 1 : a === b ? 0.5 : 0
  const pairs = known.length * unknown.length
  const deviation = Math.sqrt((pairs * (known.length + unknown.length + 1)) / 12)
  return {
    knownMs: median(known),
    unknownMs: median(unknown),
    share: longer / pairs,
    z: (longer - pairs / 2) / deviation,
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] as number
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { count: { type: 'string', default: '400' }, seed: { type: 'string', default: '1' } },
  })
  const { knownMs, unknownMs, share, z } = await measurePasswordTiming({
    count: Number(values.count),
    seed: Number(values.seed),
  })
  console.log(
    `${values.count} refusals each: known user ${knownMs.toFixed(2)} ms, unknown ${unknownMs.toFixed(2)} ms (medians)`,
  )
  console.log(`known took longer in ${(share * 100).toFixed(1)} % of pairs, z = ${z.toFixed(1)}`)
}
