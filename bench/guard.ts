/**
 * The guard against getting slower: what a message costs, against limits. CI runs it as a test (`guard.last.test.ts`).
 *
 *   node bench/guard.ts [--rounds 5]
 *
 * | CPU | seconds per message as a ratio to `guard/reference.ts`, at the same time on the same machine |
 * | allocations | bytes per message, counted |
 *
 * Needs Linux and a C compiler. Where a limit is exceeded on purpose, it is changed here, and the commit says why; where
 * something became cheaper, it is lowered.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Allocations, nodeFlags } from './guard/allocations.ts'
import { cpuRatios } from './guard/cpu.ts'

/** Measured when the limits were set, medians; a run may be above by the margin. */
const cpuUsual: Readonly<Record<string, number>> = {
  '1:1, QoS 0': 1.6,
  '1:20, QoS 0': 1.1,
  '1:1, QoS 1': 1.45,
  '1:20, QoS 1': 1.5,
  '1:1, QoS 2': 1.3,
}
/** Seven runs beside four other busy processes on two cores stayed below it: the furthest was a quarter above the usual. */
const cpuMargin = 0.4

const allocationsUsual: Readonly<Record<string, Allocations>> = {
  '1:1, QoS 0, one read of 100': { heap: 56, external: 164 },
  '1:1, QoS 0, a read each': { heap: 4_777, external: 175 },
  '1:20, QoS 0, one read of 100': { heap: 156, external: 1_730 },
  '1:1, QoS 1, one read of 100': { heap: 65, external: 190 },
  '1:1, QoS 1, a read each': { heap: 5_894, external: 197 },
  '1:1, QoS 2, one read of 100': { heap: 86, external: 197 },
}
/** Runs differ by less than a hundredth; a new version of Node may change a little. */
const allocationsMargin = 0.1

export interface Finding {
  readonly what: string
  readonly measured: number
  readonly max: number
}

/** CPU first. Takes about half a minute for 5 rounds on a machine that does nothing else. */
export async function guard(rounds: number): Promise<readonly Finding[]> {
  const directory = mkdtempSync(join(tmpdir(), 'concordmq-guard-'))
  try {
    const ratios = await cpuRatios(rounds, directory)
    const cpu = ratios.map(({ scenario, ratio }) => ({
      what: `CPU, ${scenario}, × reference`,
      measured: ratio,
      max: (cpuUsual[scenario] ?? Number.NaN) * (1 + cpuMargin),
    }))
    return [...cpu, ...allocations()]
  } finally {
    rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
  }
}

function allocations(): readonly Finding[] {
  const program = fileURLToPath(new URL('guard/allocations.ts', import.meta.url))
  const output = execFileSync(process.execPath, [...nodeFlags, program], { encoding: 'utf8' })
  return Object.entries(JSON.parse(output) as Record<string, Allocations>).flatMap(([scenario, found]) =>
    (['heap', 'external'] as const).map((kind) => ({
      what: `allocated, ${scenario}, ${kind === 'heap' ? 'objects' : 'buffers'}, bytes`,
      measured: found[kind],
      max: (allocationsUsual[scenario]?.[kind] ?? Number.NaN) * (1 + allocationsMargin),
    })),
  )
}

/** Also where there is no limit, or no figure. */
export function exceeds({ measured, max }: Finding): boolean {
  return !(measured <= max)
}

if (process.argv[1] === import.meta.filename) {
  const { values: options } = parseArgs({ options: { rounds: { type: 'string', default: '5' } } })
  const findings = await guard(Number(options.rounds))
  console.log('| what | measured | at most | |')
  console.log('|---|---|---|---|')
  for (const finding of findings) {
    const { what, measured, max } = finding
    console.log(
      `| ${what} | ${measured.toPrecision(4)} | ${max.toPrecision(4)} | ${exceeds(finding) ? 'EXCEEDED' : 'ok'} |`,
    )
  }
  process.exitCode = findings.some(exceeds) ? 1 : 0
}
