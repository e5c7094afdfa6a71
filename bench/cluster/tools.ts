/** What the figures of a cluster are taken with: the load generator, and looks at the processes. */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as after } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { ClusterProcesses } from '../../testing/testkit/src/cluster-process.ts'
import { openFlow } from '../../testing/testkit/src/flow-client.ts'
import type { Target } from '../../testing/testkit/src/raw-client.ts'
import { buildLoad } from '../load/mqload.ts'

export interface Row {
  readonly what: string
  readonly value: string
  readonly bar: string
  readonly ok: boolean
}

/** A scenario gives its row; what it looked at goes into `samples`. */
export interface Run {
  readonly cluster: ClusterProcesses
  /** Where the nodes' files are. */
  readonly directory: string
  readonly seconds: number
  readonly samples: Record<string, unknown>
}
export type Scenario = (run: Run) => Promise<Row>

/** What mqload prints, as far as it is read here. */
export interface Report {
  readonly sent: number
  readonly recv: number
  readonly recv_per_s: number
  readonly lost: number
  readonly dup: number
  readonly reorder: number
  readonly order_equal?: boolean
  readonly lat_us?: { readonly p50: number; readonly p99: number; readonly max: number }
  /** Of a storm of connects. */
  readonly connected?: number
  readonly dropped?: number
  readonly exit: number
}

const bench = dirname(dirname(fileURLToPath(import.meta.url)))
const program = join(bench, '..', 'packages', 'concordmq', 'bin', 'concordmq.js')
/** Of `/proc/PID/stat`. */
const ticksPerSecond = 100
const servedTriesMax = 300

export function targetOf(cluster: ClusterProcesses, node: number): Target {
  const target = cluster.target(node)
  if (target === undefined) throw new Error(`Node ${node} does not run`)
  return target
}

/** A node that has started refuses clients until the order has it. */
export async function served(cluster: ClusterProcesses, node: number): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      const { client } = await openFlow(targetOf(cluster, node), { version: 4, connect: { clientId: `first-${node}` } })
      client.disconnect()
      return
    } catch (error) {
      if (tries === servedTriesMax) throw error
      await after(100)
    }
  }
}

/** The log's position at a node, as it says itself. */
export async function positionOf({ directory }: Run, node: number): Promise<number> {
  const { stdout } = await promisify(execFile)(process.execPath, [
    ...[program, 'ctl', 'cluster', 'status', '--json', '--directory', directory, '--node', String(node)],
  ])
  return (JSON.parse(stdout) as { readonly position: number }).position
}

/** Runs the load generator; node numbers in its arguments are those of `nodes`, all that run unless given. */
export async function mqload(
  cluster: ClusterProcesses,
  args: readonly string[],
  { mode = 'pubsub', nodes = cluster.alive }: { readonly mode?: string; readonly nodes?: readonly number[] } = {},
): Promise<Report> {
  const targets = nodes.flatMap((node) => {
    const { host, port } = targetOf(cluster, node)
    return ['--target', `${host}:${port}`, '--pid', String(cluster.process(node).pid)]
  })
  const ended = await promisify(execFile)(buildLoad(), [mode, ...targets, ...args]).catch(
    (error: { readonly stdout: string; readonly stderr: string }) => error,
  )
  const line = ended.stdout.trim().split('\n').at(-1) ?? ''
  if (!line.startsWith('{')) throw new Error(`mqload ${args.join(' ')}\n${ended.stderr}`)
  const report = JSON.parse(line) as Report
  if (report.exit !== 0) console.error(`mqload ${args.join(' ')} ended with ${report.exit}: ${ended.stderr}${line}`)
  return report
}

/** User and system time of a process so far. */
export function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}

/** Resident memory of a process, MiB. */
export function residentMib(pid: number): number {
  const [, kib = Number.NaN] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kib) / 1024
}

export function milliseconds(us: number | undefined): string {
  return us === undefined ? 'none' : `${(us / 1000).toFixed(1)} ms`
}
