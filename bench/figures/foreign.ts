/** What other programs of `bench/` measure: durable sessions and clusters. They run as they do alone; their rows are taken over. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { nodesCurve, nodesPoints } from './curves.ts'
import { type ForeignRow, ours, type Sample } from './samples.ts'

interface Foreign {
  readonly name: string
  readonly program: string
  readonly args: readonly string[]
  /** It is a point of a curve then, at this place. */
  readonly x?: number
}

export const foreign: readonly Foreign[] = [
  ...['pipelined', 'offline'].map((only) => ({
    name: `durable: ${only}`,
    program: 'durable.ts',
    args: ['--only', only],
  })),
  { name: 'cluster', program: 'cluster.ts', args: ['--only', 'single,paced,saturated'] },
  ...nodesPoints.map((nodes) => ({
    name: `curve: nodes: ${nodes}`,
    program: 'cluster.ts',
    args: ['--only', 'saturated', '--seconds', '3', '--nodes', String(nodes)],
    x: nodes,
  })),
]

interface Output {
  readonly rows: readonly Omit<ForeignRow, 'program'>[]
  readonly samples: {
    readonly saturated?: { readonly recv_per_s: number; readonly broker?: { readonly cpu_s_per_mmsg: number } }
  }
}

/** Gives no row where the program failed before it wrote them; it has said why. */
export async function runForeign({ program, args, x }: Foreign): Promise<{
  readonly rows: readonly ForeignRow[]
  readonly points: readonly Omit<Sample, 'commit'>[]
}> {
  const folder = mkdtempSync(join(tmpdir(), 'concordmq-figures-'))
  try {
    const file = join(folder, 'rows.json')
    const path = fileURLToPath(new URL(`../${program}`, import.meta.url))
    spawnSync(process.execPath, [path, ...args, '--json', file], { stdio: ['ignore', 'ignore', 'inherit'] })
    const { rows, samples } = JSON.parse(readFileSync(file, 'utf8')) as Output
    if (x === undefined) return { rows: rows.map((row) => ({ program, ...row })), points: [] }
    const { recv_per_s: all = 0, broker } = samples.saturated ?? {}
    // As many subscribers as nodes get every message: a message in the order is delivered x times.
    const report = { recv_per_s: all / x, 'broker.cpu_s_per_mmsg': (broker?.cpu_s_per_mmsg ?? Number.NaN) * x }
    return { rows: [], points: [{ scenario: `${nodesCurve}: ${x}`, round: 0, broker: ours, report }] }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
