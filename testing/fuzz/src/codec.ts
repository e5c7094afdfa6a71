/**
 * Damages packets of the catalogue and reads them: framer and decoder must not throw, must say the same whatever the
 * borders of the chunks, must refuse with a code and a statement, and what they take must mean the same when it is sent
 * again. The scan of the hot path must agree with the decoder.
 *
 *     node testing/fuzz/src/codec.ts --seed 1 --cases 100000
 *
 * Every case has a seed of its own, the first seed plus its number, so that a failure is repeated alone. Exits 1 on a
 * failure, 64 on bad usage.
 */
import assert from 'node:assert/strict'
import { inspect, isDeepStrictEqual, parseArgs } from 'node:util'
import type { ProtocolVersion } from '../../../packages/protocol/src/packets/types.ts'
import { catalogue } from '../../catalogue/src/catalogue.ts'
import { checkResult, readPackets } from '../../catalogue/src/checked-reading.ts'
import { fromHex, toHex } from '../../catalogue/src/notation.ts'
import { randomFrom } from '../../testkit/src/random.ts'

interface Case {
  readonly version: ProtocolVersion
  readonly bytes: Uint8Array
  readonly chunkBytes: number
}

const samples = catalogue.map(({ version, bytes }) => ({ version, bytes: fromHex(bytes) }))

/** Runs one case. Throws if a promise is broken. */
export function runCase(seed: number): void {
  const { version, bytes, chunkBytes } = makeCase(seed)
  const whole = readPackets(bytes, version, bytes.length)
  const inChunks = readPackets(bytes, version, chunkBytes)
  assert.ok(
    isDeepStrictEqual(inChunks, whole),
    `In chunks of ${chunkBytes}: ${inspect(inChunks)}, whole: ${inspect(whole)}`,
  )
  for (const result of whole) checkResult(result, version)
}

/** The bytes that a seed stands for. */
export function makeCase(seed: number): Case {
  const { below } = randomFrom(seed)
  const sample = samples[below(samples.length)] as (typeof samples)[number]
  // Now and then in the wrong version, and with another packet behind.
  const version = below(8) === 0 ? (([3, 4, 5] as const)[below(3)] as ProtocolVersion) : sample.version
  let bytes = [...sample.bytes]
  if (below(4) === 0) bytes.push(...(samples[below(samples.length)] as (typeof samples)[number]).bytes)
  for (let edits = below(5); edits > 0; edits--) bytes = edit(bytes, below)
  return { version, bytes: Uint8Array.from(bytes), chunkBytes: 1 + below(12) }
}

function edit(bytes: readonly number[], below: (n: number) => number): number[] {
  const out = [...bytes]
  const at = below(out.length + 1)
  switch (below(6)) {
    case 0:
      out[Math.min(at, Math.max(0, out.length - 1))] = below(256)
      break
    case 1:
      if (at < out.length) out[at] = (out[at] as number) ^ (1 << below(8))
      break
    case 2:
      out.splice(at, 0, below(256))
      break
    case 3:
      out.splice(at, 1 + below(3))
      break
    case 4:
      out.length = at
      break
    default:
      // A piece of the packet once more: this is how lengths and properties come to stand twice.
      out.splice(at, 0, ...out.slice(below(out.length + 1), below(out.length + 1)))
  }
  return out
}

function main(): number {
  const { values } = parseArgs({ options: { seed: { type: 'string' }, cases: { type: 'string' } } })
  const seed = Number(values.seed ?? Date.now() % 1_000_000_000)
  const cases = Number(values.cases ?? 100_000)
  if (!Number.isInteger(seed) || !Number.isInteger(cases) || cases < 1) {
    console.error('Usage: node testing/fuzz/src/codec.ts [--seed INTEGER] [--cases INTEGER]')
    return 64
  }
  for (let i = 0; i < cases; i++) {
    try {
      runCase(seed + i)
    } catch (error) {
      const { version, bytes } = makeCase(seed + i)
      console.error(error)
      console.error(`Version ${version}, bytes ${toHex(bytes)}`)
      console.error(`Repeat: node testing/fuzz/src/codec.ts --seed ${seed + i} --cases 1`)
      return 1
    }
  }
  console.log(`${cases} cases from seed ${seed} on: every promise of the codec held`)
  return 0
}

if (import.meta.main) {
  try {
    process.exitCode = main()
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 64
  }
}
